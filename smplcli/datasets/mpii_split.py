"""Which people of MPII to train on and which to validate on; its owners do not say."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from smplcli.datasets.mpii_json import read_json_annotations
from smplcli.datasets.mpii_labels import NOT_CHOSEN, Annotation
from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.types import Floats

USUAL_SPLIT = {"train": 22246, "validation": 2958}
"""People (Tompson et al., CVPR 2015), as hourglass, HRNet and mmpose have it."""

USUAL_VALIDATION_PICTURES = 2729
VALIDATION_SHARE = USUAL_SPLIT["validation"] / sum(USUAL_SPLIT.values())

MAX_LIST_BYTES = 16 << 20
SAME_PLACE = 1.0
"""Pixels by which two files may disagree about the centre of one person, for rounding."""

Choice = Mapping[str, Sequence[Floats]]
"""Pictures to validate on, with the centres of the people; none of them means everybody."""


def read_choice(path: Path) -> Choice:
    """Whom a list sets aside to validate on.

    Args:
        path: A text with the name of a picture at the start of each line; or a JSON file of
            annotations, which tells the people of a picture apart.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is neither.
    """
    if not path.is_file():
        raise MissingFileError(f"validation list not found: {path}")
    choice: dict[str, list[Floats]] = defaultdict(list)
    if path.suffix.lower() == ".json":
        for item in read_json_annotations(path, "validation"):
            if item.split == "validation" and item.person is not None:
                choice[item.file].append(item.person.center)
        return choice
    for name in _first_words(path):
        choice[name.replace("\\", "/").rsplit("/", 1)[-1]] = []
    return choice


def _first_words(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_LIST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(
            f"validation list is no text: {path}",
            hint="Give a text with the name of a picture in each line, or valid.json.",
        ) from error
    for line in text.splitlines():
        yield from line.replace(",", " ").split()[:1]


def apply_choice(annotations: Iterable[Annotation], choice: Choice) -> Iterator[Annotation]:
    """Give each labelled person to the split that a list wants.

    People whom the list leaves out of a picture that it names are in neither split: pictures to
    validate on must not be trained on.
    """
    for item in annotations:
        if item.split == "test":
            yield item
        elif item.file not in choice:
            yield item._replace(split="train")
        elif item.person is None or _is_chosen(item.person.center, choice[item.file]):
            yield item._replace(split="validation")
        else:
            yield item._replace(split="validation", person=None, problem=NOT_CHOSEN)


def _is_chosen(center: Floats, chosen: Sequence[Floats]) -> bool:
    return not chosen or any(np.abs(center - other).max() <= SAME_PLACE for other in chosen)


def split_by_name(annotations: Iterable[Annotation]) -> Iterator[Annotation]:
    """Set `VALIDATION_SHARE` of the pictures aside, the same ones in every copy of the data.

    A picture is one of them if the first eight bytes of the SHA-256 of its name, as a number
    between 0 and 1, are below that share.
    """
    for item in annotations:
        if item.split:
            yield item
            continue
        digest = hashlib.sha256(item.file.encode()).digest()
        share = int.from_bytes(digest[:8]) / 2**64
        yield item._replace(split="validation" if share < VALIDATION_SHARE else "train")
