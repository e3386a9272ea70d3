"""Which pictures follow each other in time: frames of a video, and numbered pictures."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smplcli.types import Ints
from smplcli.videos import DEFAULT_FPS, MAX_FPS, split_frame_name

SEQUENCES = "sequences"
"""Where ``meta`` has the facts about them."""

ANY_NUMBER = "*"
"""What stands for the numbers in the name of a sequence of pictures."""

_NUMBERED = re.compile(r"(.*?)([0-9]{1,12})([^0-9]*)", re.DOTALL)


class FrameSequence(NamedTuple):
    """The people of pictures that follow each other."""

    name: str
    """Path of the video, or that of the pictures with ``*`` for their number."""

    is_video: bool
    fps: float
    """Frames per second, by the count of ``frames``."""

    every: int
    """Distance of the frames that were looked at."""

    cuts: tuple[int, ...]
    """Frames that begin a new shot."""

    rows: Ints
    """(M,) rows of its people, frame by frame."""

    frames: Ints
    """(M,) number of the frame of each."""


def sequence_of(imgname: str) -> tuple[str, int] | None:
    """Name of the sequence that a picture is of and its number there; nothing if it has none.

    The number of a picture is the last in its name: ``walk/img_0012.jpg`` is 12 of
    ``walk/img_*.jpg``.
    """
    path = Path(imgname)
    frame = split_frame_name(path)
    if frame is not None:
        return frame[0].as_posix(), frame[1]
    match = _NUMBERED.fullmatch(path.stem)
    if match is None:
        return None
    name = path.with_name(f"{match[1]}{ANY_NUMBER}{match[3]}{path.suffix}")
    return name.as_posix(), int(match[2])


def numbered_sequences(imgnames: Iterable[str], *, fps: float) -> dict[str, dict[str, Any]]:
    """Facts about the sequences of numbered pictures, at least two each."""
    numbers: dict[str, list[int]] = {}
    for imgname in imgnames:
        found = sequence_of(imgname)
        if found is not None and split_frame_name(Path(imgname)) is None:
            numbers.setdefault(found[0], []).append(found[1])
    facts: dict[str, dict[str, Any]] = {}
    for name, found_numbers in numbers.items():
        steps = np.diff(np.unique(found_numbers))
        if len(steps):
            facts[name] = {"fps": fps, "every": int(steps.min()), "frames": len(found_numbers)}
    return facts


def sequence_names(imgnames: Iterable[str], *, numbered: bool) -> dict[str, bool]:
    """Sequences among pictures, and whether each is a video.

    Args:
        imgnames: Names of the pictures.
        numbered: Whether numbered pictures are sequences.
    """
    names = list(imgnames)
    frames = (split_frame_name(Path(name)) for name in names)
    videos = {frame[0].as_posix(): True for frame in frames if frame is not None}
    pictures = numbered_sequences(names, fps=DEFAULT_FPS) if numbered else {}
    return dict.fromkeys(pictures, False) | videos


def frame_times(imgnames: Iterable[str], meta: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """Sequence and seconds since its beginning of every picture that is of one.

    Args:
        imgnames: Names of pictures, with or without people.
        meta: Of the predictions file, from whoever wrote it.
    """
    known = meta.get(SEQUENCES)
    known = known if isinstance(known, dict) else {}
    found = ((name, sequence_of(name)) for name in imgnames)
    return {
        name: (frame[0], frame[1] / _fps(known[frame[0]]))
        for name, frame in found
        if frame is not None and frame[0] in known
    }


def find_sequences(imgname: NDArray[np.str_], meta: Mapping[str, Any]) -> list[FrameSequence]:
    """People by sequence, as far as a predictions file knows of sequences.

    Args:
        imgname: (N,) names of the pictures of people.
        meta: Of the file, from whoever wrote it.
    """
    known = meta.get(SEQUENCES)
    known = known if isinstance(known, dict) else {}
    members: dict[str, list[tuple[int, int]]] = {}
    for row, name in enumerate(imgname.tolist()):
        found = sequence_of(name)
        if found is not None and found[0] in known:
            members.setdefault(found[0], []).append((found[1], row))
    return [_sequence(name, known[name], rows) for name, rows in members.items()]


def _sequence(name: str, facts: Any, members: list[tuple[int, int]]) -> FrameSequence:
    facts = facts if isinstance(facts, dict) else {}
    every, cuts = facts.get("every"), facts.get("cuts")
    in_order = np.array(sorted(members), np.int64)
    return FrameSequence(
        name,
        split_frame_name(Path(name) / "0") is not None,
        _fps(facts),
        every if isinstance(every, int) and every > 0 else 1,
        tuple(x for x in cuts if isinstance(x, int)) if isinstance(cuts, list) else (),
        in_order[:, 1],
        in_order[:, 0],
    )


def track_colours(
    sequences: Iterable[FrameSequence], track_id: Ints, *, num_colours: int
) -> dict[int, int]:
    """Number of each track's colour: that which nobody has had for the longest time.

    Args:
        sequences: Those of a predictions file.
        track_id: (N,) tracks of all people of the file.
        num_colours: How many there are.
    """
    colours: dict[int, int] = {}
    for sequence in sequences:
        last_seen = [-1] * num_colours
        for track, _, frames in tracks_of(sequence, track_id):
            colour = last_seen.index(min(last_seen))
            colours[track] = colour
            last_seen[colour] = int(frames[-1])
    return colours


def _fps(facts: Any) -> float:
    fps = facts.get("fps") if isinstance(facts, dict) else None
    return float(fps) if isinstance(fps, int | float) and 0 < fps <= MAX_FPS else DEFAULT_FPS


def tracks_of(sequence: FrameSequence, track_id: Ints) -> Iterator[tuple[int, Ints, Ints]]:
    """Number, rows and frames of each track of a sequence, frame by frame.

    Args:
        sequence: The people.
        track_id: (N,) tracks of all people of the file.
    """
    own = track_id[sequence.rows]
    order = np.argsort(own, kind="stable")[np.count_nonzero(own < 0) :]
    tracks, first_of = np.unique(own[order], return_index=True)
    for track, at in zip(tracks.tolist(), np.split(order, first_of[1:]), strict=False):
        frames, first = np.unique(sequence.frames[at], return_index=True)
        yield track, sequence.rows[at[first]], frames
