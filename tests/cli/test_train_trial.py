"""`train --fast-dev-run`, and what train looks at before its first step."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smplcli.cli import app
from smplcli.datasets.schema import CROP_SIZE, JPEG_BYTES
from smplcli.datasets.shards import FORMAT, write_shard
from smplcli.files import read_npz, write_npz
from tests.people import few_people

RECIPE = """
[model]
backbone = "test_efficientnet"
input_size = 64
channels = 8
upsamplings = 1
hidden = 8
keypoints = 8

[schedule]
steps = 2
batch_size = 2
lifting_batch = 4
lifting_steps = 1
swa_from = 0.5
warmup = 1
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    shards = []
    for split, people in (("train", slice(0, 4)), ("validation", slice(4, 6))):
        samples = few_people().samples[people]
        write_shard(folder / f"{split}-00000.npz", samples)
        shards.append({"name": f"{split}-00000.npz", "split": split, "count": len(samples)})
    manifest = {"format": FORMAT, "source": "synthetic", "shards": shards}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "crop": {"size": CROP_SIZE}}))
    return folder


@pytest.fixture
def here(tmp_path, prepared, monkeypatch):
    """An empty project folder beside the data and a recipe."""
    shutil.copytree(prepared, tmp_path / "data")
    (tmp_path / "here").mkdir()
    (tmp_path / "tiny.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "here"


def train(*args):
    data = str(Path.cwd().parent / "data")
    return CliRunner().invoke(app, ["train", "--recipe", "../tiny.toml", "--data", data, *args])


def test_one_batch_of_everything_leaves_nothing_behind(here):
    result = train("--fast-dev-run")

    assert result.exit_code == 0, result.stderr
    assert result.stdout == "One batch of everything works. Nothing of it was kept.\n"
    assert list(here.iterdir()) == []
    assert not list((here.parent / "temporary").glob("smplcli*"))


def test_one_batch_of_everything_tells_what_it_did(here):
    result = train("--fast-dev-run", "--json")

    report = json.loads(result.stdout)
    assert report["is_trial"]
    assert report["steps"] == report["reached"] == 1
    assert report["best"]["weights"] in {"raw", "ema", "swa"}


def test_one_batch_does_not_go_on_with_a_run_nor_change_it(here):
    assert train().exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}

    result = train("--fast-dev-run")

    assert result.exit_code == 0, result.stderr
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before


def test_a_run_records_itself_and_is_the_latest(here):
    result = train("--precision", "fp32")

    assert result.exit_code == 0, result.stderr
    run = Path("runs/latest").resolve()
    assert run.name == "tiny-1"
    assert json.loads((run / "run.json").read_text())["starts"][0]["versions"]["torch"]
    assert 'precision = "fp32"' in (run / "config.toml").read_text()
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {"learning_rate", "grad_norm", "waiting", "images_per_second", "memory_gb"} <= lines[
        0
    ].keys()


def test_a_run_elsewhere_is_not_the_latest_of_the_project(here):
    result = train("--out", "../elsewhere/mine", "--fast-dev-run")
    assert result.exit_code == 0, result.stderr

    assert train("--out", "../elsewhere/mine").exit_code == 0

    assert [path.name for path in (here.parent / "elsewhere").iterdir()] == ["mine"]


def test_a_damaged_sample_is_found_before_the_first_step(here):
    file = here.parent / "data/validation-00000.npz"
    arrays = read_npz(file)
    arrays[JPEG_BYTES][:] = 0
    write_npz(file, arrays)

    result = train()

    assert result.exit_code == 3
    assert result.stdout == ""
    assert re.search(r"crop 0 is damaged: .*validation-00000\.npz", result.stderr)
    assert not list(here.rglob("*.safetensors"))


def test_asking_for_tensorboard_without_it_is_an_error_with_the_remedy(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    result = train("--tensorboard")

    assert result.exit_code == 2
    assert "error: TensorBoard is not installed" in result.stderr
    assert "pip install tensorboard" in result.stderr
