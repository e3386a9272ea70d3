"""MPII's official annotations, a MATLAB file that another process reads."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from smplcli.conventions import MPII16_JOINTS
from smplcli.datasets import mpii_worker
from smplcli.datasets.label_checks import MAX_LABEL
from smplcli.datasets.mpii_labels import (
    HEAD_SIZE,
    TEST_PICTURE,
    Annotation,
    RawLabels,
    to_annotation,
)
from smplcli.datasets.mpii_worker import HEAD_BOXES, RELEASE, Entry, Rectangle
from smplcli.errors import MissingFileError, ResourceError, UnreadableFileError
from smplcli.files import read_json
from smplcli.types import Floats

MAT_FILE = "mpii_human_pose_v1_u12_1.mat"

MAX_FILE_BYTES = 1 << 30
MEMORY_LIMIT = 3 << 30
"""Bytes that reading may take; the official file takes a third of it."""

TIME_LIMIT = 600
"""Seconds that reading may take."""

HEADER_BYTES = 520
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

DOWNLOAD_HINT = "Download the annotations again from human-pose.mpi-inf.mpg.de."


def read_mat(
    path: Path, *, memory_limit: int = MEMORY_LIMIT, time_limit: int = TIME_LIMIT
) -> list[Entry]:
    """What the official annotation file says about each picture.

    Args:
        path: The file, version 7 or older of MATLAB's format.
        memory_limit: Bytes that reading it may take.
        time_limit: Seconds that reading it may take.

    Returns:
        The pictures in the order of the file, positions counted from 1.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is damaged, of another version, or not MPII's.
    """
    entries: list[Entry] = _read_variable(path, RELEASE, memory_limit, time_limit)
    return entries


def read_head_sizes(path: Path) -> Floats:
    """Lengths that PCKh is relative to, from HRNet's ``gt_valid.mat``.

    Args:
        path: The file.

    Returns:
        (N,) pixels, in the order of ``valid.json``; 0 where it is unknown.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is damaged, of another version, or holds no head boxes.
    """
    boxes = np.array(_read_variable(path, HEAD_BOXES, MEMORY_LIMIT, TIME_LIMIT)).reshape(-1, 2, 2)
    return _head_size(*(boxes[:, 1] - boxes[:, 0]).T)


def _read_variable(path: Path, variable: str, memory_limit: int, time_limit: int) -> Any:
    _check_header(path)
    with TemporaryDirectory(prefix="smplcli-") as folder:
        target = Path(folder) / "content.json"
        limits = str(memory_limit), str(time_limit)
        problem = _run_worker([path.resolve(), variable, target, *limits], time_limit)
        if problem:
            raise UnreadableFileError(
                f"MATLAB file cannot be read: {path}: {problem}", hint=DOWNLOAD_HINT
            )
        return read_json(target)


def _head_size(width: Floats, height: Floats) -> Floats:
    diagonal = np.hypot(width, height)
    return np.where(np.isfinite(diagonal) & (diagonal < MAX_LABEL), HEAD_SIZE * diagonal, 0.0)


def annotations_of(entries: Iterable[Entry]) -> Iterator[Annotation]:
    """The people of the official file; a test picture, whose people have no labels, counts as one.

    A person's id is the place among the picture's rectangles, from 0.
    """
    for entry in entries:
        if not entry["is_train"]:
            yield Annotation(entry["name"], "test", -1, None, TEST_PICTURE)
            continue
        for place, rectangle in enumerate(entry["people"]):
            labels = _labels(rectangle, entry["activity"])
            yield to_annotation(entry["name"], "", place, labels)


def _labels(rectangle: Rectangle, activity: str) -> RawLabels:
    left, top, right, bottom = _floats(rectangle["head"])
    joints, is_visible = _joints(rectangle["points"])
    return RawLabels(
        joints=joints,
        is_visible=is_visible,
        scale=_floats([rectangle["scale"]])[0],
        objpos=_floats(rectangle["objpos"]),
        head_size=float(_head_size(right - left, bottom - top)),
        activity=activity,
    )


def _joints(points: list[list[float | None]]) -> tuple[Floats, Floats]:
    """Points (16, 3) by id, and whether they are seen (16,), NaN where the file does not say.

    Where an id comes twice, the first is taken, as hourglass does.
    """
    joints = np.zeros((len(MPII16_JOINTS), 3))
    is_visible = np.full(len(joints), np.nan)
    for number, x, y, seen in points:
        if number is None or x is None or y is None or number not in range(len(joints)):
            continue
        if not joints[int(number), 2]:
            joints[int(number)] = x, y, 1
            is_visible[int(number)] = np.nan if seen is None else seen
    return joints, is_visible


def _floats(values: list[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values])


def _check_header(path: Path) -> None:
    if not path.is_file():
        raise MissingFileError(f"file not found: {path}")
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        raise UnreadableFileError(f"cannot read: {path} ({error.strerror})") from error
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UnreadableFileError(f"file is larger than {MAX_FILE_BYTES} bytes: {path}")
    if HDF5_SIGNATURE in header or header.startswith(b"MATLAB 7.3"):
        raise UnreadableFileError(
            f"MATLAB 7.3 (HDF5) file, which is not read: {path}",
            hint="Take MPII's own file, or save it again in MATLAB with the option -v7.",
        )


def _run_worker(arguments: list[Path | str], time_limit: int) -> str:
    """What went wrong, or nothing."""
    # By its path, because not every program that imports smplcli can name it to another process,
    # and with -P, because the current folder may hold anything.
    program = [sys.executable, "-P", mpii_worker.__file__]
    try:
        done = subprocess.run(  # noqa: S603
            [*program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=time_limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it takes more than {time_limit} seconds"
    except OSError as error:
        raise ResourceError(f"cannot start a process: {error.strerror}") from error
    if done.returncode < 0:
        return f"its reader was ended by signal {-done.returncode}"
    if done.returncode:
        return _last_line(done.stderr)
    return ""


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    line = lines[-1] if lines else "its reader ended without a word"
    if line.startswith("MemoryError") or "_ArrayMemoryError" in line:
        return "it asks for more memory than any MPII file"
    return ascii(line)[1:-1][:200]
