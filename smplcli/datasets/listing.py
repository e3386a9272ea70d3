"""Which pictures exist, asked of each folder once: a data set has tens of thousands."""

import os
from functools import cache
from pathlib import Path

MAX_NAMES_SHOWN = 8


class Listing:
    """Files of any number of folders, each read when it is first asked about."""

    def __init__(self) -> None:
        self._names = cache(_file_names)

    def has(self, path: Path) -> bool:
        """Whether there is such a file."""
        return path.name in self._names(path.parent)

    def count(self, folder: Path) -> int:
        """Files in a folder, 0 where there is no such folder."""
        return len(self._names(folder))


def _file_names(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        return frozenset()


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder by name; none where it cannot be read."""
    return [entry for entry in _entries(folder) if entry.is_dir()]


def what_is_there(folder: Path) -> str:
    """A folder's content in a few words, for errors that say what was found instead."""
    if not folder.is_dir():
        return "no such folder" if not folder.exists() else "a file"
    names = [entry.name + "/" * entry.is_dir() for entry in _entries(folder)]
    shown = ", ".join(names[:MAX_NAMES_SHOWN]) or "nothing"
    return f"{shown} and {len(names) - MAX_NAMES_SHOWN} more" if names[MAX_NAMES_SHOWN:] else shown


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
