"""Bodies that move, as binary glTF: skin, skeleton, and one animation for everybody.

A body is written at rest in its own shape and posed by linear blend skinning alone; what SMPL's
pose adds to the surface would take a morph target for each of its 207 numbers, and is left out.

Source:
    Khronos Group, glTF 2.0 Specification, section 3.11 (animations).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smplcli.motion.smoothing import unrolled
from smplcli.rendering.gltf import (
    TO_GLTF,
    GlbWriter,
    PhotoCamera,
    Rig,
    RiggedFigure,
    shared_accessors,
    to_gltf_rotations,
)
from smplcli.types import Floats, Pixels


class MovingFigure(NamedTuple):
    """One body over time."""

    name: str
    vertices: Floats
    """(V, 3) at rest in its own shape, y up, metres."""

    joints: Floats
    """(24, 3) at rest."""

    rotations: Floats
    """(T, 24, 3, 3): the root in camera axes, the others relative to their parents."""

    pelvis: Floats
    """(T, 3) place in camera axes, metres."""

    times: Floats
    """(T,) seconds, growing."""

    colour: Pixels
    """(3,) RGB."""


def moving_glb(
    figures: Sequence[MovingFigure], rig: Rig, camera: PhotoCamera, *, name: str, fps: float
) -> bytes:
    """Write bodies that move, each with its own skeleton, and the camera into one GLB file.

    Who is not there at some time has the size 0 then.

    Args:
        figures: Bodies.
        rig: What they share.
        camera: A node of the scene.
        name: Of the animation.
        fps: Frames per second of the keys.

    Returns:
        The file's content.
    """
    writer = GlbWriter()
    shared = shared_accessors(writer, rig)
    animation = _Animation(writer)
    end = max(float(figure.times[-1]) for figure in figures)
    for figure in figures:
        at_first = RiggedFigure(
            figure.name,
            figure.vertices,
            figure.joints,
            figure.rotations[0],
            figure.pelvis[0] - figure.joints[0],
        )
        joints = writer.add_figure(at_first, rig, shared, figure.colour)
        _move(animation, figure, joints, end, fps)
    writer.add_camera(camera)
    document = {"name": name, "channels": animation.channels, "samplers": animation.samplers}
    writer.add("animations", document | {"extras": {"fps": fps}})
    return writer.content()


class _Animation:
    """Channels and samplers of an animation that grows."""

    def __init__(self, writer: GlbWriter) -> None:
        self._writer = writer
        self.channels: list[dict[str, object]] = []
        self.samplers: list[dict[str, object]] = []

    def times(self, seconds: Floats) -> int:
        """Put keys' times (T,) into the document."""
        return self._writer.accessor(seconds[:, None], "<f4", "SCALAR", bounds=True)

    def add(self, node: int, path: str, times: int, values: Floats, how: str = "LINEAR") -> None:
        """Move a node: values (T, 3) or (T, 4) at times that are in the document."""
        output = self._writer.accessor(values, "<f4", f"VEC{values.shape[1]}")
        self.samplers.append({"input": times, "output": output, "interpolation": how})
        target = {"node": node, "path": path}
        self.channels.append({"sampler": len(self.samplers) - 1, "target": target})


def _move(
    animation: _Animation, figure: MovingFigure, joints: list[int], end: float, fps: float
) -> None:
    times = animation.times(figure.times)
    quaternions = unrolled(to_gltf_rotations(figure.rotations))
    for joint, node in enumerate(joints):
        animation.add(node, "rotation", times, quaternions[:, joint])
    animation.add(joints[0], "translation", times, TO_GLTF * figure.pelvis)
    first, last = float(figure.times[0]), float(figure.times[-1])
    steps = [(0.0, 0.0)] if first > 0 else []
    steps += [(first, 1.0)]
    steps += [(last + 1 / fps, 0.0)] if last < end else []
    if len(steps) > 1:
        keys = np.array(steps)
        sizes = np.repeat(keys[:, 1:], 3, axis=1)
        animation.add(joints[0], "scale", animation.times(keys[:, 0]), sizes, "STEP")
