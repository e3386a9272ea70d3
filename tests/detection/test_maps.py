"""People in maps that are made up by hand."""

import numpy as np
import pytest

from smplcli.detection.maps import MOST_PEOPLE, PeopleMaps, read_people

SIDE = 32
NEVER = -20.0
"""Logit of what is not there."""


@pytest.fixture
def maps():
    """Nobody."""
    return PeopleMaps(
        regressed=np.zeros((34, SIDE, SIDE)),
        offset=np.zeros((34, SIDE, SIDE)),
        keypoint=np.full((17, SIDE, SIDE), NEVER),
        center=np.full((1, SIDE, SIDE), NEVER),
        box_size=np.zeros((2, SIDE, SIDE)),
        box_offset=np.zeros((2, SIDE, SIDE)),
    )


def put_person(maps, row, column, *, height=12.0, width=8.0, certainty=3.0):
    """A person, all of whose keypoints are at the centre."""
    maps.center[0, row, column] = certainty
    maps.box_size[:, row, column] = height, width
    maps.keypoint[:, row, column] = certainty


def test_nobody_is_nobody(maps):
    assert read_people(maps, 0.1) == []


def test_box_is_read_around_its_middle_and_ends_with_the_picture(maps):
    put_person(maps, 10, 20)
    maps.box_offset[:, 10, 20] = 1.0, -2.0
    put_person(maps, 30, 4)

    boxes = [person.bbox.tolist() for person in read_people(maps, 0.1)]

    assert boxes == [[14, 5, 22, 17], [0, 24, 8, 32]]


def test_keypoints_are_where_their_cells_say(maps):
    put_person(maps, 10, 20)
    maps.offset[2 * 7 : 2 * 7 + 2, 10, 20] = 0.25, -0.5

    (person,) = read_people(maps, 0.1)

    assert person.keypoints[7, :2].tolist() == [19.5, 10.25]
    assert person.keypoints[8, :2].tolist() == [20, 10]


def test_score_is_that_of_the_centre_times_the_mean_of_the_keypoints_seen(maps):
    put_person(maps, 10, 20, certainty=0.0)
    maps.keypoint[:5, 10, 20] = NEVER

    (person,) = read_people(maps, 0.1)

    assert person.score == pytest.approx(0.5 * 0.5)


def test_a_keypoint_is_sought_where_the_centre_expects_it(maps):
    put_person(maps, 10, 20)
    maps.regressed[:2, 10, 20] = -4.0, 2.0
    maps.keypoint[0, 6, 22], maps.keypoint[0, 14, 17] = 0.0, 1.0
    maps.keypoint[0, 10, 20] = NEVER

    (person,) = read_people(maps, 0.1)

    assert person.keypoints[0].tolist() == [22, 6, 0.5]


def test_what_is_outside_the_box_belongs_to_others(maps):
    put_person(maps, 10, 20)
    maps.keypoint[0, 10, 20] = NEVER
    maps.keypoint[0, 10, 25] = 5.0

    (person,) = read_people(maps, 0.1)

    assert person.keypoints[0, 2] < 1e-6


def test_who_has_no_place_in_the_picture_is_nobody(maps):
    put_person(maps, 10, 20)
    maps.box_offset[:, 10, 20] = 100.0, 100.0

    assert read_people(maps, 0.1) == []


def test_of_centres_side_by_side_the_surer_counts(maps):
    put_person(maps, 10, 20, certainty=2.0)
    put_person(maps, 11, 22, certainty=3.0)

    (person,) = read_people(maps, 0.1)

    assert person.bbox.tolist() == [18, 5, 26, 17]


def test_a_crowd_is_cut_off_at_its_least_sure(maps):
    places = [(row, column) for row in range(1, SIDE, 4) for column in range(1, SIDE, 4)]
    for number, place in enumerate(places):
        put_person(maps, *place, height=2.0, width=2.0, certainty=1.0 + number / 100)

    people = read_people(maps, 0.1)

    assert len(places) > len(people) == MOST_PEOPLE
    middles = [tuple((x.bbox[[1, 0]] + x.bbox[[3, 2]]) / 2) for x in people]
    assert middles == places[: -MOST_PEOPLE - 1 : -1]
