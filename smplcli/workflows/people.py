"""The people of a predictions file: what a row holds, and rows read back."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.body.layer import BodyLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import NUM_JOINTS, SMPL_JOINTS
from smplcli.errors import ConfigError, UnreadableFileError
from smplcli.files import npz_names, read_npz
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Floats

OK, NO_PERSON, UNREADABLE, BAD_BOX = "ok", "no person", "unreadable", "bad box"

PERSON_FIELDS: dict[str, tuple[tuple[int, ...], str]] = {
    "imgname": ((), "U1"),
    "person_id": ((), "i4"),
    "track_id": ((), "i4"),
    "bbox": ((4,), "f4"),
    "score": ((), "f4"),
    "center": ((2,), "f4"),
    "scale": ((), "f4"),
    "pose": ((3 * NUM_JOINTS,), "f4"),
    "betas": ((10,), "f4"),
    "cam": ((3,), "f4"),
    "cam_t": ((3,), "f4"),
    "focal_length": ((), "f4"),
    "principal_point": ((2,), "f4"),
    "img_size": ((2,), "i4"),
    "joints3d": ((NUM_JOINTS, 3), "f4"),
    "joints2d": ((NUM_JOINTS, 2), "f4"),
}
"""Arrays of a predictions file with one row per person: shape of a row, and kind."""

CONVENTIONS = {
    "track_id": "the same for the same person of a sequence; -1 for who is of none",
    "joint_set": "smpl24",
    "joints": SMPL_JOINTS,
    "axes": "x right, y down, z forward, of the camera",
    "pixels": "centres at integers, in pictures turned as their orientation tags ask",
    "pose": "axis-angle, radians: the root in camera axes, the others relative to their parents",
    "cam": "the network's s, tx, ty in its crop: half crops per metre, metres, metres",
    "cam_t": "metres, by the keypoints where enough agree, else by cam",
    "joints3d": "metres, camera axes, before cam_t: joints3d + cam_t is where they are",
    "joints2d": "pixels: joints3d + cam_t through focal_length and principal_point",
    "scale": "side of the square crop over 200 pixels",
    "focal_length": "pixels, by the picture's Exif data, else assumed: its diagonal",
}
"""What the numbers of a predictions file mean; part of its ``meta``."""

VERTICES_CONVENTION = "metres, camera axes, before cam_t: vertices + cam_t is where they are"

ROWS_AT_ONCE = 1000
"""Rows of a large file that are in memory together."""

NO_TRACK = -1
FORM_FIELDS = ("pose", "betas", "cam_t")
STATUS_FIELDS = ("status_imgname", "status", "status_detail")


class Status(NamedTuple):
    """What became of one picture."""

    imgname: str
    status: str
    detail: str = ""
    """The reason, where there is one."""


class People(NamedTuple):
    """What `smplcli predict` wrote."""

    rows: dict[str, NDArray[Any]]
    """Arrays with one row per person, by the names of ``PERSON_FIELDS``; all finite."""

    num_not_finite: int
    """People who are left out of ``rows`` since they have numbers that are not finite."""

    statuses: tuple[Status, ...]
    """One for each picture."""

    meta: dict[str, Any]

    @property
    def num_people(self) -> int:
        """How many rows there are."""
        return len(self.rows["imgname"])


def read_people(path: Path) -> People:
    """Read a file of predictions.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no file of predictions, or is damaged.
        HostileFileError: It holds Python objects.
    """
    keys = {*PERSON_FIELDS, *STATUS_FIELDS, "meta"}
    untracked = {"track_id"} - npz_names(path)  # older versions linked nobody
    arrays = read_npz(path, keys=keys - untracked)
    arrays |= {x: np.full(np.shape(arrays["imgname"]), NO_TRACK, "i4") for x in untracked}
    return people_from(arrays, str(path))


def people_from(arrays: Mapping[str, NDArray[Any]], origin: str) -> People:
    """People from the arrays of a file of predictions.

    Args:
        arrays: Those of ``PERSON_FIELDS`` and ``STATUS_FIELDS``, and ``meta``.
        origin: What an error calls them.

    Raises:
        UnreadableFileError: An array has another shape or kind.
    """
    check_arrays(arrays, origin)
    num_people = len(arrays["imgname"])
    try:
        meta = json.loads(str(arrays["meta"]))
    except ValueError as error:
        raise UnreadableFileError(f"meta is no JSON: {origin}") from error
    statuses = zip(*(arrays[name].tolist() for name in STATUS_FIELDS), strict=True)
    numbers = [arrays[name] for name, (_, kind) in PERSON_FIELDS.items() if kind[0] == "f"]
    is_finite = np.all([np.isfinite(x).all(tuple(range(1, x.ndim))) for x in numbers], axis=0)
    return People(
        {name: arrays[name][is_finite] for name in PERSON_FIELDS},
        int(num_people - is_finite.sum()),
        tuple(Status(*status) for status in statuses),
        meta if isinstance(meta, dict) else {},
    )


def check_arrays(arrays: Mapping[str, NDArray[Any]], origin: str) -> None:
    """Refuse arrays of other shapes or kinds than those of a file of predictions.

    Args:
        arrays: Those of ``PERSON_FIELDS`` and ``STATUS_FIELDS``.
        origin: What an error calls them.

    Raises:
        UnreadableFileError: An array has another shape or kind.
    """
    num_people, num_pictures = (len(np.atleast_1d(arrays[x])) for x in ("imgname", "status"))
    expected = {name: ((num_people, *row), kind) for name, (row, kind) in PERSON_FIELDS.items()}
    expected |= dict.fromkeys(STATUS_FIELDS, ((num_pictures,), "U1"))
    for name, (shape, kind) in expected.items():
        _check(origin, name, arrays[name], shape, np.dtype(kind).kind)


def people_in_parts(arrays: Mapping[str, NDArray[Any]]) -> Iterator[People]:
    """People of our own predictions, some at a time, without statuses."""
    empty = dict.fromkeys(STATUS_FIELDS, np.zeros(0, "U1")) | {"meta": arrays["meta"]}
    for start in range(0, len(arrays["imgname"]), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        yield people_from({x: arrays[x][some] for x in PERSON_FIELDS} | empty, "predictions")


def _check(origin: str, name: str, array: NDArray[Any], shape: tuple[int, ...], kind: str) -> None:
    if array.shape != shape or array.dtype.kind != kind:
        raise UnreadableFileError(
            f"{name} must be {shape} of kind {kind!r}, is {array.shape} of {array.dtype}: {origin}"
        )


def check_body(people: People, body: BodyModel, path: Path) -> None:
    """Refuse a body whose shapes mean something else than those that were predicted.

    Raises:
        ConfigError: Another body than ``body`` made the predictions.
    """
    check_made_with(people.meta, body, path)


def check_made_with(meta: Mapping[str, Any], body: BodyModel, path: Path) -> None:
    """The same, of what ``meta`` says made the predictions.

    Raises:
        ConfigError: Another body than ``body`` made the predictions.
    """
    made_with = meta.get("body")
    made_with = made_with if isinstance(made_with, dict) else {}
    if made_with.get("sha256", body.sha256) != body.sha256:
        raise ConfigError(
            f"predictions were made with body {made_with.get('name')}, not {body.label}: {path}",
            hint="Name that body's file by --body.",
        )


def posed_vertices(people: People, rows: list[int], layer: BodyLayer) -> Floats:
    """Placed vertices (len(rows), V, 3) of some people, metres, camera axes."""
    pose, betas, transl = (torch.from_numpy(people.rows[x][rows]) for x in FORM_FIELDS)
    with torch.inference_mode():
        vertices = layer(aa_to_rotmat(pose.unflatten(1, (-1, 3))), betas).vertices
        placed: Floats = (vertices + transl[:, None]).numpy()
    return placed
