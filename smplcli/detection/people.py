"""What a detector finds, and how findings of the same person become one."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from smplcli.types import Floats

CONFIDENT_KEYPOINT = 0.3
"""Score from which a keypoint counts as seen."""

MAX_OVERLAP = 0.6
"""Boxes of two people do not share more than this part of their union."""

MAX_SIMILARITY = 0.5
"""Keypoints of two people are not more similar than this."""

MIN_SHARED_KEYPOINTS = 4
"""Fewer keypoints seen in both findings say nothing about their similarity."""

_KEYPOINT_SPREAD = (
    2
    * np.array(
        [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89],
        np.float64,
    )
    / 1000
)
"""Spread of COCO-17 annotations over the square root of the area (cocoeval.py: 2 * sigmas)."""


class Detection(NamedTuple):
    """One person in a picture."""

    bbox: Floats
    """(4,) x1, y1, x2, y2, image pixels."""

    score: float
    """How sure the detector is that this is a person, 0..1."""

    keypoints: Floats
    """(17, 3) COCO-17 joints: x, y in image pixels and score 0..1."""

    @property
    def num_confident(self) -> int:
        """How many keypoints are seen."""
        return int(np.count_nonzero(self.keypoints[:, 2] >= CONFIDENT_KEYPOINT))


def box_overlap(first: Floats, second: Floats) -> float:
    """Intersection over union of two boxes x1, y1, x2, y2, (4,), pixels."""
    shared = _shared_area(first, second)
    union = _area(first) + _area(second) - shared
    return shared / union if union > 0 else 0.0


def covered_share(bbox: Floats, other: Floats) -> float:
    """How much of a box x1, y1, x2, y2, (4,), another box covers, 0..1."""
    area = _area(bbox)
    return _shared_area(bbox, other) / area if area > 0 else 0.0


def keypoint_similarity(first: Detection, second: Detection) -> float:
    """Object keypoint similarity over the keypoints seen in both; 0 when these are too few.

    Source:
        COCO, github.com/cocodataset/cocoapi, cocoeval.py: computeOks.
    """
    seen = np.minimum(first.keypoints[:, 2], second.keypoints[:, 2]) >= CONFIDENT_KEYPOINT
    area = max(_area(first.bbox), _area(second.bbox))
    if np.count_nonzero(seen) < MIN_SHARED_KEYPOINTS or area <= 0:
        return 0.0
    squared = ((first.keypoints[seen, :2] - second.keypoints[seen, :2]) ** 2).sum(axis=1)
    return float(np.exp(-squared / (2 * area * _KEYPOINT_SPREAD[seen] ** 2)).mean())


def confirmed(passes: Sequence[Sequence[Detection]], bar: float) -> list[Detection]:
    """Findings of all passes; who is unsure in two of them, but hardly wrong in both, is sure.

    Args:
        passes: What each pass over one picture has found.
        bar: Score from which a finding is sure, 0..1; those that confirm each other have it.
    """
    found: list[Detection] = []
    for number, people in enumerate(passes):
        others = [x for other in (*passes[:number], *passes[number + 1 :]) for x in other]
        found += [
            person._replace(score=bar)
            if person.score < bar <= _score_with(person, others)
            else person
            for person in people
        ]
    return found


def merge_duplicates(found: Iterable[Detection]) -> list[Detection]:
    """Keep the best of the findings of each person.

    Args:
        found: Findings of one picture, of one or several passes.

    Returns:
        One finding per person, surest first.
    """
    return add_unknown([], found)


def add_unknown(known: Sequence[Detection], found: Iterable[Detection]) -> list[Detection]:
    """People already known, and the best finding of each person who is not among them.

    Args:
        known: One finding per person.
        found: More findings of the same picture.

    Returns:
        One finding per person, surest first.
    """
    kept = list(known)
    for person in sorted(found, key=_quality, reverse=True):
        if not any(_is_same(person, other) for other in kept):
            kept.append(person)
    return sorted(kept, key=lambda person: person.score, reverse=True)


def _score_with(person: Detection, others: Iterable[Detection]) -> float:
    """How likely it is that not both are wrong: a finding and the surest of the same person."""
    same = (other.score for other in others if _is_same(person, other))
    return 1 - (1 - person.score) * (1 - max(same, default=0.0))


def _quality(person: Detection) -> float:
    return person.score * float(person.keypoints[:, 2].mean())


def _is_same(first: Detection, second: Detection) -> bool:
    if _shared_area(first.bbox, second.bbox) == 0:
        return False
    return (
        box_overlap(first.bbox, second.bbox) > MAX_OVERLAP
        or keypoint_similarity(first, second) > MAX_SIMILARITY
    )


def _shared_area(first: Floats, second: Floats) -> float:
    # Of every pair of findings in a crowd, so without numpy, which takes ten times as long here.
    (a, b, c, d), (e, f, g, h) = first.tolist(), second.tolist()
    return float(max(min(c, g) - max(a, e), 0.0) * max(min(d, h) - max(b, f), 0.0))


def _area(bbox: Floats) -> float:
    left, top, right, bottom = bbox.tolist()
    return float(max(right - left, 0.0) * max(bottom - top, 0.0))
