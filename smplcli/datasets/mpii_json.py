"""MPII's annotations in the JSON layouts that are passed around."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smplcli.conventions import (
    HMR_FOCAL_LENGTH,
    MPII16_JOINTS,
    NUM_BETAS,
    NUM_JOINTS,
    OPENPOSE25_JOINTS,
    SCALE_PIXELS,
    SPIN24_JOINTS,
)
from smplcli.datasets.annotations import Person
from smplcli.datasets.label_checks import MAX_LABEL, NOT_NUMBERS
from smplcli.datasets.mpii_labels import BAD_NAME, NO_BOX, Annotation, RawLabels, to_annotation
from smplcli.errors import UnreadableFileError
from smplcli.files import read_json
from smplcli.rotations import rotmat_to_aa
from smplcli.types import Floats

Record = dict[str, Any]
_ReadRecord = Callable[[Record, str, int], Annotation]

MAX_SKEW = 1e-2
"""How far a rotation matrix in a file of rounded numbers may be from one."""

HMR_CROP = 224
"""Pixels of the crop that `HMR_FOCAL_LENGTH` is for."""

SMALLEST_ZOOM = 1e-2
"""Half crops per metre, below which a person would be a dot."""

RECORDS_TO_TELL = 100
"""People at the start of a file that show its layout."""


def read_json_annotations(path: Path, split: str) -> list[Annotation]:
    """People of a JSON file, whichever of the layouts in circulation it has.

    - pytorch-pose: a list, ``joint_self`` and ``isValidation`` per person;
    - Microsoft, HRNet, mmpose: a list per split, ``joints`` and ``joints_vis`` per person;
    - EFT: pose and shape under ``data``.

    Args:
        path: The file.
        split: What its people are for, unless it says so itself; empty where nobody says.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It has none of the layouts.
    """
    records = _records(path)
    read = _layout_of(records)
    if read is None:
        raise UnreadableFileError(
            f"no MPII annotations in a layout that is known: {path}",
            hint="Give MPII's own .mat, or the JSON of pytorch-pose, HRNet, mmpose or EFT.",
        )
    return list(_annotations(records, split, read))


def is_mpii_json(path: Path) -> bool:
    """Whether a file has one of the layouts, whatever its name."""
    try:
        return _layout_of(_records(path)) is not None
    except UnreadableFileError:
        return False


def _records(path: Path) -> list[Any]:
    content = read_json(path)
    records = content.get("data") if isinstance(content, dict) else content
    return records if isinstance(records, list) else []


def _layout_of(records: list[Any]) -> _ReadRecord | None:
    people = [record for record in records[:RECORDS_TO_TELL] if isinstance(record, dict)]
    keys = {key for record in people for key in record}
    return next((read for mark, read in _LAYOUTS.items() if mark in keys), None)


def _annotations(records: list[Any], split: str, read: _ReadRecord) -> Iterator[Annotation]:
    counts = Counter[str]()
    for record in records:
        fields = record if isinstance(record, dict) else {}
        name = next((fields[key] for key in _NAMES if isinstance(fields.get(key), str)), "")
        file = name.replace("\\", "/").rsplit("/", 1)[-1]
        if not (file and file.isprintable()):
            yield Annotation(ascii(name)[1:-1], split, -1, None, BAD_NAME)
            continue
        yield read({**fields, "file": file}, split, counts[file])
        counts[file] += 1


def _pytorch_pose(record: Record, split: str, place: int) -> Annotation:
    joints = _floats(record.get("joint_self"), (len(MPII16_JOINTS), 3))
    is_visible = None
    if joints is not None:
        is_visible = joints[:, 2].copy()
        joints[:, 2] = joints.any(axis=1)
    is_validation = _floats(record.get("isValidation"), ())
    if is_validation is not None:
        split = "validation" if is_validation else "train"
    index = _floats(record.get("people_index"), ())
    if index is not None and 1 <= index < MAX_LABEL:
        place = int(index) - 1
    box = "scale_provided", "objpos"
    return _with_joints(record, split, place, joints, box, is_visible=is_visible)


def _microsoft(record: Record, split: str, place: int) -> Annotation:
    positions = _floats(record.get("joints"), (len(MPII16_JOINTS), 2))
    is_labelled = _floats(record.get("joints_vis"), (len(MPII16_JOINTS),))
    joints = None
    if positions is not None and is_labelled is not None:
        joints = np.column_stack([positions, is_labelled])
    return _with_joints(record, split, place, joints, ("scale", "center"))


def _with_joints(
    record: Record,
    split: str,
    place: int,
    joints: Floats | None,
    box: tuple[str, str],
    *,
    is_visible: Floats | None = None,
) -> Annotation:
    scale, objpos = _floats(record.get(box[0]), ()), _floats(record.get(box[1]), (2,))
    labels = RawLabels(
        joints=np.zeros((len(MPII16_JOINTS), 3)) if joints is None else joints,
        scale=float("nan") if scale is None else float(scale),
        objpos=np.full(2, np.nan) if objpos is None else objpos,
        is_visible=is_visible,
    )
    return to_annotation(record["file"], split, place, labels)


def _eft(record: Record, split: str, place: int) -> Annotation:
    """Pose and shape that EFT fitted, with a camera for each person's square.

    EFT's weak perspective puts x at ``s * x + t`` half crops from the middle of the square (HMR
    and SPIN at ``s * (x + t)``); the camera is so far away that this is nearly what it sees.

    Source:
        EFT (Joo et al., 3DV 2021), docs/README_dataformat.md, and what its demo draws.
    """
    file = record["file"]
    rotmat = _floats(record.get("parm_pose"), (NUM_JOINTS, 3, 3))
    betas = _floats(record.get("parm_shape"), (NUM_BETAS,))
    scale, center = (
        _floats(record.get("bbox_scale"), ()),
        _floats(record.get("bbox_center"), (2,)),
    )
    if scale is None or center is None or not 0 < scale < MAX_LABEL or not _is_sane(center):
        return Annotation(file, split, place, None, NO_BOX)
    if rotmat is None or betas is None or not (_is_sane(betas) and _is_rotation(rotmat)):
        return Annotation(file, split, place, None, NOT_NUMBERS)
    person = Person(
        person_id=place,
        gender="n",
        center=center,
        scale=float(scale),
        part=np.zeros((len(SPIN24_JOINTS), 3)),
        openpose=np.zeros((len(OPENPOSE25_JOINTS), 3)),
        pose=np.asarray(rotmat_to_aa(torch.from_numpy(rotmat)).flatten().numpy()),
        shape=betas,
    )
    pred_cam = _floats(record.get("parm_cam"), (3,))
    if pred_cam is None or not _is_sane(pred_cam) or pred_cam[0] < SMALLEST_ZOOM:
        return Annotation(file, split, place, person)
    depth = 2 * HMR_FOCAL_LENGTH / (HMR_CROP * pred_cam[0])
    zoom = HMR_FOCAL_LENGTH * SCALE_PIXELS * person.scale / HMR_CROP
    cam_int = np.array([[zoom, 0, center[0]], [0, zoom, center[1]], [0, 0, 1]])
    person = person._replace(transl=np.array([*pred_cam[1:] / pred_cam[0], depth]))
    return Annotation(file, split, place, person, cam_int=cam_int)


def _is_sane(values: Floats) -> bool:
    return bool(np.isfinite(values).all() and np.abs(values).max() < MAX_LABEL)


def _is_rotation(rotmat: Floats) -> bool:
    """Whether matrices (N, 3, 3) turn and do nothing else."""
    if not _is_sane(rotmat):
        return False
    skew = np.abs(rotmat @ rotmat.mT - np.eye(3)).max()
    return bool(skew < MAX_SKEW and (np.linalg.det(rotmat) > 0).all())


def _floats(value: object, shape: tuple[int, ...]) -> Floats | None:
    """Numbers of this shape, or ``None`` if the value is anything else."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.shape == shape else None


_NAMES = ("img_paths", "image", "imageName")

_LAYOUTS: dict[str, _ReadRecord] = {
    "joint_self": _pytorch_pose,
    "parm_pose": _eft,
    "joints_vis": _microsoft,
}
"""By a key that only one of them has."""
