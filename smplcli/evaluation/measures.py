"""Kinds of errors: from a batch of posed bodies to one number per sample, or per joint of it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from smplcli.conventions import METRES_TO_MM
from smplcli.evaluation.metrics import (
    Similarity,
    acceleration_errors,
    aligned_on,
    angles,
    auc,
    auc_of_all,
    coordinate_errors,
    distances,
    jitter,
    pa_mpjpe,
    pck,
    pve,
    sample_means,
    similarity,
)
from smplcli.evaluation.posing import PosedBodies
from smplcli.types import Floats, Ints

REFERENCE_SIDE = 224.0
"""Reprojection errors are in pixels of the person's square drawn this large, as HMR sees it."""

PCK_THRESHOLD = 50.0
"""Millimetres."""

PCKH_THRESHOLD = 0.5
"""Share of the head size."""

FEW = 4
"""People whose vertices are compared at a time."""

FITTED, UNMOVED = "similarity fit", "none"


class Joints(NamedTuple):
    """Joints that a protocol compares."""

    label: str
    joint_set: str
    names: tuple[str, ...]
    root_label: str
    root: tuple[int, ...] = ()
    """Joints of the set whose middle is the root; none where nothing is aligned."""

    rows: tuple[int, ...] | None = None
    """Joints of the set that are compared, in the order of the names; ``None`` for all."""

    held: tuple[int, ...] = ()
    """Joints that are put at the origin, where they never move."""

    def of(self, body: PosedBodies) -> Floats:
        """The joints compared, (B, J, 3), seen from the root if there is one."""
        points = self.chosen(body.joints[self.joint_set])
        return aligned_on(points, self.root_of(body)) if self.root else points

    def root_of(self, body: PosedBodies) -> Floats:
        """(B, 3) metres."""
        root: Floats = body.joints[self.joint_set][:, list(self.root)].mean(axis=1)
        return root

    def chosen(self, points: Floats) -> Floats:
        """Those of (B, all, ...) that are compared."""
        return points if self.rows is None else points[:, list(self.rows)]


class Pair(NamedTuple):
    """A batch of B people as predicted and as they are."""

    pred: PosedBodies
    gt: PosedBodies
    pred_points: Mapping[str, Floats]
    """(B, J, 2) projected joints, pixels of the picture, by joint set; empty without a camera."""

    gt_points: Mapping[str, Floats]
    """(B, J, 3) labelled joints: x, y in pixels of the picture, and above 0 if labelled."""

    side: Floats
    """(B,) side of the person's square, pixels."""

    head_size: Floats
    """(B,) what PCKh is relative to, pixels; 0 where unknown."""


class Metric(NamedTuple):
    """One kind of error."""

    label: str
    """As tables print it."""

    unit: str
    joint_set: str
    """What it is the mean of."""

    root: str
    """What both bodies are moved to before they are compared."""

    measure: Callable[[Pair], Floats] | None = None
    """Errors (B, n) of each joint or part, whose mean is that of the sample. NaN where a value is
    not finite or a joint not labelled. ``None``: it takes neighbouring frames, see ``traced``."""

    names: tuple[str, ...] = ()
    """Of the joints or parts; empty where there is one number per sample."""

    needs_vertices: bool = False
    points: str = ""
    """Joint set whose projection and labels in 2D it compares; empty where it is 3D."""

    rows: tuple[int, ...] = ()
    """Joints of that set that it compares."""

    is_pooled: bool = False
    """Whether it is the mean over all joints of all samples, rather than of the samples' means."""

    higher_is_better: bool = False
    is_partial: bool = False
    """Whether samples may lack it: neighbouring frames or labels in 2D are not always there."""

    of_all: Callable[[Floats], float] | None = None
    """The number over all, from errors (N, n) that are all known, where the owners' evaluator
    computes it otherwise than as a mean."""

    traced: Callable[[Pair], Floats] | None = None
    """Points (B, J, 3), metres, whose way over the frames it is about."""

    over_time: Callable[[Floats, Ints, Ints], Floats] = acceleration_errors
    """From these points of all samples, and rows one frame earlier and later, to its numbers."""

    is_error: bool = True
    """Whether the truth has none; otherwise it describes predictions alone."""


