"""Pictures that follow each other."""

import numpy as np
import pytest

from smplcli.workflows.sequences import (
    find_sequences,
    numbered_sequences,
    sequence_of,
    track_colours,
    tracks_of,
)


@pytest.mark.parametrize(
    ("imgname", "expected"),
    [
        ("clips/a.mp4/000012", ("clips/a.mp4", 12)),
        ("walk/img_0012.jpg", ("walk/img_*.jpg", 12)),
        ("7.png", ("*.png", 7)),
        ("walk 2/0003_left.png", ("walk 2/*_left.png", 3)),
        ("walk2/photo.jpg", None),
    ],
)
def test_the_last_number_of_a_name_is_its_place(imgname, expected):
    assert sequence_of(imgname) == expected


def test_numbered_pictures_are_sequences_of_two_and_more():
    names = ["a/1.jpg", "a/3.jpg", "a/5.jpg", "b/1.jpg", "c/x.jpg", "v.mp4/000001", "v.mp4/000002"]

    facts = numbered_sequences(names, fps=12.0)

    assert facts == {"a/*.jpg": {"fps": 12.0, "every": 2, "frames": 3}}


def test_rows_come_frame_by_frame():
    imgname = np.array(["a/10.jpg", "x.jpg", "a/9.jpg", "a/10.jpg"])
    meta = {"sequences": {"a/*.jpg": {"fps": 10, "every": 1, "cuts": [10]}}}

    (sequence,) = find_sequences(imgname, meta)

    assert sequence.rows.tolist() == [2, 0, 3]
    assert sequence.frames.tolist() == [9, 10, 10]
    assert (sequence.fps, sequence.cuts, sequence.is_video) == (10.0, (10,), False)


@pytest.mark.parametrize(
    "facts",
    [None, "a", {"fps": "x", "every": 0, "cuts": 3}, {"fps": float("nan")}, {"fps": -1}, {}],
)
def test_facts_that_are_none_are_replaced(facts):
    (sequence,) = find_sequences(np.array(["v.mp4/000001"]), {"sequences": {"v.mp4": facts}})

    assert (sequence.fps, sequence.every, sequence.cuts) == (30.0, 1, ())
    assert sequence.is_video


@pytest.mark.parametrize("meta", [{}, {"sequences": None}, {"sequences": ["v.mp4"]}])
def test_what_no_file_calls_a_sequence_is_none(meta):
    assert find_sequences(np.array(["v.mp4/000001", "a/1.jpg"]), meta) == []


def test_tracks_have_one_row_a_frame():
    meta = {"sequences": {"v.mp4": {}}}
    imgname = np.array(["v.mp4/000003", "v.mp4/000001", "v.mp4/000001", "v.mp4/000003"])
    (sequence,) = find_sequences(imgname, meta)

    tracks = list(tracks_of(sequence, np.array([5, 5, -1, 5])))

    ((number, rows, frames),) = tracks
    assert (number, rows.tolist(), frames.tolist()) == (5, [1, 0], [1, 3])


def test_people_who_are_there_at_a_time_have_different_colours():
    frames = {0: range(5), 1: range(2, 20), 2: range(6, 9), 3: range(7, 20), 4: range(10, 12)}
    names = [f"v.mp4/{x:06d}" for track in frames for x in frames[track]]
    tracks = np.array([track for track in frames for _ in frames[track]])
    sequences = find_sequences(np.array(names), {"sequences": {"v.mp4": {}}})

    colours = track_colours(sequences, tracks, num_colours=3)

    assert colours == {0: 0, 1: 1, 2: 2, 3: 0, 4: 2}
