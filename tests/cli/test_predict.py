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
    assert result.output.count("preds.npz") == 1
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
    assert "wrote 1 mesh file in m" in result.stderr
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


def test_shards_merge_on_the_command_line(imgs, network):
    camera = asset("photos") / "camera.png"
    run("imgs", camera, "--network", network, "--out", "whole.npz", "--batch-size", "2")
    parts = ["--network", network, "--batch-size", "2"]

    shards = [run("imgs", camera, "--shard", f"{number}/2", *parts) for number in (1, 2)]
    merged = run("--merge", "preds-2-of-2.npz", "preds-1-of-2.npz", "--out", "p.npz", "--json")

    assert [result.exit_code for result in shards] == [0, 0]
    assert json.loads(merged.stdout)["num_people"] == 1
    assert Path("p.npz").read_bytes() == Path("whole.npz").read_bytes()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--merge", "a.npz", "--device", "cpu"], 2, "--merge and --device exclude each other"),
        (["--merge", "a.npz"], 3, "file not found: a.npz"),
        (["imgs", "--shard", "3/2"], 2, "shard must be 1/N to N/N, got 3/2"),
        (["imgs", "--shard", "1/2", "--nproc", "2"], 2, "a shard is for one process"),
        (["imgs", "--batch-size", "0"], 2, "neither auto nor a number from 1"),
        (["imgs", "--batch-size", "many"], 2, "neither auto nor a number from 1"),
    ],
)
def test_wrong_shares_of_the_work_are_named_and_leave_nothing(imgs, args, code, message):
    result = run(*args)

    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert list(imgs.parent.iterdir()) == [imgs]


def test_where_the_time_went_is_no_result(network):
    result = run("imgs", "--network", network, "--profile", "--json")

    assert {"decode", "detect"} <= set(json.loads(result.stdout)["profile"]["stages"])
    assert "decode" in result.stderr
    assert "decode" not in run("imgs", "--network", network, "--overwrite").stderr


def test_an_interrupted_run_is_kept_and_gone_on_with(imgs, network):
    run("imgs", "--network", network)
    (imgs.parent / "preds.npz").rename("whole.npz")
    (imgs.parent / "preds.npz.part").mkdir()

    refused = run("imgs", "--network", network)
    resumed = run("imgs", "--network", network, "--resume")

    assert (refused.exit_code, resumed.exit_code) == (2, 0)
    assert "--resume" in refused.stderr
    assert Path("preds.npz").read_bytes() == Path("whole.npz").read_bytes()
