"""What the numbers mean: which joints, which root and which errors each protocol compares.

Published results on one data set differ by tens of millimetres because their protocols do. A
number leaves this package only together with the `Protocol` it was measured by.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from smplcli.conventions import PELVIS, SMPL_JOINTS
from smplcli.evaluation.metrics import mpjae, mpjpe, pa_mpjpe, pve
from smplcli.types import Floats

ORIENTED_PARTS = (0, 1, 2, 4, 5, 16, 17, 18, 19)
"""Root, hips, knees, shoulders and elbows, whose orientations the 3DPW challenge scores.

Source: github.com/aymenmir1/3dpw-eval, evaluate.py: SMPL_OR_JOINTS.
"""


class PosedBodies(NamedTuple):
    """Bodies to compare, in camera axes, any origin."""

    joints3d: Floats
    """(B, 24, 3) SMPL joints, metres."""

    vertices: Floats
    """(B, V, 3), metres."""

    rotations: Floats
    """(B, 24, 3, 3) global rotations, accumulated along the chain."""


class Metric(NamedTuple):
    """One kind of error."""

    label: str
    """As tables print it."""

    unit: str
    joint_set: str
    """What it is the mean of."""

    root: str
    """What both bodies are moved to before they are compared."""

    measure: Callable[[PosedBodies, PosedBodies], Floats]
    """From predictions and truth to one error per sample, NaN where a value is not finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A way of comparing bodies that has a name."""

    name: str
    summary: str
    """One line for people who read the numbers."""

    metrics: Mapping[str, Metric]

    def measure(self, pred: PosedBodies, gt: PosedBodies) -> dict[str, Floats]:
        """Every error of every sample, (B,) by the metric's name."""
        return {name: metric.measure(pred, gt) for name, metric in self.metrics.items()}


def _smpl24_mpjpe(pred: PosedBodies, gt: PosedBodies) -> Floats:
    return mpjpe(pred.joints3d, gt.joints3d, root=PELVIS)


def _smpl24_pa_mpjpe(pred: PosedBodies, gt: PosedBodies) -> Floats:
    return pa_mpjpe(pred.joints3d, gt.joints3d)


def _smpl24_pve(pred: PosedBodies, gt: PosedBodies) -> Floats:
    return pve(
        pred.vertices,
        gt.vertices,
        pred_root=pred.joints3d[:, PELVIS],
        gt_root=gt.joints3d[:, PELVIS],
    )


def _oriented_mpjae(pred: PosedBodies, gt: PosedBodies) -> Floats:
    parts = list(ORIENTED_PARTS)
    return mpjae(pred.rotations[:, parts], gt.rotations[:, parts])


ROOT = SMPL_JOINTS[PELVIS]
FITTED, UNMOVED = "similarity fit", "none"

SMPL24 = Protocol(
    name="smpl24",
    summary="all 24 SMPL joints, each body moved to its pelvis; needs nothing but the body",
    metrics=MappingProxyType(
        {
            "mpjpe": Metric("MPJPE", "mm", "SMPL-24", ROOT, _smpl24_mpjpe),
            "pa_mpjpe": Metric("PA-MPJPE", "mm", "SMPL-24", FITTED, _smpl24_pa_mpjpe),
            "pve": Metric("PVE", "mm", "vertices", ROOT, _smpl24_pve),
            "mpjae": Metric("MPJAE", "deg", "9 parts", UNMOVED, _oriented_mpjae),
        }
    ),
)

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({SMPL24.name: SMPL24})
"""Every protocol by its name."""
