"""Bodies with skin and skeleton as binary glTF, which Blender, three.js and game engines open.

glTF poses a mesh by linear blend skinning alone, SMPL adds a correction to the mesh at rest that
depends on the pose. It is written as a morph target that is fully on: the file opens with SMPL's
own surface, and who turns the joints to another pose turns the target off.

Axes are glTF's, x right, y up, z towards the viewer: the photo's camera stands at the origin and
looks along -z.

Source:
    Khronos Group, glTF 2.0 Specification, sections 3 (concepts), 4.4 (GLB) and 5 (properties).
"""

import json
import struct
from collections.abc import Sequence
from math import atan
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.conventions import SMPL_JOINTS
from smplcli.rendering.overlay import person_colours
from smplcli.rendering.shading import vertex_normals
from smplcli.rotations import rotmat_to_quaternion
from smplcli.types import Floats, Ints, Pixels

TO_GLTF = np.array([1.0, -1.0, -1.0])
"""From the camera's axes (y down, z forward) to glTF's: half a turn about x."""

CORRECTION = "pose_correction"
BONES_PER_VERTEX = 4
ROUGHNESS = 0.8
NEAR = 0.05
SRGB_GAMMA = 2.2

MAGIC, VERSION, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
FLOAT, UNSIGNED_BYTE, UNSIGNED_INT = 5126, 5121, 5125
COMPONENTS = {"<f4": FLOAT, "|u1": UNSIGNED_BYTE, "<u4": UNSIGNED_INT}
VERTEX_DATA, INDEX_DATA = 34962, 34963


class Rig(NamedTuple):
    """What all bodies share."""

    faces: Ints
    """(F, 3) counter-clockwise seen from outside."""

    weights: Floats
    """(V, 24) skinning weights."""

    parents: Ints
    """(24,) parent of each joint, -1 for the root."""


class RiggedFigure(NamedTuple):
    """One body, at rest, and how it is posed."""

    name: str
    vertices: Floats
    """(V, 3) at rest in its own shape, y up, metres."""

    joints: Floats
    """(24, 3) at rest."""

    rotations: Floats
    """(24, 3, 3): the root in camera axes, the others relative to their parents."""

    transl: Floats
    """(3,) place in camera axes, metres."""

    correction: Floats | None = None
    """(V, 3) what the pose adds to the vertices at rest."""


class PhotoCamera(NamedTuple):
    """The camera of the photo, as glTF can tell of it: without its principal point."""

    focal_length: float
    image_size: tuple[int, int]


def rigged_glb(figures: Sequence[RiggedFigure], rig: Rig, camera: PhotoCamera) -> bytes:
    """Write bodies, each with its own skeleton, and the camera into one GLB file.

    Args:
        figures: Bodies; there may be none.
        rig: What they share.
        camera: A node of the scene.

    Returns:
        The file's content.
    """
    writer = GlbWriter()
    shared = shared_accessors(writer, rig) if figures else {}
    colours = person_colours(len(figures))
    for figure, colour in zip(figures, colours, strict=True):
        writer.add_figure(figure, rig, shared, colour)
    writer.add_camera(camera)
    return writer.content()


def shared_accessors(writer: "GlbWriter", rig: Rig) -> dict[str, int]:
    """Put what all bodies share into a document, and say where."""
    order = np.argsort(-rig.weights, axis=1, kind="stable")[:, :BONES_PER_VERTEX]
    weights = np.take_along_axis(rig.weights, order, axis=1)
    order = np.where(weights > 0, order, 0)  # as the specification asks of bones without weight
    weights = weights / weights.sum(axis=1, keepdims=True)
    return {
        "indices": writer.accessor(rig.faces.reshape(-1), "<u4", "SCALAR", target=INDEX_DATA),
        "JOINTS_0": writer.accessor(order, "|u1", "VEC4", target=VERTEX_DATA),
        "WEIGHTS_0": writer.accessor(weights, "<f4", "VEC4", target=VERTEX_DATA),
    }


