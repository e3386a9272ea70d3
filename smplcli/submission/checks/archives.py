"""Files inside a zip or a folder that somebody else made, read without trusting them."""

import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from smplcli.errors import HostileFileError, MissingFileError, SmplCliError, UnreadableFileError

MAX_MEMBERS = 500_000
"""EMDB has 105,000 frames, AGORA's test set 3,400 pictures of up to 15 people."""

MAX_MEMBER_BYTES = 256 << 20
"""The longest sequence of 3DPW takes about 8 MB."""

MAX_TOTAL_BYTES = 8 << 30
"""AGORA by mesh, the largest of all, takes about 4 GB."""

NOTE = "DEMO.txt"
"""The file by which a demo says what it is."""


class Members(NamedTuple):
    """Files by their names relative to the root, with forward slashes."""

    names: tuple[str, ...]
    """Each once, in order of name."""

    repeated: tuple[str, ...]
    """Names that occur more than once."""

    is_folder: bool
    read: Callable[[str], bytes]


@contextmanager
def open_members(path: Path) -> Iterator[Members]:
    """Open a zip or a folder for reading.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no zip, or a part of it is damaged.
        HostileFileError: Its names lead out of it, or it expands to far more than a submission.
    """
    if not path.exists():
        raise MissingFileError(f"submission not found: {path}")
    try:
        if path.is_dir():
            yield _folder(path)
        else:
            with zipfile.ZipFile(path) as archive:
                yield _zip(path, archive)
    except SmplCliError:
        raise
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # damaged bytes and odd contents raise a dozen kinds
        raise UnreadableFileError(
            f"not a readable submission: {path}: {error}", hint="Write or copy it again."
        ) from error


def _zip(path: Path, archive: zipfile.ZipFile) -> Members:
    files = [info for info in archive.infolist() if not info.is_dir()]
    sizes = {info.filename: info.file_size for info in files}
    links = [info.filename for info in files if stat.S_ISLNK(info.external_attr >> 16)]
    if links:
        raise HostileFileError(f"zip holds a link: {links[0]!r} in {path}")
    _check(path, sizes, len(files))
    repeated = [name for name, count in Counter(i.filename for i in files).items() if count > 1]
    return Members(tuple(sorted(sizes)), tuple(repeated), is_folder=False, read=archive.read)


def _folder(path: Path) -> Members:
    files = sorted(entry for entry in path.rglob("*") if entry.is_symlink() or entry.is_file())
    links = [entry for entry in files if entry.is_symlink()]
    if links:
        raise HostileFileError(f"folder holds a link: {links[0]}")
    sizes = {entry.relative_to(path).as_posix(): entry.stat().st_size for entry in files}
    _check(path, sizes, len(files))

    def read(name: str) -> bytes:
        return (path / name).read_bytes()

    return Members(tuple(sorted(sizes)), (), is_folder=True, read=read)


def _check(path: Path, sizes: dict[str, int], count: int) -> None:
    if count > MAX_MEMBERS:
        raise HostileFileError(f"submission holds {count} files: {path}")
    for name, size in sizes.items():
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or "\0" in name or ":" in parts.parts[0]:
            raise HostileFileError(f"name leads out of the submission: {name!r} in {path}")
        if size > MAX_MEMBER_BYTES:
            raise HostileFileError(f"{name!r} expands to {size} bytes: {path}")
    if sum(sizes.values()) > MAX_TOTAL_BYTES:
        raise HostileFileError(f"submission expands to {sum(sizes.values())} bytes: {path}")
