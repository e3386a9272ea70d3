"""Motion without the jitter of estimating every frame on its own: One-Euro filters.

Each filter passes over a track forwards and backwards, and what comes out lies half-way between
both: what one direction lags behind, the other runs ahead.

Source:
    Casiez, Roussel, Vogel, "1 Euro Filter: a simple speed-based low-pass filter for noisy input in
    interactive systems", CHI 2012; on rotations, steps are taken along the shortest arc.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from smplcli.types import Floats

SPEED_CUTOFF = 1.0
"""Hz, of the speeds that open the filters."""


OUTLIER = np.radians(50)
"""A rotation that is farther than this from between those before and after is wrong ..."""

OUTLIER_RATIO = 3.0
"""... if it is also so many times farther than they are from each other."""


class OneEuro(NamedTuple):
    """How much is smoothed."""

    min_cutoff: float
    """Hz, of what stands still: less is smoother."""

    gain: float
    """Hz that each unit of speed (radians or metres per second) adds: more lags less."""


ROTATION = OneEuro(min_cutoff=0.8, gain=1.0)
DIRECTION = OneEuro(min_cutoff=1.5, gain=3.0)
"""Of where a person stands in the picture, which every frame shows well."""

DEPTH = OneEuro(min_cutoff=0.3, gain=0.5)
"""Of how far away they stand, which a frame hardly shows."""


def smooth_rotations(quaternions: Floats, times: Floats, filter_: OneEuro = ROTATION) -> Floats:
    """Smooth rotations over time, whatever their signs and however far they turn.

    A single frame that agrees with neither neighbour, such as one in which back was taken for
    front, is left out.

    Args:
        quaternions: (T, ..., 4) of unit length, scalar first; q and -q are the same rotation.
        times: (T,) seconds, growing.
        filter_: How much.

    Returns:
        (T, ..., 4), each on the side of the one before.
    """
    continuous = unrolled(without_outliers(unrolled(quaternions)))
    forward, backward = _both_ways(
        lambda values, at: _filter_rotations(values, at, filter_), continuous, times
    )
    return _normalised(forward + np.where(_dot(forward, backward) < 0, -backward, backward))


def smooth_values(values: Floats, times: Floats, filter_: OneEuro) -> Floats:
    """Smooth numbers over time.

    Args:
        values: (T, ...), each with a speed of its own.
        times: (T,) seconds, growing.
        filter_: How much.
    """
    forward, backward = _both_ways(
        lambda items, at: _filter_values(items, at, filter_), values, times
    )
    middle: Floats = (forward + backward) / 2
    return middle


def smooth_places(places: Floats, times: Floats) -> Floats:
    """Smooth places in front of a camera, (T, 3) metres.

    The direction in which a person is seen follows the picture closely; the depth, which it
    hardly shows, changes smoothly.
    """
    depth = places[:, 2:]
    usual = float(np.median(depth))  # makes metres of ratios, so that speeds are a person's
    direction = smooth_values(usual * places[:, :2] / depth, times, DIRECTION) / usual
    depth = np.exp(smooth_values(usual * np.log(depth), times, DEPTH) / usual)
    return np.concatenate([direction * depth, depth], axis=1)


def without_outliers(quaternions: Floats) -> Floats:
    """Rotations (T, ..., 4), unrolled, with those replaced that neither neighbour agrees with."""
    result: Floats = quaternions.copy()
    if len(quaternions) < 3:
        return result
    before, own, after = quaternions[:-2], quaternions[1:-1], quaternions[2:]
    after = np.where(_dot(before, after) < 0, -after, after)
    between = _normalised(before + after)
    distance = np.linalg.norm(quaternion_to_aa(_from_to(between, own)), axis=-1, keepdims=True)
    spread = np.linalg.norm(quaternion_to_aa(_from_to(before, after)), axis=-1, keepdims=True)
    is_wrong = (distance > OUTLIER) & (distance > OUTLIER_RATIO * spread)
    result[1:-1] = np.where(is_wrong, between, own)
    return result


def unrolled(quaternions: Floats) -> Floats:
    """The same rotations (T, ..., 4), each with the sign that is nearer to the one before."""
    flips = np.where(_dot(quaternions[1:], quaternions[:-1]) < 0, -1.0, 1.0)
    result: Floats = quaternions.copy()
    result[1:] *= np.cumprod(flips, axis=0)
    return result


def quaternion_to_aa(quaternion: Floats) -> Floats:
    """Axis times angle (..., 3), radians, 0..pi, of unit quaternions (..., 4), scalar first."""
    quaternion = np.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(quaternion[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[..., :1])
    logarithm: Floats = quaternion[..., 1:] * np.where(
        sine < 1e-9, 2.0, angle / np.maximum(sine, 1e-9)
    )
    return logarithm


def _both_ways(
    run: Callable[[Floats, Floats], Floats], values: Floats, times: Floats
) -> tuple[Floats, Floats]:
    return run(values, times), run(values[::-1], -times[::-1])[::-1]


def _filter_values(values: Floats, times: Floats, filter_: OneEuro) -> Floats:
    result = np.array(values, np.float64)
    speed = np.zeros(result.shape[1:])
    for now in range(1, len(result)):
        step = times[now] - times[now - 1]
        speed += _weight(SPEED_CUTOFF, step) * ((values[now] - values[now - 1]) / step - speed)
        weight = _weight(filter_.min_cutoff + filter_.gain * np.abs(speed), step)
        result[now] = result[now - 1] + weight * (values[now] - result[now - 1])
    return result


def _filter_rotations(values: Floats, times: Floats, filter_: OneEuro) -> Floats:
    result = np.array(values, np.float64)
    velocity = np.zeros((*result.shape[1:-1], 3))
    turns = quaternion_to_aa(_from_to(values[:-1], values[1:]))
    for now in range(1, len(result)):
        step = times[now] - times[now - 1]
        velocity += _weight(SPEED_CUTOFF, step) * (turns[now - 1] / step - velocity)
        speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
        weight = _weight(filter_.min_cutoff + filter_.gain * speed, step)
        turn = weight * quaternion_to_aa(_from_to(result[now - 1], values[now]))
        result[now] = _normalised(_multiplied(result[now - 1], _exponential(turn)))
    return result


def _weight(cutoff: Floats | float, step: float) -> Floats:
    """What a new value counts beside the last, for a cutoff in Hz and a step in seconds."""
    weight: Floats = np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * step)))
    return weight


def _from_to(one: Floats, other: Floats) -> Floats:
    """What turns one rotation into the other, in the axes of the first."""
    return _multiplied(one * np.array([1.0, -1.0, -1.0, -1.0]), other)


def _multiplied(one: Floats, other: Floats) -> Floats:
    w, v = one[..., :1], one[..., 1:]
    x, u = other[..., :1], other[..., 1:]
    scalar = w * x - (v * u).sum(axis=-1, keepdims=True)
    return np.concatenate([scalar, w * u + x * v + np.cross(v, u)], axis=-1)


def _exponential(turn: Floats) -> Floats:
    half = np.linalg.norm(turn, axis=-1, keepdims=True) / 2
    return np.concatenate([np.cos(half), turn * np.sinc(half / np.pi) / 2], axis=-1)


def _normalised(quaternion: Floats) -> Floats:
    unit: Floats = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return unit


def _dot(one: Floats, other: Floats) -> Floats:
    product: Floats = (one * other).sum(axis=-1, keepdims=True)
    return product
