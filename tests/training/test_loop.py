import json
import logging
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.datasets.samples import SampleSet
from smplcli.errors import IntegrityError, UnstableTrainingError
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.training.config import ConductConfig, Recipe, ScheduleConfig
from smplcli.training.loop import run_training
from smplcli.training.run import Run
from tests.people import few_people

STEPS = 4
RECIPE = Recipe(
    model=ModelConfig(
        backbone="resnet18", input_size=64, channels=8, upsamplings=1, hidden=8, keypoints=8
    ),
    schedule=ScheduleConfig(
        steps=STEPS, batch_size=2, lifting_batch=4, warmup=0, validate_every=2, frozen=("conv1",)
    ),
)


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture
def start(tmp_path, body):
    def run(name="run", **changes):
        recipe = RECIPE.model_copy(update=changes)
        (tmp_path / name).mkdir(exist_ok=True)
        torch.manual_seed(0)
        size = recipe.model.input_size
        return Run(
            recipe=recipe,
            run_dir=tmp_path / name,
            network=build_network(recipe.model),
            samples=SampleSet(
                few_people(), size=size, part_size=4, augmentation=recipe.augmentation
            ),
            joints=JointsLayer(body),
            validate=lambda network, _: {"pa_mpjpe": network.head.pool.weight.abs().sum().item()},
            on_best=lambda *_: None,
            has_best=lambda: True,
            facts={},
            device=torch.device("cpu"),
        )

    return run


def _whole(steps, _label):
    return steps


def _until(last, number=signal.SIGINT):
    def steps_until(steps, _label):
        for step in steps:
            if step == last:
                signal.raise_signal(number)
            yield step

    return steps_until


def _weights(run_dir: Path) -> bytes:
    return (run_dir / f"checkpoints/step_{STEPS:08d}/model.safetensors").read_bytes()


def test_an_interrupted_run_ends_with_the_very_same_weights(start):
    whole = start("whole")
    run_training(whole, _whole)
    with pytest.raises(KeyboardInterrupt):
        run_training(start("broken"), _until(0))

    taken = run_training(broken := start("broken"), _whole)

    assert taken.start == 1
    assert _weights(broken.run_dir) == _weights(whole.run_dir)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(start, caplog):
    whole = start("whole")
    run_training(whole, _whole)
    with pytest.raises(KeyboardInterrupt):
        run_training(start("broken"), _until(2))
    damaged = start("broken").run_dir / "checkpoints/step_00000003/model.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)

    with caplog.at_level(logging.WARNING):
        taken = run_training(broken := start("broken"), _whole)

    assert taken.start == 2
    assert "damaged" in caplog.text
    assert _weights(broken.run_dir) == _weights(whole.run_dir)


def test_damage_to_every_checkpoint_stops_the_run(start):
    run_training(start(), _whole)
    for state in start().run_dir.glob("checkpoints/*/state.json"):
        state.write_text("{")

    with pytest.raises(IntegrityError, match="no sound checkpoint"):
        run_training(start(), _whole)


def test_a_finished_run_has_nothing_left_to_do(start):
    run_training(start(), _whole)

    assert not run_training(start(), _whole)


def test_frozen_parts_keep_their_weights_and_the_others_move(start):
    run = start()
    frozen = run.network.backbone.net.conv1.weight.clone()
    free = run.network.backbone.net.layer1[0].conv1.weight.clone()

    run_training(run, _whole)

    assert torch.equal(run.network.backbone.net.conv1.weight, frozen)
    assert not torch.equal(run.network.backbone.net.layer1[0].conv1.weight, free)


def test_a_number_that_is_not_finite_stops_the_run_before_the_weights_change(start):
    run = start(conduct=ConductConfig(non_finite="stop"))
    run.samples.split.samples[:] = [
        s._replace(shape=np.full(10, np.nan, np.float32)) for s in run.samples.split.samples
    ]
    before = run.network.head.pool.weight.clone()

    with pytest.raises(UnstableTrainingError, match=r"step 0, on one of: .*\.jpg"):
        run_training(run, _whole)

    assert torch.equal(run.network.head.pool.weight, before)


def test_validations_are_logged_with_their_steps(start):
    run = start()

    run_training(run, _whole)

    lines = [json.loads(line) for line in (run.run_dir / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation" in line] == [2, 4]


@pytest.mark.slow
def test_a_network_learns_a_few_people_by_heart(start):
    schedule = RECIPE.schedule.model_copy(
        update={"steps": 60, "batch_size": 4, "learning_rate": 3e-3, "validate_every": 60}
    )
    run = start(schedule=schedule)
    run.samples.augmentation = None

    run_training(run, _whole)

    lines = [json.loads(line) for line in (run.run_dir / "log.jsonl").read_text().splitlines()]
    pose = [line["losses"]["pose"] for line in lines if "losses" in line]
    assert pose[-1] < 0.5 * pose[0]


def test_lifting_steps_train_the_encoder_and_nothing_else(start):
    schedule = RECIPE.schedule.model_copy(update={"lifting_steps": STEPS})
    run = start(schedule=schedule)
    before = {name: value.clone() for name, value in run.network.named_parameters()}

    run_training(run, _whole)

    moved = {
        name for name, value in run.network.named_parameters() if (value != before[name]).any()
    }
    assert moved == {name for name in before if name.startswith("encoder")}


def test_pictures_join_after_the_lifting_steps(start):
    schedule = RECIPE.schedule.model_copy(update={"lifting_steps": STEPS // 2})
    run = start(schedule=schedule)
    before = run.network.head.pool.weight.clone()

    run_training(run, _whole)

    assert (run.network.head.pool.weight != before).any()
