"""The options for better poses, as they are typed."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from smplcli.cli import app
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network

runner = CliRunner()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory: a picture, and two networks."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (80, 60), "green").save("photo.png")
    config = ModelConfig(backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8)
    for name in ("a", "b"):
        torch.manual_seed(ord(name))
        save_network(tmp_path / f"{name}.safetensors", build_network(config), {})
    return tmp_path


def run(*args):
    return runner.invoke(app, ["predict", "photo.png", "--whole-image", *args])


def test_all_of_them_together_are_in_the_file(folder):
    options = [
        "--average",
        "b.safetensors",
        "--average",
        "a.safetensors",
        "--flip-test",
        "--refine",
    ]

    result = run("--network", "a.safetensors", *options, "--out", "preds.npz")

    assert result.exit_code == 0, result.stderr
    meta = json.loads(str(np.load("preds.npz")["meta"]))
    assert meta["flip_test"]
    assert meta["refined"]
    assert meta["averaged_with"][1] == meta["network"]["sha256"] != meta["averaged_with"][0]


def test_a_network_to_average_that_is_not_there_is_named(folder):
    result = run("--network", "a.safetensors", "--average", "c.safetensors")

    assert result.exit_code == 3
    assert result.stdout == ""
    assert "error: checkpoint not found: c.safetensors" in result.stderr
    assert not (folder / "preds.npz").exists()
