import numpy as np
import pytest

from smplcli.detection.framing import frame_person, person_in_box
from smplcli.detection.people import Detection


def person(left=0.0, top=0.0, side=160.0, score=0.9):
    """Joints on the diagonal of a square, in the middle of a larger box."""
    keypoints = np.ones((17, 3))
    keypoints[:, :2] = np.linspace(0, side, 17)[:, None] + [left, top]
    bbox = np.array([left - 20, top - 20, left + side + 20, top + side + 20])
    return Detection(bbox, score, keypoints)


def test_the_frame_is_the_box_of_the_trusted_keypoints():
    found = person()
    found.keypoints[12:, 2] = 0.1

    assert frame_person(found).bbox.tolist() == [0, 0, 110, 110]


@pytest.mark.parametrize("trusted", [0, 1, 2])
def test_the_detectors_box_stays_where_keypoints_say_too_little(trusted):
    found = person()
    found.keypoints[trusted:, 2] = 0

    assert frame_person(found).bbox.tolist() == found.bbox.tolist()


def test_keypoints_in_one_place_frame_nobody():
    found = person(side=0.0)

    assert frame_person(found).bbox.tolist() == found.bbox.tolist()


def test_a_given_box_takes_the_keypoints_of_the_person_in_it():
    found = [person(), person(500)]
    bbox = np.array([480.0, -30, 700, 200])

    chosen = person_in_box(bbox, 0.5, found)

    assert chosen.bbox.tolist() == bbox.tolist()
    assert chosen.score == 0.5
    assert (chosen.keypoints == found[1].keypoints).all()


@pytest.mark.parametrize(
    "bbox",
    [(1000, 0, 1200, 200), (130, 130, 330, 330), (-3000, -3000, 3000, 3000)],
    ids=["elsewhere", "neighbour", "crowd"],
)
def test_a_given_box_takes_nobody_elses_keypoints(bbox):
    chosen = person_in_box(np.array(bbox, float), 1.0, [person()])

    assert not chosen.keypoints.any()


def test_a_given_box_stands_alone_where_nobody_is_found():
    assert not person_in_box(np.array([0.0, 0, 9, 9]), 1.0, []).keypoints.any()
