"""What the numbers mean: which joints, which root and which errors each protocol compares.

Published results on one data set differ by tens of millimetres because their protocols do. A
number leaves this package only together with the `Protocol` it was measured by. `PROTOCOLS` is
the table; docs/evaluate.md has the same in words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from smplcli.conventions import (
    COCO17_JOINTS,
    H36M_TO_LSP14,
    LSP14_JOINTS,
    SMPL_JOINTS,
    SPIN24_JOINTS,
    SPIN49_JOINTS,
)
from smplcli.evaluation.measures import (
    Joints,
    Metric,
    accelerations,
    area_under_curve,
    coordinates,
    heights,
    jitters,
    joint_angles,
    joint_distances,
    keypoints_within_head,
    reprojections,
    vertex_distances,
    within_50_mm,
)

ORIENTED_PARTS = (0, 1, 2, 4, 5, 16, 17, 18, 19)
"""Root, hips, knees, shoulders and elbows, whose orientations the 3DPW challenge scores.

Source: github.com/aymenmir1/3dpw-eval, evaluate.py: SMPL_OR_JOINTS.
"""

MAJOR_JOINTS = (1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21)
"""Joints that PCK and AUC of the 3DPW challenge count.

Source: github.com/aymenmir1/3dpw-eval, evaluate.py: SMPL_MAJOR_JOINTS.
"""

MPII_COUNTED = (0, 1, 2, 3, 4, 5, 12, 13, 6, 7, 8, 9, 10, 11)
"""SPIN's 24 joints that MPII's PCKh counts: all that MPII labels but pelvis and thorax.

Source: github.com/microsoft/human-pose-estimation.pytorch, lib/dataset/mpii.py: evaluate.
"""

HELD_JOINTS = (0, 7, 8, 10, 11, 20, 21, 22, 23)
"""Joints that EMDB's jitter takes to be at rest, but counts: root, feet and hands.

