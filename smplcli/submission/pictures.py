"""Predictions of pictures, for leaderboards whose data nobody has to prepare."""

import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smplcli.errors import UnreadableFileError
from smplcli.files import read_npz
from smplcli.types import Floats, Ints

NEEDED: dict[str, tuple[int, ...]] = {
    "imgname": (),
    "person_id": (),
    "pose": (72,),
    "betas": (10,),
    "cam_t": (3,),
    "joints2d": (24, 2),
    "img_size": (2,),
}
"""Arrays of a ``preds.npz`` that are read, and their shape per person."""

OPTIONAL = ("status_imgname", "meta")


class PicturePredictions(NamedTuple):
    """People in pictures, (N,) or (N, ...) each."""

    imgname: np.ndarray
    person_id: Ints
    pose: Floats
    """(N, 72) axis-angle, the root in camera axes."""

    betas: Floats
    cam_t: Floats
    """(N, 3) metres, camera axes, to be added to the body."""

    joints2d: Floats
    """(N, 24, 2) pixels of the picture."""

    img_size: Ints
    """(N, 2) width, height."""

    pictures: tuple[str, ...]
    """All pictures that were looked at, with or without people, where the file tells."""

    is_demo: bool
    """Whether the demo body was predicted, whose shape is not SMPL's."""


def read_picture_predictions(path: Path) -> PicturePredictions:
    """Read a ``preds.npz``.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no npz, lacks an array, or an array has another shape.
    """
    arrays = read_npz(path, keys=NEEDED)
    count = arrays["imgname"].shape[:1]
    for name, trailing in NEEDED.items():
        kinds = "U" if name == "imgname" else "iu" if name in ("person_id", "img_size") else "f"
        array = arrays[name]
        if array.shape != count + trailing or array.dtype.kind not in kinds or not count:
            raise UnreadableFileError(
                f"{name} has another type or shape: {array.shape} of {array.dtype}: {path}"
            )
    with zipfile.ZipFile(path) as archive:
        present = [name for name in OPTIONAL if f"{name}.npy" in archive.namelist()]
    more = read_npz(path, keys=present)
    pictures = more.get("status_imgname", np.unique(arrays["imgname"]))
    return PicturePredictions(
        **arrays, pictures=tuple(map(str, pictures)), is_demo=_is_demo(more.get("meta"))
    )


def _is_demo(meta: np.ndarray | None) -> bool:
    """What our own files say of the body; those of other tools say nothing."""
    try:
        return bool(json.loads(str(meta))["body"]["is_demo"])
    except (ValueError, KeyError, TypeError):
        return False