class GlbWriter:
    """A glTF document that grows, and its one buffer."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lists: dict[str, list[dict[str, Any]]] = {}
        self._roots: list[int] = []

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append to one of the document's lists and return the index there."""
        items = self._lists.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def accessor(
        self,
        array: NDArray[Any],
        kind: str,
        shape: str,
        *,
        target: int | None = None,
        bounds: bool = False,
    ) -> int:
        """Put an array into the buffer; positions need their bounds."""
        packed = np.ascontiguousarray(array, dtype=kind)
        self._buffer += bytes(-len(self._buffer) % 4)
        view = {"buffer": 0, "byteOffset": len(self._buffer), "byteLength": packed.nbytes}
        self._buffer += packed.tobytes()
        item = {
            "bufferView": self.add("bufferViews", view | ({"target": target} if target else {})),
            "componentType": COMPONENTS[kind],
            "count": len(packed),
            "type": shape,
        }
        if bounds:
            item |= {"min": packed.min(axis=0).tolist(), "max": packed.max(axis=0).tolist()}
        return self.add("accessors", item)

    def add_figure(
        self, figure: RiggedFigure, rig: Rig, shared: dict[str, int], colour: Pixels
    ) -> list[int]:
        """Append mesh, skeleton and skin of a body, and return the nodes of its joints."""
        mesh = self.add("meshes", self._mesh(figure, rig, shared, colour))
        joints = self._add_skeleton(figure, rig.parents)
        bind = np.tile(np.eye(4), (len(joints), 1, 1))
        bind[:, :3, 3] = -figure.joints
        columns = bind.transpose(0, 2, 1).reshape(-1, 16)
        skin = {
            "inverseBindMatrices": self.accessor(columns, "<f4", "MAT4"),
            "joints": joints,
            "skeleton": joints[0],
        }
        node = {"name": figure.name, "mesh": mesh, "skin": self.add("skins", skin)}
        self._roots += [self.add("nodes", node), joints[0]]
        return joints

    def _mesh(
        self, figure: RiggedFigure, rig: Rig, shared: dict[str, int], colour: Pixels
    ) -> dict[str, Any]:
        vertices = torch.from_numpy(np.asarray(figure.vertices, np.float32))
        normals = vertex_normals(vertices[None], torch.from_numpy(rig.faces))[0].numpy()
        linear = (colour / 255) ** SRGB_GAMMA
        material = {
            "name": figure.name,
            "pbrMetallicRoughness": {
                "baseColorFactor": [*linear.tolist(), 1.0],
                "metallicFactor": 0.0,
                "roughnessFactor": ROUGHNESS,
            },
        }
        primitive: dict[str, Any] = {
            "attributes": {
                "POSITION": self._points(figure.vertices, bounds=True),
                "NORMAL": self._points(normals),
                "JOINTS_0": shared["JOINTS_0"],
                "WEIGHTS_0": shared["WEIGHTS_0"],
            },
            "indices": shared["indices"],
            "material": self.add("materials", material),
        }
        mesh: dict[str, Any] = {"name": figure.name, "primitives": [primitive]}
        if figure.correction is not None:
            primitive["targets"] = [{"POSITION": self._points(figure.correction, bounds=True)}]
            mesh |= {"weights": [1.0], "extras": {"targetNames": [CORRECTION]}}
        return mesh

    def _points(self, points: Floats, *, bounds: bool = False) -> int:
        return self.accessor(points, "<f4", "VEC3", target=VERTEX_DATA, bounds=bounds)

    def _add_skeleton(self, figure: RiggedFigure, parents: Ints) -> list[int]:
        """Append 24 nodes in SMPL's order, turned as the body is posed."""
        offsets = figure.joints - figure.joints[parents]
        offsets[0] = TO_GLTF * (figure.joints[0] + figure.transl)
        quaternions = to_gltf_rotations(figure.rotations)
        first = len(self._lists.get("nodes", []))
        for joint, name in enumerate(SMPL_JOINTS):
            children = (np.flatnonzero(parents == joint) + first).tolist()
            node = {
                "name": name,
                "translation": offsets[joint].tolist(),
                "rotation": quaternions[joint].tolist(),
            }
            self.add("nodes", node | ({"children": children} if children else {}))
        return list(range(first, first + len(SMPL_JOINTS)))

    def add_camera(self, camera: PhotoCamera) -> None:
        """Append the photo's camera."""
        width, height = camera.image_size
        lens = {
            "yfov": 2 * atan(height / 2 / camera.focal_length),
            "aspectRatio": width / height,
            "znear": NEAR,
        }
        index = self.add("cameras", {"type": "perspective", "perspective": lens})
        self._roots.append(self.add("nodes", {"name": "photo_camera", "camera": index}))

    def content(self) -> bytes:
        """The document and its buffer as one file."""
        document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "smplcli"},
            "scene": 0,
            "scenes": [{"nodes": self._roots}],
            **self._lists,
        }
        if self._buffer:
            self._buffer += bytes(-len(self._buffer) % 4)
            document["buffers"] = [{"byteLength": len(self._buffer)}]
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        chunks = _chunk(JSON_CHUNK, text + b" " * (-len(text) % 4))
        chunks += _chunk(BINARY_CHUNK, bytes(self._buffer)) if self._buffer else b""
        return struct.pack("<III", MAGIC, VERSION, 12 + len(chunks)) + chunks


def to_gltf_rotations(rotations: Floats) -> Floats:
    """Unit quaternions x, y, z, w (..., 24, 4) of a body's rotations (..., 24, 3, 3)."""
    turned = np.array(rotations, np.float64)
    turned[..., 0, :, :] = TO_GLTF[:, None] * turned[..., 0, :, :]
    scalar_first = rotmat_to_quaternion(torch.from_numpy(turned)).numpy()
    unit = scalar_first / np.linalg.norm(scalar_first, axis=-1, keepdims=True)
    return np.roll(unit, -1, axis=-1)


def _chunk(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", len(content), kind) + content
