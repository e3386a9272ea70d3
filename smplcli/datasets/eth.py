"""Reader of the data of ETH Zurich's course Machine Perception (2022 and 2023).

The course hands out a part of 3DPW and of MPII with labels in npz files of SPIN's form.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from smplcli.datasets.annotations import RawSet
from smplcli.datasets.listing import subfolders, what_is_there
from smplcli.datasets.spin import TableReader, split_of
from smplcli.datasets.spin_files import SpinFile, is_spin_file
from smplcli.errors import MissingFileError

LABEL_FOLDER, IMAGE_FOLDER = "dataset_extras", "dataset_folders"
DATASETS = ("3dpw", "mpii")
"""First word of a label file, and the folder that its image names start from."""

PUBLISHED = {
    "3dpw_train_subset": 11368,
    "mpii_train_eft": 14667,
    "3dpw_validation_subset": 3471,
    "3dpw_test_subset_cleaned": 5074,
}
"""People per file, from the training logs of a team."""


def read_eth(root: Path) -> RawSet:
    """Read the course's labels.

    Samples keep the order of the rows, which the course's submission needs; those of train are
    3DPW's, then MPII's. The test split has no poses.

    Args:
        root: The folder with ``dataset_extras`` and ``dataset_folders``, the one above it, or one
            of the two.

    Raises:
        MissingFileError: ``root`` holds no such data.
        UnreadableFileError: A label file is damaged.
        HostileFileError: A label file holds Python objects.
    """
    folder = _find(root)
    reader, notes = TableReader(), []
    published = Counter[str]()
    for path in sorted((folder / LABEL_FOLDER).glob("*.npz")):
        dataset = path.stem.split("_")[0].lower()
        if dataset not in DATASETS or not (path.stem in PUBLISHED or is_spin_file(path)):
            continue
        images = folder / IMAGE_FOLDER / dataset
        if not images.is_dir():
            notes.append(f"{path.name} is left out: there is no {IMAGE_FOLDER}/{dataset}.")
            continue
        split = split_of(path)
        reader.add(SpinFile(path), split=split, images=images)
        published[split] += PUBLISHED.get(path.stem, 0)
    absent = [name for name in PUBLISHED if not (folder / LABEL_FOLDER / f"{name}.npz").exists()]
    if absent:
        notes.append(f"Not all of the course's labels are there. Missing: {', '.join(absent)}.")
    if not published:
        raise MissingFileError(
            f"no course data with its pictures: {root}: {' '.join(notes)}",
            hint=f"Unpack {IMAGE_FOLDER} beside {LABEL_FOLDER}.",
        )
    pictures, dropped = reader.read()
    return RawSet(
        source="eth",
        pictures=pictures,
        dropped=dropped,
        notes=notes,
        published=+published,
    )


def _find(root: Path) -> Path:
    for folder in _candidates(root):
        if (folder / IMAGE_FOLDER).is_dir() and any((folder / LABEL_FOLDER).glob("*.npz")):
            return folder
    raise MissingFileError(
        f"no course data in folder: {root}: expected {LABEL_FOLDER}/*.npz and "
        f"{IMAGE_FOLDER}/{{{','.join(DATASETS)}}}, found {what_is_there(root)}",
        hint=f"Name the folder that {LABEL_FOLDER} and {IMAGE_FOLDER} are in.",
    )


def _candidates(root: Path) -> Iterator[Path]:
    yield root
    if root.name in (LABEL_FOLDER, IMAGE_FOLDER):
        yield root.absolute().parent
    yield from subfolders(root)
