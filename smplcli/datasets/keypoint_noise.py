"""Mistakes that a keypoint detector makes, for keypoints that are known exactly."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smplcli.conventions import COCO17_JOINTS, COCO17_MIRROR
from smplcli.types import Floats

TORSO = tuple(
    COCO17_JOINTS.index(name)
    for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
)
FACE = slice(0, 5)
KNEES_DOWN = slice(13, 17)
ANKLES = slice(15, 17)

MAX_NOISE = 0.09
"""Largest standard deviation of a person's keypoint error, over the length of the torso."""

MISS_RATE = 0.06
BLUNDER_RATE = 0.02
SWAP_RATE = 0.02
HIDDEN_GROUPS = ((FACE, 0.12), (KNEES_DOWN, 0.12), (ANKLES, 0.08))
"""Keypoints that are lost together (cut off, behind a table), and how often."""


class Mistakes(NamedTuple):
    """Chance of what goes wrong with the keypoints of B people, whatever these are."""

    spread: Floats
    """(B, 17, 1) how far keypoints are off usually, over the length of the torso."""

    blunder: NDArray[np.bool_]
    """(B, 17) what is somewhere else."""

    offset: Floats
    """(B, 17, 2) of a normal distribution."""

    swapped: NDArray[np.bool_]
    """(B,) whose left and right are exchanged."""

    missed: NDArray[np.bool_]
    """(B, 17)."""

    sure: Floats
    """(B, 17) scores of what is seen."""


def draw_mistakes(count: int, rng: np.random.Generator) -> Mistakes:
    """Mistakes for so many people."""
    spread = rng.uniform(0.01, MAX_NOISE, (count, 1, 1)) * rng.uniform(0.5, 1.5, (count, 17, 1))
    spread[:, FACE] *= 0.5
    blunder = rng.random((count, 17)) < BLUNDER_RATE
    offset = rng.normal(size=(count, 17, 2))
    swapped = rng.random(count) < SWAP_RATE
    missed = rng.random((count, 17)) <= MISS_RATE
    for group, rate in HIDDEN_GROUPS:
        missed[:, group] |= rng.random((count, 1)) <= rate
    sure = rng.uniform(0.3, 1.0, (count, 1)) * rng.uniform(0.7, 1.0, (count, 17))
    return Mistakes(spread, blunder, offset, swapped, missed, sure)


def corrupt_keypoints(keypoints: Floats, rng: np.random.Generator) -> Floats:
    """Keypoints as a detector might have found them.

    Args:
        keypoints: (B, 17, 3) exact x, y in any unit, and 1 where inside the picture, else 0.
        rng: Source of the mistakes.

    Returns:
        (B, 17, 3) displaced, swapped and missing keypoints with plausible confidences.
    """
    return make_mistakes(keypoints, draw_mistakes(len(keypoints), rng))


def make_mistakes(keypoints: Floats, mistakes: Mistakes) -> Floats:
    """The same as `corrupt_keypoints`, with mistakes that are drawn already."""
    torso = keypoints[:, TORSO, :2]
    length = np.linalg.norm(torso[:, :2].mean(1) - torso[:, 2:].mean(1), axis=-1)
    width = np.linalg.norm(torso[:, 0] - torso[:, 1], axis=-1)
    unit = np.maximum(length, width)[:, None, None]
    spread = np.where(mistakes.blunder[..., None], 0.5, mistakes.spread)
    points = keypoints[..., :2] + mistakes.offset * spread * unit
    points[mistakes.swapped] = points[mistakes.swapped][:, COCO17_MIRROR]
    seen = (keypoints[..., 2] > 0) & ~mistakes.missed
    score = np.where(mistakes.blunder, 0.5 * mistakes.sure, mistakes.sure) * seen
    return np.concatenate([points, score[..., None]], axis=-1).astype(np.float32)
