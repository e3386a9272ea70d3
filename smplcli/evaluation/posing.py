"""Bodies posed for comparison: joints of several sets, vertices, orientations and height."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smplcli.body.joint_sets import JointSet
from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import NUM_JOINTS
from smplcli.types import Floats

UP = 1
"""Axis of a body at rest along which it stands."""


class PosedBodies(NamedTuple):
    """B bodies to compare, in camera axes, any origin."""

    joints: Mapping[str, Floats]
    """(B, J, 3) metres, float64, by the name of the joint set; ``smpl24`` is always there."""

    rotations: Floats
    """(B, 24, 3, 3) global rotations, accumulated along the chain, float64."""

    height: Floats
    """(B,) metres, of the body at rest."""

    vertices: Floats | None = None
    """(B, V, 3) metres, float32; ``None`` where nobody asked for them. In memory, all x lie before
    all y and all z, as the body makes them."""


class Poser:
    """One body, ready to be posed in double precision.

    Args:
        model: The body.
        joint_sets: Joints to find beside SMPL's 24, by name.
        with_vertices: Whether vertices are wanted; they take most of the time.
        device: Where to compute.
    """

    def __init__(
        self,
        model: BodyModel,
        joint_sets: Mapping[str, JointSet],
        *,
        with_vertices: bool,
        device: torch.device,
    ) -> None:
        self._ends = np.cumsum([NUM_JOINTS, *(len(s.from_joints) for s in joint_sets.values())])
        self._names = tuple(joint_sets)
        self._joints = JointsLayer(model, list(joint_sets.values()) or [_no_joints(model)])
        self._joints = self._joints.double().to(device)
        self._layer = BodyLayer(model).to(device) if with_vertices else None
        self._rest = torch.from_numpy(model.v_template[:, UP]).double().to(device)
        self._shape = torch.from_numpy(model.shapedirs[:, UP]).double().to(device)

    @torch.inference_mode()
    def __call__(self, full_pose: Floats, betas: Floats) -> PosedBodies:
        """Pose bodies.

        Args:
            full_pose: (B, 24, 3, 3) rotation matrices, camera frame.
            betas: (B, 10).
        """
        device = self._rest.device
        pose, shape = (torch.from_numpy(array).double().to(device) for array in (full_pose, betas))
        joints = self._joints(pose, shape).cpu().numpy()
        parts = np.split(joints, self._ends[:-1], axis=1)
        vertices = None
        if self._layer is not None:
            vertices = self._layer(pose.float(), shape.float()).vertices.cpu().numpy()
        return PosedBodies(
            joints={"smpl24": parts[0], **dict(zip(self._names, parts[1:], strict=False))},
            rotations=self._joints.skeleton(pose, shape).rotation.cpu().numpy(),
            height=self._height(shape).cpu().numpy(),
            vertices=vertices,
        )

    def _height(self, betas: Tensor) -> Tensor:
        level = self._rest + betas @ self._shape.mT
        return level.amax(dim=1) - level.amin(dim=1)


class GenderedPoser:
    """Posers by the gender that a sample's labels are of.

    Args:
        posers: By ``n``, ``m``, ``f``; ``n`` is always there and stands in for the others.
    """

    def __init__(self, posers: Mapping[str, Poser]) -> None:
        self._posers = posers

    def __call__(self, full_pose: Floats, betas: Floats, gender: NDArray[np.str_]) -> PosedBodies:
        """Pose bodies of several genders, (B,), each with its own body."""
        known = np.where(np.isin(gender, list(self._posers)), gender, "n")
        parts = [
            (rows, self._posers[str(name)](full_pose[rows], betas[rows]))
            for name in np.unique(known)
            for rows in (np.flatnonzero(known == name),)
        ]
        if not parts:
            return self._posers["n"](full_pose, betas)
        if len(parts) == 1:
            return parts[0][1]
        back = np.argsort(np.concatenate([rows for rows, _ in parts]))
        first = parts[0][1]
        meshes = [part.vertices.mT for _, part in parts if part.vertices is not None]
        return PosedBodies(
            joints={
                name: np.concatenate([part.joints[name] for _, part in parts])[back]
                for name in first.joints
            },
            rotations=np.concatenate([part.rotations for _, part in parts])[back],
            height=np.concatenate([part.height for _, part in parts])[back],
            vertices=np.concatenate(meshes)[back].mT if meshes else None,
        )


def _no_joints(model: BodyModel) -> JointSet:
    size = len(model.v_template)
    return JointSet(
        np.zeros((0, NUM_JOINTS), dtype=np.float32), np.zeros((0, size), dtype=np.float32)
    )
