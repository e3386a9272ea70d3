import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smplcli.crops import box_to_crop, crop_matrix, extract_crop
from smplcli.detection.boxes import GivenBox, assign_boxes, is_visible, read_boxes
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError

BOXES = {"a.jpg": [[1, 2, 30, 40, 0.5], [5, 5, 10, 20, 1]], "b/c.png": [[0, 0, 8, 9, 1]]}


def write_csv(path):
    lines = [",".join(map(str, [name, *box])) for name in BOXES for box in BOXES[name]]
    path.write_text("\n".join(["imgname,x1,y1,x2,y2,score", *lines]))


def write_json(path):
    entries = [
        {"file_name": name, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score, "category_id": 1}
        for name in BOXES
        for x1, y1, x2, y2, score in BOXES[name]
    ]
    path.write_text(json.dumps([*entries, {"image_id": 3, "category_id": 18}]))


def write_npz(path):
    names = [name for name in BOXES for _ in BOXES[name]]
    rows = np.array([box for name in BOXES for box in BOXES[name]])
    np.savez(path, imgname=names, bbox=rows[:, :4], score=rows[:, 4])


WRITERS = {".csv": write_csv, ".json": write_json, ".npz": write_npz}


@pytest.mark.parametrize("suffix", WRITERS)
def test_boxes_are_read_by_image(tmp_path, suffix):
    path = tmp_path / f"boxes{suffix}"
    WRITERS[suffix](path)

    boxes = read_boxes(path)

    read = {name: [[*box.bbox, box.score] for box in boxes[name]] for name in boxes}
    assert read == BOXES


def test_scores_may_be_left_out(tmp_path):
    (tmp_path / "boxes.csv").write_text("imgname,x1,y1,x2,y2\na.jpg,0,0,9,9\n")

    assert read_boxes(tmp_path / "boxes.csv")["a.jpg"][0].score == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.jpg,0,0,nan,9", "finite"),
        ("a.jpg,0,0,inf,9", "finite"),
        ("a.jpg,9,9,0,0", "box ends before it begins"),
        ("a.jpg,0,0,left,9", "not numbers"),
        ("a.jpg,0,0", "not numbers"),
    ],
)
def test_a_bad_row_of_a_csv_is_named(tmp_path, row, reason):
    path = tmp_path / "boxes.csv"
    path.write_text(f"imgname,x1,y1,x2,y2\na.jpg,0,0,9,9\n{row}\n")

    with pytest.raises(UnreadableFileError, match=rf"boxes\.csv, line 3: .*{reason}"):
        read_boxes(path)


@pytest.mark.parametrize(
    "entry",
    [
        "box",
        {"bbox": [0, 0, 9, 9]},
        {"image_id": 1},
        {"image_id": 1, "bbox": [0, 0, 9]},
        {"image_id": 1, "bbox": [0, 0, -9, 9]},
        {"image_id": 1, "bbox": [0, 0, "9", 9]},
        {"image_id": 1, "bbox": [0, 0, None, 9]},
    ],
    ids=str,
)
def test_a_bad_entry_of_a_json_is_named(tmp_path, entry):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([{"image_id": 1, "bbox": [0, 0, 9, 9]}, entry]))

    with pytest.raises(UnreadableFileError, match=r"boxes\.json, entry 1"):
        read_boxes(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"bbox": np.zeros((1, 4))},
        {"imgname": ["a.jpg"], "bbox": np.zeros((2, 4))},
        {"imgname": ["a.jpg"], "bbox": np.zeros((1, 5))},
        {"imgname": ["a.jpg"], "bbox": np.zeros((1, 4), complex)},
        {"imgname": [], "bbox": np.zeros((0, 4))},
        {"imgname": ["a.jpg"], "bbox": np.full((1, 4), np.nan)},
    ],
)
def test_a_bad_npz_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "boxes.npz", **arrays)

    with pytest.raises(UnreadableFileError, match=r"boxes\.npz"):
        read_boxes(tmp_path / "boxes.npz")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("boxes.csv", b""),
        ("boxes.csv", b"x,y\n1,2\n"),
        ("boxes.csv", b"\xff\xfe\xff"),
        ("boxes.csv", b"imgname,x1,y1,x2,y2\n"),
        ("boxes.json", b"{}"),
        ("boxes.json", b"[]"),
        ("boxes.json", b"["),
        ("boxes.npz", b"PK"),
    ],
)
def test_what_is_no_box_file_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(UnreadableFileError, match=name):
        read_boxes(tmp_path / name)


def test_missing_files_and_unknown_suffixes_are_told_apart(tmp_path):
    with pytest.raises(MissingFileError, match="none"):
        read_boxes(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match=r"\.csv, \.json, \.npz"):
        read_boxes(tmp_path / "boxes.txt")


def some_boxes(*names):
    return {name: [GivenBox(np.array([0.0, 0, 9, 9]), 1.0, f"file, {name}")] for name in names}


def test_boxes_find_their_image_by_path_or_its_end_or_its_number():
    images = [Path("in/s1/a.jpg"), Path("in/s2/a.jpg"), Path("in/COCO_000785.jpg"), Path("b.png")]

    assigned, unused = assign_boxes(some_boxes("s2/a.jpg", "785", "./b.png", "other.jpg"), images)

    assert [[box.origin for box in boxes] for boxes in assigned] == [
        [],
        ["file, s2/a.jpg"],
        ["file, 785"],
        ["file, ./b.png"],
    ]
    assert unused == 1


def test_a_name_that_fits_two_images_is_refused():
    images = [Path("s1/a.jpg"), Path("s2/a.jpg")]

    with pytest.raises(UnreadableFileError, match="s1/a.jpg, s2/a.jpg"):
        assign_boxes(some_boxes("a.jpg"), images)


def test_boxes_of_other_images_only_are_refused():
    with pytest.raises(UnreadableFileError, match=r"boxes: x\.jpg, inputs: a\.jpg"):
        assign_boxes(some_boxes("x.jpg"), [Path("a.jpg")])


@pytest.mark.parametrize(
    ("bbox", "expected"),
    [
        ((0, 0, 50, 50), True),
        ((-40, -40, 10, 10), True),
        ((100, 0, 150, 50), False),
        ((-50, 0, -1, 50), False),
        ((-1e9, -1e9, 1e9, 1e9), False),
    ],
)
def test_a_box_must_show_the_picture(bbox, expected):
    assert is_visible(np.array(bbox, float), 100, 80) is expected


@given(st.tuples(*[st.floats(-1e4, 1e4)] * 2), st.tuples(*[st.floats(2, 1e4)] * 2))
def test_every_accepted_box_gives_a_crop(corner, size):
    bbox = np.array([*corner, corner[0] + size[0], corner[1] + size[1]])
    if is_visible(bbox, 100, 80):
        center, side = box_to_crop(bbox)

        crop = extract_crop(np.ones((80, 100, 3), np.uint8), crop_matrix(center, side, 64), 64)

        assert crop.shape == (64, 64, 3)
