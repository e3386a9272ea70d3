"""Sequences, people and frames, read off image names."""

import pytest

from smplcli.datasets.annotations import SequenceSize
from smplcli.errors import UnreadableFileError
from smplcli.submission.layout import as_ranges, sequences_of


def test_samples_are_placed_by_folder_frame_and_person():
    walk, arguing = "imageFiles/walk_00", "imageFiles/arguing_00"
    ids = [
        (f"{walk}/image_00003.jpg", 1),
        (f"{arguing}/image_00000.jpg", 0),
        (f"{walk}/image_00000.jpg", 0),
    ]

    first, second = sequences_of(ids)

    assert (first.name, *first.size) == ("arguing_00", 1, 1)
    assert (second.name, *second.size) == ("walk_00", 4, 2)
    assert second.rows.tolist() == [0, 2]
    assert second.person.tolist() == [1, 0]
    assert second.frame.tolist() == [3, 0]


def test_folders_of_windows_are_folders():
    assert sequences_of([("walk_00\\image_00002.jpg", 0)])[0].name == "walk_00"


def test_whole_sequences_are_there_whatever_samples_there_are():
    sizes = {"empty_00": SequenceSize(7, 2), "walk_00": SequenceSize(9, 3)}

    empty, walk = sequences_of([("walk_00/image_00003.jpg", 1)], sizes)

    assert (empty.name, empty.rows.size, empty.size) == ("empty_00", 0, sizes["empty_00"])
    assert (walk.name, walk.rows.tolist(), walk.size) == ("walk_00", [0], sizes["walk_00"])


@pytest.mark.parametrize(
    ("name", "person", "words"),
    [
        ("walk_00/image_00009.jpg", 0, "outside of the 9 frames"),
        ("walk_00/image_00000.jpg", 3, "outside of the 9 frames and 3 people"),
        ("other_00/image_00000.jpg", 0, "does not list the sequence"),
    ],
)
def test_samples_outside_of_the_stated_sequences_are_refused(name, person, words):
    with pytest.raises(UnreadableFileError, match=words):
        sequences_of([(name, person)], {"walk_00": SequenceSize(9, 3)})


@pytest.mark.parametrize(
    "name",
    ["image_00000.jpg", "walk/first.jpg", "", "mpii/015601864.jpg", "../image_00000.jpg"],
)
def test_names_that_tell_no_sequence_and_frame_are_refused(name):
    with pytest.raises(UnreadableFileError, match="tells no sequence and frame"):
        sequences_of([(name, 0)])


@pytest.mark.parametrize("person", [-1, 40_219])
def test_person_ids_that_are_no_place_are_refused(person):
    with pytest.raises(UnreadableFileError, match="no place among people"):
        sequences_of([("walk/image_00000.jpg", person)])


def test_the_same_person_twice_in_a_frame_is_refused():
    with pytest.raises(UnreadableFileError, match="two samples"):
        sequences_of([("walk/image_00000.jpg", 0), ("walk/image_00000.png", 0)])


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([], ""), ([5], "5"), ([3, 1, 2, 0], "0-3"), ([0, 1, 4, 7, 8], "0-1, 4, 7-8")],
)
def test_numbers_in_a_row_are_shortened(numbers, words):
    assert as_ranges(numbers) == words