Source: github.com/eth-ait/emdb, evaluation_metrics.py: compute_jitter.
"""

FIRST_SPIN24 = 25
"""Where SPIN's 24 joints begin in its 49, after OpenPose's 25."""

COURSE_NOTE = "the seed's 66.32 is of this kind: no MPJPE, which would be about twice as large"

Labels = Literal["body", "challenge", "head"]
"""Which samples a protocol is for: those with a body, those of them with detected keypoints in 2D
(the challenge's frames), or those with a head size and 2D joints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A way of comparing bodies that has a name."""

    name: str
    summary: str
    """One line for people who read the numbers."""

    metrics: Mapping[str, Metric]
    joint_sets: tuple[str, ...] = ()
    """Joint sets that must be known beside SMPL's 24."""

    truth: Literal["gendered", "neutral"] = "gendered"
    """Body that poses the labels; gendered where its files are given, else neutral."""

    labels: Labels = "body"
    default_for: tuple[str, ...] = ()
    """Sources of data whose samples are measured so unless told otherwise."""


def _table(*metrics: tuple[str, Metric]) -> Mapping[str, Metric]:
    return MappingProxyType(dict(metrics))


_SMPL = Joints("SMPL-24", "smpl24", SMPL_JOINTS, root_label="pelvis", root=(0,))
_PARTS = tuple(SMPL_JOINTS[part] for part in ORIENTED_PARTS)
_ANGLES = (
    ("mpjae", joint_angles("MPJAE", _PARTS, ORIENTED_PARTS)),
    ("pa_mpjae", joint_angles("PA-MPJAE", _PARTS, ORIENTED_PARTS, turned_by=_SMPL)),
)
_MAJOR = Joints(
    "12 joints",
    "smpl24",
    tuple(SMPL_JOINTS[joint] for joint in MAJOR_JOINTS),
    root_label="pelvis",
    root=(0,),
    rows=MAJOR_JOINTS,
)
_LSP = Joints(
    "LSP-14", "h36m17", LSP14_JOINTS, root_label="H36M pelvis", root=(0,), rows=H36M_TO_LSP14
)
_EMDB = Joints("SMPL-24", "smpl24", SMPL_JOINTS, root_label="mid-hip", root=(1, 2))
_STILL = Joints("24 joints, 9 held", "smpl24", SMPL_JOINTS, root_label="none", held=HELD_JOINTS)
_SPIN = Joints("SPIN-49", "spin49", SPIN49_JOINTS, root_label="nose", root=(0,))
_COURSE = Joints(
    "SPIN-49, 25 to 48",
    "spin49",
    SPIN24_JOINTS,
    root_label="none",
    rows=tuple(range(FIRST_SPIN24, len(SPIN49_JOINTS))),
)
_KEYPOINTS = Joints("COCO-17", "coco17", COCO17_JOINTS, root_label="none")
_MPII = Joints(
    "MPII-14",
    "spin49",
    tuple(SPIN24_JOINTS[joint] for joint in MPII_COUNTED),
    root_label="none",
    rows=tuple(FIRST_SPIN24 + joint for joint in MPII_COUNTED),
)

SMPL24 = Protocol(
    name="smpl24",
    summary="all 24 SMPL joints, each body moved to its pelvis; needs nothing but the body",
    default_for=("3dpw", "eth", "spin", "synthetic"),
    metrics=_table(
        ("mpjpe", joint_distances("MPJPE", _SMPL)),
        ("pa_mpjpe", joint_distances("PA-MPJPE", _SMPL, fitted=True)),
        ("pve", vertex_distances("PVE", _SMPL)),
        ("pa_pve", vertex_distances("PA-PVE", _SMPL, fitted="vertices")),
        *_ANGLES,
        ("height", heights("height")),
        ("acceleration", accelerations("accel", _SMPL)),
        ("reprojection", reprojections("2D error", _KEYPOINTS)),
    ),
)

CHALLENGE = Protocol(
    name="challenge",
    summary="3DPW challenge (3dpw-eval): 24 joints, root joint 0; only frames with detected"
    " keypoints; PCK at 50 mm and AUC up to 200 mm over 12 joints, not similarity-fitted",
    labels="challenge",
    default_for=("3dpw",),
    metrics=_table(
        ("mpjpe", joint_distances("MPJPE", _SMPL)),
        ("pa_mpjpe", joint_distances("PA-MPJPE", _SMPL, fitted=True)),
        ("pck", within_50_mm("PCK@50", _MAJOR)),
        ("auc", area_under_curve("AUC", _MAJOR)),
        *_ANGLES,
    ),
)

LSP14 = Protocol(
    name="lsp14",
    summary="14 joints by J_regressor_h36m, the numbers papers print; root as SPIN: regressed"
    " pelvis (VIBE and WHAM: middle of the hips); with neutral truth it is PARE's variant",
    joint_sets=("h36m17",),
    default_for=("3dpw", "eth", "spin"),
    metrics=_table(
        ("mpjpe", joint_distances("MPJPE", _LSP)),
        ("pa_mpjpe", joint_distances("PA-MPJPE", _LSP, fitted=True)),
        ("pve", vertex_distances("PVE", _LSP)),
        ("acceleration", accelerations("accel", _LSP)),
    ),
)

EMDB = Protocol(
    name="emdb",
    summary="24 SMPL joints, each body moved to the middle of its hips; PA-MVE by the fit of the"
    " joints (github.com/eth-ait/emdb)",
    default_for=("3dpw",),
    metrics=_table(
        ("mpjpe", joint_distances("MPJPE", _EMDB)),
        ("pa_mpjpe", joint_distances("PA-MPJPE", _EMDB, fitted=True)),
        ("pve", vertex_distances("MVE", _EMDB)),
        ("pa_pve", vertex_distances("PA-MVE", _EMDB, fitted="joints")),
        *_ANGLES,
        ("jitter", jitters("jitter", _STILL)),
    ),
)

ETH_MP = Protocol(
    name="eth-mp",
    summary="the course's own formula: mean absolute coordinate error, nothing aligned, neutral"
    f" truth; {COURSE_NOTE}",
    joint_sets=("spin49",),
    truth="neutral",
    default_for=("eth",),
    metrics=_table(("coordinate_error", coordinates("coordinate error", _COURSE))),
)

ETH_MP_VAL = Protocol(
    name="eth-mp-val",
    summary="the course's validation while training: 49 joints, root at the nose",
    joint_sets=("spin49",),
    default_for=("eth",),
    metrics=_table(
        ("mpjpe", joint_distances("MPJPE", _SPIN)),
        ("pa_mpjpe", joint_distances("PA-MPJPE", _SPIN, fitted=True)),
    ),
)

MPII_PCKH = Protocol(
    name="mpii-pckh",
    summary="projected joints within half of MPII's head size, pooled over joints without pelvis"
    " and thorax",
    joint_sets=("spin49",),
    labels="head",
    default_for=("mpii",),
    metrics=_table(("pckh", keypoints_within_head("PCKh@0.5", _MPII))),
)

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (SMPL24, CHALLENGE, LSP14, EMDB, ETH_MP, ETH_MP_VAL, MPII_PCKH)
    }
)
"""Every protocol by its name."""


def default_protocols(source: str) -> tuple[str, ...]:
    """Names of the protocols that data of a source is measured by."""
    names = tuple(p.name for p in PROTOCOLS.values() if source in p.default_for)
    return names or (SMPL24.name,)
