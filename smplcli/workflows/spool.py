"""Rows of predictions on disk while they are made: memory stays flat, and a kill loses little."""

import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import compress, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smplcli.errors import ResourceError
from smplcli.workflows.people import (
    BAD_BOX,
    NO_PERSON,
    OK,
    PERSON_FIELDS,
    UNREADABLE,
    Status,
)

STATUSES = (OK, NO_PERSON, UNREADABLE, BAD_BOX)

PICTURE = np.dtype([("status", "u1"), ("num_people", "<u4"), ("is_last", "?")])
"""What is kept of a picture; ``is_last`` is true where a group of pictures ends."""

PEOPLE_FILE, PICTURES_FILE, DETAILS_FILE = "people.bin", "pictures.bin", "details.jsonl"

TEXTS_AT_ONCE = 10_000
"""Texts of an array that are in memory together."""


def person_record(num_vertices: int = 0) -> np.dtype[Any]:
    """What is kept of a person: a row of predictions, with its picture's number for its name.

    Args:
        num_vertices: Of the body, where vertices are wanted.
    """
    fields: list[Any] = [("picture", "<i8"), ("is_placed", "?")]
    fields += [(name, kind, row) for name, (row, kind) in PERSON_FIELDS.items() if kind[0] != "U"]
    if num_vertices:
        fields.append(("vertices", "<f4", (num_vertices, 3)))
    return np.dtype(fields)


class Spool:
    """Statuses of pictures and rows of people, appended to files in groups.

    A group counts once its last picture is written, so whatever a killed process leaves behind is
    cut back to whole groups.

    Args:
        folder: Where the files are; it must exist.
        record: Of a person, from `person_record`.
    """

    def __init__(self, folder: Path, record: np.dtype[Any]) -> None:
        self._folder = folder
        self._record = record
        self.num_pictures, self.num_people = self._cut_back()

    def append(self, statuses: Sequence[Status], people: NDArray[Any]) -> None:
        """Add a group of pictures.

        Args:
            statuses: Of the pictures.
            people: Records of their people, in the order of the pictures, which ``picture`` counts
                from the first of the whole spool.

        Raises:
            ResourceError: The disk is full.
        """
        counts = np.bincount(people["picture"] - self.num_pictures, minlength=len(statuses))
        pictures = np.zeros(len(statuses), PICTURE)
        pictures["status"] = [STATUSES.index(status.status) for status in statuses]
        pictures["num_people"] = counts
        pictures["is_last"][-1] = True
        details = [
            json.dumps([self.num_pictures + index, status.detail]) + "\n"
            for index, status in enumerate(statuses)
            if status.detail
        ]
        with disk_errors(self._folder):
            # What the pictures' records promise has to be there before them.
            _append(self._folder / PEOPLE_FILE, people.tobytes())
            _append(self._folder / DETAILS_FILE, "".join(details).encode())
            _append(self._folder / PICTURES_FILE, pictures.tobytes())
        self.num_pictures += len(statuses)
        self.num_people += len(people)

    def people(self) -> NDArray[Any]:
        """Records of all people, left on disk until they are looked at."""
        return _mapped(self._folder / PEOPLE_FILE, self._record, self.num_people)

    def pictures(self) -> NDArray[Any]:
        """Records of all pictures, left on disk until they are looked at."""
        return _mapped(self._folder / PICTURES_FILE, PICTURE, self.num_pictures)

    def details(self) -> dict[int, str]:
        """What is to say about pictures, by their numbers."""
        with (self._folder / DETAILS_FILE).open(encoding="utf-8") as lines:
            return dict(json.loads(line) for line in lines)

    def arrays(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Arrays of a predictions file but ``meta``, left on disk until they are looked at.

        Args:
            names: Of all pictures.
        """
        people, pictures, details = self.people(), self.pictures(), self.details()

        def statuses() -> Iterator[str]:
            return (STATUSES[code] for code in pictures["status"])

        return {
            "imgname": self._text("imgname", lambda: (names[x] for x in people["picture"])),
            **{name: people[name] for name in (self._record.names or ())[2:]},
            "status_imgname": self._text("names", lambda: iter(names)),
            "status": self._text("status", statuses),
            "status_detail": self._text(
                "detail", lambda: (details.get(index, "") for index in range(len(names)))
            ),
        }

    def _text(self, name: str, texts: Callable[[], Iterator[str]]) -> NDArray[Any]:
        """An array of texts, as wide as the longest, in a file of its own."""
        count, width = 0, 1
        for text in texts():
            count, width = count + 1, max(width, len(text))
        path, kind, remaining = self._folder / f"{name}.bin", np.dtype(f"<U{width}"), texts()
        with disk_errors(path), path.open("wb") as file:
            while some := list(islice(remaining, TEXTS_AT_ONCE)):
                file.write(np.array(some, kind).tobytes())
        return _mapped(path, kind, count)

    def _cut_back(self) -> tuple[int, int]:
        """Drop what a killed process has not finished, and count the pictures and people left."""
        people, pictures, details = (
            self._folder / name for name in (PEOPLE_FILE, PICTURES_FILE, DETAILS_FILE)
        )
        for path in (people, pictures, details):
            path.touch()
        written = _mapped(pictures, PICTURE, pictures.stat().st_size // PICTURE.itemsize)
        num_written = people.stat().st_size // self._record.itemsize
        so_far = np.cumsum(written["num_people"], dtype=np.int64)
        ends = np.flatnonzero(written["is_last"] & (so_far <= num_written))
        num_pictures = int(ends[-1]) + 1 if len(ends) else 0
        num_people = int(so_far[ends[-1]]) if len(ends) else 0
        del written
        os.truncate(people, num_people * self._record.itemsize)
        os.truncate(pictures, num_pictures * PICTURE.itemsize)
        lines = details.read_text("utf-8").splitlines(keepends=True)
        is_kept = (line.endswith("\n") and json.loads(line)[0] < num_pictures for line in lines)
        details.write_text("".join(compress(lines, is_kept)), "utf-8")
        return num_pictures, num_people


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say of what there is too little when ``path`` cannot be written.

    Raises:
        ResourceError: The block had too little room on the disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise ResourceError(f"disk full: {path}", hint="Free space and run again.") from error


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def _mapped(path: Path, kind: np.dtype[Any], count: int) -> NDArray[Any]:
    if not count:
        return np.zeros(0, kind)
    return np.memmap(path, kind, "r", shape=(count,))
