"""A run of `predict` that ends before its time, and the one that goes on with it."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smplcli.body.files import load_body
from smplcli.errors import ConfigError, OutputExistsError
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from smplcli.workflows.predict import predict
from smplcli.workflows.predict_outputs import part_folder
from smplcli.workflows.shards import Shard
from smplcli.workflows.spool import DETAILS_FILE, PEOPLE_FILE, PICTURES_FILE, person_record
from smplcli.workflows.unfinished import PLAN_FILE, open_spool

TINY = ModelConfig(
    backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8, keypoints=8
)
NUM_PICTURES, BATCH = 7, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures that are taken as one person each, one of which is none; and a network."""
    folder = tmp_path_factory.mktemp("job")
    rng = np.random.default_rng(0)
    (folder / "imgs").mkdir()
    for number in range(NUM_PICTURES):
        noise = rng.integers(0, 255, (40, 30 + number, 3), np.uint8)
        Image.fromarray(noise).save(folder / "imgs" / f"{number}.png")
    (folder / "imgs" / "2.png").write_text("I am text")
    torch.manual_seed(0)
    save_network(folder / "n.safetensors", build_network(TINY), {})
    return folder


def run(folder, out, **changes):
    options = {"network": folder / "n.safetensors", "whole_image": True, "batch_size": BATCH}
    return predict(folder / "imgs", out, **options | changes)


@pytest.fixture(scope="module")
def whole(folder):
    """Bytes of a file that nothing interrupted."""
    run(folder, folder / "whole.npz", overlay_dir=folder / "drawn", table_format="jsonl")
    return (folder / "whole.npz").read_bytes()


def test_a_finished_run_has_nothing_left_to_resume(folder, whole, tmp_path, caplog):
    (tmp_path / "p.npz").write_bytes(whole)
    caplog.set_level("INFO")

    report = run(folder, tmp_path / "p.npz", resume=True)

    assert "nothing is left to do" in caplog.text
    assert (report.num_images, report.num_resumed) == (NUM_PICTURES, NUM_PICTURES)
    assert (tmp_path / "p.npz").read_bytes() == whole


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"max_people": 1}, "settings max_people was None, is 1"),
        ({"flip_test": True}, "flip_test was False, is True"),
        ({"shard": Shard(1, 2)}, "shard was None, is 1/2"),
        ({"table_format": "csv"}, r"is there, but not: .*p\.csv"),
        ({"overlay_dir": Path("nowhere")}, r"is there, but not: nowhere/0\.jpg"),
    ],
)
def test_a_finished_run_of_another_kind_is_no_run_to_resume(
    folder, whole, tmp_path, changes, complaint
):
    (tmp_path / "p.npz").write_bytes(whole)

    with pytest.raises(OutputExistsError, match=complaint):
        run(folder, tmp_path / "p.npz", resume=True, **changes)


def stop_after(count):
    def progress(items, _):
        for number, item in enumerate(items):
            if number == count:
                raise KeyboardInterrupt
            yield item

    return progress


@pytest.fixture(scope="module")
def stopped(folder):
    """What is left of a run that was interrupted after five pictures."""
    with pytest.raises(KeyboardInterrupt):
        run(folder, folder / "stopped.npz", progress=stop_after(5))
    return folder / "stopped.npz.part"


@pytest.fixture
def out(stopped, tmp_path):
    """A file to write, of which a part is there."""
    shutil.copytree(stopped, tmp_path / "p.npz.part")
    return tmp_path / "p.npz"