def joint_distances(label: str, joints: Joints, *, fitted: bool = False) -> Metric:
    """Mean distance of joints, from a root or after a similarity fit."""
    measure = _fitted_distances if fitted else _distances
    root = FITTED if fitted else joints.root_label
    return Metric(label, "mm", joints.label, root, partial(measure, joints), joints.names)


def vertex_distances(
    label: str, joints: Joints, *, fitted: Literal["no", "vertices", "joints"] = "no"
) -> Metric:
    """Mean distance of vertices, from the joints' root, or after the fit of either."""
    measures: Mapping[str, tuple[str, Callable[[Pair], Floats]]] = {
        "no": (joints.root_label, partial(_vertex_distances, joints)),
        "vertices": (FITTED, _fitted_vertices),
        "joints": (f"fit of {joints.label}", partial(_vertices_by_joints, joints)),
    }
    root, measure = measures[fitted]
    return Metric(label, "mm", "vertices", root, measure, needs_vertices=True)


def joint_angles(
    label: str, names: tuple[str, ...], parts: tuple[int, ...], *, turned_by: Joints | None = None
) -> Metric:
    """Mean angle of global orientations, as they are or turned by the similarity fit of joints."""
    root = UNMOVED if turned_by is None else "fit's rotation"
    measure = partial(_angles, list(parts), turned_by)
    return Metric(label, "deg", f"{len(parts)} parts", root, measure, names)


def within_50_mm(label: str, joints: Joints) -> Metric:
    """Share of joints that are near, in percent."""
    return _graded(label, joints, partial(pck, threshold=PCK_THRESHOLD))


def area_under_curve(label: str, joints: Joints) -> Metric:
    """Area under the curve of the share of near joints, in percent."""
    return _graded(label, joints, auc)._replace(of_all=auc_of_all)


def coordinates(label: str, joints: Joints) -> Metric:
    """Mean absolute difference of coordinates, nothing aligned."""
    measure = partial(_coordinates, joints)
    return Metric(label, "mm", joints.label, UNMOVED, measure, joints.names)


def heights(label: str) -> Metric:
    """How much taller or smaller the body at rest is."""
    return Metric(label, "mm", "rest pose", UNMOVED, _heights)


def accelerations(label: str, joints: Joints) -> Metric:
    """Difference of accelerations, where a person is seen in three frames in a row."""
    return Metric(
        label,
        "mm/frame²",
        joints.label,
        joints.root_label,
        is_partial=True,
        traced=partial(_offsets, joints),
    )


def jitters(label: str, joints: Joints) -> Metric:
    """Change of the acceleration of predicted joints, where four frames in a row are there."""
    return Metric(
        label,
        "x 10 m/s³",
        joints.label,
        UNMOVED,
        is_partial=True,
        traced=partial(_predicted, joints),
        over_time=jitter,
        is_error=False,
    )


def reprojections(label: str, joints: Joints) -> Metric:
    """Distance of projected joints from labelled keypoints, relative to the person's square."""
    return Metric(
        label,
        f"px/{REFERENCE_SIDE:.0f}",
        joints.label,
        UNMOVED,
        partial(_reprojections, joints),
        joints.names,
        points=joints.joint_set,
        rows=joints.rows or tuple(range(len(joints.names))),
        is_partial=True,
    )


def keypoints_within_head(label: str, joints: Joints) -> Metric:
    """Share of projected joints within half of the head size, in percent."""
    return Metric(
        label,
        "%",
        joints.label,
        UNMOVED,
        partial(_within_head, joints),
        joints.names,
        points=joints.joint_set,
        rows=joints.rows or tuple(range(len(joints.names))),
        is_pooled=True,
        higher_is_better=True,
    )


def _graded(label: str, joints: Joints, grade: Callable[[Floats], Floats]) -> Metric:
    def measure(pair: Pair) -> Floats:
        return grade(_distances(joints, pair))

    return Metric(
        label, "%", joints.label, joints.root_label, measure, joints.names, higher_is_better=True
    )


