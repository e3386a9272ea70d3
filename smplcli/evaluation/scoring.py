"""From predictions and truth to errors per sample, and on to numbers that say what they are."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.body.layer import BodyLayer
from smplcli.conventions import NUM_JOINTS
from smplcli.datasets.shards import PreparedSplit
from smplcli.evaluation.predictions import Predictions
from smplcli.evaluation.protocols import PosedBodies, Protocol
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Floats, Ints

OK, MISSING, FAILED, UNLABELLED = "ok", "missing", "failed", "unlabelled"
"""States of a sample: evaluated, not predicted, predicted but not finite, without truth."""


class Truth(NamedTuple):
    """Labels of the samples of a split, in its order."""

    full_pose: Floats
    """(N, 24, 3, 3) rotation matrices, camera frame, float32."""

    betas: Floats
    """(N, 10), float32."""

    is_labelled: NDArray[np.bool_]
    """(N,) whether pose and betas are known."""


class SampleErrors(NamedTuple):
    """Errors of every sample of a split, in its order."""

    errors: dict[str, Floats]
    """(N,) by the metric's name, NaN where the state is not ``ok``."""

    states: NDArray[np.str_]
    """(N,) ``ok``, ``missing``, ``failed`` or ``unlabelled``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number with everything that it needs to mean something."""

    protocol: str
    metric: str
    label: str
    value: float | None
    """Mean over samples; ``None`` where there was none to measure."""

    unit: str
    joint_set: str
    root: str
    split: str
    body: str
    count: int
    """Samples that the mean runs over."""


def truth_of(samples: PreparedSplit) -> Truth:
    """Labels of a prepared split."""
    pose = torch.from_numpy(samples.field("pose")).float()
    return Truth(
        full_pose=aa_to_rotmat(pose.unflatten(-1, (NUM_JOINTS, 3))).numpy(),
        betas=samples.field("shape").astype(np.float32),
        is_labelled=samples.field("has_smpl") > 0,
    )


def pose_bodies(layer: BodyLayer, full_pose: Floats, betas: Floats) -> PosedBodies:
    """Pose bodies for comparison.

    Args:
        layer: The body.
        full_pose: (B, 24, 3, 3) rotation matrices, camera frame.
        betas: (B, 10).
    """
    device = layer.blend.device
    pose, shape = (torch.from_numpy(array).float().to(device) for array in (full_pose, betas))
    with torch.inference_mode():
        posed = layer(pose, shape)
        rotations = layer.skeleton(pose, shape).rotation
    return PosedBodies(
        posed.joints.cpu().numpy(), posed.vertices.cpu().numpy(), rotations.cpu().numpy()
    )


def score_predictions(
    protocol: Protocol,
    layer: BodyLayer,
    predictions: Predictions,
    truth: Truth,
    batches: Iterable[Ints],
) -> SampleErrors:
    """Compare predictions with the truth.

    Args:
        protocol: What is compared.
        layer: The body of both.
        predictions: One for each sample of the split.
        truth: Labels of the same samples, in the same order.
        batches: Indices of samples; together, each sample once. No more vertices than one batch
            has are held in memory.
    """
    count = len(predictions.is_missing)
    errors = {name: np.full(count, np.nan) for name in protocol.metrics}
    is_comparable = truth.is_labelled & ~predictions.is_missing
    for batch in batches:
        rows = batch[is_comparable[batch]]
        if not rows.size:
            continue
        pred = pose_bodies(layer, predictions.full_pose[rows], predictions.betas[rows])
        gt = pose_bodies(layer, truth.full_pose[rows], truth.betas[rows])
        for name, values in protocol.measure(pred, gt).items():
            errors[name][rows] = values
    is_ok = np.all([np.isfinite(values) for values in errors.values()], axis=0)
    for values in errors.values():
        values[~is_ok] = np.nan
    states = np.select(
        [is_ok, ~truth.is_labelled, predictions.is_missing], [OK, UNLABELLED, MISSING], FAILED
    )
    return SampleErrors(errors, states)


def summarise(
    protocol: Protocol, samples: SampleErrors, *, split: str, body: str
) -> tuple[Measurement, ...]:
    """Mean of every metric over the samples that could be evaluated.

    The sums are exact, so they do not depend on the order or the grouping of the samples.
    """
    is_ok = samples.states == OK
    count = int(is_ok.sum())
    return tuple(
        Measurement(
            protocol=protocol.name,
            metric=name,
            label=metric.label,
            value=math.fsum(samples.errors[name][is_ok]) / count if count else None,
            unit=metric.unit,
            joint_set=metric.joint_set,
            root=metric.root,
            split=split,
            body=body,
            count=count,
        )
        for name, metric in protocol.metrics.items()
    )
