"""Results of ROMP, which pickles a dictionary into each npz file.

Nothing of such a file is run or imported: the pickle is read by the interpreter that reads SMPL's
and 3DPW's, which builds data and can do nothing else.

Source:
    ROMP (Sun et al., ICCV 2021), simple_romp: what its command line saves.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from smplcli.body.unpickle import load_pickle_bytes
from smplcli.errors import MissingFileError, UnreadableFileError

RESULTS = "results"
"""The array of these files, which holds one object."""

WANTED = ("smpl_thetas", "smpl_betas", "pj2d_org")
PICTURE_SUFFIX = ".jpg"
"""Of the pictures, whose names results keep without it."""

MAX_BYTES = 1 << 28
"""A picture's results take half a megabyte, with vertices, for every ten people."""


def result_files(folder: Path) -> list[Path]:
    """Files that may be results, in a folder and those in it."""
    return sorted(folder.rglob("*.npz"))


def read_romp(path: Path) -> dict[str, NDArray[Any]]:
    """People of one file, or of all files of a folder.

    Args:
        path: The file of one picture or video, or a folder. In a folder, pictures have the names
            of the files and of the folders in it that these lie in.

    Returns:
        ``imgname``, ``smpl_thetas``, ``smpl_betas`` and, where all files have it, ``pj2d_org``,
        one row per person.

    Raises:
        MissingFileError: The folder holds no results.
        UnreadableFileError: A file is no npz, damaged, or holds something else.
        HostileFileError: A file asks for anything but data.
    """
    files = result_files(path) if path.is_dir() else [path]
    people: dict[str, list[Any]] = {"imgname": [], **{name: [] for name in WANTED}}
    for file in files:
        inside = file.relative_to(path) if path.is_dir() else Path(file.parent.name) / file.name
        own = inside.with_suffix(PICTURE_SUFFIX).as_posix()
        for name, result in _results(file, own):
            count = len(result[WANTED[0]])
            people["imgname"] += [name] * count
            for key in WANTED:
                if key in result:
                    people[key] += _rows(file, result, key, count)
    if not people["imgname"]:
        raise MissingFileError(f"no predictions of ROMP: {path}")
    full = {name: rows for name, rows in people.items() if len(rows) == len(people["imgname"])}
    try:
        return {name: np.array(rows) for name, rows in full.items()}
    except ValueError as error:
        raise UnreadableFileError(f"results are of different shapes: {path}") from error


def _results(file: Path, own: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Pictures of a file and what was found in them; a video's are in a dictionary by name."""
    content = _unpickled(file)
    if not isinstance(content, dict):
        raise UnreadableFileError(f"{RESULTS} is no dictionary: {file}")
    pictures = {own: content} if WANTED[0] in content else content
    for name, result in pictures.items():
        is_array = isinstance(result, dict) and isinstance(result.get(WANTED[0]), np.ndarray)
        if not is_array or not result[WANTED[0]].ndim:
            raise UnreadableFileError(f"{RESULTS} holds no {WANTED[0]}: {file}")
        yield str(name), result


def _rows(file: Path, result: Mapping[str, Any], key: str, count: int) -> Sequence[Any]:
    array = result[key]
    if not isinstance(array, np.ndarray) or array.shape[:1] != (count,):
        raise UnreadableFileError(f"{key} has not a row for each person: {file}")
    return list(array)


def _unpickled(file: Path) -> object:
    """The one object of the array of a file."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{RESULTS}.npy") as stream:
            content = stream.read(MAX_BYTES + 1)
        pickled = _after_header(content)
    except Exception as error:  # zipfile and numpy raise a dozen kinds on damaged bytes
        raise UnreadableFileError(
            f"not a readable file of ROMP: {file}", hint="Write or copy the file again."
        ) from error
    if len(content) > MAX_BYTES:
        raise UnreadableFileError(f"results are larger than {MAX_BYTES} bytes: {file}")
    array = load_pickle_bytes(pickled, str(file))
    return array[0] if isinstance(array, list) and len(array) == 1 else array


def _after_header(content: bytes) -> bytes:
    """The pickle that follows the header of an array of objects."""
    stream = BytesIO(content)
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    _, _, dtype = read_header(stream)
    if not dtype.hasobject:
        raise ValueError("plain numbers")
    return stream.read()