def _distances(joints: Joints, pair: Pair) -> Floats:
    return distances(joints.of(pair.pred), joints.of(pair.gt))


def _fitted_distances(joints: Joints, pair: Pair) -> Floats:
    pred, gt = joints.of(pair.pred), joints.of(pair.gt)
    return distances(similarity(pred, gt).apply(pred), gt)


def _vertex_distances(joints: Joints, pair: Pair) -> Floats:
    pred_root, gt_root = (joints.root_of(body) for body in (pair.pred, pair.gt))

    def measure(pred: Floats, gt: Floats, rows: slice) -> Floats:
        return pve(pred, gt, pred_root=pred_root[rows], gt_root=gt_root[rows])

    return _by_few(measure, pair)


def _fitted_vertices(pair: Pair) -> Floats:
    def measure(pred: Floats, gt: Floats, _: slice) -> Floats:
        return pa_mpjpe(pred, gt)

    return _by_few(measure, pair)


def _vertices_by_joints(joints: Joints, pair: Pair) -> Floats:
    fits = similarity(*(joints.chosen(body.joints[joints.joint_set]) for body in pair[:2]))

    def measure(pred: Floats, gt: Floats, rows: slice) -> Floats:
        fit = Similarity(*(part[rows] for part in fits))
        return sample_means(distances(fit.apply(pred), gt))

    return _by_few(measure, pair)


def _by_few(measure: Callable[[Floats, Floats, slice], Floats], pair: Pair) -> Floats:
    """(B, 1) errors of vertices, of as many people at a time as the processor's cache holds."""
    pred, gt = _vertices(pair.pred), _vertices(pair.gt)
    pieces = [
        measure(pred[rows].astype(np.float64), gt[rows].astype(np.float64), rows)
        for start in range(0, max(len(pred), 1), FEW)
        for rows in (slice(start, start + FEW),)
    ]
    return np.concatenate(pieces)[:, None]


def _angles(parts: list[int], turned_by: Joints | None, pair: Pair) -> Floats:
    pred, gt = pair.pred.rotations[:, parts], pair.gt.rotations[:, parts]
    if turned_by is not None:
        fit = similarity(turned_by.of(pair.pred), turned_by.of(pair.gt))
        pred = fit.rotation[:, None] @ pred
    return angles(pred, gt)


def _coordinates(joints: Joints, pair: Pair) -> Floats:
    return coordinate_errors(joints.of(pair.pred), joints.of(pair.gt))


def _heights(pair: Pair) -> Floats:
    with np.errstate(invalid="ignore"):
        difference = METRES_TO_MM * np.abs(pair.pred.height - pair.gt.height)
    return np.where(np.isfinite(difference), difference, np.nan)[:, None]


def _offsets(joints: Joints, pair: Pair) -> Floats:
    with np.errstate(invalid="ignore"):
        offset: Floats = joints.of(pair.pred) - joints.of(pair.gt)
    return offset


def _predicted(joints: Joints, pair: Pair) -> Floats:
    points = joints.of(pair.pred).copy()
    points[:, list(joints.held)] = 0
    return points


def _reprojections(joints: Joints, pair: Pair) -> Floats:
    return REFERENCE_SIDE * _pixels(joints, pair) / pair.side[:, None]


def _within_head(joints: Joints, pair: Pair) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        share = _pixels(joints, pair) / pair.head_size[:, None]
    return pck(np.where(pair.head_size[:, None] > 0, share, np.nan), PCKH_THRESHOLD)


def _pixels(joints: Joints, pair: Pair) -> Floats:
    """Distances (B, J) in the picture, NaN for joints without a label."""
    gt = joints.chosen(pair.gt_points[joints.joint_set])
    pred = joints.chosen(pair.pred_points[joints.joint_set])
    with np.errstate(invalid="ignore", over="ignore"):
        pixels = np.linalg.norm(pred.astype(np.float64) - gt[..., :2], axis=-1)
    return np.where(gt[..., 2] > 0, pixels, np.nan)


def _vertices(body: PosedBodies) -> Floats:
    if body.vertices is None:
        raise TypeError("bodies were posed without vertices")
    return body.vertices
