"""The checker on sound submissions and on ones damaged in the ways that people damage them."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from smplcli.errors import HostileFileError, MissingFileError, UnreadableFileError
from smplcli.submission.check import SequenceSize, check_threedpw

NAME = "test/outdoors_walking_00.pkl"
EXPECTED = {NAME: SequenceSize(num_people=2, num_frames=3)}


DOWN, LEFT, RIGHT = (0, -1, 0), (1, 0, 0), (-1, 0, 0)
BONES = [(1, 1, 4, DOWN), (2, 2, 5, DOWN), (3, 4, 7, DOWN), (4, 5, 8, DOWN)]
BONES += [(5, 16, 18, LEFT), (6, 17, 19, RIGHT), (7, 18, 20, LEFT), (8, 19, 21, RIGHT)]


def content():
    """Two people in three frames whose limbs point where their parts are turned."""
    rng = np.random.default_rng(0)
    turns = Rotation.from_rotvec(rng.normal(size=(2 * 3 * 9, 3))).as_matrix()
    turns = turns.reshape(2, 3, 9, 3, 3)
    joints3d = rng.normal(scale=0.3, size=(2, 3, 24, 3))
    for part, start, end, direction in BONES:
        joints3d[:, :, end] = joints3d[:, :, start] + 0.4 * turns[:, :, part] @ direction
    return {"jointPositions": joints3d, "orientations": turns}


def archive(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for name, member in members.items():
            opened.writestr(
                name, member if isinstance(member, bytes) else pickle.dumps(member, protocol=2)
            )
    return file


def check(member, expected=EXPECTED):
    return check_threedpw(archive({NAME: member}), expected)


def only_problem(report):
    (problem,) = report.problems
    return problem


def test_a_sound_submission_has_no_problem_and_is_counted():
    report = check(content())

    assert report.problems == ()
    assert (report.num_sequences, report.num_tracks, report.num_person_frames) == (1, 2, 6)
    assert (report.num_empty, report.is_demo) == (0, False)


def test_either_key_may_be_left_out():
    for key in ("jointPositions", "orientations"):
        assert check({key: content()[key]}).problems == ()


def test_a_key_left_out_of_some_sequences_is_a_problem():
    other = {"jointPositions": content()["jointPositions"]}
    report = check_threedpw(archive({NAME: content(), "test/other.pkl": other}))

    assert "keep it in all or none" in only_problem(report)


def test_frames_without_a_result_are_counted_not_refused():
    member = content()
    member["jointPositions"][1, 2] = np.nan

    report = check(member)

    assert (report.problems, report.num_empty) == ((), 1)


def damaged(key, change):
    member = content()
    member[key] = change(member[key])
    return member


def mirrored(rotations):
    return rotations * np.array([-1.0, 1.0, 1.0])[:, None]


def with_one(value):
    def change(array):
        array[0, 1, 2, 0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (damaged("jointPositions", lambda a: 1000 * a), "must be metres"),
        (damaged("jointPositions", lambda a: 0 * a), "must be metres"),
        (damaged("jointPositions", with_one(np.nan)), "partly not finite in 1 person-frames"),
        (damaged("jointPositions", with_one(np.inf)), "partly not finite in 1 person-frames"),
        (damaged("jointPositions", lambda a: a[:, :, :14]), "must be (people, frames, 24, 3)"),
        (damaged("jointPositions", lambda a: a.reshape(2, 3, 72)), "must be (people, frames"),
        (damaged("jointPositions", lambda a: a.tolist()), "must be an array, is a list"),
        (damaged("jointPositions", lambda a: a.astype(int)), "floating point numbers"),
        (damaged("jointPositions", lambda a: a[:, :2]), "disagree in people or frames"),
        (damaged("orientations", mirrored), "54 matrices that are no rotations"),
        (damaged("orientations", lambda a: 1.01 * a), "54 matrices that are no rotations"),
        (damaged("orientations", with_one(0.9)), "person-frame 1, part 2"),
        (damaged("orientations", lambda a: a.swapaxes(-1, -2)), "accumulated along the chain"),
        (damaged("orientations", lambda a: a[:, :, ::-1]), "accumulated along the chain"),
        (damaged("orientations", lambda a: a[:, :, :, :, 0]), "must be (people, frames, 9, 3, 3)"),
        ([content()], "must be a dict"),
        ({}, "must be a dict"),
        (content() | {"betas": np.zeros(10)}, "must be a dict"),
    ],
)
def test_damaged_content_is_named(member, words):
    problem = check(member).problems[0]

    assert problem.startswith(NAME)
    assert words in problem


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("results/" + NAME, "content must lie at the zip's root"),
        ("val/outdoors_walking_00.pkl", "content must lie at the zip's root"),
        ("test/inner/outdoors_walking_00.pkl", "is not train|validation|test"),
        ("test/../../outdoors_walking_00.pkl", "is not train|validation|test"),
        ("test/outdoors_walking_00.npz", "is not train|validation|test"),
    ],
)
def test_a_member_in_the_wrong_place_is_a_problem(name, words):
    report = check_threedpw(archive({name: content()}))

    assert words in report.problems[0]
    assert "no sequence could be read" in report.problems[-1]


def test_a_member_that_occurs_twice_is_a_problem():
    file = archive({NAME: content()})
    with zipfile.ZipFile(file, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr(NAME, pickle.dumps(content()))

    assert "occurs 2 times" in only_problem(check_threedpw(file))


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({**EXPECTED, "test/other.pkl": SequenceSize(1, 1)}, "missing or unusable: test/other"),
        ({NAME: SequenceSize(2, 4)}, "holds 2 people and 3 frames, the data set 2 and 4"),
        ({NAME: SequenceSize(1, 3)}, "the data set 1 and 3"),
    ],
)
def test_what_the_data_set_has_and_the_file_has_not_is_a_problem(expected, words):
    assert words in only_problem(check(content(), expected))


def test_a_sequence_that_the_data_set_lacks_is_a_problem():
    file = archive({NAME: content(), "train/unknown.pkl": content()})

    assert "not in the data set: train/unknown" in only_problem(check_threedpw(file, EXPECTED))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.zip"):
        check_threedpw(tmp_path / "nowhere.zip")


def test_bytes_that_are_no_zip_are_unreadable(tmp_path):
    path = tmp_path / "text.zip"
    path.write_text("not a zip")

    with pytest.raises(UnreadableFileError, match=r"text\.zip"):
        check_threedpw(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_zip_cut_short_is_unreadable(share):
    whole = archive({NAME: content()}).getvalue()

    with pytest.raises(UnreadableFileError):
        check_threedpw(io.BytesIO(whole[: int(share * len(whole))]))


def test_a_flipped_bit_inside_a_member_is_noticed():
    damaged_bytes = bytearray(archive({NAME: content()}).getvalue())
    damaged_bytes[len(damaged_bytes) // 2] ^= 1

    with pytest.raises(UnreadableFileError):
        check_threedpw(io.BytesIO(damaged_bytes))


def test_a_pickle_cut_short_is_unreadable():
    with pytest.raises(UnreadableFileError):
        check(pickle.dumps(content(), protocol=2)[:-20])


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    canary = tmp_path / "canary"

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    with pytest.raises(HostileFileError):
        check(pickle.dumps(Attack()))
    assert not canary.exists()
