import json

import pytest
from typer.testing import CliRunner

from smplcli.cli import app
from smplcli.files import write_npz
from tests.predicted import people_arrays

runner = CliRunner()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "preds.npz", people_arrays(["lost.png"]))
    return tmp_path


def test_a_page_is_written_and_what_it_lacks_is_said(here):
    result = runner.invoke(app, ["view", "preds.npz"])

    assert (result.exit_code, result.stdout) == (0, "view.html: 1 picture, 1 person\n")
    assert "note: picture not found" in result.stderr
    assert (here / "view.html").read_bytes().startswith(b"<!DOCTYPE html>")


def test_json_is_one_object():
    result = runner.invoke(app, ["view", "preds.npz", "--out", "v.html", "--json"])

    assert json.loads(result.stdout)["num_people"] == 1


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["none.npz"], 3),
        (["preds.npz", "--out", "v.txt"], 2),
        (["preds.npz", "--otu"], 2),
        ([], 2),
    ],
)
def test_wrong_use_is_told_by_exit_code_and_leaves_nothing(here, args, code):
    result = runner.invoke(app, ["view", *args])

    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("error: ")
    assert [path.name for path in here.iterdir()] == ["preds.npz"]
