"""Writes results in the form of the 3DPW challenge (ECCV 2020): a zip with a pickle per sequence.

Source:
    github.com/aymenmir1/3dpw-eval, README.md and evaluate.py. Its README asks for "global"
    coordinates; its code compares in camera axes, which is what is written here.
"""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from smplcli.errors import ShapeError
from smplcli.evaluation.protocols import ORIENTED_PARTS
from smplcli.submission.archives import add_demo_notice, add_member, plain_pickle
from smplcli.types import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceResult:
    """What is submitted for one sequence: P people in the data set's order, all N frames."""

    split: str
    """``train``, ``validation`` or ``test``: the folder of the sequence's ground truth."""

    name: str
    """Name of the sequence, as its ground truth file is called."""

    joints3d: Floats
    """(P, N, 24, 3) SMPL joints, metres, camera axes, any origin; NaN where there is no result."""

    orientations: Floats
    """(P, N, 9, 3, 3) global rotations of `ORIENTED_PARTS`, part to camera; NaN likewise."""


def write_threedpw(
    file: BinaryIO, sequences: Iterable[SequenceResult], *, is_demo: bool = False
) -> None:
    """Write a submission; the same results give the same bytes.

    Args:
        file: Where the zip goes; opened for writing and seekable.
        sequences: Results, in the order of their files; one at a time is held in memory.
        is_demo: Whether the archive must say that it is no result.

    Raises:
        ShapeError: An array has another shape than `SequenceResult` says.
    """
    with zipfile.ZipFile(file, "w") as archive:
        if is_demo:
            add_demo_notice(archive)
        for sequence in sequences:
            _check_shapes(sequence)
            arrays = {
                "jointPositions": sequence.joints3d,
                "orientations": sequence.orientations,
            }
            plain = {key: np.ascontiguousarray(a, dtype="<f8") for key, a in arrays.items()}
            add_member(archive, f"{sequence.split}/{sequence.name}.pkl", plain_pickle(plain))


def _check_shapes(sequence: SequenceResult) -> None:
    people_frames = sequence.joints3d.shape[:2]
    wanted = {
        "joints3d": (*people_frames, 24, 3),
        "orientations": (*people_frames, len(ORIENTED_PARTS), 3, 3),
    }
    for name, shape in wanted.items():
        got = getattr(sequence, name).shape
        if got != shape:
            raise ShapeError(f"{name} of {sequence.name} must be {shape}, got {got}")
