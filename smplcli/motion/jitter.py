"""How much a motion shakes."""

import numpy as np

from smplcli.conventions import METRES_TO_MM
from smplcli.types import Floats, Ints


def jitter(joints3d: Floats, frames: Ints) -> Floats:
    """Acceleration of joints over three frames that follow each other evenly.

    Args:
        joints3d: (T, J, 3) of one person over time, metres.
        frames: (T,) numbers of their frames, growing.

    Returns:
        (K,) means over the joints, mm per squared frame, of the K such threes.
    """
    first, second = np.diff(frames)[:-1], np.diff(frames)[1:]
    change = joints3d[2:] - 2 * joints3d[1:-1] + joints3d[:-2]
    acceleration = np.linalg.norm(change, axis=-1).mean(axis=-1)
    usual = np.min(np.diff(frames), initial=np.iinfo(np.int64).max)
    even: Floats = METRES_TO_MM * acceleration[(first == usual) & (second == usual)]
    return even
