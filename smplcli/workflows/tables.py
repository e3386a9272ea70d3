"""Predictions for those who do not use numpy: one line per person, as JSON or csv."""

import csv
import io
import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from smplcli.conventions import NUM_BETAS, SMPL_JOINTS
from smplcli.evaluation.reports import harmless
from smplcli.files import atomic_write
from smplcli.workflows.people import PERSON_FIELDS, People

DIGITS = 6
"""After the point: micrometres, and far below a pixel."""

_PARTS: dict[str, tuple[str, ...]] = {
    "bbox": ("x0", "y0", "x1", "y1"),
    "center": ("x", "y"),
    "pose": tuple(map("_".join, product(SMPL_JOINTS, "xyz"))),
    "betas": tuple(map(str, range(NUM_BETAS))),
    "cam": ("s", "tx", "ty"),
    "cam_t": ("x", "y", "z"),
    "principal_point": ("x", "y"),
    "img_size": ("w", "h"),
    "joints3d": tuple(map("_".join, product(SMPL_JOINTS, "xyz"))),
    "joints2d": tuple(map("_".join, product(SMPL_JOINTS, "xy"))),
}
"""What a column of the csv adds to the name of its array."""


def write_table(people: Iterable[People], path: Path, *, overwrite: bool) -> None:
    """Write one line per person, with the names, units and order of the predictions file.

    Args:
        people: The predictions, in parts.
        path: A ``.jsonl`` file, each line an object of arrays, or a ``.csv`` file with a header
            and one column per number.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    line_of = _csv_line if path.suffix == ".csv" else _json_line
    with atomic_write(path, overwrite=overwrite) as file:
        if path.suffix == ".csv":
            file.write(_joined(csv_columns()))
        for part in people:
            for row in range(part.num_people):
                file.write(line_of({name: _plain(part.rows[name][row]) for name in PERSON_FIELDS}))


def csv_columns() -> list[str]:
    """Header of the csv: ``<array>`` or ``<array>_<part>``, as in ``joints2d_left_knee_x``."""
    return [
        f"{name}_{part}" if part else name
        for name in PERSON_FIELDS
        for part in _PARTS.get(name, ("",))
    ]


def _plain(value: Any) -> Any:
    if value.dtype.kind != "f":
        return value.tolist()
    return np.round(value.astype(np.float64), DIGITS).tolist()


def _json_line(person: dict[str, Any]) -> bytes:
    return json.dumps(person, allow_nan=False).encode() + b"\n"


def _csv_line(person: dict[str, Any]) -> bytes:
    person["imgname"] = harmless(person["imgname"])
    return _joined([cell for value in person.values() for cell in np.ravel(value).tolist()])


def _joined(cells: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace")
