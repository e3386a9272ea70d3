"""`smplcli submit` as it is typed: formats, checks, exit codes and what is printed where."""

import json
import re
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from smplcli.cli import app
from tests.evaluation.prepared import write_prepared, write_truth
from tests.submission.pictures import write_predictions

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "submit.md").read_text("utf-8")
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("smplcli ")
]
SPLITS = ("train", "validation", "test")

runner = CliRunner()


def run(*args, code=0):
    result = runner.invoke(app, ["submit", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_prepared(tmp_path / "set")
    write_truth(tmp_path / "preds.npz", tmp_path / "set", SPLITS)
    return "set"


@pytest.mark.parametrize("command", COMMANDS, ids=shlex.join)
def test_commands_of_the_documentation_have_the_options_they_use(command):
    result = runner.invoke(app, [*command, "--help"])

    assert result.exit_code == 0, result.output


def test_the_path_is_the_result_and_all_else_is_said_beside(data):
    result = run("preds.npz", "--data", data)

    assert result.stdout == "submissions/DEMO-3dpw-1.zip\n"
    assert "7 of 7 people submitted" in result.stderr
    assert "the leaderboard's own score, computed here: MPJPE 0.0" in result.stderr


def test_gaps_are_listed_and_end_with_code_4(data):
    write_truth(Path("some.npz"), Path(data), SPLITS, keep=lambda rows: np.setdiff1d(rows, [3]))

    assert "note: test/walk_00: no result for person 1 in frames 0" in (
        run("some.npz", "--data", data, code=4).stderr
    )
    assert "filled, previous: test/walk_00: no result for person 1 in frames 0" in (
        run("some.npz", "--data", data, "--fill", "previous").stderr
    )


def test_a_sound_file_is_called_sound(data):
    path = run("preds.npz", "--data", data).stdout.strip()

    result = run("--check", path, "--data", data)

    assert result.stdout.startswith(f"{path}: 3dpw-challenge, sound\n")
    assert "MPJPE" in result.stdout
    assert json.loads(run("--check", path, "--json").stdout)["problems"] == []


def test_a_wrong_file_is_called_wrong_with_every_reason(data):
    path = Path(run("preds.npz", "--data", data).stdout.strip())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "mine")
        archive.writestr("test/notes.txt", "mine")

    result = run("--check", path, code=4)

    assert result.stdout.splitlines() == [
        f"{path}: 3dpw-challenge, wrong",
        "problem: member is not train|validation|test/<sequence>.pkl: 'notes.txt'",
        "problem: member is not train|validation|test/<sequence>.pkl: 'test/notes.txt'",
    ]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["preds.npz", "--check", "x.zip"], 2, "--check takes no target"),
        (["--check", "nowhere.zip"], 3, "submission not found: nowhere.zip"),
        (["--check", "preds.npz"], 3, "not a submission to any known leaderboard"),
        (["--check", "text.txt"], 3, "not a submission to any known leaderboard"),
        (["--check", "cut.zip"], 3, "not a readable submission: cut.zip"),
        (["--format", "emdb"], 2, "emdb needs predictions"),
        (["preds.npz", "--format", "emdb", "--splits", "test"], 2, "emdb takes no --splits"),
        (["preds.npz", "--data", "set", "--splits", "tset"], 3, "split not found: tset"),
        (["preds.npz", "--data", "set", "--format", "agora"], 3, "npz lacks"),
    ],
)
def test_what_makes_no_sense_is_refused_with_words(data, args, code, words):
    Path("text.txt").write_text("text")
    Path("cut.zip").write_bytes(b"PK\3\4")

    result = run(*args, code=code)

    assert result.stdout == ""
    assert words in result.stderr


@pytest.mark.parametrize("format_name", ["emdb", "agora"])
def test_formats_of_pictures_need_no_data_set(tmp_path, monkeypatch, format_name):
    monkeypatch.chdir(tmp_path)
    write_predictions(Path("preds.npz"), ["P0/walk/images/00000.jpg"])

    path = run("preds.npz", "--format", format_name).stdout.strip()

    assert path.startswith(f"submissions/{format_name}-1")
    assert run("--check", path).stdout == f"{path}: {format_name}, sound\n"
