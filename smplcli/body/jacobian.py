"""How the joints of a body move when its joints turn and its shape changes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from smplcli.body.joint_sets import JointSet
from smplcli.body.layer import JointsLayer, Motion
from smplcli.body.model import BodyModel
from smplcli.conventions import NUM_BETAS, NUM_JOINTS


class Movement(NamedTuple):
    """J joints of posed bodies, metres, in the axes that the root rotation leads to."""

    joints: Tensor
    """(B, J, 3)."""

    rotation: Tensor
    """(B, 24, 3, 3) global rotations."""

    levers: Tensor
    """(B, J, 24, 3): while SMPL's joint a turns at w rad/s, J moves at ``w x lever[J, a]``."""

    by_betas: Tensor
    """(B, J, 3, 10), metres per standard deviation."""


class JointsJacobian(JointsLayer):
    """Joint sets, and their derivatives written out: far faster than by automatic differentiation.

    SMPL's pose-dependent corrections move the joints, by millimetres, but are taken as constant
    in the derivatives.
    """

    descent: Tensor
    weight: Tensor
    paths: Tensor
    bone_shape: Tensor
    joint_shape: Tensor
    point_shape: Tensor
    before: Tensor

    def __init__(
        self, model: BodyModel, joint_sets: Sequence[str | JointSet] = ("coco17",)
    ) -> None:
        super().__init__(model, joint_sets)
        paths = _paths(model.parents.tolist())
        carriers = [*range(NUM_JOINTS), *self.carriers]
        # (J * 24, points): what of joint J's points hangs on SMPL's joint a.
        descent = self.gather[:, None] * torch.from_numpy(paths.T[:, carriers]).float()
        mass = torch.cat([torch.ones(NUM_JOINTS, 1), self.mass])
        self.register_buffer("descent", descent.flatten(0, 1), persistent=False)
        self.register_buffer("weight", descent @ mass, persistent=False)
        self.register_buffer("paths", torch.from_numpy(paths).float(), persistent=False)
        joint_shape = np.einsum("jv,vck->jck", model.joint_regressor, model.shapedirs)
        before = np.maximum(model.parents, 0)
        bones = joint_shape - joint_shape[before]
        self.register_buffer("joint_shape", torch.from_numpy(joint_shape).float(), False)
        self.register_buffer("bone_shape", torch.from_numpy(bones).float(), persistent=False)
        self.register_buffer("before", torch.from_numpy(before), persistent=False)
        points = self.blend[:NUM_BETAS].unflatten(1, (-1, 3)).permute(1, 2, 0)
        self.register_buffer("point_shape", points.contiguous(), persistent=False)

    def move(self, full_pose: Tensor, betas: Tensor) -> Movement:
        """Joints and how they move.

        Args:
            full_pose: (B, 24, 3, 3) rotation matrices, root first.
            betas: (B, 10), standard deviations.
        """
        motion = self.skeleton(full_pose, betas)
        points = torch.cat([motion.joints, self.carried(motion, full_pose, betas)], dim=1)
        hanging = (self.descent @ points).unflatten(1, (-1, NUM_JOINTS))
        levers = hanging - self.weight * motion.joints[:, None]
        return Movement(self.gather @ points, motion.rotation, levers, self._by_betas(motion))

    def _by_betas(self, motion: Motion) -> Tensor:
        """(B, J, 3, 10)."""
        bones = motion.rotation.index_select(1, self.before) @ self.bone_shape
        joints = (self.paths @ bones.flatten(2)).view_as(bones) + self.joint_shape[0]
        offsets = joints - motion.rotation @ self.joint_shape
        rotation = motion.rotation.index_select(1, self.carriers)
        carried = rotation @ self.point_shape
        carried = carried + self.mass[..., None] * offsets.index_select(1, self.carriers)
        points = torch.cat([joints, carried], dim=1)
        moved: Tensor = (self.gather @ points.flatten(2)).unflatten(2, (3, NUM_BETAS))
        return moved


def _paths(parents: Sequence[int]) -> np.ndarray:
    """(24, 24): 1 where the second joint is the first or lies between it and the root."""
    paths = np.eye(NUM_JOINTS)
    for joint, parent in enumerate(parents[1:], start=1):
        paths[joint] += paths[parent]
    return paths
