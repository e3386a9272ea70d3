"""Which pictures a workflow is to look at, and where what is drawn of them goes."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from smplcli.errors import ConfigError, MissingFileError, ResourceError, ShapeError
from smplcli.images import IMAGE_SUFFIXES, list_images, read_image
from smplcli.types import Pixels

PictureInputs = Path | str | Pixels | Sequence[Path | str | Pixels]

MAX_STEM = 60
"""Characters of a picture's name that the names of files made from it repeat."""


def open_pictures(
    inputs: PictureInputs,
) -> tuple[list[Path], Callable[[Path], Pixels]]:
    """Names of pictures, and what reads the picture of a name, as viewers show it.

    Args:
        inputs: Paths as for `find_pictures`, or arrays (H, W, 3) of RGB, 8 bit, which are called
            ``image_00000`` and so on; or one of them.

    Raises:
        MissingFileError: An input does not exist, or a folder holds no picture.
        ShapeError: An array is no such picture.
    """
    if isinstance(inputs, str | Path) or (isinstance(inputs, np.ndarray) and inputs.ndim == 3):
        inputs = [inputs]
    arrays = [item for item in inputs if isinstance(item, np.ndarray)]
    if not arrays:
        paths = [Path(item) for item in inputs if not isinstance(item, np.ndarray)]
        return find_pictures(paths), lambda path: read_image(path, orientation="displayed")
    if len(arrays) < len(inputs):
        raise ConfigError("pictures are given either as paths or as arrays, not as both")
    named = {Path(f"image_{index:05d}"): _checked(array) for index, array in enumerate(arrays)}
    return list(named), lambda path: named[path]


def _checked(array: Pixels) -> Pixels:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ShapeError(
            f"a picture must be (H, W, 3) of uint8, got {array.shape} of {array.dtype}"
        )
    return np.ascontiguousarray(array)


def find_pictures(inputs: Sequence[Path]) -> list[Path]:
    """Picture files named, and those in folders named, each once, in the order given.

    Args:
        inputs: Files of any name, and folders, whose subfolders are not looked into.

    Raises:
        MissingFileError: An input does not exist, or a folder holds no picture.
    """
    missing = [str(path) for path in inputs if not path.exists()]
    if missing or not inputs:
        raise MissingFileError(
            f"input not found: {', '.join(missing) or 'none was given'}",
            hint="Name pictures, or folders of pictures.",
        )
    found: dict[Path, Path] = {}
    for path in inputs:
        for picture in _list_some(path) if path.is_dir() else [path]:
            found.setdefault(picture.resolve(), picture)
    return list(found.values())


def _list_some(folder: Path) -> list[Path]:
    pictures = list_images(folder)
    if pictures:
        return pictures
    has_folders = any(path.is_dir() for path in folder.iterdir())
    raise MissingFileError(
        f"no pictures ({' '.join(sorted(IMAGE_SUFFIXES))}) in folder: {folder}",
        hint="Name its subfolders: they are not looked into." if has_folders else None,
    )


def name_drawings(
    folder: Path, pictures: Sequence[Path], suffix: str = ".jpg"
) -> dict[Path, Path]:
    """Where what is drawn of each picture goes: its name, made unique by a hash where needed."""
    shared = Counter(path.stem.casefold() for path in pictures)
    drawings = {}
    for path in pictures:
        name = path.stem
        if shared[name.casefold()] > 1 or len(name) > MAX_STEM:
            digest = hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape"))
            name = f"{name[:MAX_STEM]}-{digest.hexdigest()[:8]}"
        drawings[path] = folder / f"{name}{suffix}"
    return drawings


def claim_outputs(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Find out before the work whether its results can be written.

    Raises:
        ConfigError: An output is one of the inputs, or a folder.
        ResourceError: A folder cannot be made or written in.
    """
    sources = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in sources:
            raise ConfigError(f"output is an input: {path}", hint="Choose another folder.")
        if path.is_dir():
            raise ConfigError(f"output is a folder: {path}", hint="Name a file.")
    for folder in {path.parent for path in outputs}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ResourceError(
                f"cannot write in folder: {folder}: {error.strerror}",
                hint="Choose a folder that you may write to.",
            ) from error
