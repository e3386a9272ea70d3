"""SMPL's forward function, with and without vertices.

Source:
    Loper et al., "SMPL: A Skinned Multi-Person Linear Model", SIGGRAPH Asia 2015, equations 2-9.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from smplcli.body.joint_sets import JointSet, joint_set
from smplcli.body.model import BodyModel
from smplcli.conventions import NUM_BETAS, NUM_JOINTS
from smplcli.errors import ShapeError
from smplcli.types import Floats, Ints

SHAPED_AT_ONCE, SKINNED_AT_ONCE = 128, 8
"""Bodies per piece where no gradient is asked for: many make the large product of the blend shapes
efficient, few keep everything after it in the processor's cache."""

NUM_SPANS = 12
"""Runs of neighbouring vertices, most of which hang on a few joints only."""

FEWEST_IN_PIECES = 16
"""Bodies from which on pieces are faster than all at once."""


class BodyOutput(NamedTuple):
    """Posed bodies, before translation, in the axes that the root rotation leads to."""

    vertices: Tensor
    """(B, V, 3), metres."""

    joints: Tensor
    """(B, 24, 3), metres."""


class Motion(NamedTuple):
    """Where each joint of a posed body is, and how it carries what hangs on it."""

    rotation: Tensor
    """(B, 24, 3, 3) global rotations."""

    joints: Tensor
    """(B, 24, 3), metres."""

    offset: Tensor
    """(B, 24, 3): ``rotation @ point + offset`` carries a point at rest along."""


class Skeleton(nn.Module):
    """The kinematic tree, posed one generation at a time."""

    rest: Tensor
    shape: Tensor
    order: Tensor
    """(24,) joints, generation by generation."""

    places: Tensor
    """(24,) where SMPL's joints are in that order."""

    parents: Tensor
    """(24,) in that order: where a joint's parent is in the generation before."""

    def __init__(self, model: BodyModel) -> None:
        super().__init__()
        generations = _generations(model.parents)
        order = np.concatenate(generations)
        rest = model.joint_regressor @ model.v_template
        shape = np.einsum("jv,vck->kjc", model.joint_regressor, model.shapedirs)
        joints = np.concatenate([rest[None], shape])
        bones = joints - joints[:, model.parents]
        bones[:, 0] = joints[:, 0]
        # Joints and bones both follow from betas; laid out by generation, they need no gathering.
        both = np.stack([joints[:, order], bones[:, order]], axis=1).reshape(len(joints), -1)
        self.register_buffer("rest", _tensor(both[0]), persistent=False)
        self.register_buffer("shape", _tensor(both[1:]), persistent=False)
        self.register_buffer("order", torch.from_numpy(order), persistent=False)
        self.register_buffer("places", torch.from_numpy(np.argsort(order)), persistent=False)
        slots = np.concatenate([np.arange(len(g)) for g in generations])[np.argsort(order)]
        parents = torch.from_numpy(slots[model.parents[order]])
        self.register_buffer("parents", parents, persistent=False)
        ends = np.cumsum([len(generation) for generation in generations])
        self._generations = [slice(*span) for span in pairwise(ends.tolist())]

    def forward(self, full_pose: Tensor, betas: Tensor) -> Motion:
        """Pose the tree.

        Args:
            full_pose: (B, 24, 3, 3) rotation matrices.
            betas: (B, 10).

        Returns:
            The motion of all joints, in SMPL's order.

        Raises:
            ShapeError: An argument has another shape.
        """
        _check(full_pose, betas)
        resting = torch.addmm(self.rest, betas, self.shape).view(-1, 2, NUM_JOINTS, 3, 1)
        joints, bones = resting.unbind(1)
        local = torch.cat([full_pose.index_select(1, self.order), bones], dim=-1)
        posed = [local[:, :1]]
        for generation in self._generations:
            carrier = posed[-1].index_select(1, self.parents[generation])
            moved = carrier[..., :3] @ local[:, generation]
            moved[..., 3] += carrier[..., 3]
            posed.append(moved)
        world = torch.cat(posed, dim=1)
        offset = world[..., 3:] - world[..., :3] @ joints
        world = torch.cat([world, offset], dim=-1).index_select(1, self.places)
        return Motion(world[..., :3], world[..., 3], world[..., 4])


class _Span(NamedTuple):
    """Neighbouring vertices, the joints that carry them, and how much each does, (K, N)."""

    vertices: slice
    joints: list[int]
    weights: Floats


