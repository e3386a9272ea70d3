"""What a run learns, and what it writes down."""

import json

import numpy as np
import pytest
import torch

from smplcli.errors import UnstableTrainingError
from smplcli.training.config import ConductConfig
from smplcli.training.loop import run_training
from tests.training.tiny import RECIPE, STEPS, tiny_run, whole


@pytest.fixture
def start(tmp_path):
    def run(**changes):
        return tiny_run(tmp_path / "run", recipe=RECIPE.model_copy(update=changes))

    return run


def test_frozen_parts_keep_their_weights_and_the_others_move(start):
    run = start()
    frozen = run.network.backbone.net.conv_stem.weight.clone()
    free = run.network.backbone.net.blocks[0][0].conv.weight.clone()

    run_training(run, whole)

    assert torch.equal(run.network.backbone.net.conv_stem.weight, frozen)
    assert not torch.equal(run.network.backbone.net.blocks[0][0].conv.weight, free)


def test_a_number_that_is_not_finite_stops_the_run_before_the_weights_change(start):
    run = start(conduct=ConductConfig(non_finite="stop"))
    run.samples.split.samples[:] = [
        s._replace(shape=np.full(10, np.nan, np.float32)) for s in run.samples.split.samples
    ]
    before = run.network.head.pool.weight.clone()

    with pytest.raises(UnstableTrainingError, match=r"step 0, on one of: .*\.jpg"):
        run_training(run, whole)

    assert torch.equal(run.network.head.pool.weight, before)


def test_validations_are_logged_with_their_steps(start):
    run = start()

    run_training(run, whole)

    lines = [json.loads(line) for line in (run.run_dir / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation" in line] == [2, 4, 6]


@pytest.mark.slow
def test_a_network_learns_a_few_people_by_heart(start):
    schedule = RECIPE.schedule.model_copy(
        update={"steps": 120, "batch_size": 4, "learning_rate": 3e-3, "validate_every": 120}
    )
    run = start(schedule=schedule)
    run.samples.augmentation = None

    run_training(run, whole)

    lines = [json.loads(line) for line in (run.run_dir / "log.jsonl").read_text().splitlines()]
    pose = [line["losses"]["pose"] for line in lines if "losses" in line]
    assert pose[-1] < 0.5 * pose[0]


def test_lifting_steps_train_the_encoder_and_nothing_else(start):
    schedule = RECIPE.schedule.model_copy(update={"lifting_steps": STEPS})
    run = start(schedule=schedule)
    before = {name: value.clone() for name, value in run.network.named_parameters()}

    run_training(run, whole)

    moved = {
        name for name, value in run.network.named_parameters() if (value != before[name]).any()
    }
    assert moved == {name for name in before if name.startswith("encoder")}


def test_pictures_join_after_the_lifting_steps(start):
    schedule = RECIPE.schedule.model_copy(update={"lifting_steps": STEPS // 2})
    run = start(schedule=schedule)
    before = run.network.head.pool.weight.clone()

    run_training(run, whole)

    assert (run.network.head.pool.weight != before).any()
