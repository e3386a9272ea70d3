"""What a stranger meets first: help, version, the folder's state, and how long it takes."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import smplcli
from smplcli.cli import app

runner = CliRunner()
HEAVY = {"torch", "torchvision", "numpy", "cv2", "scipy", "smplx", "timm", "rich"}


def commands_of(command, path=()):
    yield " ".join(path), command
    for name, nested in getattr(command, "commands", {}).items():
        yield from commands_of(nested, (*path, name))


COMMANDS = dict(commands_of(typer.main.get_command(app)))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args):
    return subprocess.run(args, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command):
    code = f"""import sys; from smplcli.cli import app
app({[*command.split(), "--help"]}, standalone_mode=False); print(*sys.modules)"""
    done = run(sys.executable, "-c", code)

    assert done.returncode == 0
    assert set(done.stdout.split()).isdisjoint(HEAVY | {"pydantic"})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no.jpg"], "error: input not found: no.jpg"),
        (["empty"], "error: no pictures ("),
        ([".", "--shard", "5/3"], "error: shard must be 1/N to N/N, got 5/3"),
        ([".", "--out", "preds"], "error: predictions are written as .npz, not: preds"),
        (["p.jpg", "--out", f"{'x' * 300}.npz"], "error: File name too long: xxx"),
        (["p.jpg", "--out", "p.jpg/x.npz"], "in folder: p.jpg: p.jpg is a file"),
        (["p.jpg", "--overlay", "p.jpg/x"], "in folder: p.jpg/x: p.jpg is a file"),
        (["p.jpg", "--boxes", "no.csv"], "error: box file not found: no.csv"),
        (["p.jpg", "--boxes", "b.csv", "--whole-image"], "exclude each other"),
        (["p.jpg", "--intrinsics", "no.txt"], "error: file of intrinsics not found: no.txt"),
        (["p.jpg", "--network", "no.safetensors"], "error: checkpoint not found: no.safetensors"),
        (["p.jpg", "--body", "no.pkl"], "error: body model not found: no.pkl"),
        (["p.jpg", "--detector", "yolo"], "error: unknown detector: yolo"),
        (["p.jpg", "--shard", "1/2", "--nproc", "2"], "error: a shard is for one process"),
        (["p.jpg", "--mesh-format", "ply"], "error: --mesh-format makes no difference without"),
        (["p.jpg", "--overlay-style", "mesh"], "error: --overlay-style makes no difference"),
    ],
)
def test_mistakes_in_arguments_of_predict_are_found_before_torch_is_imported(
    here, arguments, complaint
):
    (here / "p.jpg").touch()
    (here / "empty").mkdir()
    code = f"""import sys; from smplcli.cli import app
try: app({["predict", *arguments]}, standalone_mode=False)
finally: print(*sys.modules)"""
    done = run(sys.executable, "-c", code)

    assert complaint in done.stderr
    assert set(done.stdout.split()).isdisjoint({"torch", "scipy", "rich"})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["predict", "--merge", "no.npz"], "error: file not found: no.npz"),
        (["view", "no.npz"], "error: file not found: no.npz"),
        (["train", "--data", "no"], "error: data set not found: no"),
        (["evaluate", "no"], "error: checkpoint or predictions not found: no"),
        (["submit", "no"], "error: checkpoint or predictions not found: no"),
        (["prepare", "--check", "no"], "error: no prepared data set: no"),
    ],
)
def test_paths_that_are_not_there_are_found_before_torch_is_imported(arguments, complaint):
    code = f"""import sys; from smplcli.cli import app
try: app({arguments}, standalone_mode=False)
finally: print(*sys.modules)"""
    done = run(sys.executable, "-c", code)

    assert complaint in done.stderr
    assert "torch" not in done.stdout.split()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_help_explains_the_command_and_all_its_options(command):
    assert command.help
    assert [param.name for param in command.params if not param.help] == []


def test_importing_the_package_imports_nothing_heavy():
    done = run(sys.executable, "-c", "import sys, smplcli; print(*sys.modules)")

    assert set(done.stdout.split()).isdisjoint(HEAVY | {"pydantic", "typer"})


@pytest.mark.parametrize("name", smplcli.__all__)
def test_everything_exported_exists(name):
    assert getattr(smplcli, name)


def test_a_name_that_is_not_exported_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'predcit'"):
        _ = smplcli.predcit


def test_version_is_printed():
    result = runner.invoke(app, ["--version"])

    assert (result.exit_code, result.stdout) == (0, f"smplcli {smplcli.__version__}\n")


def test_alone_it_prints_help_and_what_comes_next():
    result = runner.invoke(app, [])

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert "demo: " in result.stdout
    assert result.stdout.endswith("Next: smplcli prepare\n")


def test_alone_it_counts_what_is_there():
    for index in range(5):
        Path(f"data/prepared/set{index}").mkdir(parents=True)
        Path(f"data/prepared/set{index}/manifest.json").touch()

    result = runner.invoke(app, [])

    assert "data/prepared/set4 and 2 more" in result.stdout
    assert result.stdout.endswith("Next: smplcli train\n")


def test_alone_it_counts_the_data_that_the_environment_names(here):
    (here / "elsewhere/set").mkdir(parents=True)
    (here / "elsewhere/set/manifest.json").touch()

    result = runner.invoke(app, [], env={"SMPLCLI_DATA": "elsewhere"})

    assert "demo" not in result.stdout.partition("Commands:")[2]
    assert "elsewhere/set" in result.stdout
    assert result.stdout.endswith("Next: smplcli train\n")


def test_alone_it_reports_mistakes_in_the_settings():
    Path("smplcli.toml").write_text("[pahts]")

    result = runner.invoke(app, [])

    assert result.exit_code == 2
    assert "unknown key, did you mean 'paths'?" in result.stderr


def test_completion_suggests_commands():
    code = "from smplcli.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"_SMPLCLI_COMPLETE": "complete_bash", "COMP_WORDS": "smplcli in", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == ["init"]


def test_python_m_smplcli_is_the_same_program():
    done = run(sys.executable, "-m", "smplcli", "nonsense")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: no such command 'nonsense'")
