from collections import Counter

import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.samples import SampleSet
from smplcli.datasets.schema import UNKNOWN_PART
from smplcli.errors import ConfigError
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.training.config import LossConfig, Recipe
from smplcli.training.losses import Losses
from smplcli.training.mixing import MixedBatches, recipe_batches
from tests.people import FewPeople, few_people

COUNTS = (7, 40, 11)


def _batches(first, last, *, ratios=(0.5, 0.2, 0.3), seed=0):
    batches = MixedBatches(
        counts=COUNTS, ratios=ratios, batch_size=5, seed=seed, steps=range(first, last)
    )
    return list(batches)


def _data_set(index):
    return (index >= 7) + (index >= 47)


@pytest.mark.parametrize("ratios", [(0.5, 0.2, 0.3), (1, 1, 1), (0.9, 0.05, 0.05), (3, 1, 2)])
def test_every_data_set_has_its_share_at_every_moment(ratios):
    keys = [index for batch in _batches(0, 200, ratios=ratios) for _, index in batch]

    seen = Counter()
    for count, index in enumerate(keys, start=1):
        seen[_data_set(index)] += 1
        for number, ratio in enumerate(ratios):
            assert abs(seen[number] - count * ratio / sum(ratios)) <= len(ratios)


def test_every_data_set_is_visited_whole_before_any_sample_comes_again():
    keys = Counter(key for batch in _batches(0, 300) for key in batch)

    assert max(keys.values()) == 1
    for number, (first, count) in enumerate(zip((0, 7, 47), COUNTS, strict=True)):
        epochs = {epoch for epoch, index in keys if _data_set(index) == number}
        for epoch in epochs - {max(epochs)}:
            indices = {index for e, index in keys if e == epoch and _data_set(index) == number}
            assert indices == set(range(first, first + count))


@pytest.mark.parametrize("first", [1, 37, 119])
def test_going_on_at_a_step_sees_what_an_unbroken_run_sees(first):
    assert _batches(first, 120) == _batches(0, 120)[first:]


def test_another_seed_gives_another_order_and_the_same_shares():
    ours, theirs = _batches(0, 20), _batches(0, 20, seed=1)

    assert ours != theirs
    assert [[_data_set(i) for _, i in batch] for batch in ours] == [
        [_data_set(i) for _, i in batch] for batch in theirs
    ]


def test_without_a_mix_several_data_sets_are_one():
    split = JoinedSplits([few_people(4), few_people(2)])

    keys = [key for batch in recipe_batches(Recipe(), split, range(3)) for key in batch]

    assert Counter(index for _, index in keys[:6]) == Counter(range(6))


def test_a_mix_for_another_number_of_data_sets_is_refused():
    with pytest.raises(ConfigError, match="mix has 2 shares for 1 data sets"):
        recipe_batches(Recipe(mix=(0.5, 0.5)), few_people(2), range(3))


def test_people_with_keypoints_alone_train_beside_those_with_bodies():
    bodies = few_people(2)
    keypoints_alone = FewPeople(
        [
            sample._replace(
                has_smpl=0,
                pose=np.full(72, np.nan, np.float32),
                shape=np.full(10, np.nan, np.float32),
                part_map=np.full_like(sample.part_map, UNKNOWN_PART),
            )
            for sample in few_people(2).samples
        ]
    )
    samples = SampleSet(JoinedSplits([bodies, keypoints_alone]), size=64, part_size=4)
    batch = samples[[(0, index) for index in range(4)]]
    network = build_network(
        ModelConfig(backbone="resnet18", input_size=64, channels=8, hidden=8, upsamplings=1)
    )
    output = network(batch.image.float() / 255)

    losses = Losses(LossConfig(), JointsLayer(load_body()))(output, batch, supervise_parts=True)
    torch.stack(list(losses.values())).sum().backward()

    assert all(value.isfinite() and value > 0 for value in losses.values())
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)
