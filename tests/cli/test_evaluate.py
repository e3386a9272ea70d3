"""`smplcli evaluate` as it is typed, where it asks networks again behind a patch."""

import json

import pytest
import torch
from typer.testing import CliRunner

from smplcli.cli import app
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from tests.evaluation.prepared import write_prepared

COARSE = ("--occlusion-size", "112", "--occlusion-stride", "112")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    write_prepared(folder / "set")
    for seed, name in enumerate(("a", "b")):
        torch.manual_seed(seed)
        config = ModelConfig(
            backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8
        )
        save_network(folder / name / "best.safetensors", build_network(config), {})
    return folder


def run(folder, *arguments):
    given = ["evaluate", str(folder / "a/best.safetensors"), "--data", str(folder / "set")]
    return CliRunner().invoke(app, [*given, "--split", "test", *map(str, arguments)])


def test_a_table_shows_networks_side_by_side(folder):
    result = run(folder, "--against", folder / "b/best.safetensors", *COARSE)

    assert result.exit_code == 0, result.output
    assert "behind a grey patch of 112 of 224 pixels, in steps of 112" in result.stdout
    assert "a/best.safetensors" in result.stdout
    assert "b/best.safetensors" in result.stdout


def test_json_holds_the_analysis_and_files_are_named(folder, tmp_path):
    options = ("--occlusion-people", 2, "--out", tmp_path / "eval", "--json")
    result = run(folder, "--occlusion", *COARSE, *options)

    report = json.loads(result.stdout)
    assert report["occlusion"]["people"] == 2
    assert {path.rpartition("/")[2] for path in report["written"]} == {
        path.name for path in (tmp_path / "eval").iterdir()
    }


def test_without_asking_there_is_no_analysis(folder):
    result = run(folder, "--json")

    assert json.loads(result.stdout)["occlusion"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("--occlusion", "--occlusion-size", "300"),
            2,
            "occlusion size must be 1 to 224, got 300",
        ),
        (("--against", "nowhere.safetensors"), 3, "nowhere.safetensors"),
    ],
)
def test_mistakes_are_named_before_anything_is_measured(folder, arguments, code, message):
    result = run(folder, *arguments)

    assert result.exit_code == code
    assert result.stdout == ""
    assert message in result.stderr