class BodyLayer(nn.Module):
    """Vertices and joints of posed bodies."""

    blend: Tensor
    weights: Tensor
    faces: Tensor

    def __init__(self, model: BodyModel) -> None:
        super().__init__()
        self.skeleton = Skeleton(model)
        # Planar, all x before all y before all z: whole rows are then computed at once.
        shapes = [model.v_template[..., None], model.shapedirs, model.posedirs]
        blend = np.concatenate(shapes, axis=2).transpose(2, 1, 0)
        self.register_buffer("blend", _tensor(blend.reshape(len(blend), -1)), persistent=False)
        self.register_buffer("weights", _tensor(model.weights.T), persistent=False)
        self.register_buffer("faces", torch.from_numpy(model.faces), persistent=False)
        self._spans = _spans(model.weights)

    def forward(self, full_pose: Tensor, betas: Tensor) -> BodyOutput:
        """Pose bodies.

        Args:
            full_pose: (B, 24, 3, 3) rotation matrices, root first.
            betas: (B, 10), standard deviations.

        Returns:
            Vertices and joints, metres.

        Raises:
            ShapeError: An argument has another shape.
        """
        motion = self.skeleton(full_pose, betas)
        coefficients = _coefficients(full_pose, betas)
        coefficients = torch.cat([torch.ones_like(coefficients[:, :1]), coefficients], dim=1)
        carrier = torch.cat([motion.rotation, motion.offset[..., None]], dim=-1).flatten(-2).mT
        can_write = coefficients.is_cpu and not coefficients.requires_grad
        are_many = len(coefficients) >= FEWEST_IN_PIECES
        skin = self._skin_in_pieces if can_write and are_many else self._skin
        return BodyOutput(skin(coefficients, carrier).mT, motion.joints)

    def _skin(self, coefficients: Tensor, carrier: Tensor) -> Tensor:
        """Vertices (B, 3, V) from blend coefficients (B, 218) and motions (B, 12, 24)."""
        shaped = (coefficients @ self.blend).unflatten(1, (3, -1))
        rows = (carrier @ self.weights).unflatten(1, (3, 4))
        skinned: Tensor = rows[:, :, 3]
        for axis in range(3):
            skinned = torch.addcmul(skinned, rows[:, :, axis], shaped[:, axis, None])
        return skinned

    def _skin_in_pieces(self, coefficients: Tensor, carrier: Tensor) -> Tensor:
        """The same without gradients, on a CPU."""
        num_vertices = self.weights.shape[1]
        vertices = _empty(coefficients, len(coefficients), 3, num_vertices)
        # Written again for every piece, so that they need not be fetched from memory.
        shaped = _empty(coefficients, SKINNED_AT_ONCE, 3, num_vertices)
        rows = _empty(coefficients, SKINNED_AT_ONCE, 3, 4, num_vertices)
        for start in range(0, len(vertices), SHAPED_AT_ONCE):
            many = slice(start, start + SHAPED_AT_ONCE)
            _multiply(coefficients[many], self.blend, vertices[many])
            motions = [carrier[many, :, span.joints].numpy() for span in self._spans]
            for first in range(0, len(vertices[many]), SKINNED_AT_ONCE):
                piece = slice(first, first + SKINNED_AT_ONCE)
                target = vertices[many][piece]
                few, moved = shaped[: len(target)].copy_(target), rows[: len(target)]
                flat = moved.view(-1, num_vertices).numpy()
                for span, motion in zip(self._spans, motions, strict=True):
                    left = motion[piece].reshape(-1, len(span.joints))
                    np.matmul(left, span.weights, out=flat[:, span.vertices])
                torch.addcmul(moved[:, :, 3], moved[:, :, 0], few[:, 0, None], out=target)
                target.addcmul_(moved[:, :, 1], few[:, 1, None])
                target.addcmul_(moved[:, :, 2], few[:, 2, None])
        return vertices


