"""What `predict` holds in memory does not grow with the number of pictures."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from smplcli.files import write_npz
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from smplcli.workflows.in_order import in_order
from smplcli.workflows.people import OK, Status
from smplcli.workflows.predict import predict
from smplcli.workflows.spool import Spool, person_record
from tests.memory import peak_of

TINY = ModelConfig(
    backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8, keypoints=8
)
SIDE = 700
PICTURE_BYTES = 3 * SIDE**2
MEGABYTE = 1 << 20


@pytest.fixture
def job(tmp_path):
    """A folder of links to a picture of many pixels and few bytes; one has a person."""
    torch.manual_seed(0)
    save_network(tmp_path / "n.safetensors", build_network(TINY), {})
    Image.new("RGB", (SIDE, SIDE), "green").save(tmp_path / "meadow.png")
    (tmp_path / "boxes.csv").write_text("imgname,x1,y1,x2,y2\n0.png,5,5,90,90\n")
    return tmp_path


def predict_some(job, count):
    folder = job / f"{count}"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.png").hardlink_to(job / "meadow.png")
    options = {"network": job / "n.safetensors", "boxes": job / "boxes.csv"}
    report = predict(folder, job / f"{count}.npz", overlay_dir=job / "drawn", **options)
    (job / "drawn" / "0.jpg").unlink()
    return report


def test_more_pictures_take_no_more_memory(job):
    predict_some(job, 2)  # what is loaded once

    few, many = (peak_of(predict_some, job, count) for count in (30, 150))

    assert many - few < PICTURE_BYTES
    assert few < 100 * PICTURE_BYTES


def test_rows_are_kept_on_disk(tmp_path):
    record, group, groups = person_record(), 1000, 60
    people = np.zeros(group, record)
    names = [f"{number}.jpg" for number in range(group * groups)]

    def fill():
        spool = Spool(tmp_path, record)
        for number in range(groups):
            people["picture"] = spool.num_pictures + np.arange(group)
            people["score"] = number
            spool.append([Status(f"{number}", OK)] * group, people)
        write_npz(tmp_path / "p.npz", spool.arrays(names))

    peak = peak_of(fill)

    arrays = np.load(tmp_path / "p.npz")
    assert groups * people.nbytes > 50 * MEGABYTE
    assert peak < 40 * MEGABYTE
    assert arrays["score"].tolist() == np.repeat(np.arange(groups), group).tolist()
    assert arrays["imgname"].tolist() == names


def test_results_come_in_order_and_no_more_of_them_than_asked_for_are_made():
    begun = []

    with ThreadPoolExecutor(3) as pool:
        results = in_order(pool, lambda item: begun.append(item) or item, range(100), ahead=5)
        first = next(results)
        begun_at_first = len(begun)
        rest = list(results)

    assert begun_at_first <= 6
    assert [first, *rest] == list(range(100))
