"""Which sample is which person in which frame of which sequence, read off image names."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from smplcli.datasets.annotations import SequenceSize
from smplcli.datasets.sequences import MAX_FRAMES, MAX_PEOPLE, NAME
from smplcli.errors import UnreadableFileError
from smplcli.types import Ints

FRAME_NUMBER = re.compile(r"(\d+)$")


class SequenceRows(NamedTuple):
    """Where the samples of one sequence belong."""

    name: str
    rows: Ints
    """(M,) places of the samples in the split."""

    person: Ints
    """(M,) place among the people of the sequence, which is their ``person_id``."""

    frame: Ints
    """(M,) image number; the first is 0."""

    size: SequenceSize
    """Of the whole sequence, or up to the last frame and person that have a sample."""


def sequences_of(
    ids: Sequence[tuple[str, int]], sizes: Mapping[str, SequenceSize] | None = None
) -> list[SequenceRows]:
    """Sequences of a split, by name.

    Args:
        ids: Image name (``.../<sequence>/image_00012.jpg``) and person of every sample.
        sizes: All sequences of the split by name; ``None`` takes them from the samples.

    Raises:
        UnreadableFileError: A name does not tell sequence and frame, two samples are the same
            person in the same frame, or one lies outside of what ``sizes`` says.
    """
    grouped: dict[str, list[tuple[int, int, int]]] = {name: [] for name in sizes or {}}
    for row, (imgname, person) in enumerate(ids):
        sequence, frame = sequence_and_frame(imgname)
        if not 0 <= person < MAX_PEOPLE:
            raise UnreadableFileError(f"person_id is no place among people: {person}: {imgname!r}")
        grouped.setdefault(sequence, []).append((row, person, frame))
    return [_sequence(name, samples, sizes) for name, samples in sorted(grouped.items())]


def as_ranges(numbers: Iterable[int]) -> str:
    """Numbers in words as few as possible: ``0-3, 7``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{low}-{high}" if high > low else f"{low}" for low, high in runs)


def sequence_and_frame(imgname: str) -> tuple[str, int]:
    """Sequence and image number that an image name tells.

    Raises:
        UnreadableFileError: It tells none.
    """
    path = PurePosixPath(imgname.replace("\\", "/"))
    number = FRAME_NUMBER.search(path.stem)
    sequence = path.parent.name
    if not NAME.fullmatch(sequence) or number is None or int(number[1]) >= MAX_FRAMES:
        raise UnreadableFileError(
            f"image name tells no sequence and frame: {imgname!r}",
            hint="Names must look like <sequence>/image_00012.jpg.",
        )
    return sequence, int(number[1])


def _sequence(
    name: str,
    samples: Sequence[tuple[int, int, int]],
    sizes: Mapping[str, SequenceSize] | None,
) -> SequenceRows:
    rows, person, frame = np.array(samples, dtype=np.int64).reshape(-1, 3).T
    if len({(p, f) for _, p, f in samples}) < len(samples):
        raise UnreadableFileError(f"two samples of the same person and frame in: {name!r}")
    if sizes is None:
        size = SequenceSize(num_frames=int(frame.max()) + 1, num_people=int(person.max()) + 1)
    elif name not in sizes:
        raise UnreadableFileError(f"data set does not list the sequence of its sample: {name!r}")
    else:
        size = sizes[name]
    if (frame >= size.num_frames).any() or (person >= size.num_people).any():
        raise UnreadableFileError(
            f"samples lie outside of the {size.num_frames} frames and {size.num_people} people"
            f" that the data set states for: {name!r}"
        )
    return SequenceRows(name, rows, person, frame, size)
