"""Which pictures a workflow is to look at, and where what is drawn of them goes."""

import glob
import hashlib
import os
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import NamedTuple, overload

import numpy as np

from smplcli.errors import (
    ConfigError,
    MissingFileError,
    ResourceError,
    ShapeError,
    UnreadableFileError,
)
from smplcli.images import IMAGE_SUFFIXES, list_image_names, natural_order, read_image
from smplcli.paths import make_folder
from smplcli.types import Pixels
from smplcli.videos import VIDEO_SUFFIXES, split_frame_name
from smplcli.workflows.clips import Clip, FrameReader, scan_clip
from smplcli.workflows.sequences import ANY_NUMBER, sequence_of

PictureInputs = Path | str | Pixels | Sequence[Path | str | Pixels]

ARRAY_NAME = "image_{:05d}"
LIST_SUFFIX = ".txt"

MAX_NAMED = 5
"""Missing inputs that an error names."""

MAX_STEM = 60
"""Characters of a picture's name that the names of files made from it repeat."""


class Pictures(NamedTuple):
    """Pictures to look at, in order."""

    names: Sequence[str]
    """Paths, with slashes; they are not kept as objects since there may be millions."""

    read: Callable[[int], Pixels]
    """The picture of a number, as viewers show it; several threads may ask at once."""

    clips: Mapping[str, Clip] = MappingProxyType({})
    """Videos among the inputs, by their paths."""


def open_pictures(inputs: PictureInputs, *, recursive: bool = False, every: int = 1) -> Pictures:
    """Names of pictures, and what reads them.

    Args:
        inputs: Paths as for `find_pictures`, or arrays (H, W, 3) of RGB, 8 bit, which are called
            ``image_00000`` and so on; or one of them.
        recursive: Whether folders are looked into with all that is in them.
        every: Take the frames of videos whose numbers divide by this.

    Raises:
        MissingFileError: An input does not exist, or a folder holds no picture.
        ShapeError: An array is no such picture.
    """
    if isinstance(inputs, str | Path) or (isinstance(inputs, np.ndarray) and inputs.ndim == 3):
        inputs = [inputs]
    arrays = [item for item in inputs if isinstance(item, np.ndarray)]
    if not arrays:
        paths = [Path(item) for item in inputs if not isinstance(item, np.ndarray)]
        return _open_files(find_pictures(paths, recursive=recursive), every)
    if len(arrays) < len(inputs):
        raise ConfigError("pictures are given either as paths or as arrays, not as both")
    checked = [_checked(array) for array in arrays]
    names = [ARRAY_NAME.format(index) for index in range(len(arrays))]
    return Pictures(names, checked.__getitem__)


def _open_files(files: list[str], every: int) -> Pictures:
    clips = {
        name: scan_clip(Path(name), every=every)
        for name in files
        if Path(name).suffix.lower() in VIDEO_SUFFIXES
    }
    if not clips:
        return Pictures(
            files, lambda index: read_image(Path(files[index]), orientation="displayed")
        )
    names = [x for name in files for x in (clips[name].names() if name in clips else [name])]
    reader = FrameReader(every=every, clips=clips)
    return Pictures(names, lambda index: reader.read(Path(names[index])), clips)


def read_by_name(inputs: PictureInputs, *, every: int) -> Callable[[Path], Pixels]:
    """What reads pictures and frames by the names that `open_pictures` gave them."""
    inputs = [inputs] if isinstance(inputs, str | Path | np.ndarray) else inputs
    arrays = [item for item in inputs if isinstance(item, np.ndarray)]
    if not arrays:
        return FrameReader(every=every).read
    return {
        Path(ARRAY_NAME.format(index)): array for index, array in enumerate(arrays)
    }.__getitem__


def _checked(array: Pixels) -> Pixels:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ShapeError(
            f"a picture must be (H, W, 3) of uint8, got {array.shape} of {array.dtype}"
        )
    return np.ascontiguousarray(array)


def find_pictures(inputs: Sequence[Path], *, recursive: bool = False) -> list[str]:
    """Paths of picture files named, and of those in folders named, each once, in the order given.

    Args:
        inputs: Files of any name, folders, patterns with ``*``, ``?``, ``[]`` or ``**``, and text
            files (``.txt``) with a path in each line.
        recursive: Whether folders are looked into with all that is in them, apart from links and
            hidden folders.

    Raises:
        MissingFileError: An input does not exist, or a folder holds no picture.
        UnreadableFileError: A folder or text file cannot be read.
    """
    named: list[Path] = []
    missing: list[str] = []
    for item in inputs:
        for path, origin in _expand(item):
            if _exists(path):
                named.append(path)
            else:
                missing.append(f"{origin}{path}")
    if missing or not named:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise MissingFileError(
            f"input not found: {', '.join(missing[:MAX_NAMED]) or 'none was given'}{more}",
            hint="Name pictures, folders of pictures, or text files of their paths.",
        )
    found: dict[str, str] = {}
    resolved = lru_cache(maxsize=64)(os.path.realpath)  # which takes longer than listing
    for path in named:
        for name in _list_some(path, recursive=recursive) if path.is_dir() else [path.as_posix()]:
            found.setdefault(_identity(name, resolved), name)
    return list(found.values())


