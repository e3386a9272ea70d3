"""Files of person boxes made by others: csv, COCO's JSON or npz, every row checked."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.files import read_json, read_npz
from smplcli.types import Floats

MIN_SIDE = 2.0
"""Pixels; a box that is less wide or high shows nobody."""

MIN_VISIBLE = 0.01
"""Least part of a box that lies in the picture."""

COCO_PERSON = 1
"""Category of people in COCO."""

_CSV_COLUMNS = ("imgname", "x1", "y1", "x2", "y2")


class GivenBox(NamedTuple):
    """A box of a file."""

    bbox: Floats
    """(4,) x1, y1, x2, y2, pixels of the displayed picture."""

    score: float
    """1 if the file does not say."""

    origin: str
    """File and row."""


class _Row(NamedTuple):
    imgname: str
    numbers: Sequence[Any]
    """x1, y1, x2, y2."""

    score: Any
    origin: str


def read_boxes(path: Path) -> dict[str, list[GivenBox]]:
    """Boxes of a file by the image name that it gives.

    Args:
        path: csv with columns imgname, x1, y1, x2, y2 and perhaps score; JSON, a list of objects
            with image_id or file_name, bbox (x, y, width, height) and perhaps score; or npz with
            imgname (N,), bbox (N, 4: x1, y1, x2, y2) and perhaps score (N,).

    Raises:
        ConfigError: The suffix is none of these.
        MissingFileError: There is no such file.
        UnreadableFileError: It is not what it should be; the message names file and row.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise ConfigError(f"box files are {', '.join(_READERS)}, not: {path}")
    if not path.is_file():
        raise MissingFileError(f"box file not found: {path}")
    boxes: dict[str, list[GivenBox]] = {}
    for row in read(path):
        boxes.setdefault(row.imgname, []).append(_checked(row))
    if not boxes:
        raise UnreadableFileError(f"box file holds no boxes: {path}")
    return boxes


def assign_boxes(
    boxes: Mapping[str, list[GivenBox]], images: Sequence[Path]
) -> tuple[list[list[GivenBox]], int]:
    """Boxes of each image, matched by the end of its path or by the number in its name.

    Args:
        boxes: By the name that their file gives: a path or its end, or COCO's image id.
        images: Paths of the pictures.

    Returns:
        Boxes per image, and how many are of none of them.

    Raises:
        UnreadableFileError: A name fits several images, or no name fits any.
    """
    depths = {len(PurePosixPath(name).parts) for name in boxes}
    ends: dict[str, list[int]] = {}
    for index, path in enumerate(images):
        names = {"/".join(path.parts[-depth:]) for depth in depths}
        if number := re.search(r"([0-9]+)$", path.stem):
            names.add(f"id {int(number[1])}")
        for name in names:
            ends.setdefault(name, []).append(index)
    assigned: list[list[GivenBox]] = [[] for _ in images]
    unused = 0
    for name, given in boxes.items():
        places = ends.get(str(PurePosixPath(name)), [])
        if not places and name.isdecimal() and name.isascii():
            places = ends.get(f"id {int(name)}", [])
        if len(places) > 1:
            several = ", ".join(str(images[place]) for place in places[:3])
            raise UnreadableFileError(f"{given[0].origin}: {name} is several inputs: {several}")
        unused += 0 if places else len(given)
        for place in places:
            assigned[place] += given
    if not any(assigned):
        raise UnreadableFileError(
            f"{next(iter(boxes.values()))[0].origin}: no box is of an input; "
            f"boxes: {next(iter(boxes))}, inputs: {images[0]}",
            hint="Name pictures in the box file by their paths or the ends of these.",
        )
    return assigned, unused


def is_visible(bbox: Floats, width: int, height: int) -> bool:
    """Whether a box (4,) is not tiny, and enough of it lies in a picture of this size."""
    sides = bbox[2:] - bbox[:2]
    if sides.min() < MIN_SIDE:
        return False
    edges = np.array([-0.5, -0.5, width - 0.5, height - 0.5])
    shared = np.minimum(bbox[2:], edges[2:]) - np.maximum(bbox[:2], edges[:2])
    part = np.maximum(shared, 0) / sides
    return bool(part.prod() >= MIN_VISIBLE)


def _checked(row: _Row) -> GivenBox:
    try:
        bbox = np.array([float(number) for number in row.numbers])
        score = float(row.score)
    except (TypeError, ValueError) as error:
        raise UnreadableFileError(f"{row.origin}: not numbers: {row.numbers}") from error
    if bbox.shape != (4,) or not np.isfinite([*bbox, score]).all():
        raise UnreadableFileError(f"{row.origin}: not four finite numbers: {row.numbers}")
    if (bbox[2:] < bbox[:2]).any():
        raise UnreadableFileError(f"{row.origin}: box ends before it begins: {bbox.tolist()}")
    return GivenBox(bbox, score, row.origin)


def _read_csv(path: Path) -> Iterator[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = set(_CSV_COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise UnreadableFileError(
                    f"box file lacks {', '.join(sorted(missing))}: {path}",
                    hint=f"Begin it with the line {','.join(_CSV_COLUMNS)}, or add ',score'.",
                )
            for row in reader:
                numbers = [row[column] for column in _CSV_COLUMNS[1:]]
                origin = f"{path}, line {reader.line_num}"
                yield _Row(row["imgname"], numbers, row.get("score") or 1, origin)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFileError(f"not a readable csv file: {path}") from error


def _read_json(path: Path) -> Iterator[_Row]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise UnreadableFileError(
            f"box file is no list of boxes: {path}",
            hint="Write COCO's results: a list of objects with image_id, bbox and score.",
        )
    for index, entry in enumerate(entries):
        origin = f"{path}, entry {index}"
        if not isinstance(entry, dict) or not {"file_name", "image_id"} & set(entry):
            raise UnreadableFileError(f"{origin}: no object with file_name or image_id")
        if entry.get("category_id", COCO_PERSON) != COCO_PERSON:
            continue
        bbox = entry.get("bbox")
        if not isinstance(bbox, list) or len(bbox) != 4:
            raise UnreadableFileError(f"{origin}: bbox is not x, y, width, height: {bbox}")
        x, y, width, height = (number if _is_number(number) else np.nan for number in bbox)
        imgname = str(entry.get("file_name", entry.get("image_id")))
        yield _Row(imgname, [x, y, x + width, y + height], entry.get("score", 1), origin)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read_npz(path: Path) -> Iterator[_Row]:
    arrays = read_npz(path)
    missing = {"imgname", "bbox"} - set(arrays)
    if missing:
        raise UnreadableFileError(f"box file lacks {', '.join(sorted(missing))}: {path}")
    imgname, bbox = arrays["imgname"], arrays["bbox"]
    score = arrays.get("score", np.ones(len(bbox) if bbox.ndim else 0))
    is_right = bbox.ndim == 2 and bbox.shape[1:] == (4,) and bbox.dtype.kind in "iuf"
    if not is_right or imgname.shape != bbox.shape[:1] or score.shape != bbox.shape[:1]:
        raise UnreadableFileError(
            f"imgname (N,), bbox (N, 4) and score (N,) do not fit together: {path}"
        )
    for index in range(len(bbox)):
        yield _Row(str(imgname[index]), bbox[index].tolist(), score[index], f"{path}, row {index}")


_READERS: dict[str, Callable[[Path], Iterator[_Row]]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".npz": _read_npz,
}
