"""Files written whole or not at all, and npz and JSON read without trusting them."""

import errno
import hashlib
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, BinaryIO, Literal, NamedTuple, cast

import numpy as np
from numpy.lib import format as npy

from smplcli.errors import (
    HostileFileError,
    MissingFileError,
    ResourceError,
    UnreadableFileError,
)
from smplcli.paths import check_folder, refuse_existing

MAX_NPZ_BYTES = 16 << 30
MAX_JSON_BYTES = 256 << 20

ZIP_HEADER_SIZE, ZIP_NAME_LENGTH_AT = 30, 26
"""Of a zip member's local header (PKWARE's APPNOTE, 4.3.7), before its name and extra field."""

READ_SIZE = 1 << 20
"""Bytes of a file that is gone through a piece at a time."""

TEMPORARY_PREFIX = ".writing-"
"""What files are called before they are whole; those of a killed process stay behind."""


def asset(name: str) -> Path:
    """Path of a file that ships with the package.

    Raises:
        MissingFileError: The installation is incomplete.
    """
    package = Path(__file__).parent
    for folder in (package / "assets", package.parent / "assets"):
        if (folder / name).exists():
            return folder / name
    raise MissingFileError(
        f"shipped file not found: {name}", hint="Install smplcli again from its repository."
    )


_UNWRITABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG),
}


@contextmanager
def atomic_write(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes ``path`` when the block ends without an exception.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    refuse_existing(path, overwrite=overwrite)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=TEMPORARY_PREFIX, delete=False) as file:
            temporary = Path(file.name)
            yield cast("BinaryIO", file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError(f"disk full: {path}", hint="Free space and run again.") from error
        if error.errno in _UNWRITABLE:
            check_folder(path.parent)
            raise ResourceError(
                f"cannot write: {path}", hint="Choose a folder that you may write to."
            ) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # other systems cannot open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_npz(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    *,
    overwrite: bool = True,
    compressed: Collection[str] = (),
) -> None:
    """Write plain arrays; the same arrays give the same bytes.

    Args:
        path: The file.
        arrays: What it holds, by name.
        overwrite: Whether a file that is there may be replaced.
        compressed: Names of arrays to compress, which `map_npz` cannot map.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    with atomic_write(path, overwrite=overwrite) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # its date is fixed: 1980
            if name in compressed:
                member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as stream:
                npy.write_array(stream, np.asanyarray(array), allow_pickle=False)


def read_npz(
    path: Path, *, keys: Collection[str] | None = None, max_bytes: int = MAX_NPZ_BYTES
) -> dict[str, np.ndarray]:
    """Read arrays without pickle, after their headers have been checked against their sizes.

    Args:
        path: The npz file.
        keys: Names to read, all of which must be there; ``None`` reads everything.
        max_bytes: Refuse to expand more than this.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no npz, is damaged, or lacks a key.
        HostileFileError: It holds Python objects, or expands to more than ``max_bytes``.
    """
    if not path.is_file():
        raise MissingFileError(f"file not found: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            wanted = members if keys is None else _select(path, members, keys)
            _check_size(path, wanted, max_bytes)
            return {name: _read_member(path, archive, info) for name, info in wanted.items()}
    except (HostileFileError, UnreadableFileError):
        raise
    except Exception as error:  # zipfile and numpy raise a dozen kinds on damaged bytes
        raise UnreadableFileError(
            f"not a readable npz file: {path}", hint="Write or copy the file again."
        ) from error


def npz_names(path: Path) -> set[str]:
    """Names of the arrays in an npz file, without reading them.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no npz.
    """
    if not path.is_file():
        raise MissingFileError(f"file not found: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except Exception as error:  # zipfile raises half a dozen kinds on damaged bytes
        raise UnreadableFileError(
            f"not a readable npz file: {path}", hint="Write or copy the file again."
        ) from error


def _check_size(path: Path, members: Mapping[str, zipfile.ZipInfo], limit: int) -> None:
    if sum(info.file_size for info in members.values()) > limit:
        raise HostileFileError(f"npz expands to more than {limit} bytes: {path}")


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Arrays of an npz, by name."""
    return {
        info.filename.removesuffix(".npy"): info
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }


def _select(
    path: Path, members: Mapping[str, zipfile.ZipInfo], keys: Collection[str]
) -> dict[str, zipfile.ZipInfo]:
    missing = sorted(set(keys) - set(members))
    if missing:
        raise UnreadableFileError(f"npz lacks {', '.join(missing)}: {path}")
    return {name: members[name] for name in keys}


def _read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as stream:
        _read_header(path, stream, info)
    with archive.open(info) as stream:
        return np.asarray(npy.read_array(stream, allow_pickle=False))


