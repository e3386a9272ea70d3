"""Reader of npz files in the form of SPIN, in which the field exchanges labels."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from smplcli.datasets.annotations import Dropped, Person, Picture, RawSet, Remade
from smplcli.datasets.label_checks import NO_BOX, NO_PICTURE, NOT_NUMBERS, OUTSIDE, is_sane
from smplcli.datasets.listing import Listing, what_is_there
from smplcli.datasets.spin_files import SpinFile, SpinTable, is_spin_file
from smplcli.errors import MissingFileError
from smplcli.types import Floats, Ints

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


BLOCK = 500
"""Rows in memory at a time."""

REASONS = ("", NO_BOX, NOT_NUMBERS, NO_PICTURE, OUTSIDE)
"""Why a row is dropped, by its code; the first is not."""


class _Part(NamedTuple):
    """What is kept in memory of a file of N people: a few bytes of each."""

    file: SpinFile
    split: str
    images: Path
    names: Ints
    """(N,) hashes of split and name of picture: 64 bits, by which a million names differ."""

    codes: Ints
    """(N,) why they are dropped."""


class TableReader:
    """Turns files into pictures, in the order of their rows."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._listing = Listing()

    def add(self, file: SpinFile, *, split: str, images: Path) -> int:
        """Add the people of a file, those of neighbouring rows with one name to one picture.

        Args:
            file: Labels.
            split: Where they go.
            images: Folder that image names start from.

        Returns:
            Rows whose picture is there.
        """
        names, codes = np.zeros(len(file), np.int64), np.zeros(len(file), np.uint8)
        for start in range(0, len(file), BLOCK):
            table = file.table(start, start + BLOCK)
            faults = [self._picture_fault(name, images / name) for name in table.imgname]
            block = slice(start, start + BLOCK)
            codes[block] = np.where(faults, faults, _faults(table))
            names[block] = [hash((split, name)) for name in table.imgname]
        self._parts.append(_Part(file, split, images, names, codes))
        return len(file) - int((codes >= REASONS.index(NO_PICTURE)).sum())

    def read(self) -> tuple[Iterable[Picture], Iterable[Dropped]]:
        """Everybody of the files that were added, and who is left out."""
        parts = self._parts
        if not parts:
            return (), ()
        ids = np.split(
            _earlier(np.concatenate([part.names for part in parts])),
            np.cumsum([len(part.file) for part in parts])[:-1],
        )
        both = list(zip(parts, ids, strict=True))
        return (
            Remade(lambda: (picture for part in both for picture in _pictures(*part))),
            Remade(lambda: (who for part in both for who in _dropped(*part))),
        )

    def _picture_fault(self, imgname: str, path: Path) -> int:
        parts = PurePosixPath(imgname)
        if parts.is_absolute() or ".." in parts.parts or not imgname.isprintable():
            return REASONS.index(OUTSIDE)
        return 0 if self._listing.has(path) else REASONS.index(NO_PICTURE)


def _earlier(names: Ints) -> Ints:
    """(N,) how many of those before have the same name."""
    order = np.argsort(names, kind="stable")
    is_first = np.diff(names[order], prepend=~names[order[:1]]) != 0
    firsts = np.flatnonzero(is_first)
    earlier = np.empty(len(names), np.int32)
    earlier[order] = np.arange(len(names)) - firsts[np.cumsum(is_first) - 1]
    return earlier


def _pictures(part: _Part, ids: Ints) -> Iterator[Picture]:
    for imgname, rows in groupby(_rows(part, ids), key=itemgetter(0)):
        people, cam_int = [], None
        for _, person, row_cam_int in rows:
            if person is not None:
                people.append(person)
                cam_int = row_cam_int
        if people:
            path = part.images / imgname
            yield Picture(part.split, imgname, path, tuple(people), cam_int)


def _rows(part: _Part, ids: Ints) -> Iterator[tuple[str, Person | None, Floats | None]]:
    """Name, person and intrinsics of each row; nobody where one is dropped."""
    for start in range(0, len(part.file), BLOCK):
        table = part.file.table(start, start + BLOCK)
        for row, imgname in enumerate(table.imgname):
            is_kept = part.codes[start + row] == 0
            person = _person(table, row, int(ids[start + row])) if is_kept else None
            yield imgname, person, None if table.cam_int is None else table.cam_int[row].copy()


