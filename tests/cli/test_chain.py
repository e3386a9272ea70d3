"""prepare, train, evaluate and submit, each on what the one before left, in an empty folder."""

import json
import os
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smplcli.cli import app
from smplcli.files import asset

runner = CliRunner()
RECIPE = """
[model]
backbone = "resnet18"
head = "baseline"
input_size = 64
hidden = 8

[schedule]
steps = 2
batch_size = 4
warmup = 1
validate_every = 1
"""


def run(*args, code=0):
    result = runner.invoke(app, list(args))
    assert result.exit_code == code, result.stderr
    return result


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Results of the four steps by name, run in the folder that is current from then on."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("chain"))
    Path("tiny.toml").write_text(RECIPE)
    yield {
        "prepare": run("prepare", "--count", "5", "--jobs", "1"),
        "train": run("train", "--recipe", "tiny.toml"),
        "evaluate": run("evaluate", "--json"),
        "submit": run("submit", "--json"),
    }
    os.chdir(before)


def test_everything_of_the_demo_stays_in_one_folder(chain):
    assert {"data", "runs", "submissions"}.isdisjoint(path.name for path in Path().iterdir())
    assert {"data", "runs", "submissions"} == {
        path.name for path in Path("smplcli-demo").iterdir()
    }
    assert all("not comparable" in result.stderr for result in chain.values())


def test_prepare_prints_the_people_of_each_split(chain):
    assert Path("smplcli-demo/data/synthetic-1/manifest.json").is_file()
    rows = [line.split() for line in chain["prepare"].stdout.splitlines() if "│" in line]
    assert [(row[1], row[3]) for row in rows] == [
        ("train", "5"),
        ("validation", "1"),
        ("test", "1"),
    ]


def test_train_prints_where_the_best_network_is(chain):
    assert Path("smplcli-demo/runs/tiny-1/best.safetensors").is_file()
    assert "smplcli-demo/runs/tiny-1/best.safetensors" in chain["train"].stdout
    assert "PA-MPJPE" in chain["train"].stdout


def test_evaluate_prints_json_while_progress_is_shown(chain):
    report = json.loads(chain["evaluate"].stdout)

    assert report["n_evaluated"] == report["n_expected"] == 1
    assert not report["is_comparable"]
    assert "predict: " in chain["evaluate"].stderr
    assert all(Path(path).is_file() for path in report["written"])


def test_submit_names_the_zip_it_checked(chain):
    report = json.loads(chain["submit"].stdout)

    assert report["n_submitted"] == report["n_expected"] == 7
    assert zipfile.is_zipfile(report["path"])


def test_evaluating_again_writes_beside_the_first_time(chain):
    result = run("evaluate", "--keypoints", "none")

    assert Path("smplcli-demo/runs/tiny-1/eval/validation-2/metrics.json").is_file()
    assert "keypoints none" in " ".join(result.stdout.split())


def test_the_network_of_a_run_predicts_on_photos(chain):
    Path("photos").mkdir()
    Path("photos/astronaut.png").write_bytes(asset("photos/astronaut.png").read_bytes())
    Path("photos/text.jpg").write_text("no picture")

    network = "smplcli-demo/runs/tiny-1/best.safetensors"
    result = run("predict", "photos", "--out", "preds.npz", "--network", network, "--json", code=4)

    report = json.loads(result.stdout)
    assert report["counts"] == {"ok": 1, "unreadable": 1}
    assert report["num_people"] == 1
    assert Path("preds.npz").is_file()


def test_a_finished_chain_ends_in_predicting_on_photos(chain):
    assert run().stdout.endswith("Next: smplcli predict PHOTOS --out preds.npz\n")


def test_outputs_that_are_there_stay_there_unless_said_otherwise(chain):
    run("submit", "--out", "mine.zip")
    before = Path("DEMO-mine.zip").stat().st_mtime_ns

    result = run("submit", "--out", "mine.zip", code=2)

    assert result.stdout == ""
    assert "error: output exists: DEMO-mine.zip" in result.stderr
    assert Path("DEMO-mine.zip").stat().st_mtime_ns == before
    run("submit", "--out", "mine.zip", "--overwrite")
    assert Path("DEMO-mine.zip").stat().st_mtime_ns > before


def test_a_split_that_is_not_there_is_an_error(chain):
    result = run("evaluate", "--split", "tset", code=3)

    assert result.stdout == ""
    assert "tset" in result.stderr
