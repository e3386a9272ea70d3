"""Which sample is which person in which frame of which sequence, read off image names."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from smplcli.errors import UnreadableFileError
from smplcli.types import Ints

FRAME_NUMBER = re.compile(r"(\d+)$")
MAX_FRAMES = 100_000
"""An hour at 25 frames a second; image names with larger numbers count something else."""

MAX_PEOPLE = 100


class SequenceRows(NamedTuple):
    """Where the samples of one sequence belong."""

    name: str
    rows: Ints
    """(M,) places of the samples in the split."""

    person: Ints
    """(M,) place among the people of the sequence, which is their ``person_id``."""

    frame: Ints
    """(M,) image number; the first is 0."""

    @property
    def num_people(self) -> int:
        """People, up to the last that has a sample."""
        return int(self.person.max()) + 1

    @property
    def num_frames(self) -> int:
        """Images, up to the last that has a sample."""
        return int(self.frame.max()) + 1


def sequences_of(ids: Sequence[tuple[str, int]]) -> list[SequenceRows]:
    """Sequences of a split, by name.

    Args:
        ids: Image name (``.../<sequence>/image_00012.jpg``) and person of every sample.

    Raises:
        UnreadableFileError: A name does not tell sequence and frame, or two samples are the same
            person in the same frame.
    """
    grouped: dict[str, list[tuple[int, int, int]]] = {}
    for row, (imgname, person) in enumerate(ids):
        sequence, frame = _sequence_and_frame(imgname)
        if not 0 <= person < MAX_PEOPLE:
            raise UnreadableFileError(f"person_id is no place among people: {person}: {imgname!r}")
        grouped.setdefault(sequence, []).append((row, person, frame))
    result = []
    for name, samples in sorted(grouped.items()):
        rows, person, frame = np.array(samples, dtype=np.int64).T
        if len({(p, f) for _, p, f in samples}) < len(samples):
            raise UnreadableFileError(f"two samples of the same person and frame in: {name!r}")
        result.append(SequenceRows(name, rows, person, frame))
    return result


def as_ranges(numbers: Iterable[int]) -> str:
    """Numbers in words as few as possible: ``0-3, 7``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{low}-{high}" if high > low else f"{low}" for low, high in runs)


def _sequence_and_frame(imgname: str) -> tuple[str, int]:
    path = PurePosixPath(imgname.replace("\\", "/"))
    number = FRAME_NUMBER.search(path.stem)
    sequence = path.parent.name
    if not sequence or number is None or int(number[1]) >= MAX_FRAMES:
        raise UnreadableFileError(
            f"image name tells no sequence and frame: {imgname!r}",
            hint="Names must look like <sequence>/image_00012.jpg.",
        )
    return sequence, int(number[1])
