import hashlib
import json
from pathlib import Path

import pytest

from smplcli.errors import ConfigError
from smplcli.training.checkpoints import OWN_HASH, STATE_FILE
from smplcli.training.config import read_recipe, recipe_to_toml
from smplcli.workflows.outputs import (
    default_evaluation_dir,
    default_run_dir,
    default_submission_file,
)
from smplcli.workflows.project import CONFIG_FILE


def start_run(run_dir, recipe, *, steps, measured=True):
    run_dir.mkdir(parents=True)
    (run_dir / CONFIG_FILE).write_text(recipe_to_toml(read_recipe(recipe)))
    if steps:
        checkpoint = run_dir / "checkpoints" / f"step_{steps:08d}"
        checkpoint.mkdir(parents=True)
        state = {"step": steps, "sha256": {}, "history": [{"step": steps}] if measured else []}
        own_hash = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
        (checkpoint / STATE_FILE).write_text(json.dumps({**state, OWN_HASH: own_hash}))


def test_the_first_run_of_a_recipe_is_number_one(tmp_path):
    assert default_run_dir(tmp_path / "runs", "lite") == tmp_path / "runs/lite-1"


def test_a_finished_run_is_followed_by_a_new_one(tmp_path):
    start_run(tmp_path / "lite-9", "lite", steps=1)
    start_run(tmp_path / "lite-10", "lite", steps=read_recipe("lite").schedule.steps)

    assert default_run_dir(tmp_path, "lite") == tmp_path / "lite-11"


@pytest.mark.parametrize("steps", [0, 1])
def test_an_interrupted_run_goes_on(tmp_path, steps):
    start_run(tmp_path / "lite-1", "lite", steps=steps)

    assert default_run_dir(tmp_path, "lite") == tmp_path / "lite-1"


def test_a_run_stopped_while_its_last_step_was_measured_goes_on(tmp_path):
    steps = read_recipe("lite").schedule.steps
    start_run(tmp_path / "lite-1", "lite", steps=steps, measured=False)

    assert default_run_dir(tmp_path, "lite") == tmp_path / "lite-1"


def test_a_run_whose_checkpoints_are_gone_is_followed_by_a_new_one(tmp_path):
    start_run(tmp_path / "lite-1", "lite", steps=0)
    (tmp_path / "lite-1/last").touch()

    assert default_run_dir(tmp_path, "lite") == tmp_path / "lite-2"


def test_a_run_of_another_recipe_is_left_alone(tmp_path):
    start_run(tmp_path / "pare-1", "pare", steps=1)

    assert default_run_dir(tmp_path, "lite") == tmp_path / "lite-1"


def test_an_unfinished_run_whose_recipe_has_changed_is_still_the_one_to_go_on_with(tmp_path):
    start_run(tmp_path / "lite-1", "pare", steps=1)

    assert default_run_dir(tmp_path, "lite") == tmp_path / "lite-1"


def test_a_recipe_file_gives_its_name_to_its_runs(tmp_path):
    recipe = tmp_path / "my.toml"
    recipe.write_text("[schedule]\nsteps = 5\n")

    assert default_run_dir(Path("runs"), str(recipe)) == Path("runs/my-1")


def test_an_unknown_recipe_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown recipe: ltie"):
        default_run_dir(tmp_path, "ltie")


def test_evaluations_of_a_run_are_numbered_in_it(tmp_path):
    start_run(tmp_path / "lite-1", "lite", steps=0)
    (tmp_path / "lite-1/eval/test-1").mkdir(parents=True)

    checkpoint = tmp_path / "lite-1/best.safetensors"
    assert default_evaluation_dir(checkpoint, "test") == tmp_path / "lite-1/eval/test-2"
    assert default_evaluation_dir(checkpoint, "validation").name == "validation-1"


def test_an_evaluation_of_a_checkpoint_goes_into_its_run(tmp_path, monkeypatch):
    start_run(tmp_path / "lite-1", "lite", steps=1)
    monkeypatch.chdir(tmp_path / "lite-1/checkpoints")

    for target in (Path("step_00000001"), tmp_path / "lite-1/checkpoints/step_00000001"):
        assert default_evaluation_dir(target, "test") == Path("../eval/test-1")


def test_an_evaluation_of_a_file_outside_a_run_leaves_nothing_behind(tmp_path):
    assert default_evaluation_dir(tmp_path / "network.safetensors", "test") is None


def test_submissions_of_demo_and_data_share_their_numbers(tmp_path):
    for name in ("3dpw-1.zip", "DEMO-3dpw-2.zip", "3dpw-x.zip", "other-7.zip"):
        (tmp_path / name).touch()

    assert default_submission_file(tmp_path, "3dpw-challenge") == tmp_path / "3dpw-3.zip"


def test_the_file_of_the_course_keeps_its_name_in_a_numbered_folder(tmp_path):
    (tmp_path / "eth-mp-1").mkdir()

    file = default_submission_file(tmp_path, "eth-mp")

    assert file == tmp_path / "eth-mp-2" / "test_pred_joints.csv"
