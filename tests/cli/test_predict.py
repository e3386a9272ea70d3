import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from smplcli.cli import app
from smplcli.files import asset
from smplcli.images import read_image
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network

runner = CliRunner()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    config = ModelConfig(backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8)
    save_network(path, build_network(config), {})
    return path


@pytest.fixture(autouse=True)
def imgs(tmp_path, monkeypatch):
    """The current directory, with a picture of nobody in ``imgs``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imgs").mkdir()
    Image.new("RGB", (40, 30), "green").save(tmp_path / "imgs" / "meadow.jpg")
    return tmp_path / "imgs"


def run(*args):
    return runner.invoke(app, ["predict", *map(str, args)])


def test_bodies_are_written_and_drawn(network):
    result = run(
        asset("photos") / "camera.png", "imgs", "--network", network, "--overlay", "drawn"
    )

    assert result.exit_code == 0
    assert "people: 1" in result.stdout
    assert "no person" in result.stdout
    assert "wrote preds.npz" in result.stderr
    assert np.load("preds.npz", allow_pickle=False)["pose"].shape == (1, 72)
    assert read_image(Path("drawn/camera.jpg"), orientation="stored").shape == (512, 1024, 3)


def test_paths_are_read_from_stdin(imgs, network):
    (imgs / "inner").mkdir()
    (imgs / "meadow.jpg").rename(imgs / "inner" / "a b.jpg")
    args = ["predict", "-", "--network", str(network), "--json"]

    result = runner.invoke(app, args, input="imgs/inner/a b.jpg\n\n")
    nothing = runner.invoke(app, [*args, "--overwrite"], input="")

    assert json.loads(result.stdout)["num_images"] == 1
    assert (nothing.exit_code, nothing.stdout) == (3, "")


def test_options_reach_the_work(imgs, network):
    (imgs / "inner").mkdir()
    (imgs / "meadow.jpg").rename(imgs / "inner" / "meadow.jpg")
    camera = asset("photos") / "camera.png"

    result = run(
        *("imgs", camera, "--recursive", "--max-people", "1", "--focal-length", "900"),
        *("--network", network, "--format", "jsonl", "--mesh", "m", "--mesh-format", "ply"),
    )

    assert result.exit_code == 0
    assert "wrote 1 mesh files in m" in result.stderr
    assert json.loads(Path("preds.jsonl").read_text())["focal_length"] == 900
    assert Path("m/camera.ply").read_bytes().startswith(b"ply\n")
    assert np.load("preds.npz")["status_imgname"][0] == "imgs/inner/meadow.jpg"


def test_json_is_one_object(network):
    result = run("./imgs", "--out", "p.npz", "--network", network, "--json")

    report = json.loads(result.stdout)
    assert (report["out"], report["counts"]) == ("p.npz", {"no person": 1})


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_written(imgs, network):
    (imgs / "text.jpg").write_text("I am text")

    result = run("imgs", "--network", network)

    assert result.exit_code == 4
    assert "imgs/text.jpg" in result.stderr
    assert np.load("preds.npz")["status"].tolist() == ["no person", "unreadable"]


def test_a_wrong_path_is_missing_input(imgs, network):
    result = run("imgz", "--network", network)

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("error: input not found: imgz")
    assert list(imgs.parent.iterdir()) == [imgs]


def test_an_empty_folder_is_missing_input(imgs, network):
    (imgs / "meadow.jpg").unlink()

    result = run("imgs", "--network", network)

    assert (result.exit_code, result.stdout) == (3, "")
    assert "in folder: imgs" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["imgs", "--whole-image", "--boxes", "b.csv"],
        ["imgs", "--out", "p.txt"],
        ["imgs", "--min-score", "2"],
        ["imgs", "--otu", "p.npz"],
    ],
)
def test_wrong_use_is_a_usage_error(imgs, args):
    result = run(*args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert list(imgs.parent.iterdir()) == [imgs]


def test_what_is_there_is_kept_unless_told_otherwise(imgs, network):
    precious = imgs.parent / "preds.npz"
    precious.write_text("precious")

    refused = run("imgs", "--network", network)

    assert (refused.exit_code, precious.read_text()) == (2, "precious")
    assert run("imgs", "--network", network, "--overwrite").exit_code == 0


def test_a_mistake_in_the_settings_is_a_configuration_error(imgs, network):
    (imgs.parent / "smplcli.toml").write_text("[body]\npaht = 'a.pkl'\n")

    result = run("imgs", "--network", network)

    assert result.exit_code == 2
    assert "did you mean 'path'?" in result.stderr


def test_a_folder_that_cannot_be_written_in_is_a_lack_of_resources(imgs, network):
    result = run("imgs", "--network", network, "--out", imgs / "meadow.jpg" / "p.npz")

    assert (result.exit_code, result.stdout) == (6, "")
    assert "cannot write in folder" in result.stderr
