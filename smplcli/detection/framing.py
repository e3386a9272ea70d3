"""Which part of a picture shows a person, and which finding belongs to a box that was given."""

from collections.abc import Sequence

import numpy as np

from smplcli.conventions import COCO17_JOINTS
from smplcli.detection.people import Detection, box_overlap
from smplcli.models.keypoints import MIN_SCORE
from smplcli.types import Floats

MIN_BOX_SHARE = 0.25
"""Keypoints that span less than this of the detector's box say too little about the person."""

MIN_OVERLAP = 0.1
"""A finding belongs to a given box if they share at least this part of their union, ..."""

MIN_INSIDE = 0.7
"""... and so many of its trusted keypoints lie in the box."""


def frame_person(found: Detection) -> Detection:
    """The finding with the box around its trusted keypoints, as in training.

    The detector's own box stays where the keypoints span too little of it.
    """
    trusted = found.keypoints[found.keypoints[:, 2] >= MIN_SCORE, :2]
    if len(trusted) < 2:
        return found
    low, high = trusted.min(axis=0), trusted.max(axis=0)
    side = (found.bbox[2:] - found.bbox[:2]).max()
    if (high - low).max() < max(1.0, MIN_BOX_SHARE * side):
        return found
    return found._replace(bbox=np.concatenate([low, high]))


def person_in_box(bbox: Floats, score: float, found: Sequence[Detection]) -> Detection:
    """A person for a given box, with the keypoints of the finding that belongs to it.

    Args:
        bbox: (4,) x1, y1, x2, y2, pixels.
        score: How sure whoever gave the box is.
        found: All people that the detector finds in the picture.

    Returns:
        The box, with keypoints of score 0 if none of the findings belongs to it.
    """
    person = Detection(bbox, score, np.zeros((len(COCO17_JOINTS), 3)))
    overlaps = [box_overlap(bbox, other.bbox) * _is_inside(other, bbox) for other in found]
    if not overlaps or max(overlaps) < MIN_OVERLAP:
        return person
    return person._replace(keypoints=found[int(np.argmax(overlaps))].keypoints)


def _is_inside(found: Detection, bbox: Floats) -> bool:
    trusted = found.keypoints[found.keypoints[:, 2] >= MIN_SCORE, :2]
    if not len(trusted):
        return False
    return float(((trusted >= bbox[:2]) & (trusted <= bbox[2:])).all(axis=1).mean()) >= MIN_INSIDE