def _identity(name: str, resolved: Callable[[str], str]) -> str:
    """The same for all names of a file; of millions, which is why it makes no paths of them."""
    if os.path.islink(name):  # noqa: PTH114
        return os.path.realpath(name)
    folder, base = os.path.split(name)
    return f"{resolved(folder)}/{base}"


def listed_paths(text: str) -> Iterator[tuple[int, Path]]:
    """Paths in lines of text, with the numbers of these, from 1."""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.strip():
            yield number, Path(line)


def _expand(path: Path) -> Iterator[tuple[Path, str]]:
    """Paths that one input stands for, itself if it is no pattern and no list, and who says so."""
    if _exists(path) and path.suffix.lower() == LIST_SUFFIX and path.is_file():
        for number, listed in listed_paths(_read_list(path)):
            yield listed, f"{path}, line {number}: "
    elif not _exists(path) and glob.has_magic(str(path)):
        matching = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207, absolute too
        yield from ((found, "") for found in sorted(matching, key=natural_order) or [path])
    else:
        yield path, ""


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


def _list_some(folder: Path, *, recursive: bool) -> list[str]:
    folders = _with_subfolders(folder) if recursive else [folder]
    pictures = [
        (each / "_").as_posix()[:-1] + name for each in folders for name in list_image_names(each)
    ]
    if pictures:
        return pictures
    inner = list(folder.iterdir())
    hint = None
    if any(path.suffix.lower() in VIDEO_SUFFIXES for path in inner):
        hint = f"Name its videos, such as by the pattern '{folder}/*'."
    elif not recursive and any(path.is_dir() for path in inner):
        hint = "Pass --recursive to look into its subfolders."
    raise MissingFileError(
        f"no pictures ({' '.join(sorted(IMAGE_SUFFIXES))}) in folder: {folder}", hint=hint
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


class Drawings(Sequence[Path]):
    """Where what is drawn of each picture goes: its name, made unique by a hash where needed.

    Args:
        folder: Of all of them.
        names: Of the pictures.
        suffix: Of what is drawn.
        later: Sequences whose pictures are not drawn before all is known of them.
        joined: Those of them that become one file.
        joined_suffix: Of such files.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        suffix: str = ".jpg",
        *,
        later: Collection[str] = (),
        joined: Collection[str] = (),
        joined_suffix: str = ".mp4",
    ) -> None:
        self.folder, self._names, self._suffix = folder, names, suffix
        self.later, self.joined, self._joined_suffix = later, joined, joined_suffix
        own = (name for name in names if not (joined and _is_in(name, joined)))
        distinct = {*own, *joined} if joined else own  # a broken video has its sequence's name
        self._shared = Counter(_stem(name).casefold() for name in distinct)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Path]:
        """All files there can be."""
        for index, name in enumerate(self._names):
            if not (self.joined and (name in self.joined or _is_in(name, self.joined))):
                yield self[index]
        yield from map(self.of_sequence, self.joined)

    def is_now(self, index: int) -> bool:
        """Whether a picture is drawn as soon as its people are known."""
        return not (self.later and _is_in(self._names[index], self.later))

    def of_sequence(self, name: str) -> Path:
        """Where what is drawn of a whole sequence goes."""
        return self._file(name, self._joined_suffix)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self._file(self._names[index], self._suffix)

    def _file(self, name: str, suffix: str) -> Path:
        stem = _stem(name)
        if self._shared[stem.casefold()] > 1 or len(stem) > MAX_STEM:
            whole = str(Path(name).resolve()).encode(errors="surrogateescape")
            stem = f"{stem[:MAX_STEM]}-{hashlib.sha256(whole).hexdigest()[:8]}"
        return self.folder / f"{stem}{suffix}"


def _is_in(name: str, sequences: Collection[str]) -> bool:
    found = sequence_of(name)
    return found is not None and found[0] in sequences


def _stem(name: str) -> str:
    """What files made of a picture, a frame or a sequence are called."""
    path = Path(name)
    frame = split_frame_name(path)
    if frame is not None:
        return f"{frame[0].stem}-{path.name}"
    if ANY_NUMBER in path.stem:
        return path.stem.replace(ANY_NUMBER, "").strip(" ._-") or path.parent.name or "sequence"
    return path.stem


def claim_outputs(
    outputs: Iterable[Path], inputs: Sequence[str], folders: Iterable[Path] = ()
) -> None:
    """Find out before the work whether its results can be written.

    Args:
        outputs: Files to write.
        inputs: Files that are read.
        folders: Where files are written whose names are not known yet.

    Raises:
        ConfigError: An output is one of the inputs, or a folder.
        ResourceError: A folder cannot be made or written in.
    """
    sources: set[Path] | None = None
    places = dict.fromkeys(folders)
    for path in outputs:
        places[path.parent] = None
        if not path.exists():
            continue  # which an input does
        if sources is None:
            sources = {Path(name).resolve() for name in inputs}
        if path.resolve() in sources:
            raise ConfigError(f"output is an input: {path}", hint="Choose another folder.")
        if path.is_dir():
            raise ConfigError(f"output is a folder: {path}", hint="Name a file.")
    for folder in places:
        make_folder(folder)
        try:
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ResourceError(
                f"cannot write in folder: {folder}: {error.strerror}",
                hint="Choose a folder that you may write to.",
            ) from error
