"""The arithmetic of the leaderboards, once more and on its own.

Source:
    github.com/aymenmir1/3dpw-eval, evaluate.py: compute_errors, compute_pck, compute_auc,
    joint_angle_error. ETH Zurich, Machine Perception 2022, scripts/evaluate.py.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smplcli.submission.checks.report import Score
from smplcli.types import Floats

SCORED_PARTS = [0, 1, 2, 4, 5, 16, 17, 18, 19]
MAJOR_JOINTS = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
PCK_MM = 50.0
AUC_MM = np.arange(0.0, 200.0)
FIRST_SPIN24 = 25
"""Where the 24 joints that the course scores begin among SPIN's 49."""


class ChallengeErrors(NamedTuple):
    """Errors of N person-frames by the rules of the 3DPW challenge."""

    joint: Floats
    """(N, 24) mm, each body moved to its pelvis."""

    joint_pa: Floats
    """(N, 24) mm, after the best similarity transform."""

    angle: Floats
    """(N, 9) degrees; NaN without orientations."""

    angle_pa: Floats
    """(N, 9) degrees, turned by the rotation of the similarity transform."""

    turn: Floats
    """(N,) degrees of that rotation."""


def challenge_errors(
    joints3d: Floats, orientations: Floats, true_joints3d: Floats, true_rotations: Floats
) -> ChallengeErrors:
    """Compare results with the truth.

    Args:
        joints3d: (N, 24, 3) metres, any origin; NaN where there are none.
        orientations: (N, 9, 3, 3), NaN where there are none.
        true_joints3d: (N, 24, 3).
        true_rotations: (N, 24, 3, 3) global rotations.
    """
    pred = 1000 * (joints3d - joints3d[:, :1])
    true = 1000 * (true_joints3d - true_joints3d[:, :1])
    has_joints = np.asarray(np.isfinite(pred).all(axis=(1, 2)))
    fitted, turn = _similarity(np.where(has_joints[:, None, None], pred, 0.0), true)
    fitted[~has_joints] = np.nan
    turn[~has_joints] = np.nan
    targets = true_rotations[:, SCORED_PARTS]
    identity = np.broadcast_to(np.eye(3), turn.shape)
    return ChallengeErrors(
        joint=np.linalg.norm(pred - true, axis=-1),
        joint_pa=np.linalg.norm(fitted - true, axis=-1),
        angle=_degrees_between(orientations, targets),
        angle_pa=_degrees_between(turn[:, None] @ orientations, targets),
        turn=_degrees_between(turn, identity),
    )


def challenge_scores(parts: Sequence[ChallengeErrors]) -> tuple[Score, ...]:
    """The six numbers of the leaderboard, pooled over all person-frames."""
    joint, joint_pa, angle, angle_pa, _ = map(np.concatenate, zip(*parts, strict=True))
    root, fit, count = "pelvis", "similarity fit", len(joint)
    major = joint[:, MAJOR_JOINTS]
    scores = []
    if np.isfinite(joint).any():
        scores += [
            Score("MPJPE", float(joint.mean()), "mm", "SMPL-24", root, count),
            Score("MPJPE_PA", float(joint_pa.mean()), "mm", "SMPL-24", fit, count),
            Score("PCK@50", 100 * float((major <= PCK_MM).mean()), "%", "12 joints", root, count),
            Score("AUC", _area(major), "", "12 joints", root, count),
        ]
    if np.isfinite(angle).any():
        scores.append(Score("MPJAE", float(angle.mean()), "deg", "9 parts", "none", count))
        if np.isfinite(joint).any():
            mean = float(angle_pa.mean())
            scores.append(Score("MPJAE_PA", mean, "deg", "9 parts", fit, count))
    return tuple(scores)


def course_score(joints3d: Floats, true_joints3d: Floats) -> Score:
    """The number of the course: the mean absolute error of a coordinate, of nothing moved.

    Args:
        joints3d: (N, 49, 3) metres.
        true_joints3d: Same shape, of the neutral body in the labelled pose and shape.
    """
    off = np.abs(joints3d[:, FIRST_SPIN24:] - true_joints3d[:, FIRST_SPIN24:])
    value = 1000 * float(off.mean(axis=-1).mean())
    return Score("mean |coordinate|", value, "mm", "SPIN-24", "none", len(joints3d))


def _similarity(pred: Floats, true: Floats) -> tuple[Floats, Floats]:
    """Predictions moved onto the truth, and the rotations that do it."""
    centre = true.mean(axis=1, keepdims=True)
    source, target = pred - pred.mean(axis=1, keepdims=True), true - centre
    spread = np.square(source).sum(axis=(1, 2))
    outer = source.swapaxes(1, 2) @ target
    left, _, right = np.linalg.svd(outer)
    flip = np.broadcast_to(np.eye(3), outer.shape).copy()
    flip[:, 2, 2] = np.sign(np.linalg.det(left @ right))
    turn = right.swapaxes(1, 2) @ flip @ left.swapaxes(1, 2)
    trace = np.einsum("nij,nji->n", turn, outer)
    is_point = ~pred.any(axis=(1, 2))
    scale = np.where(is_point, 0.0, trace / np.where(is_point, 1.0, spread))
    turn[is_point] = np.eye(3)
    fitted: Floats = scale[:, None, None] * source @ turn.swapaxes(1, 2) + centre
    return fitted, turn


def _degrees_between(first: Floats, second: Floats) -> Floats:
    relative = first @ second.swapaxes(-1, -2)
    axis = [relative[..., i, j] - relative[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0))]
    cosine = (np.trace(relative, axis1=-2, axis2=-1) - 1) / 2
    # Exact near 0 and 180 degrees, where the arc cosine loses half of the digits.
    degrees: Floats = np.degrees(np.arctan2(np.linalg.norm(axis, axis=0) / 2, cosine))
    return degrees


def _area(errors: Floats) -> float:
    """Area under PCK over thresholds of 0 to 199 mm, by the evaluator's own quadrature."""
    from scipy import integrate  # noqa: PLC0415 - slow to import, and seldom needed

    ordered = np.sort(errors.ravel())
    share = np.searchsorted(ordered, AUC_MM, side="right") / ordered.size
    unit = AUC_MM / AUC_MM.max()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it divides the curve 50 times and stops, as theirs does
        return float(integrate.quad(lambda x: np.interp(x, unit, share), 0.0, 1.0)[0])
