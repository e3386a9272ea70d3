"""People read off MoveNet's maps."""

from typing import NamedTuple

import cv2
import numpy as np

from smplcli.detection.people import Detection
from smplcli.types import Floats, Ints

MOST_PEOPLE = 50
"""Whom one look at a picture finds at most."""

PEAK = 5
"""Side of the square in which a person's centre is the highest value, cells."""

REACH = 0.3
"""Squared distance from where a keypoint is expected at which it counts 1/e, over the shorter side
of the maps, cells."""

FOUND_KEYPOINT = 0.127
"""Score from which a keypoint counts for the score of its person."""


class PeopleMaps(NamedTuple):
    """What `MoveNet` sees in a picture; lengths are in cells."""

    regressed: Floats
    """(34, H, W) from a person's centre to each keypoint: y, x, y, x, ..."""

    offset: Floats
    """(34, H, W) from a cell to the keypoint that it holds: likewise."""

    keypoint: Floats
    """(17, H, W) logits of keypoints."""

    center: Floats
    """(1, H, W) logits of people's centres."""

    box_size: Floats
    """(2, H, W) height and width of the person whose centre a cell is."""

    box_offset: Floats
    """(2, H, W) from a cell to the middle of this person's box: y, x."""


def read_people(maps: PeopleMaps, least: float) -> list[Detection]:
    """Everybody in the maps of one picture, in cells: a point at 0 is at the edge of the first.

    Keypoints are where their maps are highest in a person's box, the more so the nearer to where
    the person's centre expects them.

    Args:
        maps: Of the picture.
        least: Score of the least certain person, 0..1.

    Source:
        What the release of MoveNet MultiPose does with its maps, for six people.
    """
    found = (_read_person(maps, *center) for center in _find_centers(maps.center[0], least))
    return [person for person in found if person.score >= least]


def _find_centers(logits: Floats, least: float) -> list[tuple[int, int, float]]:
    """Rows and columns of people's centres, and how sure these are, surest first."""
    scores = 1 / (1 + np.exp(-logits))
    is_peak = scores == cv2.dilate(scores, np.ones((PEAK, PEAK), np.uint8))
    # A person is at most as sure as the centre.
    rows, columns = np.nonzero(is_peak & (scores >= least))
    surest = np.argsort(-scores[rows, columns], kind="stable")[:MOST_PEOPLE]
    return [
        (int(row), int(column), float(scores[row, column]))
        for row, column in zip(rows[surest], columns[surest], strict=True)
    ]


def _read_person(maps: PeopleMaps, row: int, column: int, score: float) -> Detection:
    shape, place = np.array(maps.center.shape[-2:]), np.array([row, column])
    middle = place + maps.box_offset[:, row, column]
    half = np.maximum(maps.box_size[:, row, column], 0) / 2
    low, high = np.clip([middle - half, middle + half], 0, shape)
    expected = place + maps.regressed[:, row, column].reshape(-1, 2)
    window = np.ceil([low, high]).astype(int)
    keypoints = _read_keypoints(maps, window, expected)
    counts = keypoints[:, 2] > FOUND_KEYPOINT
    mean = float(keypoints[counts, 2].mean()) if counts.any() else 0.0
    return Detection(np.concatenate([low[::-1], high[::-1]]), score * mean, keypoints)


def _read_keypoints(maps: PeopleMaps, window: Ints, expected: Floats) -> Floats:
    """Keypoints (17, 3) x, y, score in a window: first row and column in it, and past it."""
    rows, columns = (np.arange(*ends) for ends in window.T)
    found = np.zeros((len(expected), 3))
    if not len(rows) or not len(columns):
        return found
    spread = REACH * min(maps.center.shape[-2:])
    near = [
        np.exp(-((cells - place[:, None]) ** 2) / spread)
        for cells, place in zip((rows, columns), expected.T, strict=True)
    ]
    (top, left), (bottom, right) = window
    logits = maps.keypoint[:, top:bottom, left:right]
    scores = near[0][:, :, None] * near[1][:, None] / (1 + np.exp(-logits))
    best = scores.reshape(len(scores), -1).argmax(axis=1)
    row, column = np.unravel_index(best, scores.shape[1:])
    joints = np.arange(len(expected))
    found[:, 2] = scores[joints, row, column]
    row, column = row + top, column + left
    found[:, 0] = column + maps.offset[2 * joints + 1, row, column]
    found[:, 1] = row + maps.offset[2 * joints, row, column]
    return found