def _dropped(part: _Part, ids: Ints) -> Iterator[Dropped]:
    for start in range(0, len(part.file), BLOCK):
        codes = part.codes[start : start + BLOCK]
        if codes.any():
            imgnames = part.file.imgnames(start, start + BLOCK)
            for row in np.flatnonzero(codes).tolist():
                reason = REASONS[codes[row]]
                yield Dropped(part.split, imgnames[row], int(ids[start + row]), reason, True)


def read_spin(source: Path, *, images: Path | None = None) -> RawSet:
    """Read labels in the form of SPIN, or of EFT, CLIFF, BEDLAM and 4D-Humans.

    A file's split is what its name says, else ``train``. Samples keep the order of the rows, and
    ``imgname`` is the file's. Where a file does not say, labels of pose and shape count.

    Args:
        source: An npz file, or a folder of them.
        images: Folder that image names start from; that of the files if not said.

    Raises:
        MissingFileError: ``source`` is not there or has no such file, or none of the pictures of
            a file are below ``images``.
        UnreadableFileError: A file lacks names or squares, or has labels of another shape.
        HostileFileError: A file holds Python objects in place of labels.
    """
    reader, notes = TableReader(), []
    folder = images or (source if source.is_dir() else source.parent)
    for path in _files(source):
        file, split = SpinFile(path), split_of(path)
        notes.append(f"{path.name}: {len(file)} people of {split}.")
        if not reader.add(file, split=split, images=folder) and len(file):
            raise MissingFileError(
                f"no picture of {path.name} found: expected {folder / file.imgnames(0, 1)[0]}, "
                f"found {what_is_there(folder)}",
                hint="Name the folder that the image names of the file start from.",
            )
    pictures, dropped = reader.read()
    return RawSet(source="spin", pictures=pictures, dropped=dropped, notes=notes)


def holds_spin(folder: Path) -> bool:
    """Whether a folder has files in the form of SPIN."""
    return any(is_spin_file(path) for path in folder.glob("*.npz"))


def _files(source: Path) -> Sequence[Path]:
    if not source.is_dir():
        return [source]
    files = [path for path in sorted(source.glob("*.npz")) if is_spin_file(path)]
    if not files:
        raise MissingFileError(
            f"no labels in folder: {source}: expected npz files with imgname, center and scale, "
            f"found {what_is_there(source)}"
        )
    return files


def split_of(path: Path) -> str:
    """The split that a file's name speaks of, else ``train``."""
    words = re.findall("[a-z]+", path.stem.lower())
    return next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), "train")


def _faults(table: SpinTable) -> Ints:
    """(N,) codes of what is wrong with the numbers of each row."""
    has_box = is_sane(table.center) & is_sane(table.scale) & (table.scale > 0)
    are_numbers = is_sane(table.part) & is_sane(table.openpose)
    for labels in (table.S, table.transl, table.cam_int):
        if labels is not None:
            are_numbers &= is_sane(labels)
    for labels in (table.pose, table.shape):
        if labels is not None:
            are_numbers &= is_sane(labels) | ~table.has_smpl
    faults = np.where(are_numbers, 0, REASONS.index(NOT_NUMBERS))
    return np.where(has_box, faults, REASONS.index(NO_BOX))


def _person(table: SpinTable, row: int, person_id: int) -> Person:
    def of(labels: Floats | None) -> Floats | None:
        return None if labels is None else labels[row].astype(np.float32)

    has_smpl = bool(table.has_smpl[row])
    return Person(
        person_id=person_id,
        gender=table.gender[row],
        center=table.center[row].astype(np.float32),
        scale=float(table.scale[row]),
        part=table.part[row].astype(np.float32),
        openpose=table.openpose[row].astype(np.float32),
        pose=of(table.pose) if has_smpl else None,
        shape=of(table.shape) if has_smpl else None,
        transl=of(table.transl) if has_smpl else None,
        S=of(table.S),
    )
