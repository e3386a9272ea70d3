"""Reader of MPII Human Pose (Andriluka et al., CVPR 2014).

Its files count pixels from 1, we from 0. Every labelled joint has confidence 1: whether it is
hidden behind something (``is_visible``) is noted in only some of the files, and never for neck and
head top.
"""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from smplcli.datasets.annotations import Dropped, Person, Picture, RawSet
from smplcli.datasets.label_checks import NO_PICTURE
from smplcli.datasets.listing import what_is_there
from smplcli.datasets.mpii_json import is_mpii_json, read_json_annotations
from smplcli.datasets.mpii_labels import BAD_NAME, FAILURES, LISTED_TWICE, Annotation
from smplcli.datasets.mpii_mat import MAT_FILE, annotations_of, read_head_sizes, read_mat
from smplcli.datasets.mpii_split import (
    USUAL_SPLIT,
    USUAL_VALIDATION_PICTURES,
    VALIDATION_SHARE,
    apply_choice,
    read_choice,
    split_by_name,
)
from smplcli.errors import MissingFileError, UnreadableFileError

SEARCH_DEPTH = 2
"""Folders below the root in which annotations and pictures may be."""


class _Form(NamedTuple):
    """Files that hold the annotations together."""

    files: Mapping[str, str]
    """Names, each with the split that it is for, empty where nobody says."""

    published: Mapping[str, int]
    """People per split."""


FORMS = (
    _Form({MAT_FILE: ""}, {}),
    _Form({"mpii_annotations.json": ""}, USUAL_SPLIT),
    _Form({"train.json": "train", "valid.json": "validation"}, USUAL_SPLIT),
    _Form({"mpii_train.json": "train", "mpii_val.json": "validation"}, USUAL_SPLIT),
    _Form({"trainval.json": ""}, {}),
    _Form({"mpii_trainval.json": ""}, {}),
    _Form({"MPII_ver01.json": "train"}, {"train": 14361}),
)
"""The official file, pytorch-pose, HRNet, mmpose, EFT: the first that is there is read."""

HEAD_FILES = {"valid.json": "gt_valid.mat", "mpii_val.json": "mpii_gt_val.mat"}
"""Where the head boxes are of the people to validate on in a JSON file, which has none itself."""


def read_mpii(root: Path, *, val_list: Path | None = None) -> RawSet:
    """Read the labels of MPII from the official file or a JSON form of it.

    Args:
        root: Folder with the pictures and the annotations, which may be up to two folders down.
        val_list: Whom to validate on, instead of what the annotations say: a text with the name
            of a picture at the start of each line, or annotations in JSON such as ``valid.json``,
            which is taken without being named where the annotations say nothing.

    Raises:
        MissingFileError: Annotations, pictures or list are not there.
        UnreadableFileError: Annotations or list are damaged.
    """
    folders = list(_folders(root, SEARCH_DEPTH))
    found = _annotations(folders)
    if found is None:
        raise _no_annotations(root)
    form, paths = found
    annotations = [item for path, split in paths for item in _read(path, split)]
    images, names = _find_images(root, folders, {item.file for item in annotations})
    published, notes = dict(form.published), []
    if val_list is None and not all(item.split for item in annotations):
        val_list = _find_list(folders)
    if val_list is not None:
        annotations, published, note = _split_by_list(annotations, val_list)
        notes.append(note)
    elif not all(item.split for item in annotations):
        annotations = list(split_by_name(annotations))
        notes.append(_OWN_SPLIT_NOTE)
    checked = list(_check(annotations, names))
    if not any(item.person and item.split == "validation" for item in checked):
        notes.append(_NOBODY_TO_VALIDATE_NOTE)
    return RawSet(
        source="mpii",
        pictures=_to_pictures(checked, images),
        dropped=[_to_dropped(item) for item in checked if item.person is None],
        notes=notes,
        published=published,
    )


_OWN_SPLIT_NOTE = (
    f"MPII says nothing about validation: {VALIDATION_SHARE:.1%} of the pictures were set aside, "
    f"by a hash of their names. The usual {USUAL_SPLIT['train']:,} and "
    f"{USUAL_SPLIT['validation']:,} people need a list (--val-list)."
)

_NOBODY_TO_VALIDATE_NOTE = (
    "Nobody is set aside for validation; a list may say who is (--val-list)."
)


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """The folder and those in it, those above first, in the order of their names."""
    level = [folder] if folder.is_dir() else []
    for _ in range(depth + 1):
        yield from level
        level = [inner for outer in level for inner in _subfolders(outer)]


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry) for entry in entries if entry.is_dir())
    except OSError:
        return []


def holds_mpii(root: Path) -> bool:
    """Whether a folder has annotations in a form of MPII's own."""
    return _annotations(list(_folders(root, SEARCH_DEPTH))) is not None


def _annotations(folders: Iterable[Path]) -> tuple[_Form, list[tuple[Path, str]]] | None:
    """The form, and its files that are there with the split that each is for."""
    for form in FORMS:
        for folder in folders:
            names = {
                name: split for name, split in form.files.items() if (folder / name).is_file()
            }
            if names:
                return form, [(folder / name, split) for name, split in names.items()]
    for folder in folders:
        if others := _other_annotations(folder):
            return _Form({}, {}), others
    return None


