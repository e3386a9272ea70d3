"""What every command does when it is called wrongly: an exit code, a text, and nothing else."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from smplcli.cli import app

runner = CliRunner()
STEPS = ("train", "evaluate", "submit")
CALLS = [["prepare"], *([step] for step in STEPS), ["predict", ".", "--out", "p.npz"]]
TARGETED = ("evaluate", "submit")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMPLCLI_DATA", raising=False)
    monkeypatch.delenv("SMPLCLI_BODY", raising=False)
    return tmp_path


def refused(args, *, code, env=None):
    before = sorted(Path().rglob("*"))

    result = runner.invoke(app, args, env=env)

    assert result.exit_code == code
    assert result.stdout == ""
    assert sorted(Path().rglob("*")) == before
    return result.stderr


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_an_unknown_option_is_a_usage_error(call):
    assert "did you mean --body?" in refused([*call, "--bodi", "x"], code=2)


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_mistakes_in_the_settings_stop_every_command(call):
    Path("smplcli.toml").write_text("[train]\nrecipie = 'lite'")

    assert "unknown key, did you mean 'recipe'?" in refused(call, code=2)


@pytest.mark.parametrize("command", STEPS)
def test_the_step_before_is_named_where_it_has_not_run(command):
    stderr = refused([command], code=3)

    assert stderr.startswith("demo: ")
    assert "error: no prepared data set in: " in stderr
    assert stderr.endswith("hint: Run 'smplcli prepare' first.\n")


@pytest.mark.parametrize("command", TARGETED)
def test_a_wrong_target_is_named_even_where_there_is_no_data(command):
    stderr = refused([command, "nope.safetensors"], code=3)

    assert "error: checkpoint or predictions not found: nope.safetensors" in stderr


@pytest.mark.parametrize("command", TARGETED)
def test_training_is_named_where_there_is_no_run(command):
    Path("smplcli-demo/data/x").mkdir(parents=True)
    Path("smplcli-demo/data/x/manifest.json").touch()

    stderr = refused([command], code=3)

    assert "error: no run found in: " in stderr
    assert stderr.endswith("hint: Run 'smplcli train' first.\n")


@pytest.mark.parametrize("command", STEPS)
def test_data_that_was_named_and_is_missing_is_never_replaced_by_the_demo(command):
    stderr = refused([command, "--data", "nowhere"], code=3)

    assert "demo" not in stderr
    assert "error: data set not found: nowhere" in stderr


@pytest.mark.parametrize("command", STEPS)
def test_data_named_by_the_environment_counts_like_a_flag(command):
    stderr = refused([command], code=3, env={"SMPLCLI_DATA": "nowhere"})

    assert "error: data set not found: nowhere" in stderr


@pytest.mark.parametrize("command", TARGETED)
def test_a_target_that_was_named_and_is_missing_is_an_error(command):
    Path("data/prepared/x").mkdir(parents=True)
    Path("data/prepared/x/manifest.json").touch()

    stderr = refused([command, "gone.safetensors"], code=3)

    assert "error: checkpoint or predictions not found: gone.safetensors" in stderr


@pytest.mark.parametrize(("data", "missing"), [("data/3DPW", "3DPW"), ("data/mpii", "MPII")])
def test_raw_data_that_cannot_be_read_is_never_replaced_by_the_demo(data, missing):
    Path(data).mkdir(parents=True)

    stderr = refused(["prepare"], code=3)

    assert missing in stderr
    assert "found nothing" in stderr


def test_predicting_needs_pictures_that_exist():
    assert "error: input not found: nowhere" in refused(
        ["predict", "nowhere", "--out", "p.npz"], code=3
    )


def test_an_unknown_recipe_is_a_usage_error():
    Path("data/prepared/x").mkdir(parents=True)
    Path("data/prepared/x/manifest.json").touch()

    assert "error: unknown recipe: ltie" in refused(["train", "--recipe", "ltie"], code=2)
