"""Writes results in the form of the 3DPW challenge (ECCV 2020): a zip with a pickle per sequence.

Source:
    github.com/aymenmir1/3dpw-eval, README.md and evaluate.py. Its README asks for "global"
    coordinates; its code compares in camera axes, which is what is written here.
"""

import pickle
import pickletools
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from smplcli.errors import ShapeError
from smplcli.evaluation.protocols import ORIENTED_PARTS
from smplcli.types import Floats

DEMO_NOTICE = (
    "DEMO: made with synthetic people or the demo body of smplcli, to show the form of a"
    " submission. It scores nothing anywhere; do not upload it.\n"
)


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
            archive.comment = DEMO_NOTICE.encode()
            _write_member(archive, "DEMO.txt", DEMO_NOTICE.encode())
        for sequence in sequences:
            _check_shapes(sequence)
            content = {
                "jointPositions": sequence.joints3d,
                "orientations": sequence.orientations,
            }
            _write_member(archive, f"{sequence.split}/{sequence.name}.pkl", _pickle(content))


def _write_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name)  # its date is fixed: 1980
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3  # Unix, wherever this runs
    member.external_attr = 0o644 << 16
    archive.writestr(member, content)


def _pickle(arrays: Mapping[str, Floats]) -> bytes:
    """Pickle that Python 2 and any numpy can read: protocol 2, and the names before numpy 2."""
    plain = {name: np.ascontiguousarray(array, dtype="<f8") for name, array in arrays.items()}
    content = pickle.dumps(plain, protocol=2)
    pieces, copied = [], 0
    for opcode, argument, position in pickletools.genops(content):
        if opcode.name == "GLOBAL" and str(argument).startswith("numpy._core."):
            written = f"c{argument}\n".replace(" ", "\n").encode()
            old = written.replace(b"numpy._core.", b"numpy.core.")
            pieces += [content[copied:position], old]
            copied = (position or 0) + len(written)
    return b"".join([*pieces, content[copied:]])


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
