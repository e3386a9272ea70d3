"""What stands off the body: skirts, hanging hair, hats, bags, as simple meshes that move with it.

Each mesh is made around the body at rest, arms stretched out sideways, y up, and skinned like it.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

from smplcli.conventions import NUM_JOINTS
from smplcli.datasets.appearance import JOINT, Landmarks, Region
from smplcli.types import Floats, Ints

SECTORS = 24
"""Columns of a mesh around the body."""


class Garment(NamedTuple):
    """A mesh in the frame of the body at rest, metres."""

    points: Floats
    """(N, 3)."""

    faces: Ints
    """(M, 3), both sides, the inner ones with points of their own."""

    weights: Floats
    """(N, 24) skinning weights."""

    region: Region


def draw_garments(
    rng: np.random.Generator, marks: Landmarks, kinds: Collection[Region]
) -> list[Garment]:
    """Random meshes.

    Args:
        rng: Source of chance.
        marks: Landmarks of the body.
        kinds: ``SKIRT``, ``HAIR``, ``HAT`` and ``BAG``, as wanted.
    """
    return [make(rng, marks) for kind, make in _MAKERS.items() if kind in kinds]


def _skirt(rng: np.random.Generator, marks: Landmarks) -> Garment:
    """From the waist to between mid-thigh and ankle."""
    joints = marks.joints
    pelvis, hip, knee, ankle = (
        joints[JOINT[name]] for name in ("pelvis", "left_hip", "left_knee", "left_ankle")
    )
    waist = pelvis[1] + rng.uniform(0.03, 0.09)
    hem = np.interp(rng.beta(1, 1.5), [0, 0.4, 1], [(hip[1] + knee[1]) / 2, knee[1], ankle[1]])
    down = np.linspace(0, 1, 9)[:, None]
    height = waist + (hem - waist) * down
    flare = rng.uniform(0.0, 0.25) * np.abs(hem - waist)
    pleats = 1 + rng.uniform(0, 0.06) * down * np.sin(rng.integers(4, 11) * _ANGLES)
    over_hips = np.minimum((waist - height) / 0.15, 1)
    width = (hip[0] + 0.06 + 0.035 * over_hips + flare * down) * pleats
    depth = (0.12 + 0.03 * over_hips + flare * down) * pleats
    points = _around(width, depth, height, pelvis[2] + 0.005)
    return _garment(points, _skirt_weights(points, waist, float(knee[1])), Region.SKIRT)


def _skirt_weights(points: Floats, waist: float, knee: float) -> Floats:
    """Cloth follows the pelvis at the waist, both thighs below, and in part the shins."""
    x, y = points[..., 0], points[..., 1]
    left = _smooth((x + 0.12) / 0.24)
    free = 0.85 * _smooth((waist - 0.05 - y) / 0.25)
    shin = 0.5 * _smooth((knee - y) / 0.3)
    weights = np.zeros((*points.shape[:-1], NUM_JOINTS))
    weights[..., JOINT["pelvis"]] = 1 - free
    for side, share in (("left", left), ("right", 1 - left)):
        weights[..., JOINT[f"{side}_hip"]] = free * share * (1 - shin)
        weights[..., JOINT[f"{side}_knee"]] = free * share * shin
    return weights


def _hair(rng: np.random.Generator, marks: Landmarks) -> Garment:
    """Hair that hangs from the head, or a knot or a tail of it."""
    points = _tail(rng, marks) if rng.random() < 0.3 else _loose_hair(rng, marks)
    return _garment(points, _head_weights(points, marks), Region.HAIR)


def _tail(rng: np.random.Generator, marks: Landmarks) -> Floats:
    length = float(rng.choice([0.04, rng.uniform(0.08, 0.16)]))
    below = rng.uniform(-0.04, 0.07) - length + 0.04
    centre = _head_centre(marks) + [0, below, -0.115]
    return _ellipsoid(centre, np.array([0.035, 0.02 + length, 0.035]))


def _loose_hair(rng: np.random.Generator, marks: Landmarks) -> Floats:
    """Hair around the sides and the back of the head, down to the chin or over the shoulders."""
    head, eyes = _head_centre(marks), marks.eyes[:, 1].mean()
    opening = rng.uniform(1.1, 1.7)
    angles = np.linspace(opening, 2 * np.pi - opening, SECTORS)
    full = rng.uniform(0.008, 0.03)
    top, hem = eyes + 0.1, eyes - rng.uniform(0.08, 0.42)
    down = np.linspace(0, 1, 9)[:, None]
    height = top + (hem - top) * down
    over_eyes = np.maximum(height - eyes - 0.02, 0) / 0.11
    bulge = np.sqrt(np.clip(1 - over_eyes**2, 0.15, 1))
    x = (0.085 + full) * bulge * (1 + rng.uniform(-0.25, 0.3) * down) * np.sin(angles)
    z = head[2] + (0.1 + full) * bulge * np.cos(angles)
    z -= 0.05 * _smooth((eyes - 0.12 - height) / 0.1) * (np.cos(angles) < 0)  # over the back
    return np.stack(np.broadcast_arrays(x, height, z), axis=-1)


def _hat(rng: np.random.Generator, marks: Landmarks) -> Garment:
    """A woolly hat, a hat with a brim all around, or a cap with a visor."""
    centre = _head_centre(marks) + [0, rng.uniform(0.035, 0.055), 0]
    brims = (
        np.zeros(SECTORS),
        np.full(SECTORS, rng.uniform(0.04, 0.09)),
        0.08 * np.clip(2 * np.cos(_ANGLES) - 0.6, 0, 1),
    )
    brim = np.outer([0.5, 1.0], brims[rng.integers(len(brims))])
    crown = np.linspace(0.02, 1, 6)[:, None] * np.pi / 2 + 0 * _ANGLES
    height = centre[1] + rng.uniform(0.075, 0.12) * np.cos(crown)
    points = _around(
        np.vstack([0.097 * np.sin(crown), 0.097 + brim]),
        np.vstack([0.122 * np.sin(crown), 0.122 + brim]),
        np.vstack([height, height[-1] - 0.15 * brim]),
        centre[2],
    )
    return _garment(points, _head_weights(points, marks), Region.HAT)


def _bag(rng: np.random.Generator, marks: Landmarks) -> Garment:
    """A backpack, a bag at the hip, or something in a hand."""
    side = float(rng.choice([-1, 1]))
    kind = rng.random()
    if kind < 0.4:
        joint, offset = "spine3", np.array([0, 0.1, -0.15])
        radii = rng.uniform([0.1, 0.15, 0.05], [0.17, 0.24, 0.1])
    elif kind < 0.7:
        joint = "pelvis"
        offset = np.array([0.23 * side, *rng.uniform([-0.2, -0.05], [0.05, 0.08])])
        radii = rng.uniform([0.04, 0.1, 0.1], [0.08, 0.18, 0.18])
    else:
        joint = "left_hand" if side > 0 else "right_hand"
        radii = rng.uniform([0.02, 0.01, 0.04], [0.2, 0.04, 0.14])
        offset = np.array([radii[0] * side * rng.uniform(0, 1), -0.02, rng.uniform(-0.02, 0.1)])
    points = _ellipsoid(marks.joints[JOINT[joint]] + offset, radii, power=0.4)
    weights = np.zeros((*points.shape[:-1], NUM_JOINTS))
    weights[..., JOINT[joint]] = 1
    return _garment(points, weights, Region.BAG)


_MAKERS: dict[Region, Callable[[np.random.Generator, Landmarks], Garment]] = {
    Region.SKIRT: _skirt,
    Region.HAIR: _hair,
    Region.HAT: _hat,
    Region.BAG: _bag,
}
_ANGLES = np.linspace(0, 2 * np.pi, SECTORS)


def _head_centre(marks: Landmarks) -> Floats:
    eyes = marks.eyes.mean(axis=0)
    return np.array([0.0, eyes[1] + 0.015, eyes[2] - 0.085])


def _head_weights(points: Floats, marks: Landmarks) -> Floats:
    """Hair follows the head above the chin, and the upper back where it lies on it."""
    on_head = _smooth((points[..., 1] - marks.joints[JOINT["neck"], 1] + 0.05) / 0.15)
    weights = np.zeros((*points.shape[:-1], NUM_JOINTS))
    weights[..., JOINT["head"]] = on_head
    weights[..., JOINT["spine3"]] = 1 - on_head
    return weights


def _smooth(value: Floats) -> Floats:
    value = np.clip(value, 0, 1)
    return np.asarray(value * value * (3 - 2 * value))


def _around(width: Floats, depth: Floats, height: Floats, z: float) -> Floats:
    """Grid (R, SECTORS, 3) of elliptic rings, from the front over the left."""
    rings = (width * np.sin(_ANGLES), height + 0 * _ANGLES, z + depth * np.cos(_ANGLES))
    return np.stack(np.broadcast_arrays(*rings), axis=-1)


def _ellipsoid(centre: Floats, radii: Floats, *, power: float = 1.0) -> Floats:
    """Grid of an ellipsoid, or nearly a box for a power near 0."""

    def bend(value: Floats) -> Floats:
        return np.asarray(np.sign(value) * np.abs(value) ** power)

    polar = np.linspace(0.01, np.pi - 0.01, 11)[:, None]
    unit = [
        bend(np.sin(polar)) * bend(np.sin(_ANGLES)),
        bend(np.cos(polar)) + 0 * _ANGLES,
        bend(np.sin(polar)) * bend(np.cos(_ANGLES)),
    ]
    return np.asarray(centre + radii * np.stack(unit, axis=-1))


def _garment(points: Floats, weights: Floats, region: Region) -> Garment:
    """Mesh of a grid (R, C, 3) whose rows go down and whose columns go from front to left."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (
        part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:])
    )
    outer = np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, d])])
    inner = outer[:, ::-1] + rows * columns
    flat, carried = points.reshape(-1, 3), weights.reshape(-1, NUM_JOINTS)
    return Garment(
        points=np.concatenate([flat, flat]).astype(np.float32),
        faces=np.concatenate([outer, inner]),
        weights=np.concatenate([carried, carried]).astype(np.float32),
        region=region,
    )