def _no_annotations(root: Path) -> MissingFileError:
    return MissingFileError(
        f"no MPII annotations: {root}: expected {MAT_FILE} or its JSON forms in it or up to "
        f"{SEARCH_DEPTH} folders down, or SPIN's npz in it, found {what_is_there(root)}",
        hint="Name the folder that holds MPII's pictures and annotations.",
    )


def _find_list(folders: Iterable[Path]) -> Path | None:
    """A list of the usual people to validate on, beside annotations that name none."""
    paths = (folder / name for folder in folders for name in HEAD_FILES)
    return next((path for path in paths if path.is_file()), None)


def _other_annotations(folder: Path) -> list[tuple[Path, str]]:
    """JSON files under names of somebody's own, with the split that a name speaks of."""
    paths = sorted(folder / name for name in _file_names(folder) if name.endswith(".json"))
    return [(path, _split_in_name(path)) for path in paths if is_mpii_json(path)]


def _split_in_name(path: Path) -> str:
    words = re.findall("[a-z]+", path.stem.lower())
    is_validation = not {"val", "valid", "validation"}.isdisjoint(words)
    return "validation" if is_validation else "train" if "train" in words else ""


def _read(path: Path, split: str) -> list[Annotation]:
    if path.name == MAT_FILE:
        return list(annotations_of(read_mat(path)))
    annotations = read_json_annotations(path, split)
    heads = path.parent / HEAD_FILES.get(path.name, "")
    return _with_heads(annotations, heads) if heads.is_file() else annotations


def _with_heads(annotations: list[Annotation], path: Path) -> list[Annotation]:
    sizes = read_head_sizes(path)
    if len(sizes) != len(annotations):
        raise UnreadableFileError(
            f"head boxes of {len(sizes)} people beside labels of {len(annotations)}: {path}",
            hint="Take both files from the same place, or move this one away.",
        )
    return [
        item._replace(person=item.person and item.person._replace(head_size=float(size)))
        for item, size in zip(annotations, sizes, strict=True)
    ]


def _find_images(
    root: Path, folders: Iterable[Path], wanted: Collection[str]
) -> tuple[Path, frozenset[str]]:
    """The folder that holds most of the pictures, and the names of all files in it."""
    best, most = (root, frozenset[str]()), 0
    for folder in folders:
        names = _file_names(folder)
        found = len(names.intersection(wanted))
        if found > most:
            best, most = (folder, names), found
    if not most:
        example = min(filter(None, wanted), default="015601864.jpg")
        raise MissingFileError(
            f"no MPII pictures: {root}: expected a folder 'images' with files such as {example}, "
            f"found {what_is_there(root)}",
            hint="Unpack mpii_human_pose_v1.tar.gz there.",
        )
    return best


def _file_names(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        return frozenset()


def _split_by_list(
    annotations: Iterable[Annotation], path: Path
) -> tuple[list[Annotation], dict[str, int], str]:
    """The annotations in the splits that a list wants, the published counts, and a note."""
    choice = read_choice(path)
    chosen = list(apply_choice(annotations, choice))
    if not any(item.file in choice for item in chosen):
        raise UnreadableFileError(
            f"validation list names no picture of MPII: {path}",
            hint="Give a text with the name of a picture in each line, or valid.json.",
        )
    note = f"Validation people are those of {path.name}."
    if not any(choice.values()):
        note = (
            f"{path.name} names pictures and not people, so everybody labelled in them is "
            "validated on; the usual validation set has one or two of each picture's people."
        )
    published = USUAL_SPLIT if len(choice) == USUAL_VALIDATION_PICTURES else {}
    return chosen, dict(published), note


def _check(annotations: Iterable[Annotation], names: Collection[str]) -> Iterator[Annotation]:
    """The annotations, without the people whose picture is not there or who come twice."""
    seen = set[tuple[str, int]]()
    for item in annotations:
        key = item.file, item.person_id
        if item.person is None:
            yield item
        elif not item.file:
            yield item._replace(person=None, problem=BAD_NAME)
        elif item.file not in names:
            yield item._replace(person=None, problem=NO_PICTURE)
        elif key in seen:
            yield item._replace(person=None, problem=LISTED_TWICE)
        else:
            seen.add(key)
            yield item


def _to_pictures(annotations: Iterable[Annotation], images: Path) -> list[Picture]:
    """Pictures in the order in which they first occur; people with cameras of their own apart."""
    groups = defaultdict[tuple[str, str, int], list[Annotation]](list)
    for item in annotations:
        if item.person is not None:
            own = -1 if item.cam_int is None else item.person_id
            groups[item.split, item.file, own].append(item)
    return [
        Picture(
            split,
            _imgname(file),
            images / file,
            tuple(sorted((item.person for item in items if item.person), key=_person_id)),
            items[0].cam_int,
        )
        for (split, file, _), items in groups.items()
    ]


def _person_id(person: Person) -> int:
    return person.person_id


def _to_dropped(item: Annotation) -> Dropped:
    is_failure = item.problem in FAILURES
    return Dropped(item.split, _imgname(item.file), item.person_id, item.problem, is_failure)


def _imgname(file: str) -> str:
    return f"images/{file}"
