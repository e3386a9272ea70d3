"""Reader of npz files in the form of SPIN, in which the field exchanges labels."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from smplcli.datasets.annotations import Dropped, Person, Picture, RawSet
from smplcli.datasets.label_checks import NO_BOX, NO_PICTURE, NOT_NUMBERS, OUTSIDE, is_sane
from smplcli.datasets.listing import Listing, what_is_there
from smplcli.datasets.spin_files import SpinTable, is_spin_file, read_spin_file
from smplcli.errors import MissingFileError
from smplcli.types import Floats

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


class _Row(NamedTuple):
    """One person of a file, or why there is none."""

    imgname: str
    path: Path
    person: Person | None
    cam_int: Floats | None
    reason: str


class TableReader:
    """Turns tables into pictures, in the order of their rows."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.dropped: list[Dropped] = []
        self._listing = Listing()
        self._people: Counter[tuple[str, str]] = Counter()

    def add(self, table: SpinTable, *, split: str, images: Path) -> int:
        """Add the people of a table, those of neighbouring rows with one name to one picture.

        Args:
            table: Labels.
            split: Where they go.
            images: Folder that image names start from.

        Returns:
            Rows whose picture is there.
        """
        num_found = 0
        rows = self._rows(table, split, images)
        for (imgname, path), group in groupby(rows, key=lambda row: (row.imgname, row.path)):
            people, cam_int = [], None
            for row in group:
                num_found += row.reason not in (NO_PICTURE, OUTSIDE)
                if row.person is not None:
                    people.append(row.person)
                    cam_int = row.cam_int
            if people:
                self.pictures.append(Picture(split, imgname, path, tuple(people), cam_int))
        return num_found

    def _rows(self, table: SpinTable, split: str, images: Path) -> Iterator[_Row]:
        reasons = _faults(table)
        for number, imgname in enumerate(table.imgname):
            person_id = self._people[split, imgname]
            self._people[split, imgname] += 1
            path = images / imgname
            reason = self._picture_fault(imgname, path) or reasons[number]
            person = None
            if reason:
                self.dropped.append(Dropped(split, imgname, person_id, reason, True))
            else:
                person = _person(table, number, person_id)
            cam_int = None if table.cam_int is None else table.cam_int[number]
            yield _Row(imgname, path, person, cam_int, reason)

    def _picture_fault(self, imgname: str, path: Path) -> str:
        parts = PurePosixPath(imgname)
        if parts.is_absolute() or ".." in parts.parts or not imgname.isprintable():
            return OUTSIDE
        return "" if self._listing.has(path) else NO_PICTURE


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
        table, split = read_spin_file(path), split_of(path)
        notes.append(f"{path.name}: {len(table.imgname)} people of {split}.")
        if table.imgname and not reader.add(table, split=split, images=folder):
            raise MissingFileError(
                f"no picture of {path.name} found: expected {folder / table.imgname[0]}, "
                f"found {what_is_there(folder)}",
                hint="Name the folder that the image names of the file start from.",
            )
    return RawSet(source="spin", pictures=reader.pictures, dropped=reader.dropped, notes=notes)


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


def _faults(table: SpinTable) -> list[str]:
    """For each row what is wrong with its numbers, or nothing."""
    has_box = is_sane(table.center) & is_sane(table.scale) & (table.scale > 0)
    are_numbers = is_sane(table.part) & is_sane(table.openpose)
    for labels in (table.S, table.transl, table.cam_int):
        if labels is not None:
            are_numbers &= is_sane(labels)
    for labels in (table.pose, table.shape):
        if labels is not None:
            are_numbers &= is_sane(labels) | ~table.has_smpl
    reasons = np.where(has_box, np.where(are_numbers, "", NOT_NUMBERS), NO_BOX)
    return [str(reason) for reason in reasons]


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
