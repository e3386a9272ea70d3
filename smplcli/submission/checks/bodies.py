"""SMPL's forward function once more, in double precision and by loops.

The writers pose bodies with the layer that training uses; a checker that used it as well would
repeat its mistakes.

Source:
    Loper et al., "SMPL: A Skinned Multi-Person Linear Model", SIGGRAPH Asia 2015, equations 2-9.
"""

from collections.abc import Callable

import numpy as np

from smplcli.body.model import BodyModel
from smplcli.types import Floats

BodyOf = Callable[[str], BodyModel]
"""The body of a gender: ``n``, ``m`` or ``f``."""

CHUNK = 256
"""Bodies whose vertices are held at a time."""


def rotation_matrices(aa: Floats) -> Floats:
    """Rotation matrices (N, J, 3, 3) of axis-angle (N, J, 3), radians (Rodrigues' formula)."""
    angle = np.linalg.norm(aa, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(aa / np.maximum(angle[..., 0], 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    result: Floats = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return result


def pose_joints(body: BodyModel, pose: Floats, betas: Floats) -> tuple[Floats, Floats]:
    """Joints and global rotations of posed bodies.

    Args:
        body: The body of all of them.
        pose: (N, 72) axis-angle, radians.
        betas: (N, 10).

    Returns:
        Joints (N, 24, 3) in metres, and rotations (N, 24, 3, 3) accumulated along the chain.
    """
    rest_mean = body.joint_regressor.astype(np.float64) @ body.v_template
    rest_shape = np.einsum("jv,vck->jck", body.joint_regressor.astype(np.float64), body.shapedirs)
    rest = rest_mean + np.einsum("jck,nk->njc", rest_shape, betas.astype(np.float64))
    local = rotation_matrices(pose.astype(np.float64).reshape(-1, 24, 3))
    joints, rotations = rest.copy(), local.copy()
    for joint in range(1, 24):
        parent = int(body.parents[joint])
        bone = rest[:, joint] - rest[:, parent]
        joints[:, joint] = joints[:, parent] + (rotations[:, parent] @ bone[..., None])[..., 0]
        rotations[:, joint] = rotations[:, parent] @ local[:, joint]
    return joints, rotations


def pose_points(
    body: BodyModel, pose: Floats, betas: Floats, *, from_joints: Floats, from_vertices: Floats
) -> Floats:
    """Points (N, K, 3) of posed bodies, metres, as shares of their joints and vertices.

    Args:
        body: The body of all of them.
        pose: (N, 72) axis-angle, radians.
        betas: (N, 10).
        from_joints: (K, 24).
        from_vertices: (K, V).
    """
    used = np.flatnonzero(np.abs(from_vertices).sum(axis=0))
    chunks = []
    for start in range(0, len(pose), CHUNK):
        rows = slice(start, start + CHUNK)
        joints, rotations = pose_joints(body, pose[rows], betas[rows])
        vertices = _vertices(body, used, pose[rows], betas[rows], (joints, rotations))
        chunks.append(from_joints @ joints + from_vertices[:, used] @ vertices)
    points: Floats = np.concatenate(chunks)
    return points


def _vertices(
    body: BodyModel, used: np.ndarray, pose: Floats, betas: Floats, motion: tuple[Floats, Floats]
) -> Floats:
    joints, rotations = motion
    betas = betas.astype(np.float64)
    local = rotation_matrices(pose.astype(np.float64).reshape(-1, 24, 3))
    bends = (local[:, 1:] - np.eye(3)).reshape(len(pose), -1)
    shaped = body.v_template[used] + np.einsum("vck,nk->nvc", body.shapedirs[used], betas)
    rest, _ = pose_joints(body, np.zeros_like(pose), betas)
    shaped += np.einsum("vck,nk->nvc", body.posedirs[used], bends, optimize=True)
    vertices: Floats = np.zeros_like(shaped)
    for joint in range(24):
        carried = (shaped - rest[:, None, joint]) @ rotations[:, joint].swapaxes(-1, -2)
        share = body.weights[used, joint][None, :, None]
        vertices += share * (carried + joints[:, None, joint])
    return vertices
