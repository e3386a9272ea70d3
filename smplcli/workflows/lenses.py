"""Cameras of pictures: told, read from a file or from the picture, or assumed."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.exif import read_focal_length
from smplcli.files import read_json, read_npz
from smplcli.types import Floats

MAX_ASPECT = 1.05
"""Pixels that are wider or higher than this are not taken for squares."""

SUFFIXES = (".json", ".npz", ".txt")


class Lens(NamedTuple):
    """What is known of the camera of a picture."""

    focal_length: float
    """Pixels."""

    principal_point: tuple[float, float] | None = None
    """x, y in pixels of the picture as viewers show it; its centre if nobody says."""


class Lenses:
    """Cameras of pictures by their names.

    Args:
        focal_length: Of all pictures, pixels.
        intrinsics: File of camera matrices, which must name every picture or none.

    Raises:
        ConfigError: Both are given, or the file is of no known kind.
        MissingFileError: There is no such file.
        UnreadableFileError: It holds no camera matrices.
    """

    def __init__(self, focal_length: float | None = None, intrinsics: Path | None = None) -> None:
        if focal_length is not None and intrinsics is not None:
            raise ConfigError("a focal length and a file of intrinsics exclude each other")
        self._focal_length, self._file = focal_length, intrinsics
        self._matrices = {} if intrinsics is None else read_intrinsics(intrinsics)

    def of(self, imgname: str, image_size: tuple[int, int]) -> Lens | None:
        """What is known of a picture's camera, or ``None``.

        Args:
            imgname: The picture's path.
            image_size: Its width and height, pixels.

        Raises:
            UnreadableFileError: The file of intrinsics does not say.
        """
        if self._focal_length is not None:
            return Lens(self._focal_length)
        if self._file is not None:
            matrix = _matching(self._matrices, imgname)
            if matrix is None:
                raise UnreadableFileError(f"no camera matrix in {self._file} for: {imgname}")
            focal = float(np.sqrt(matrix[0, 0] * matrix[1, 1]))
            return Lens(focal, (float(matrix[0, 2]), float(matrix[1, 2])))
        focal_length = read_focal_length(Path(imgname), image_size)
        return None if focal_length is None else Lens(focal_length)


ANY = ""
"""Name of the matrix that is all pictures'."""


def read_intrinsics(path: Path) -> dict[str, Floats]:
    """Camera matrices (3, 3), pixels, by the names of pictures, or one for all under `ANY`.

    Args:
        path: json, one matrix as three lists of three numbers, or an object of such by name; npz,
            ``K`` (3, 3), or ``K`` (N, 3, 3) and ``imgname`` (N,); txt, three lines of three
            numbers. Names are paths or their ends, of pictures or of the videos or folders they
            are in.

    Raises:
        ConfigError: The suffix is none of these.
        MissingFileError: There is no such file.
        UnreadableFileError: It holds something else; the message names file and picture.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"files of intrinsics are {', '.join(SUFFIXES)}, not: {path}")
    if not path.is_file():
        raise MissingFileError(f"file of intrinsics not found: {path}")
    read = {".json": _from_json, ".npz": _from_npz, ".txt": _from_text}[suffix]
    matrices = {name: _checked(matrix, name, path) for name, matrix in read(path).items()}
    if not matrices:
        raise UnreadableFileError(f"file holds no camera matrix: {path}")
    return matrices


def _from_json(path: Path) -> dict[str, Any]:
    content = read_json(path)
    return dict(content) if isinstance(content, dict) else {ANY: content}


def _from_npz(path: Path) -> dict[str, Any]:
    arrays = read_npz(path)
    matrices = arrays.get("K")
    if matrices is None:
        raise UnreadableFileError(f"file of intrinsics lacks K: {path}")
    if matrices.ndim == 2:
        return {ANY: matrices}
    names = arrays.get("imgname")
    if names is None or names.shape != matrices.shape[:1]:
        raise UnreadableFileError(f"K (N, 3, 3) and imgname (N,) do not fit together: {path}")
    return {str(name): matrix for name, matrix in zip(names.tolist(), matrices, strict=True)}


def _from_text(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"not a text file: {path}") from error
    return {ANY: [line.replace(",", " ").split() for line in text.splitlines() if line.strip()]}


def _checked(matrix: Any, name: str, path: Path) -> Floats:
    where = f"{path}, {name}" if name else str(path)
    try:
        values = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UnreadableFileError(f"{where}: not three rows of three numbers") from error
    if values.shape != (3, 3) or not np.isfinite(values).all():
        raise UnreadableFileError(f"{where}: not three rows of three numbers")
    fx, fy = values[0, 0], values[1, 1]
    if min(fx, fy) <= 0 or not np.allclose(values[2], [0, 0, 1]) or abs(values[1, 0]) > 1e-6:
        raise UnreadableFileError(
            f"{where}: not a camera matrix: {values.tolist()}",
            hint="Write fx 0 cx, 0 fy cy, 0 0 1, in pixels.",
        )
    if max(fx / fy, fy / fx) > MAX_ASPECT:
        raise UnreadableFileError(f"{where}: pixels are not square: fx {fx:g}, fy {fy:g}")
    return values


def _matching(matrices: Mapping[str, Floats], imgname: str) -> Floats | None:
    """Matrix of a picture, of the video or folder that it is in, or of all."""
    path = PurePosixPath(imgname)
    for whole in (path, path.parent):
        for start in range(len(whole.parts)):
            if (matrix := matrices.get("/".join(whole.parts[start:]))) is not None:
                return matrix
    return matrices.get(imgname, matrices.get(ANY))
