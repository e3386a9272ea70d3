"""`smplcli train`: which run it goes on with, on what, and what it says about it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smplcli.cli import app
from smplcli.cli._options import seconds
from smplcli.training.lock import locked

runner = CliRunner()
RECIPE = """
[model]
backbone = "test_efficientnet"
head = "baseline"
input_size = 64
hidden = 8

[schedule]
steps = 3
batch_size = 2
warmup = 0
validate_every = 1
average = 0
"""


def train(*args, code=0):
    result = runner.invoke(app, ["train", "--recipe", "tiny.toml", *args])
    assert result.exit_code == code, result.stderr
    return result


def change_source(folder, source):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "source": source}))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A data set, prepared once."""
    folder = tmp_path_factory.mktemp("rendered") / "data"
    args = ["prepare", "synthetic", "--count", "4", "--jobs", "1", "--no-parts"]
    result = runner.invoke(app, [*args, "--out", str(folder)])
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture
def project(rendered, tmp_path, monkeypatch):
    """The current folder: a recipe, and data in its place."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(rendered, "data/prepared/synthetic-1")
    Path("tiny.toml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def unfinished(project):
    """A run that has taken its first step."""
    train("--time-limit", "1s", code=143)
    return project / "runs/tiny-1"


def test_a_run_that_is_out_of_time_is_saved_and_the_same_command_goes_on(unfinished):
    result = train("--json")

    assert "run has taken 1 of 3 steps: it goes on" in result.stderr
    report = json.loads(result.stdout)
    assert (report["run_dir"], report["resumed_at"], report["reached"]) == ("runs/tiny-1", 1, 3)


def test_a_run_out_of_time_in_its_last_step_is_measured_when_it_goes_on(project):
    Path("tiny.toml").write_text(RECIPE.replace("steps = 3", "steps = 1"))

    stopped = train("--time-limit", "1s", code=143)
    report = json.loads(train("--json").stdout)

    assert "saved at step 1 of 1" in stopped.stderr
    assert report["run_dir"] == "runs/tiny-1"
    assert report["best"]["step"] == 1


def test_a_run_whose_checkpoints_are_gone_is_kept_as_it_is(unfinished):
    train()
    shutil.rmtree("runs/tiny-1/checkpoints")
    before = Path("runs/tiny-1/best.safetensors").read_bytes()

    refused = train("--out", "runs/tiny-1", code=2)
    other = train("--json")

    assert "and no checkpoints to go on from: runs/tiny-1" in refused.stderr
    assert json.loads(other.stdout)["run_dir"] == "runs/tiny-2"
    assert Path("runs/tiny-1/best.safetensors").read_bytes() == before


def test_after_a_finished_run_another_begins_and_naming_it_says_that_it_is_finished(unfinished):
    train()

    again = train("--out", "runs/tiny-1")
    train()

    assert "run has taken 3 of 3 steps: nothing is left to do" in again.stderr
    assert Path("runs/tiny-2/best.safetensors").is_file()


def test_a_changed_recipe_is_refused_and_let_through_by_its_key(unfinished):
    Path("tiny.toml").write_text(RECIPE.replace("steps = 3", "steps = 2"))

    refused = train(code=2)
    allowed = train("--allow-change", "schedule.steps", "--json")

    assert refused.stdout == ""
    assert "error: the run was begun otherwise: runs/tiny-1" in refused.stderr
    assert "schedule.steps: 3 -> 2" in refused.stderr
    assert "--allow-change schedule.steps" in refused.stderr
    assert "changed: schedule.steps: 3 -> 2" in allowed.stderr
    assert json.loads(allowed.stdout)["steps"] == 2


def test_changed_data_is_refused(unfinished):
    change_source(Path("data/prepared/synthetic-1"), "3dpw")

    assert "  data: " in train(code=2).stderr


def test_a_new_run_can_be_asked_for(unfinished):
    result = train("--resume", "never", "--json")

    assert json.loads(result.stdout)["run_dir"] == "runs/tiny-2"
    assert (
        "run folder holds a run"
        in train("--resume", "never", "--out", "runs/tiny-1", code=2).stderr
    )


def test_a_run_to_go_on_with_can_be_asked_for(project):
    assert "no run to go on with" in train("--resume", "must", code=3).stderr
    train("--time-limit", "1s", code=143)

    assert "it goes on" in train("--resume", "must").stderr


def test_the_folder_of_a_run_or_of_its_newest_checkpoint_names_it(unfinished):
    checkpoint = train("--resume", str(unfinished / "checkpoints/step_00000001"), "--json")
    again = train("--resume", "runs/tiny-1")

    assert json.loads(checkpoint.stdout)["resumed_at"] == 1
    assert "nothing is left to do" in again.stderr


def test_a_run_can_begin_with_an_older_checkpoint_of_another(unfinished):
    train()
    older = str(unfinished / "checkpoints/step_00000001")

    branch = json.loads(train("--resume", older, "--json").stdout)

    assert (branch["run_dir"], branch["resumed_at"], branch["reached"]) == ("runs/tiny-2", 1, 3)
    weights = "checkpoints/step_00000003/model.safetensors"
    assert Path("runs/tiny-2", weights).read_bytes() == (unfinished / weights).read_bytes()


@pytest.mark.parametrize("out", [(), ("--out", "runs/branch")])
def test_the_same_command_goes_on_with_the_run_that_began_with_a_checkpoint(unfinished, out):
    train()
    command = ("--resume", str(unfinished / "checkpoints/step_00000001"), *out)
    train(*command, "--time-limit", "1s", code=143)

    again = json.loads(train(*command, "--json").stdout)

    assert again["run_dir"] == (out[1] if out else "runs/tiny-2")
    assert (again["resumed_at"], again["reached"]) == (2, 3)


def test_a_newest_checkpoint_begins_a_run_in_another_folder(unfinished):
    newest = str(unfinished / "checkpoints/step_00000001")

    copy = json.loads(train("--resume", newest, "--out", "runs/copy", "--json").stdout)

    assert (copy["run_dir"], copy["resumed_at"]) == ("runs/copy", 1)
    assert not (unfinished / "checkpoints/step_00000003").exists()


@pytest.mark.slow
def test_processes_that_may_restart_begin_with_the_checkpoint_too(unfinished):
    train()
    command = [sys.executable, "-m", "smplcli", "train", "--recipe", "tiny.toml", "--json"]
    older = str(unfinished / "checkpoints/step_00000001")

    done = subprocess.run(
        [*command, "--max-restarts", "1", "--resume", older],
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout)["resumed_at"] == 1


def test_a_run_of_its_own_is_not_begun_with_a_checkpoint(unfinished):
    train()
    older = str(unfinished / "checkpoints/step_00000001")

    refused = train("--resume", older, "--out", "runs/tiny-1", code=2)

    assert f"run was not begun with checkpoint {older}" in refused.stderr


def test_a_checkpoint_under_another_recipe_is_refused_and_leaves_nothing(unfinished):
    train()
    older = str(unfinished / "checkpoints/step_00000001")
    Path("tiny.toml").write_text(RECIPE.replace("steps = 3", "steps = 2"))

    refused = train("--resume", older, code=2)

    assert f"begun otherwise: {older}" in refused.stderr
    assert "schedule.steps: 3 -> 2" in refused.stderr
    assert not Path("runs/tiny-2").exists()


def test_the_newest_checkpoint_goes_on_with_its_run_by_whatever_path(unfinished, monkeypatch):
    monkeypatch.chdir(unfinished / "checkpoints")
    for name in ("tiny.toml", "data"):
        Path(name).symlink_to(unfinished.parents[1] / name)

    result = train("--resume", "../checkpoints/step_00000001", "--json")

    assert (unfinished / "checkpoints/step_00000003").is_dir()
    assert json.loads(result.stdout)["resumed_at"] == 1


def test_the_link_to_the_latest_run_may_name_it(unfinished):
    train("--resume", "runs/latest")

    assert (unfinished / "checkpoints/step_00000003").is_dir()
    assert Path("runs/latest").resolve() == unfinished


def test_two_processes_do_not_train_in_one_folder(unfinished):
    with locked(unfinished):
        result = train(code=6)

    assert f"another process trains in this folder: process {os.getpid()}" in result.stderr


def test_real_data_sets_are_trained_on_together_and_rendered_people_left_out(project, rendered):
    for source in ("3dpw", "mpii"):
        shutil.copytree(rendered, f"data/prepared/{source}-1")
        change_source(Path(f"data/prepared/{source}-1"), source)

    result = train("--json")

    assert [line for line in result.stderr.splitlines() if line.startswith("data: ")] == [
        "data: data/prepared/3dpw-1",
        "data: data/prepared/mpii-1",
    ]
    assert json.loads(result.stdout)["samples"] == 8


def test_data_without_anybody_to_validate_on_says_what_to_add(project, rendered):
    alone = project / "data/prepared/mpii-1"
    shutil.copytree(rendered, alone)
    manifest = json.loads((alone / "manifest.json").read_text())
    shards = [shard for shard in manifest["shards"] if shard["split"] == "train"]
    (alone / "manifest.json").write_text(json.dumps({**manifest, "shards": shards}))

    refused = train("--data", str(alone), code=2)
    together = train("--data", str(alone), "--data", str(rendered), "--json")

    assert f"error: nobody to validate on, nobody is held out: {alone}" in refused.stderr
    assert "smplcli prepare synthetic" in refused.stderr
    assert json.loads(together.stdout)["samples"] == 8


def test_the_same_data_twice_is_refused(project):
    again = [
        "--data",
        "data/prepared/synthetic-1",
        "--data",
        "data/prepared/../prepared/synthetic-1",
    ]

    assert "a data set is given twice" in train(*again, code=2).stderr


def test_data_sets_that_are_named_are_mixed_by_the_shares_of_the_recipe(project, rendered):
    Path("tiny.toml").write_text("mix = [0.9, 0.1]\n" + RECIPE)
    named = ("--data", str(rendered), "--data", "data/prepared/synthetic-1")

    train(*named)

    assert "mix has 2 shares for 1 data sets" in train("--data", str(rendered), code=2).stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("90s", 90),
        ("90m", 5400),
        ("47h", 169200),
        ("1.5h", 5400),
        ("2d", 172800),
        ("1:30:00", 5400),
        ("2:30", 150),
        ("1-12:00:00", 129600),
    ],
)
def test_durations_are_read_as_clusters_write_them(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-3h", "0", "nan", "1:2:3:4", "h", "inf", "1:99:00"])
def test_what_is_no_duration_is_refused(project, text):
    assert "is no duration" in train("--time-limit", text, code=2).stderr
