"""Errors of posed bodies, one number per sample, in double precision.

A sample that holds a NaN or an infinity gets NaN and leaves the others alone; whoever averages
must count such samples (`numpy.mean` would pass the NaN on, `numpy.nanmean` would hide it).
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from smplcli.conventions import METRES_TO_MM, PELVIS
from smplcli.errors import ShapeError
from smplcli.types import Floats, Ints

COLLAPSED = 1e-12
"""Points whose spread is below this share of their distance from the origin are one point."""

AUC_LAST = 199.0
"""Last threshold of the area under the curve, mm; the 3DPW challenge stops short of 200."""


class Similarity(NamedTuple):
    """What moves each set of points best onto another, without reflection."""

    rotation: Floats
    """(batch, 3, 3); NaN where a point is not finite."""

    scale: Floats
    """(batch,); 0 where all predicted points coincide, so that nothing has a best scale."""

    pred_centre: Floats
    """(batch, 1, 3)."""

    gt_centre: Floats
    """(batch, 1, 3)."""

    def apply(self, points: Floats) -> Floats:
        """Move (batch, points, 3)."""
        with np.errstate(invalid="ignore", over="ignore"):
            # Few long rows are multiplied several times as fast as many short ones.
            turned = self.rotation @ (points - self.pred_centre).swapaxes(1, 2)
            turned *= self.scale[:, None, None]
            turned += self.gt_centre.swapaxes(1, 2)
        moved: Floats = turned.swapaxes(1, 2)
        return moved


FRAMES_PER_SECOND = 30
"""Of 3DPW and EMDB."""


def distances(pred_points: Floats, gt_points: Floats) -> Floats:
    """Distance of every point from where it should be.

    Args:
        pred_points: (batch, points, 3), metres.
        gt_points: Same shape, unit, axes and order.

    Returns:
        (batch, points), millimetres; NaN for all points of a sample that holds a value which is
        not finite.

    Raises:
        ShapeError: The shapes differ or are not (batch, points, 3).
    """
    pred, gt = _as_pair(pred_points, gt_points, trailing=(3,))
    with np.errstate(invalid="ignore", over="ignore"):
        return _whole_or_nan(METRES_TO_MM * _lengths(pred - gt))


def sample_means(errors: Floats) -> Floats:
    """Means (batch,) of errors (batch, n)."""
    means: Floats = errors.mean(axis=1)
    return means


def aligned_on(points: Floats, root: Floats) -> Floats:
    """Points (batch, points, 3) seen from a root (batch, 3), in double precision."""
    with np.errstate(invalid="ignore"):
        moved: Floats = np.asarray(points, dtype=np.float64) - root[:, None]
    return moved


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
        pred, gt = aligned_on(pred, pred[:, root]), aligned_on(gt, gt[:, root])
    return sample_means(distances(pred, gt))


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
    return sample_means(distances(procrustes_align(pred_joints3d, gt_joints3d), gt_joints3d))


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
    with np.errstate(invalid="ignore", over="ignore"):
        offset = pred - gt
        offset -= np.asarray(pred_root - gt_root, dtype=np.float64)[:, None]
        return sample_means(_whole_or_nan(METRES_TO_MM * _lengths(offset)))


def angles(pred_rotations: Floats, gt_rotations: Floats) -> Floats:
    """Angle between predicted and true orientation of every body part.

    Args:
        pred_rotations: Global rotations (accumulated along the chain), (batch, parts, 3, 3).
        gt_rotations: Reference rotations, same shape, axes and order of parts.

    Returns:
        (batch, parts), degrees; NaN for all parts of a sample that holds a value which is not
        finite.

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
    return _whole_or_nan(np.degrees(angle))


def mpjae(pred_rotations: Floats, gt_rotations: Floats) -> Floats:
    """Mean of `angles` over the parts of each sample, (batch,), degrees."""
    return sample_means(angles(pred_rotations, gt_rotations))


