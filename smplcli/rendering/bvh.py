"""Motion as Biovision hierarchy, which animation programs read.

Offsets and positions are centimetres, y up, z towards the viewer, the camera at the origin.
Rotations are degrees about Z, then X, then Y of the joint as turned so far (intrinsic ZXY): the
rotation of a joint is Rz Rx Ry.
"""

import numpy as np

from smplcli.conventions import SMPL_JOINTS
from smplcli.rendering.gltf import TO_GLTF
from smplcli.types import Floats, Ints

CENTIMETRES = 100.0
ROTATION_CHANNELS = "Zrotation Xrotation Yrotation"
POSITION_CHANNELS = "Xposition Yposition Zposition"

GIMBAL = 1 - 1e-9
"""Sine of the middle angle from which on only one of the other two is free."""

END_SHARE = 0.5
"""Length of what follows a last joint, over that of the bone that leads to it."""


def bvh_file(
    joints: Floats, parents: Ints, rotations: Floats, pelvis: Floats, *, frame_seconds: float
) -> bytes:
    """Write the motion of one body.

    Args:
        joints: (24, 3) at rest, y up, metres.
        parents: (24,) parent of each joint, -1 for the root.
        rotations: (T, 24, 3, 3): the root in camera axes, the others relative to their parents.
        pelvis: (T, 3) place in camera axes, metres.
        frame_seconds: Time from frame to frame.
    """
    order: list[int] = []
    lines = ["HIERARCHY", *_joint(0, joints, parents, order, "")]
    turned = np.array(rotations, np.float64)
    turned[:, 0] = TO_GLTF[:, None] * turned[:, 0]
    angles = np.degrees(continuous_angles(zxy_angles(turned)))[:, order]
    places = CENTIMETRES * TO_GLTF * pelvis
    frames = np.concatenate([places, angles.reshape(len(angles), -1)], axis=1)
    lines += ["MOTION", f"Frames: {len(frames)}", f"Frame Time: {frame_seconds:.8f}"]
    lines += [" ".join(f"{value:.5f}" for value in frame) for frame in frames.tolist()]
    return "\n".join([*lines, ""]).encode()


def _joint(joint: int, joints: Floats, parents: Ints, order: list[int], indent: str) -> list[str]:
    """Lines of a joint and of all that hangs on it; appends these joints to ``order``."""
    order.append(joint)
    is_root = parents[joint] < 0
    offset = np.zeros(3) if is_root else joints[joint] - joints[parents[joint]]
    channels = (
        f"6 {POSITION_CHANNELS} {ROTATION_CHANNELS}" if is_root else f"3 {ROTATION_CHANNELS}"
    )
    children = np.flatnonzero(parents == joint).tolist()
    inner = indent + "  "
    lines = [f"{indent}{'ROOT' if is_root else 'JOINT'} {SMPL_JOINTS[joint]}", f"{indent}{{"]
    lines += [f"{inner}{_offset(offset)}", f"{inner}CHANNELS {channels}"]
    for child in children:
        lines += _joint(child, joints, parents, order, inner)
    if not children:
        end = _offset(END_SHARE * offset)
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}  {end}", f"{inner}}}"]
    return [*lines, f"{indent}}}"]


def _offset(metres: Floats) -> str:
    return "OFFSET " + " ".join(f"{value:.5f}" for value in (CENTIMETRES * metres).tolist())


def zxy_angles(rotations: Floats) -> Floats:
    """Angles z, x, y (..., 3) in radians with Rz Rx Ry = R, of rotations (..., 3, 3)."""
    sine = rotations[..., 2, 1]
    is_locked = np.abs(sine) > GIMBAL
    z = np.arctan2(-rotations[..., 0, 1], rotations[..., 1, 1])
    y = np.arctan2(-rotations[..., 2, 0], rotations[..., 2, 2])
    z = np.where(is_locked, np.arctan2(rotations[..., 1, 0], rotations[..., 0, 0]), z)
    x = np.arcsin(np.clip(sine, -1, 1))
    return np.stack([z, x, np.where(is_locked, 0.0, y)], axis=-1)


def continuous_angles(angles: Floats) -> Floats:
    """The same rotations by the angles (T, ..., 3) that change least from frame to frame.

    Whole turns may be added to each angle, and every rotation has two sets of them.
    """
    result = np.array(angles, np.float64)
    for now in range(1, len(result)):
        other = result[now] * [1, -1, 1] + np.pi
        both = [_nearest(each, result[now - 1]) for each in (result[now], other)]
        way = [np.abs(each - result[now - 1]).sum(axis=-1, keepdims=True) for each in both]
        result[now] = np.where(way[0] <= way[1], both[0], both[1])
    return result


def _nearest(angles: Floats, before: Floats) -> Floats:
    nearest: Floats = angles - 2 * np.pi * np.round((angles - before) / (2 * np.pi))
    return nearest
