"""From predictions and truth to the errors of every sample under every protocol."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.body.model import BodyModel
from smplcli.camera import project_points
from smplcli.conventions import NUM_JOINTS, SCALE_PIXELS
from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.shards import PreparedSplit
from smplcli.evaluation.frames import neighbours
from smplcli.evaluation.measures import Metric, Pair
from smplcli.evaluation.metrics import sample_means
from smplcli.evaluation.posing import GenderedPoser, PosedBodies, Poser
from smplcli.evaluation.predictions import ImageCamera, Predictions, SampleId, is_finite
from smplcli.evaluation.protocols import FIRST_SPIN24, MPII_COUNTED, Labels, Protocol
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Camera, Floats, Ints

OK, MISSING, FAILED = "ok", "missing", "failed"
UNLABELLED, LEFT_OUT = "unlabelled", "left out"
"""States of a sample: evaluated, not predicted, predicted but not finite, without truth, or
labelled but none of the protocol's."""


class Truth(NamedTuple):
    """Labels of the samples of a split, in its order."""

    full_pose: Floats
    """(N, 24, 3, 3) rotation matrices, camera frame, float32."""

    betas: Floats
    """(N, 10), float32."""

    is_labelled: NDArray[np.bool_]
    """(N,) whether pose and betas are known."""

    pose: Floats
    """(N, 72) the same pose as axis-angle."""

    gender: NDArray[np.str_]
    """(N,) ``n``, ``m`` or ``f``: the body that pose and betas are of."""

    points: Mapping[str, Floats]
    """(N, J, 3) x, y in pixels of the picture, and above 0 if labelled: ``coco17``, ``spin49``."""

    side: Floats
    """(N,) side of the person's square, pixels."""

    head_size: Floats
    """(N,) what PCKh is relative to, pixels; 0 where unknown."""


class Posers(NamedTuple):
    """Bodies that predictions and labels are posed with."""

    neutral: GenderedPoser
    gendered: GenderedPoser
    """Of labels, where protocols ask for it."""

    is_self_test: bool = False
    """Whether what is predicted are the labels, and so of their bodies."""


class RawErrors(NamedTuple):
    """What was measured so far, NaN where nothing was; by protocol, then by metric."""

    by_joint: dict[str, dict[str, Floats]]
    """(N, n) errors of joints or parts."""

    traced: dict[str, dict[str, Floats]]
    """(N, J, 3) points whose way over the frames is measured, metres."""


class SampleErrors(NamedTuple):
    """Errors of every sample of a split under one protocol, in the split's order."""

    errors: dict[str, Floats]
    """(N,) by the metric's name, NaN where the state is not ``ok``. Metrics that samples may lack
    (`Metric.is_partial`) are NaN for some that are."""

    states: NDArray[np.str_]
    """(N,) ``ok``, ``missing``, ``failed``, ``unlabelled`` or ``left out``."""

    by_joint: dict[str, Floats]
    """(N, n) by the metric's name, in the order of `Metric.names`."""

    num_points: dict[str, Ints]
    """(N,) labelled joints, for metrics that pool the joints of all samples."""


def neutral_posers(
    model: BodyModel, protocol: Protocol, *, device: torch.device | None = None
) -> Posers:
    """One body for predictions and labels of all genders, without joints that need more files.

    Args:
        model: The body.
        protocol: What is measured; says whether vertices are needed.
        device: Where to compute; the processor unless told otherwise.
    """
    poser = Poser(
        model,
        {},
        with_vertices=any(metric.needs_vertices for metric in protocol.metrics.values()),
        device=device or torch.device("cpu"),
    )
    return Posers(GenderedPoser({"n": poser}), GenderedPoser({"n": poser}))


def truth_of(samples: PreparedSplit | JoinedSplits) -> Truth:
    """Labels of a prepared split."""
    pose = samples.field("pose").astype(np.float64)
    rotmat = aa_to_rotmat(torch.from_numpy(pose).unflatten(-1, (NUM_JOINTS, 3)))
    return Truth(
        full_pose=rotmat.float().numpy(),
        betas=samples.field("shape").astype(np.float32),
        is_labelled=samples.field("has_smpl") > 0,
        pose=pose,
        gender=samples.field("gender").astype("U1"),
        points={
            "coco17": samples.field("keypoints"),
            "spin49": np.concatenate([samples.field("openpose"), samples.field("part")], axis=1),
        },
        side=SCALE_PIXELS * samples.field("scale").astype(np.float64),
        head_size=samples.field("head_size").astype(np.float64),
    )


def is_labelled_for(truth: Truth, labels: Labels) -> NDArray[np.bool_]:
    """(N,) whether samples have the labels that a protocol compares with."""
    if labels == "head":
        counted = truth.points["spin49"][:, [FIRST_SPIN24 + joint for joint in MPII_COUNTED], 2]
        has_joint = np.asarray((counted > 0).any(axis=1))
        return np.asarray(has_joint & (truth.head_size > 0))
    if labels == "challenge":
        is_detected = np.asarray((truth.points["spin49"][:, :25] != 0).any(axis=(1, 2)))
        return np.asarray(truth.is_labelled & is_detected)
    return truth.is_labelled