def _read_header(
    path: Path, stream: IO[bytes], info: zipfile.ZipInfo
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of a member, whose size they must agree with."""
    start = stream.tell()
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, is_fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise HostileFileError(f"npz holds Python objects in {info.filename}: {path}")
    if stream.tell() - start + prod(shape) * dtype.itemsize != info.file_size:
        raise UnreadableFileError(f"npz header disagrees with {info.filename}: {path}")
    return shape, is_fortran, dtype


class StoredArray(NamedTuple):
    """An array of N rows left on disk."""

    path: Path
    offset: int
    """Bytes before its first number."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Some of its rows, in memory; only one where it is a bare value."""
        shape = self.shape or (1,)
        if prod(shape) * self.dtype.itemsize == 0:
            return np.empty(shape, self.dtype)[start:stop]
        order: Literal["F", "C"] = "F" if self.is_fortran else "C"
        # Mapped anew each time, as pages that were looked at count as long as they are mapped.
        mapped = np.memmap(self.path, self.dtype, "r", self.offset, shape, order)
        return np.array(mapped[start:stop])


def store_npz(
    path: Path, keys: Collection[str], unpacked: Path, *, max_bytes: int = MAX_NPZ_BYTES
) -> dict[str, StoredArray]:
    """Arrays of an npz file that stay on disk, checked for damage as `read_npz` does.

    Args:
        path: The npz file.
        keys: Names of the arrays, all of which must be there.
        unpacked: Folder that those which are compressed are unpacked to.
        max_bytes: Refuse to expand more than this.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no npz, is damaged, or lacks a key.
        HostileFileError: It holds Python objects, or expands to more than ``max_bytes``.
        ResourceError: The disk is full.
    """
    if not path.is_file():
        raise MissingFileError(f"file not found: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            wanted = _select(path, members, keys)
            _check_size(path, wanted, max_bytes)
            return {
                name: _store_member(path, archive, info, unpacked / str(place))
                for place, (name, info) in enumerate(wanted.items())
            }
    except (HostileFileError, UnreadableFileError, ResourceError):
        raise
    except Exception as error:  # as above
        raise UnreadableFileError(
            f"not a readable npz file: {path}", hint="Write or copy the file again."
        ) from error


def _store_member(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, unpacked: Path
) -> StoredArray:
    with archive.open(info) as stream:
        shape, is_fortran, dtype = _read_header(path, stream, info)
        header_size = stream.tell()
    with archive.open(info) as stream:
        if info.compress_type == zipfile.ZIP_STORED:
            while stream.read(READ_SIZE):  # the last read compares the checksum
                pass
            start = _start_of(path, info)
        else:
            start, path = 0, unpacked
            with atomic_write(path) as file:
                shutil.copyfileobj(stream, file, READ_SIZE)
    return StoredArray(path, start + header_size, shape, dtype, is_fortran)


def _start_of(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes start in its file."""
    with path.open("rb") as file:
        file.seek(info.header_offset + ZIP_NAME_LENGTH_AT)
        name_length, extra_length = struct.unpack("<HH", file.read(4))
    return int(info.header_offset + ZIP_HEADER_SIZE + name_length + extra_length)


def map_npz(path: Path, key: str) -> np.ndarray:
    """One array of an npz, left on disk until it is looked at, and then not checked for damage.

    Args:
        path: The npz file, written by `write_npz`.
        key: The array.

    Returns:
        The array, which cannot be written to.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no npz of ours, is damaged, or lacks the key.
        HostileFileError: It holds Python objects.
    """
    if not path.is_file():
        raise MissingFileError(f"file not found: {path}")
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            members = {info.filename: info for info in archive.infolist()}
            info = _select(path, members, [f"{key}.npy"])[f"{key}.npy"]
            if info.compress_type != zipfile.ZIP_STORED:
                return _read_member(path, archive, info)
            file.seek(_start_of(path, info))
            shape, is_fortran, dtype = _read_header(path, file, info)
            if prod(shape) == 0:
                return np.empty(shape, dtype)
            order: Literal["F", "C"] = "F" if is_fortran else "C"
            return np.asarray(np.memmap(path, dtype, "r", file.tell(), shape, order))
    except (HostileFileError, UnreadableFileError):
        raise
    except Exception as error:  # as above
        raise UnreadableFileError(
            f"not a readable npz file: {path}", hint="Write or copy the file again."
        ) from error


def write_json(path: Path, content: object, *, overwrite: bool = True) -> None:
    """Write ``content`` as indented JSON."""
    with atomic_write(path, overwrite=overwrite) as file:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        file.write(text.encode(errors="backslashreplace"))  # file names need not be text


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is not JSON, or too large.
    """
    if not path.is_file():
        raise MissingFileError(f"file not found: {path}")
    if path.stat().st_size > MAX_JSON_BYTES:
        raise UnreadableFileError(f"JSON file is larger than {MAX_JSON_BYTES} bytes: {path}")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(f"not a JSON file: {path}") from error


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