class JointsLayer(nn.Module):
    """The 24 joints and any joint sets, without making a vertex.

    A joint regressed from vertices is a weighted sum of skinned vertices, and skinning is linear
    in the blend shapes, so regressor, skinning weights and blend shapes fold into a small matrix.
    """

    template: Tensor
    blend: Tensor
    mass: Tensor
    carriers: Tensor
    gather: Tensor

    def __init__(
        self, model: BodyModel, joint_sets: Sequence[str | JointSet] = ("coco17",)
    ) -> None:
        super().__init__()
        self.skeleton = Skeleton(model)
        sets = [joint_set(model, item) if isinstance(item, str) else item for item in joint_sets]
        regressor = np.concatenate([item.from_vertices for item in sets])
        from_joints = np.concatenate([item.from_joints for item in sets])
        used = np.flatnonzero(np.abs(regressor).sum(axis=0))
        share = np.einsum("kv,vj->kjv", regressor[:, used], model.weights[used])
        rows, carriers = np.nonzero(np.abs(share).sum(axis=-1))
        share = share[rows, carriers]
        shape = model.shapedirs[used].reshape(len(used), 3, NUM_BETAS)
        blend = np.concatenate([shape, model.posedirs[used]], axis=-1)
        folded = np.einsum("pv,vck->kpc", share, blend)
        self.register_buffer("template", _tensor(share @ model.v_template[used]).flatten(), False)
        self.register_buffer("blend", _tensor(folded).flatten(1), persistent=False)
        self.register_buffer("mass", _tensor(share.sum(axis=-1))[:, None], persistent=False)
        scatter = rows[None] == np.arange(len(regressor))[:, None]
        gather = np.concatenate([from_joints, scatter], axis=1)
        self.register_buffer("gather", _tensor(gather), persistent=False)
        self.register_buffer("carriers", torch.from_numpy(carriers), persistent=False)

    def forward(self, full_pose: Tensor, betas: Tensor) -> Tensor:
        """Pose bodies.

        Args:
            full_pose: (B, 24, 3, 3) rotation matrices, root first.
            betas: (B, 10), standard deviations.

        Returns:
            (B, 24 + J, 3), metres: SMPL's joints, then the joint sets in the order asked for.

        Raises:
            ShapeError: An argument has another shape.
        """
        motion = self.skeleton(full_pose, betas)
        points = torch.cat([motion.joints, self.carried(motion, full_pose, betas)], dim=1)
        return torch.cat([motion.joints, self.gather @ points], dim=1)

    def carried(self, motion: Motion, full_pose: Tensor, betas: Tensor) -> Tensor:
        """(B, points, 3) the shares of vertices, each carried by one joint, that sets sum up."""
        shaped = torch.addmm(self.template, _coefficients(full_pose, betas), self.blend)
        points = shaped.unflatten(-1, (-1, 3))
        rotation = motion.rotation.index_select(1, self.carriers)
        turned = (rotation @ points[..., None]).squeeze(-1)
        carried: Tensor = turned + self.mass * motion.offset.index_select(1, self.carriers)
        return carried


def _spans(weights: Floats) -> list[_Span]:
    """Runs of vertices with their skinning weights (V, 24), without joints that carry nothing."""
    spans = []
    for rows in np.array_split(np.arange(len(weights)), NUM_SPANS):
        vertices = slice(int(rows[0]), int(rows[-1]) + 1)
        joints = np.flatnonzero(weights[vertices].any(axis=0)).tolist()
        carried = np.ascontiguousarray(weights[vertices, joints].T, dtype=np.float32)
        spans.append(_Span(vertices, joints, carried))
    return spans


def _multiply(left: Tensor, right: Tensor, product: Tensor) -> None:
    """Matrix product by numpy, which takes half the time of torch's on AMD processors."""
    out = product.view(len(left), -1).numpy()
    np.matmul(left.numpy(), right.numpy(), out=out)


def _empty(like: Tensor, *shape: int) -> Tensor:
    """Memory from numpy, which asks for huge pages: many small ones take long to come by."""
    return torch.from_numpy(np.empty(shape, dtype=like.numpy().dtype))


def _coefficients(full_pose: Tensor, betas: Tensor) -> Tensor:
    """(B, 217): betas, then the 23 relative rotations minus identity."""
    eye = torch.eye(3, dtype=full_pose.dtype, device=full_pose.device)
    return torch.cat([betas, (full_pose[:, 1:] - eye).flatten(1)], dim=1)


def _check(full_pose: Tensor, betas: Tensor) -> None:
    if full_pose.shape[1:] != (NUM_JOINTS, 3, 3):
        raise ShapeError(f"full_pose must be (batch, 24, 3, 3), got {tuple(full_pose.shape)}")
    if betas.shape != (len(full_pose), NUM_BETAS):
        raise ShapeError(f"betas must be ({len(full_pose)}, 10), got {tuple(betas.shape)}")


def _generations(parents: Ints) -> list[Ints]:
    """Joints by their distance from the root."""
    generations = [np.array([0])]
    while len(children := np.flatnonzero(np.isin(parents, generations[-1]))):
        generations.append(children)
    return generations


def _tensor(array: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
