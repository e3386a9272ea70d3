"""Writes results in the form of AGORA: a zip with a pickle of SMPL's parameters per person.

Source:
    github.com/pixelite1201/agora_evaluation, docs/prediction_format.md.
"""

import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np

from smplcli.errors import UnreadableFileError
from smplcli.submission.archives import add_demo_notice, add_member, plain_pickle
from smplcli.submission.pictures import PicturePredictions

FULL_SIZE = (3840, 2160)
SMALL_SUFFIX = "_1280x720"
"""What names of the smaller pictures end in and those of the full ones do not."""

FOLDER = "predictions"


def write_agora(file: BinaryIO, people: PicturePredictions) -> None:
    """Write a submission; the same predictions give the same bytes.

    Args:
        file: Where the zip goes; opened for writing and seekable.
        people: Finite predictions.

    Raises:
        UnreadableFileError: A picture has no size of AGORA's, or two have one name.
    """
    with zipfile.ZipFile(file, "w") as archive:
        if people.is_demo:
            add_demo_notice(archive)
        for name, row in _names(people):
            add_member(archive, f"{FOLDER}/{name}.pkl", plain_pickle(_content(people, row)))


def _names(people: PicturePredictions) -> Iterator[tuple[str, int]]:
    """What every person is called, numbered from 0 in each picture, and its row."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, imgname in enumerate(people.imgname.tolist()):
        rows[imgname].append(row)
    stems: dict[str, str] = {}
    for imgname in sorted(rows):
        stem = PurePosixPath(imgname.replace("\\", "/")).stem.removesuffix(SMALL_SUFFIX)
        if not stem or stem.startswith("."):
            raise UnreadableFileError(f"picture has no name: {imgname!r}")
        if stem in stems:
            raise UnreadableFileError(
                f"two pictures of one name: {stems[stem]!r} and {imgname!r}",
                hint="Predict one folder of AGORA at a time.",
            )
        stems[stem] = imgname
        for number, row in enumerate(sorted(rows[imgname], key=people.person_id.__getitem__)):
            yield f"{stem}_personId_{number}", row


def _content(people: PicturePredictions, row: int) -> dict[str, object]:
    width, height = (int(side) for side in people.img_size[row])
    if width * FULL_SIZE[1] != height * FULL_SIZE[0]:
        raise UnreadableFileError(
            f"picture is {width} x {height}, AGORA's are 3840 x 2160 or 1280 x 720:"
            f" {str(people.imgname[row])!r}"
        )
    pose = people.pose[row].reshape(24, 3)
    params = {
        "transl": people.cam_t[row, None],
        "betas": people.betas[row, None],
        "global_orient": pose[None, :1],
        "body_pose": pose[None, 1:],
    }
    return {
        "params": {name: np.ascontiguousarray(a, dtype="<f4") for name, a in params.items()},
        "joints": np.ascontiguousarray(people.joints2d[row] * (FULL_SIZE[0] / width), dtype="<f4"),
        "pose2rot": True,
        "gender": "neutral",
    }
