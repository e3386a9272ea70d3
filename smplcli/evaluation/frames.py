"""Which sequence a sample is of, and which samples are the frames around it."""

import re
from collections.abc import Sequence

import numpy as np

from smplcli.evaluation.predictions import SampleId
from smplcli.types import Ints

FRAME_NUMBER = re.compile(r"(\d{1,9})(\.\w+)?$")

OCCLUDED_PREFIXES = (
    "courtyard_backpack",
    "courtyard_basketball",
    "courtyard_bodyScannerMotions",
    "courtyard_box",
    "courtyard_golf",
    "courtyard_jacket",
    "courtyard_laceShoe",
    "downtown_stairs",
    "flat_guitar",
    "flat_packBags",
    "outdoors_climbing",
    "outdoors_crosscountry",
    "outdoors_fencing",
    "outdoors_freestyle",
    "outdoors_golf",
    "outdoors_parcours",
    "outdoors_slalom",
)
"""Starts of the names of 3DPW's sequences in which people are occluded: the set 3DPW-OCC.

Source: PARE (Kocabas et al., ICCV 2021), as its public code selects them, of all splits.
"""


def sequence_of(imgname: str) -> str:
    """Name of the folder that a picture lies in, empty without one."""
    return _folder_and_file(imgname)[0].rpartition("/")[2]


def is_occluded(sequence: str) -> bool:
    """Whether a sequence of 3DPW belongs to 3DPW-OCC."""
    return sequence.startswith(OCCLUDED_PREFIXES)


def neighbours(ids: Sequence[SampleId]) -> tuple[Ints, Ints]:
    """Rows of the same people one frame earlier and one frame later.

    Args:
        ids: Image name and person of every sample.

    Returns:
        Two times (N,), -1 where there is no such row.
    """
    places = [(*_place(imgname), person) for imgname, person in ids]
    rows = {place: row for row, place in enumerate(places) if place[1] >= 0}
    before, after = (
        np.array([_row(rows, place, step) for place in places], dtype=np.int64) for step in (-1, 1)
    )
    return before, after


def _row(rows: dict[tuple[str, int, int], int], place: tuple[str, int, int], step: int) -> int:
    folder, frame, person = place
    return rows.get((folder, frame + step, person), -1) if frame >= 0 else -1


def _place(imgname: str) -> tuple[str, int]:
    """Folder and number of a picture, -1 for one without a number."""
    folder, file = _folder_and_file(imgname)
    number = FRAME_NUMBER.search(file)
    return folder, int(number[1]) if number else -1


def _folder_and_file(imgname: str) -> tuple[str, str]:
    # A path object would take a quarter of the time of an evaluation.
    folder, _, file = imgname.replace("\\", "/").rpartition("/")
    return folder, file
