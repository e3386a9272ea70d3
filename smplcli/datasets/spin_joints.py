"""SPIN's 24 joints in 3D, for labels that are a body's pose and shape."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from smplcli.body.joint_sets import EXTRA_JOINTS, JointSet, joint_set
from smplcli.body.layer import JointsLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import COCO17_JOINTS, NUM_JOINTS, OPENPOSE25_JOINTS, SPIN24_JOINTS
from smplcli.datasets.joint_orders import reorder_joints
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Floats


class SpinJoints:
    """Joints of bodies of each gender.

    Args:
        bodies: By ``n``, ``m`` or ``f``.
        extra_regressor: J_regressor_extra.npy of SPIN. Without it hips, neck, head top, pelvis,
            thorax, spine, jaw and head of official bodies are not known.
    """

    def __init__(
        self, bodies: Mapping[str, BodyModel], *, extra_regressor: Path | None = None
    ) -> None:
        self._layers = {}
        self._is_known = {}
        for gender, body in bodies.items():
            joints, known = _spin24(body, extra_regressor)
            self._layers[gender] = JointsLayer(body, [joints])
            self._is_known[gender] = known

    def locate(self, gender: str, pose: Floats, shape: Floats) -> Floats | None:
        """``S`` of N bodies.

        Args:
            gender: ``n``, ``m`` or ``f``.
            pose: (N, 72) axis-angle.
            shape: (N, 10).

        Returns:
            (N, 24, 4) metres from the pelvis and 1 where known, float32, in the axes of the root;
            ``None`` if there is no body of this gender.
        """
        if gender not in self._layers:
            return None
        full_pose = aa_to_rotmat(torch.from_numpy(pose).float().view(-1, NUM_JOINTS, 3))
        with torch.inference_mode():
            joints = self._layers[gender](full_pose, torch.from_numpy(shape).float())
            from_pelvis = (joints[:, NUM_JOINTS:] - joints[:, :1]).numpy()
        known = np.broadcast_to(self._is_known[gender][:, None], (*from_pelvis.shape[:2], 1))
        return np.concatenate([from_pelvis * known, known], axis=2).astype(np.float32)


def _spin24(body: BodyModel, extra_regressor: Path | None) -> tuple[JointSet, Floats]:
    """The joints of a body, and which of them (24,) it knows."""
    if body.is_demo or extra_regressor is not None:
        rows = joint_set(body, "spin49", given=extra_regressor)
        first = len(OPENPOSE25_JOINTS)
        known = np.ones(len(SPIN24_JOINTS), np.float32)
        return JointSet(rows.from_joints[first:], rows.from_vertices[first:]), known
    rows = joint_set(body, "coco17")
    known = np.array(
        [name in COCO17_JOINTS and name not in EXTRA_JOINTS for name in SPIN24_JOINTS], np.float32
    )
    return JointSet(*(reorder_joints(part, COCO17_JOINTS, SPIN24_JOINTS) for part in rows)), known