def pck(errors: Floats, threshold: float) -> Floats:
    """Which points are as near as a threshold, in percent: 100 or 0, NaN where the error is NaN.

    Args:
        errors: Distances of any shape.
        threshold: In the unit of the errors; a point exactly as far still counts.

    Source:
        3DPW challenge, github.com/aymenmir1/3dpw-eval, evaluate.py: compute_pck.
    """
    return np.where(np.isnan(errors), np.nan, 100.0 * (errors <= threshold))


def auc(errors: Floats) -> Floats:
    """Area under the curve of `pck` over thresholds of 0 to 199 mm, in percent.

    The curve is known at every whole millimetre and straight in between. It is linear in the
    points, so that every point has an area of its own and their mean is the area of all.

    Args:
        errors: Distances of any shape, millimetres.

    Returns:
        Same shape; NaN where the error is NaN.

    Source:
        3DPW challenge, github.com/aymenmir1/3dpw-eval, evaluate.py: compute_auc.
    """
    reached = np.ceil(errors)  # the first threshold at which the point counts
    area = np.clip((AUC_LAST - reached + 0.5) / AUC_LAST, 0.0, 1.0)
    area = np.where(reached > AUC_LAST, 0.0, area)
    return np.where(np.isnan(errors), np.nan, 100.0 * area)


def auc_of_all(areas: Floats) -> float:
    """The mean of `auc` as 3DPW's evaluator integrates it, which is off by up to 0.001 percent.

    Its adaptive quadrature takes the whole curve and does not find all of its 200 corners.

    Args:
        areas: What `auc` gave for some points, one or more.

    Source:
        3DPW challenge, github.com/aymenmir1/3dpw-eval, evaluate.py: compute_auc.
    """
    from scipy import integrate  # noqa: PLC0415 - slow to import, and needed for this alone

    reached = np.where(areas > 0, np.rint(AUC_LAST + 0.5 - AUC_LAST * areas / 100), AUC_LAST + 1)
    thresholds = np.arange(AUC_LAST + 1)
    share = np.searchsorted(np.sort(reached, axis=None), thresholds, side="right") / reached.size
    curve = partial(np.interp, xp=thresholds / AUC_LAST, fp=share)
    return 100.0 * float(integrate.quad(curve, 0.0, 1.0, full_output=True)[0])


def coordinate_errors(pred_joints3d: Floats, gt_joints3d: Floats) -> Floats:
    """Mean absolute difference of the coordinates of every joint, nothing aligned.

    Args:
        pred_joints3d: Predicted joints, (batch, joints, 3), metres, camera axes.
        gt_joints3d: Reference joints, same shape, unit, axes and joint order.

    Returns:
        (batch, joints), millimetres. For errors alike in all directions this is half of their
        length: it is no MPJPE.

    Raises:
        ShapeError: The shapes differ or are not (batch, joints, 3).

    Source:
        Template of ETH Zurich's "Machine Perception" project, scripts/evaluate.py.
    """
    pred, gt = _as_pair(pred_joints3d, gt_joints3d, trailing=(3,))
    with np.errstate(invalid="ignore"):
        return _whole_or_nan(METRES_TO_MM * np.abs(pred - gt).mean(axis=-1))


def acceleration_errors(offsets: Floats, before: Ints, after: Ints) -> Floats:
    """Difference of the accelerations of predicted and true joints.

    Args:
        offsets: (samples, joints, 3) predicted minus true joints, each set seen from its root,
            metres.
        before: (samples,) row of the same person one frame earlier, -1 if there is none.
        after: (samples,) row one frame later, -1 if there is none.

    Returns:
        (samples,), millimetres per frame squared; NaN without both neighbours.

    Source:
        Kanazawa et al., "Learning 3D Human Dynamics from Video", CVPR 2019, section 5.
    """
    bend = offsets[before] - 2 * offsets + offsets[after]
    errors = METRES_TO_MM * _lengths(bend).mean(axis=-1)
    return np.where((before < 0) | (after < 0), np.nan, errors)


