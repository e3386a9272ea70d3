"""How long the sequences of a prepared data set are, whatever was kept of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smplcli.datasets.annotations import SequenceSize
from smplcli.datasets.schema import MANIFEST_FILE
from smplcli.datasets.shards import read_manifest
from smplcli.errors import UnreadableFileError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
"""Names that are safe as the name of a file or folder on any system."""

MAX_FRAMES = 100_000
"""An hour at 25 frames a second; larger numbers count something else."""

MAX_PEOPLE = 100


def data_source(folder: Path) -> str:
    """Where a prepared data set comes from: ``3dpw``, ``mpii``, ``eth``, ``spin``, ``synthetic``.

    Raises:
        MissingFileError: The folder holds no prepared data set.
        UnreadableFileError: Its manifest is of another format.
    """
    return str(read_manifest(folder).get("source"))


def sequence_sizes(folder: Path) -> dict[str, dict[str, SequenceSize]]:
    """Size of every whole sequence by split and name; no split where the data set does not say.

    Raises:
        MissingFileError: The folder holds no prepared data set.
        UnreadableFileError: Its manifest is of another format, or sizes in it are no sizes.
    """
    stated = read_manifest(folder).get("sequences") or {}
    try:
        return {
            split: {name: _size(name, entry) for name, entry in names.items()}
            for split, names in stated.items()
            if names
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableFileError(
            f"manifest tells no sizes of its sequences: {folder / MANIFEST_FILE}: {error}",
            hint="Run 'smplcli prepare' again.",
        ) from error


def num_dropped(folder: Path, split: str) -> int:
    """People of a split whom the data set left out, for whatever reason; 0 where it says nothing.

    Raises:
        MissingFileError: The folder holds no prepared data set.
        UnreadableFileError: Its manifest is of another format.
    """
    counts = read_manifest(folder).get("counts")
    own = counts.get(split) if isinstance(counts, dict) else None
    dropped = own.get("dropped") if isinstance(own, dict) else None
    numbers = dropped.values() if isinstance(dropped, dict) else ()
    return sum(number for number in numbers if isinstance(number, int))


def _size(name: str, entry: Mapping[str, Any]) -> SequenceSize:
    frames, people = entry["num_frames"], entry["num_people"]
    is_count = isinstance(frames, int) and isinstance(people, int)
    if not (is_count and 0 < frames <= MAX_FRAMES and 0 < people <= MAX_PEOPLE):
        raise ValueError(f"{name!r} has {frames!r} frames and {people!r} people")
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a sequence")
    return SequenceSize(num_frames=frames, num_people=people)
