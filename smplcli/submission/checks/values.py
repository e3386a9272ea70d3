"""Whether numbers are what they are taken for: metres, rotations, camera axes."""

import numpy as np

from smplcli.types import Floats

PLAUSIBLE_REACH = (0.2, 3.0)
"""How far the farthest joint of a person is from the pelvis, metres, in the median."""

ROTATION_TOLERANCE = 1e-3
"""Single precision keeps 1e-6; nine numbers that nobody made orthogonal miss by far more."""

UPSIDE_DOWN = 0.3
"""Share of a person's reach by which the head is below the ankles, in the median."""

PELVIS, HEAD, ANKLES = 0, 15, (7, 8)
"""Joints of SMPL's 24."""


def unit_fault(joints3d: Floats) -> str | None:
    """What is wrong with the unit of joints (N, J, 3), the first of which is the pelvis."""
    reach = np.median(_reach(joints3d))
    low, high = PLAUSIBLE_REACH
    if low < reach < high:
        return None
    hint = ": these look like millimetres" if low < reach / 1000 < high else ""
    return f"must be metres, but the farthest joint is {reach:.4g} from the pelvis{hint}"


def head_drop(joints3d: Floats) -> Floats:
    """How far heads are below ankles, over the reach of the body, of SMPL joints (N, 24, 3)."""
    drop = joints3d[:, HEAD, 1] - joints3d[:, list(ANKLES), 1].mean(axis=1)
    return np.asarray(drop / _reach(joints3d))


def axes_fault(drops: Floats) -> str | None:
    """What is wrong with axes in which heads are that far below ankles (N,)."""
    if not len(drops) or np.median(drops) < UPSIDE_DOWN:
        return None
    return (
        "people stand on their heads: y must point down, as in the camera's frame,"
        " and not up, as in the world's"
    )


def rotation_fault(rotations: Floats) -> str | None:
    """What is wrong with matrices (N, J, 3, 3) that should be rotations."""
    skew = np.abs(rotations @ rotations.swapaxes(-1, -2) - np.eye(3)).max(axis=(-1, -2))
    mirrors = (skew <= ROTATION_TOLERANCE) & (np.linalg.det(rotations) < 0)
    wrong = (skew > ROTATION_TOLERANCE) | mirrors
    if not wrong.any():
        return None
    first = np.argwhere(wrong)[0]
    kind = "mirror" if mirrors.sum() == wrong.sum() else "are no rotations"
    where = f"first person-frame {first[0]}, part {first[1]}"
    return f"hold {wrong.sum()} matrices that {kind}, {where}"


def is_empty(array: np.ndarray) -> np.ndarray:
    """(N,) whether all numbers of a row are NaN."""
    return np.asarray(np.isnan(array).reshape(len(array), -1).all(axis=1))


def _reach(joints3d: Floats) -> Floats:
    return np.asarray(np.linalg.norm(joints3d - joints3d[:, :1], axis=-1).max(axis=1))
