import numpy as np
import pytest

from smplcli.detection.people import (
    Detection,
    add_unknown,
    box_overlap,
    confirmed,
    keypoint_similarity,
    merge_duplicates,
)


def person(x=0.0, y=0.0, *, score=0.9, size=100.0, seen=17):
    """Someone whose joints lie on a circle in a square box."""
    angle = np.linspace(0, 6, 17)
    keypoints = np.ones((17, 3))
    keypoints[:, 0] = x + size / 2 * (1 + np.cos(angle))
    keypoints[:, 1] = y + size / 2 * (1 + np.sin(angle))
    keypoints[seen:, 2] = 0.1
    return Detection(np.array([x, y, x + size, y + size]), score, keypoints)


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        ([0, 0, 2, 2], 1),
        ([1, 0, 3, 2], 1 / 3),
        ([2, 0, 4, 2], 0),
        ([5, 5, 6, 6], 0),
        ([0, 0, 1, 1], 1 / 4),
    ],
)
def test_overlap_is_intersection_over_union(other, overlap):
    first = np.array([0.0, 0, 2, 2])

    assert box_overlap(first, np.array(other, float)) == pytest.approx(overlap)


def test_boxes_without_area_do_not_overlap():
    point = np.zeros(4)

    assert box_overlap(point, point) == 0


def test_the_same_keypoints_are_most_similar():
    assert keypoint_similarity(person(), person()) == pytest.approx(1)


def test_keypoints_that_are_not_seen_say_nothing():
    assert keypoint_similarity(person(seen=3), person(seen=3)) == 0


def test_who_is_hardly_seen_counts_if_two_passes_agree():
    weak, far = person(score=0.15), person(500, score=0.15)

    found = confirmed([[weak, far], [person(2, score=0.16)]], 0.2)

    assert [each.score for each in found] == [0.2, 0.15, 0.2]


def test_who_is_hardly_seen_twice_in_one_pass_does_not_count():
    found = confirmed([[person(score=0.15), person(2, score=0.16)], []], 0.2)

    assert [each.score for each in found] == [0.15, 0.16]


def test_two_passes_that_see_next_to_nothing_do_not_agree():
    found = confirmed([[person(score=0.05)], [person(2, score=0.06)]], 0.2)

    assert [each.score for each in found] == [0.05, 0.06]


def test_who_is_surely_seen_keeps_the_score():
    sure = person(score=0.4)

    assert confirmed([[sure], [person(score=0.3)]], 0.2)[0] == sure


def test_the_surest_finding_of_a_person_is_kept():
    found = [person(score=0.5), person(2, 1, score=0.8), person(1, 3, score=0.6)]

    merged = merge_duplicates(found)

    assert [other.score for other in merged] == [0.8]


def test_a_part_of_a_person_found_again_is_the_same_person():
    whole = person()
    part = whole._replace(bbox=np.array([0.0, 0, 100, 40]), score=0.4)

    assert len(merge_duplicates([whole, part])) == 1


def test_people_already_known_stay_as_they_are_and_only_others_are_added():
    known = person(score=0.4)

    added = add_unknown([known], [person(1, score=0.9), person(60, score=0.3)])

    assert [other.score for other in added] == [0.4, 0.3]


def test_people_beside_each_other_stay_two_and_the_surer_comes_first():
    merged = merge_duplicates([person(score=0.5), person(60, score=0.7)])

    assert [other.score for other in merged] == [0.7, 0.5]
