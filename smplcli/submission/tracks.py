"""Who is followed through the rows of a file that names nobody."""

from collections.abc import Iterator, Sequence

import numpy as np

from smplcli.errors import UnreadableFileError
from smplcli.submission.layout import sequence_and_frame
from smplcli.types import Ints


def row_tracks(ids: Sequence[tuple[str, int]]) -> Iterator[tuple[Ints, Ints]]:
    """Runs of rows in which one sequence goes on: SPIN's files list a person after the other.

    Args:
        ids: Image name and person of every row.

    Yields:
        Rows of a run and their frames, both rising; a picture of no sequence is a run of its own.
    """
    start, last = 0, ("", -1)
    frames: list[int] = []
    for row, (imgname, _) in enumerate(ids):
        place = _place(imgname)
        if frames and (place[0] != last[0] or not place[0] or place[1] <= last[1]):
            yield np.arange(start, row), np.array(frames)
            start, frames = row, []
        frames.append(place[1])
        last = place
    if frames:
        yield np.arange(start, len(ids)), np.array(frames)


def _place(imgname: str) -> tuple[str, int]:
    try:
        return sequence_and_frame(imgname)
    except UnreadableFileError:
        return "", 0