def jitter(joints: Floats, before: Ints, after: Ints) -> Floats:
    """Change of the acceleration of joints, as EMDB measures how much a prediction trembles.

    Args:
        joints: (samples, joints, 3), metres, without the translation of the body.
        before: (samples,) row of the same person one frame earlier, -1 if there is none.
        after: (samples,) row one frame later, -1 if there is none.

    Returns:
        (samples,), 10 m/s³ at 30 frames a second; NaN without one frame before and two after.

    Source:
        github.com/eth-ait/emdb, evaluation_metrics.py: compute_jitter, after PIP (Yi et al., CVPR
        2022); the factor of ten is theirs, and they call the unit km/s³.
    """
    then = np.where(after < 0, -1, after[after])
    change = joints[then] - 3 * joints[after] + 3 * joints - joints[before]
    size = FRAMES_PER_SECOND**3 / 10 * _lengths(change).mean(axis=-1)
    return np.where((before < 0) | (after < 0) | (then < 0), np.nan, size)


def similarity(pred_points: Floats, gt_points: Floats) -> Similarity:
    """Rotation, scale and translation that move predictions best onto references.

    Args:
        pred_points: (batch, points, 3).
        gt_points: Same shape, order and unit.

    Raises:
        ShapeError: The shapes differ or are not (batch, points, 3).

    Source:
        Umeyama, "Least-squares estimation of transformation parameters between two point
        patterns", PAMI 1991, equations 40-43.
    """
    pred, gt = _as_pair(pred_points, gt_points, trailing=(3,))
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        pred_centre = pred.mean(axis=1, keepdims=True)
        gt_centre = gt.mean(axis=1, keepdims=True)
        pred_centred = pred - pred_centre
        spread, distance = (np.einsum("bpc,bpc->b", x, x) for x in (pred_centred, pred))
        collapsed = spread <= COLLAPSED**2 * distance
        covariance = pred_centred.swapaxes(1, 2) @ (gt - gt_centre)
    usable = np.isfinite(covariance).all(axis=(1, 2)) & np.isfinite(spread)
    left, stretch, right = np.linalg.svd(np.where(usable[:, None, None], covariance, 0.0))
    sign = np.sign(np.linalg.det(left @ right))  # -1 where the best fit would be a reflection
    stretch[:, 2] *= sign
    left[:, :, 2] *= sign[:, None]
    scale = np.where(collapsed, 0.0, stretch.sum(axis=1) / np.where(collapsed, 1.0, spread))
    rotation = np.where(usable[:, None, None], (left @ right).swapaxes(1, 2), np.nan)
    return Similarity(rotation, scale, pred_centre, gt_centre)


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
    """
    pred, gt = _as_pair(pred_points, gt_points, trailing=(3,))
    return similarity(pred, gt).apply(pred)


def _as_pair(pred: Floats, gt: Floats, *, trailing: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Both arrays in double precision, once their shapes are known to be (batch, n, *trailing)."""
    if pred.shape != gt.shape or pred.shape[2:] != trailing or pred.ndim != 2 + len(trailing):
        wanted = ", ".join(["batch", "n", *map(str, trailing)])
        raise ShapeError(f"two arrays of ({wanted}) needed, got {pred.shape} and {gt.shape}")
    return np.asarray(pred, dtype=np.float64), np.asarray(gt, dtype=np.float64)


def _lengths(offset: Floats) -> Floats:
    """(batch, n) lengths of (batch, n, 3): several times as fast as numpy's norm."""
    x, y, z = (offset[..., axis] for axis in range(3))
    lengths: Floats = np.sqrt(x * x + y * y + z * z)
    return lengths


def _whole_or_nan(errors: Floats) -> Floats:
    """Errors (batch, n), NaN throughout for a sample with one that is not finite."""
    is_whole = np.isfinite(errors).all(axis=1, keepdims=True)
    return errors if is_whole.all() else np.where(is_whole, errors, np.nan)