def measure_batches(
    protocols: Sequence[Protocol],
    posers: Posers,
    predictions: Predictions,
    truth: Truth,
    batches: Iterable[Ints],
) -> RawErrors:
    """Pose predictions and labels batch by batch, and compare them.

    Args:
        protocols: What to measure.
        posers: The bodies; they know the protocols' joint sets, and vertices where one needs them.
        predictions: One per sample.
        truth: The labels.
        batches: Indices of samples. The last digits depend on who is posed together, so that the
            same batches give the same numbers.
    """
    count = len(truth.is_labelled)
    raw = RawErrors({p.name: {} for p in protocols}, {p.name: {} for p in protocols})
    finite = is_finite(predictions)
    wanted = np.any([is_labelled_for(truth, p.labels) for p in protocols], axis=0)
    nobody = np.arange(0)  # so that a process without a batch has the same arrays as the others
    for batch in chain([nobody], batches):
        rows = batch[finite[batch] & wanted[batch]]
        pairs = _pairs(posers, predictions, truth, rows, {p.truth for p in protocols})
        for protocol in protocols:
            for name, metric in protocol.metrics.items():
                pair = pairs[protocol.truth]
                if metric.traced is not None:
                    if metric.is_error or not posers.is_self_test:
                        _store(raw.traced[protocol.name], name, count, rows, metric.traced(pair))
                elif metric.measure is not None and can_measure(metric, pair.pred_points):
                    _store(raw.by_joint[protocol.name], name, count, rows, metric.measure(pair))
    return raw


def can_measure(metric: Metric, known_points: Iterable[str]) -> bool:
    """Whether a metric's joints are projected, if it is one of joints in 2D."""
    return not metric.points or metric.points in known_points


def finish(
    protocol: Protocol,
    raw: RawErrors,
    predictions: Predictions,
    truth: Truth,
    *,
    ids: Sequence[SampleId] | None = None,
) -> SampleErrors:
    """Errors of samples from those of their joints, once all batches are measured.

    Args:
        protocol: What was measured.
        raw: Measured in `measure_batches`, on all samples.
        predictions: One per sample.
        truth: The labels.
        ids: Samples of videos, whose accelerations can be told; ``None`` for single pictures.
    """
    by_joint = raw.by_joint[protocol.name]
    metrics = protocol.metrics
    errors = {name: _of_samples(metrics[name], values) for name, values in by_joint.items()}
    is_wanted = is_labelled_for(truth, protocol.labels)
    whole = [values for name, values in errors.items() if not metrics[name].is_partial]
    is_ok = is_wanted & is_finite(predictions) & np.isfinite(whole).all(axis=0)
    if ids is not None:
        links = neighbours(ids)
        for name, points in raw.traced[protocol.name].items():
            errors[name] = metrics[name].over_time(points, *links)
    is_labelled = is_wanted if protocol.labels == "head" else truth.is_labelled
    states = np.select(
        [~is_labelled, ~is_wanted, predictions.is_missing, is_ok],
        [UNLABELLED, LEFT_OUT, MISSING, OK],
        FAILED,
    )
    return SampleErrors(
        errors={name: np.where(is_ok, errors[name], np.nan) for name in metrics if name in errors},
        states=states,
        by_joint={name: np.where(is_ok[:, None], v, np.nan) for name, v in by_joint.items()},
        num_points={
            name: (truth.points[metrics[name].points][:, metrics[name].rows, 2] > 0).sum(axis=1)
            for name in by_joint
            if metrics[name].is_pooled
        },
    )


def score_predictions(
    protocol: Protocol,
    posers: Posers,
    predictions: Predictions,
    truth: Truth,
    batches: Iterable[Ints],
) -> SampleErrors:
    """Errors of every sample under one protocol, in one process."""
    raw = measure_batches([protocol], posers, predictions, truth, batches)
    return finish(protocol, raw, predictions, truth)


def _of_samples(metric: Metric, by_joint: Floats) -> Floats:
    if not metric.points:
        return sample_means(by_joint)
    known = np.isfinite(by_joint)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(known, by_joint, 0.0).sum(axis=1) / known.sum(axis=1)
    return means


def _store(arrays: dict[str, Floats], name: str, count: int, rows: Ints, values: Floats) -> None:
    if name not in arrays:
        arrays[name] = np.full((count, *values.shape[1:]), np.nan)
    arrays[name][rows] = values


def _pairs(
    posers: Posers, predictions: Predictions, truth: Truth, rows: Ints, kinds: set[str]
) -> dict[str, Pair]:
    """A batch as predicted and as it is, by the body that poses the truth."""
    labels = (_rotations(truth, rows), truth.betas[rows], truth.gender[rows])
    gt = {kind: _poser(posers, kind)(*labels) for kind in sorted(kinds)}
    points = {name: points[rows] for name, points in truth.points.items()}
    if posers.is_self_test:
        preds = gt
        pred_points = {name: labelled[..., :2] for name, labelled in points.items()}
    else:
        pred = posers.neutral(
            _rotations(predictions, rows), predictions.betas[rows], truth.gender[rows]
        )
        preds = dict.fromkeys(gt, pred)
        camera = predictions.camera
        pred_points = {} if camera is None else _project(pred, camera, rows)
    return {
        kind: Pair(
            preds[kind], gt[kind], pred_points, points, truth.side[rows], truth.head_size[rows]
        )
        for kind in gt
    }


def _poser(posers: Posers, kind: str) -> GenderedPoser:
    return posers.gendered if kind == "gendered" else posers.neutral


def _rotations(bodies: Predictions | Truth, rows: Ints) -> Floats:
    if bodies.pose is None:
        return bodies.full_pose[rows]
    aa = torch.from_numpy(bodies.pose[rows]).double()
    rotmat: Floats = aa_to_rotmat(aa.unflatten(-1, (NUM_JOINTS, 3))).numpy()
    return rotmat


def _project(pred: PosedBodies, camera: ImageCamera, rows: Ints) -> dict[str, Floats]:
    """Joints in pixels of the picture, by joint set."""
    transl, focal, centre = (torch.from_numpy(array[rows]).double() for array in camera)
    view = Camera(focal, centre, torch.zeros_like(centre))
    return {
        name: project_points(torch.from_numpy(joints), transl, view).numpy()
        for name, joints in pred.joints.items()
    }
