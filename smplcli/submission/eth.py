"""Writes results in the form of ETH Zurich's Machine Perception course: a csv of joints.

Source:
    Template of the course's project of 2022, kept in its students' repositories: numpy.savetxt of
    one row per picture, the 49 joints of SPIN's neutral body, untranslated, x, y, z in metres.
"""

from typing import BinaryIO

import numpy as np

from smplcli.conventions import SPIN49_JOINTS
from smplcli.errors import ShapeError
from smplcli.submission.archives import DEMO_NOTICE
from smplcli.types import Floats


def write_eth(file: BinaryIO, joints3d: Floats, *, is_demo: bool = False) -> None:
    """Write a submission; the same results give the same bytes.

    Args:
        file: Where the csv goes.
        joints3d: (N, 49, 3) SPIN's joints, metres, camera axes, in the order of the data's npz.
        is_demo: Whether the file must say that it is no result, in a comment on top.

    Raises:
        ShapeError: The array has another shape.
    """
    if joints3d.ndim != 3 or joints3d.shape[1:] != (len(SPIN49_JOINTS), 3):
        raise ShapeError(f"joints3d must be (N, 49, 3), got {joints3d.shape}")
    if is_demo:
        file.write(f"# {DEMO_NOTICE}".encode())
    rows = np.asarray(joints3d, dtype=np.float64).reshape(len(joints3d), -1)
    np.savetxt(file, rows, fmt="%.18e", delimiter=",")
