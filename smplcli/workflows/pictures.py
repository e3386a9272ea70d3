"""Which pictures a workflow is to look at, and where what is drawn of them goes."""

import glob
import hashlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from smplcli.errors import (
    ConfigError,
    MissingFileError,
    ResourceError,
    ShapeError,
    UnreadableFileError,
)
from smplcli.images import IMAGE_SUFFIXES, list_images, natural_order, read_image
from smplcli.types import Pixels

PictureInputs = Path | str | Pixels | Sequence[Path | str | Pixels]

LIST_SUFFIX = ".txt"

MAX_NAMED = 5
"""Missing inputs that an error names."""

MAX_STEM = 60
"""Characters of a picture's name that the names of files made from it repeat."""


def open_pictures(
    inputs: PictureInputs, *, recursive: bool = False
) -> tuple[list[Path], Callable[[Path], Pixels]]:
    """Names of pictures, and what reads the picture of a name, as viewers show it.

    Args:
        inputs: Paths as for `find_pictures`, or arrays (H, W, 3) of RGB, 8 bit, which are called
            ``image_00000`` and so on; or one of them.
        recursive: Whether folders are looked into with all that is in them.

    Raises:
        MissingFileError: An input does not exist, or a folder holds no picture.
        ShapeError: An array is no such picture.
    """
    if isinstance(inputs, str | Path) or (isinstance(inputs, np.ndarray) and inputs.ndim == 3):
        inputs = [inputs]
    arrays = [item for item in inputs if isinstance(item, np.ndarray)]
    if not arrays:
        paths = [Path(item) for item in inputs if not isinstance(item, np.ndarray)]
        return find_pictures(paths, recursive=recursive), lambda path: read_image(
            path, orientation="displayed"
        )
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


def find_pictures(inputs: Sequence[Path], *, recursive: bool = False) -> list[Path]:
    """Picture files named, and those in folders named, each once, in the order given.

    Args:
        inputs: Files of any name, folders, patterns with ``*``, ``?``, ``[]`` or ``**``, and text
            files (``.txt``) with a path in each line.
        recursive: Whether folders are looked into with all that is in them, apart from links and
            hidden folders.

    Raises:
        MissingFileError: An input does not exist, or a folder holds no picture.
        UnreadableFileError: A folder or text file cannot be read.
    """
    named = [path for item in inputs for path in _expand(item)]
    missing = [str(path) for path in named if not _exists(path)]
    if missing or not named:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise MissingFileError(
            f"input not found: {', '.join(missing[:MAX_NAMED]) or 'none was given'}{more}",
            hint="Name pictures, folders of pictures, or text files of their paths.",
        )
    found: dict[Path, Path] = {}
    for path in named:
        for picture in _list_some(path, recursive=recursive) if path.is_dir() else [path]:
            found.setdefault(picture.resolve(), picture)
    return list(found.values())


def listed_paths(text: str) -> list[Path]:
    """Paths in lines of text."""
    return [Path(line) for line in text.replace("\r\n", "\n").split("\n") if line.strip()]


def _expand(path: Path) -> list[Path]:
    """Paths that one input stands for; itself if it is no pattern and no list."""
    if _exists(path):
        is_list = path.suffix.lower() == LIST_SUFFIX and path.is_file()
        return listed_paths(_read_list(path)) if is_list else [path]
    if not glob.has_magic(str(path)):
        return [path]
    matching = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207, absolute ones too
    return sorted(matching, key=natural_order) or [path]


def _read_list(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"cannot read: {path} ({error.strerror})") from error
    return content.removeprefix(BOM_UTF8).decode("utf-8", "surrogateescape")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a line of a text file may be longer than any name
        return False


def _list_some(folder: Path, *, recursive: bool) -> list[Path]:
    folders = _with_subfolders(folder) if recursive else [folder]
    pictures = [path for each in folders for path in list_images(each)]
    if pictures:
        return pictures
    has_folders = not recursive and any(path.is_dir() for path in folder.iterdir())
    raise MissingFileError(
        f"no pictures ({' '.join(sorted(IMAGE_SUFFIXES))}) in folder: {folder}",
        hint="Pass --recursive to look into its subfolders." if has_folders else None,
    )


def _with_subfolders(folder: Path) -> Iterator[Path]:
    yield folder
    try:
        inner = [x for x in folder.iterdir() if x.is_dir() and not x.is_symlink()]
    except OSError as error:
        raise UnreadableFileError(f"cannot list folder: {folder} ({error.strerror})") from error
    for path in sorted(inner, key=natural_order):
        if not path.name.startswith("."):
            yield from _with_subfolders(path)


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