def test_an_interrupted_run_goes_on_and_gives_the_same_files(folder, whole, tmp_path):
    drawn = {"overlay_dir": tmp_path / "drawn", "table_format": "jsonl"}
    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path / "p.npz", progress=stop_after(5), **drawn)
    assert not (tmp_path / "p.npz").exists()

    report = run(folder, tmp_path / "p.npz", resume=True, **drawn)

    assert 0 < report.num_resumed <= 5
    assert (tmp_path / "p.npz").read_bytes() == whole
    assert (tmp_path / "p.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()
    assert sorted(tmp_path.iterdir()) == [tmp_path / x for x in ("drawn", "p.jsonl", "p.npz")]
    for path in (folder / "drawn").iterdir():
        assert (tmp_path / "drawn" / path.name).read_bytes() == path.read_bytes()
    assert [Path(status.imgname).name for status in report.failed] == ["2.png"]


@pytest.mark.parametrize("torn", [-1, 999])
def test_what_a_killed_process_wrote_in_part_is_made_again(folder, whole, out, torn):
    part = out.with_name("p.npz.part")
    people = part / PEOPLE_FILE
    people.write_bytes((people.read_bytes() + bytes(999))[: people.stat().st_size + torn])
    for name in (PICTURES_FILE, DETAILS_FILE):
        with (part / name).open("ab") as file:
            file.write(b"[2")

    report = run(folder, out, resume=True)

    assert 0 < report.num_resumed <= 5
    assert out.read_bytes() == whole


def test_a_killed_process_leaves_what_another_goes_on_with(folder, whole, tmp_path):
    code = f"""
import time
from pathlib import Path
from tests.workflows.test_predict_resume import run
def slow(items, _):
    for item in items:
        yield item
        time.sleep(0.05)
run(Path({str(folder)!r}), Path({str(tmp_path / "p.npz")!r}), progress=slow)
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    pictures = tmp_path / "p.npz.part" / PICTURES_FILE
    while process.poll() is None and not (pictures.exists() and pictures.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "p.npz").exists()

    report = run(folder, tmp_path / "p.npz", resume=True)

    assert report.num_resumed > 0
    assert (tmp_path / "p.npz").read_bytes() == whole


def test_other_settings_are_refused_with_what_differs(folder, out):
    with pytest.raises(ConfigError, match="min_score was .*, is 0.5; .*batch_size was 2, is 4"):
        run(folder, out, resume=True, min_score=0.5, batch_size=4)


def test_what_is_done_is_not_lost_by_oversight(folder, whole, out):
    with pytest.raises(OutputExistsError, match="interrupted run is there") as caught:
        run(folder, out)
    report = run(folder, out, overwrite=True)

    assert "--resume" in caught.value.hint
    assert report.num_resumed == 0
    assert out.read_bytes() == whole


def test_a_run_that_was_killed_before_it_began_is_begun(folder, whole, out):
    (out.with_name("p.npz.part") / PLAN_FILE).unlink()

    report = run(folder, out, resume=True)

    assert report.num_resumed == 0
    assert out.read_bytes() == whole


def test_the_number_of_threads_makes_no_difference(folder, whole, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        report = run(folder, tmp_path / "p.npz", overlay_dir=tmp_path / "drawn")
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)

    assert (report.threads, after) == (2, 2)
    assert (tmp_path / "p.npz").read_bytes() == whole
    for path in (folder / "drawn").iterdir():
        assert (tmp_path / "drawn" / path.name).read_bytes() == path.read_bytes()


def test_vertices_are_left_out_unless_asked_for(folder, tmp_path):
    picture = folder / "imgs" / "0.png"
    options = {"network": folder / "n.safetensors", "whole_image": True}

    without = predict(picture, tmp_path / "a.npz", **options).arrays
    arrays = predict(picture, tmp_path / "b.npz", vertices=True, **options).arrays

    assert "vertices" not in without
    assert arrays["vertices"].shape == (1, 6890, 3)
    # The regressor is made for bodies at rest.
    regressed = load_body().joint_regressor @ arrays["vertices"][0]
    assert regressed == pytest.approx(arrays["joints3d"][0], abs=0.01)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("p.csv", {"table_format": "csv"}),
        ("drawn/1.jpg", {"overlay_dir": "drawn"}),
        ("drawn/1.obj", {"mesh_dir": "drawn", "mesh_format": "obj"}),
        ("drawn/any.bvh", {"bvh_dir": "drawn"}),
    ],
)
def test_resuming_what_was_never_begun_replaces_nothing(folder, tmp_path, name, options):
    (tmp_path / "drawn").mkdir()
    (tmp_path / name).write_text("mine")
    places = {key: tmp_path / x if key.endswith("dir") else x for key, x in options.items()}

    with pytest.raises(OutputExistsError):
        run(folder, tmp_path / "p.npz", resume=True, **places)

    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("draws", [False, True])
def test_a_run_that_fails_at_once_leaves_something_to_resume_only_if_it_may_have_drawn(
    tmp_path, draws
):
    out = tmp_path / "p.npz"

    with (
        pytest.raises(ZeroDivisionError),
        open_spool(out, {}, person_record(), resume=False, draws=draws),
    ):
        raise ZeroDivisionError

    assert part_folder(out).exists() == draws
