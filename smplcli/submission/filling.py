"""What stands in for a frame without a prediction, where the user asks for it."""

from typing import Literal, NamedTuple

import numpy as np
import torch

from smplcli.rotations import aa_to_rotmat, rotmat_to_aa
from smplcli.types import Floats, Ints

Fill = Literal["none", "previous", "interpolate"]
"""``previous`` repeats the prediction before; ``interpolate`` goes evenly from it to the next.
Before the first and after the last prediction of a person, both repeat that."""


class Blend(NamedTuple):
    """M frames as mixtures of two predictions each."""

    first: Ints
    """(M,) place of a prediction."""

    second: Ints
    """(M,) place of the next prediction, or of the same."""

    share: Floats
    """(M,) of the second, 0 up to 1."""


def blend_frames(known: Ints, wanted: Ints, fill: Fill) -> Blend:
    """Which predictions of one person stand for which frames.

    Args:
        known: (K,) frames with predictions, rising, at least one.
        wanted: (M,) frames.
        fill: How to stand in for those of ``wanted`` that are not in ``known``.
    """
    before = np.searchsorted(known, wanted, side="right") - 1
    first = before.clip(min=0)
    second = (before + 1).clip(0, len(known) - 1) if fill == "interpolate" else first
    gap = np.maximum(known[second] - known[first], 1)
    share = ((wanted - known[first]) / gap).clip(0, 1) * (second != first)
    return Blend(first, np.where(share > 0, second, first), share)


def blend_poses(full_pose: Floats, betas: Floats, blend: Blend) -> tuple[Floats, Floats]:
    """Poses and shapes of frames, by spherical and linear interpolation.

    Args:
        full_pose: (K, 24, 3, 3) rotation matrices, finite.
        betas: (K, 10).
        blend: What stands for each of M frames.

    Returns:
        (M, 24, 3, 3) and (M, 10) float32; predictions themselves are unchanged.
    """
    poses = torch.from_numpy(np.asarray(full_pose, dtype=np.float32))
    mixed = poses[torch.from_numpy(blend.first)]
    rows = np.flatnonzero(blend.share > 0)
    if rows.size:
        start, end = (poses[torch.from_numpy(part[rows])] for part in (blend.first, blend.second))
        share = torch.from_numpy(blend.share[rows]).float()[:, None, None]
        mixed[torch.from_numpy(rows)] = start @ aa_to_rotmat(share * rotmat_to_aa(start.mT @ end))
    weight = blend.share[:, None].astype(np.float32)
    shapes = (1 - weight) * betas[blend.first] + weight * betas[blend.second]
    return mixed.numpy(), np.asarray(shapes, dtype=np.float32)
