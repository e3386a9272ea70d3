"""Errors of posed bodies, one number per sample, in double precision.

A sample that holds a NaN or an infinity gets NaN and leaves the others alone; whoever averages
must count such samples (`numpy.mean` would pass the NaN on, `numpy.nanmean` would hide it).
"""

import numpy as np

from smplcli.conventions import METRES_TO_MM, PELVIS
from smplcli.errors import ShapeError
from smplcli.types import Floats

COLLAPSED = 1e-12
"""Points whose spread is below this share of their distance from the origin are one point."""


def mpjpe(pred_joints3d: Floats, gt_joints3d: Floats, *, root: int | None = PELVIS) -> Floats:
    """Mean per-joint position error after moving the root joint of both sets to the origin.

    Args:
        pred_joints3d: Predicted joints, (batch, joints, 3), metres, camera axes.
        gt_joints3d: Reference joints, same shape, unit, axes and joint order.
        root: Joint to align on; ``None`` compares absolute positions.

    Returns:
        Error of each sample, (batch,), millimetres.

    Raises:
        ShapeError: The shapes differ or are not (batch, joints, 3).

    Source:
        3DPW challenge, github.com/aymenmir1/3dpw-eval, evaluate.py: align_by_root, compute_errors.
    """
    pred, gt = _as_pair(pred_joints3d, gt_joints3d, trailing=(3,))
    if root is not None:
        with np.errstate(invalid="ignore"):
            pred = pred - pred[:, root, None]
            gt = gt - gt[:, root, None]
    return _mean_distance(pred, gt)


def pa_mpjpe(pred_joints3d: Floats, gt_joints3d: Floats) -> Floats:
    """Mean per-joint position error after the best similarity transform of each prediction.

    Args:
        pred_joints3d: Predicted joints, (batch, joints, 3), metres.
        gt_joints3d: Reference joints, same shape, unit and joint order.

    Returns:
        Error of each sample, (batch,), millimetres.

    Raises:
        ShapeError: The shapes differ or are not (batch, joints, 3).
    """
    pred, gt = _as_pair(pred_joints3d, gt_joints3d, trailing=(3,))
    return _mean_distance(procrustes_align(pred, gt), gt)


def pve(
    pred_vertices: Floats, gt_vertices: Floats, *, pred_root: Floats, gt_root: Floats
) -> Floats:
    """Mean per-vertex error after moving the root joint of both bodies to the origin.

    Args:
        pred_vertices: Predicted vertices, (batch, vertices, 3), metres, camera axes.
        gt_vertices: Reference vertices, same shape, unit, axes and vertex order.
        pred_root: Root joint of each prediction, (batch, 3), metres.
        gt_root: Root joint of each reference, (batch, 3), metres.

    Returns:
        Error of each sample, (batch,), millimetres.

    Raises:
        ShapeError: The shapes of the vertices differ or are not (batch, vertices, 3).
    """
    pred, gt = _as_pair(pred_vertices, gt_vertices, trailing=(3,))
    with np.errstate(invalid="ignore"):
        return _mean_distance(pred - pred_root[:, None], gt - gt_root[:, None])


def mpjae(pred_rotations: Floats, gt_rotations: Floats) -> Floats:
    """Mean angle between predicted and true orientations of body parts.

    Args:
        pred_rotations: Global rotations (accumulated along the chain), (batch, parts, 3, 3).
        gt_rotations: Reference rotations, same shape, axes and order of parts.

    Returns:
        Error of each sample, (batch,), degrees.

    Raises:
        ShapeError: The shapes differ or are not (batch, parts, 3, 3).

    Source:
        3DPW challenge, github.com/aymenmir1/3dpw-eval, evaluate.py: joint_angle_error.
    """
    pred, gt = _as_pair(pred_rotations, gt_rotations, trailing=(3, 3))
    with np.errstate(invalid="ignore", over="ignore"):
        turn = pred @ gt.swapaxes(-1, -2)
        axis = np.stack([turn[..., i, j] - turn[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0))])
        cosine = (np.trace(turn, axis1=-2, axis2=-1) - 1) / 2
        # The arc cosine alone loses half of the digits near 0 and 180 degrees.
        angle = np.arctan2(np.linalg.norm(axis, axis=0) / 2, cosine)
    return _finite_or_nan(np.degrees(angle).mean(axis=-1))


def procrustes_align(pred_points: Floats, gt_points: Floats) -> Floats:
    """Move predictions onto references by rotation, translation and scale; never by a reflection.

    Args:
        pred_points: (batch, points, 3).
        gt_points: Same shape, order and unit.

    Returns:
        The moved predictions, (batch, points, 3). A prediction whose points coincide has no best
        scale and becomes the centre of its reference; one with a value that is not finite, or
        whose reference has one, becomes NaN.

    Raises:
        ShapeError: The shapes differ or are not (batch, points, 3).

    Source:
        Umeyama, "Least-squares estimation of transformation parameters between two point
        patterns", PAMI 1991, equations 40-43.
    """
    pred, gt = _as_pair(pred_points, gt_points, trailing=(3,))
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        gt_centre = gt.mean(axis=1, keepdims=True)
        pred_centred = pred - pred.mean(axis=1, keepdims=True)
        spread = np.square(pred_centred).sum(axis=(1, 2))
        collapsed = spread <= COLLAPSED**2 * np.square(pred).sum(axis=(1, 2))
        covariance = pred_centred.swapaxes(1, 2) @ (gt - gt_centre)
    usable = np.isfinite(covariance).all(axis=(1, 2)) & np.isfinite(spread)
    left, stretch, right = np.linalg.svd(np.where(usable[:, None, None], covariance, 0.0))
    sign = np.sign(np.linalg.det(left @ right))  # -1 where the best fit would be a reflection
    stretch[:, 2] *= sign
    left[:, :, 2] *= sign[:, None]
    scale = np.where(collapsed, 0.0, stretch.sum(axis=1) / np.where(collapsed, 1.0, spread))
    aligned: Floats = scale[:, None, None] * pred_centred @ (left @ right) + gt_centre
    aligned[~usable] = np.nan
    return aligned


def _as_pair(pred: Floats, gt: Floats, *, trailing: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Both arrays in double precision, once their shapes are known to be (batch, n, *trailing)."""
    if pred.shape != gt.shape or pred.shape[2:] != trailing or pred.ndim != 2 + len(trailing):
        wanted = ", ".join(["batch", "n", *map(str, trailing)])
        raise ShapeError(f"two arrays of ({wanted}) needed, got {pred.shape} and {gt.shape}")
    return np.asarray(pred, dtype=np.float64), np.asarray(gt, dtype=np.float64)


def _mean_distance(pred: Floats, gt: Floats) -> Floats:
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.linalg.norm(pred - gt, axis=-1).mean(axis=-1)
    return _finite_or_nan(METRES_TO_MM * distance)


def _finite_or_nan(errors: Floats) -> Floats:
    return np.where(np.isfinite(errors), errors, np.nan)
