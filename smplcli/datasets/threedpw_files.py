"""3DPW on disk: where its folders are, and what a sequence file holds once it is checked."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smplcli.body.unpickle import load_pickle
from smplcli.conventions import NUM_BETAS, NUM_JOINTS
from smplcli.datasets.annotations import SequenceSize
from smplcli.datasets.label_checks import NOT_NUMBERS, REFUSED, is_sane
from smplcli.datasets.listing import subfolders, what_is_there
from smplcli.datasets.sequences import MAX_FRAMES, MAX_PEOPLE, NAME
from smplcli.datasets.threedpw_labels import COCO18_JOINTS, Cameras
from smplcli.errors import HostileFileError, MissingFileError, UnreadableFileError
from smplcli.types import Floats, Ints

SEQUENCE_FOLDER, IMAGE_FOLDER = "sequenceFiles", "imageFiles"
SPLIT_FOLDERS = {
    "train": ("train",),
    "validation": ("validation", "val"),
    "test": ("test",),
}
"""Names of each split's folder; some descriptions call validation ``val``."""

MAX_SKEW = 0.01
"""How far rows of a camera's rotation may be from orthonormal."""

GENDERS = {"m": "m", "male": "m", "f": "f", "female": "f"}

UNREADABLE = "sequence file unreadable"
DISAGREE = "sequence file disagrees about people or frames"
NO_SEQUENCE = "sequence without frames or people, or with a name that is none"
NO_GENDER = "gender is neither m nor f"
NO_CAMERA = "camera is none"


class DamagedLabelsError(Exception):
    """Labels that cannot be used; the text is the reason that is counted."""


class SequenceFile(NamedTuple):
    """One sequence on disk."""

    split: str
    name: str
    path: Path
    image_dir: Path


class Track(NamedTuple):
    """One person through a sequence of N frames."""

    gender: str
    pose: Floats
    """(N, 72), the root in world axes."""

    trans: Floats
    """(N, 3), metres, world axes."""

    shape: Floats
    """(10,)."""

    joints: Floats
    """(N, 24, 3), metres, world axes."""

    keypoints: Floats
    """(N, 18, 3) x, y, confidence."""

    has_camera: Floats
    """(N,) 1 where the camera was aligned for this person."""

    def at(self, frames: Ints) -> "Track":
        """The person in some frames (M,)."""
        return Track(
            self.gender,
            self.pose[frames],
            self.trans[frames],
            self.shape,
            self.joints[frames],
            self.keypoints[frames],
            self.has_camera[frames],
        )


def find_sequences(root: Path, splits: Sequence[str]) -> list[SequenceFile]:
    """Sequences by split and name.

    Args:
        root: The folder that holds images and sequences, the one above it, or one of the two.
        splits: Which to look for.

    Raises:
        MissingFileError: There are none.
    """
    for folder in _candidates(root):
        images, sequences = _unfold(folder / IMAGE_FOLDER), _unfold(folder / SEQUENCE_FOLDER)
        if images.is_dir() and sequences.is_dir():
            found = [*_sequence_files(sequences, images, splits)]
            if found:
                return found
    raise MissingFileError(
        f"no 3DPW in folder: {root}: expected {IMAGE_FOLDER}/<sequence>/image_00000.jpg and "
        f"{SEQUENCE_FOLDER}/{{{','.join(splits)}}}/<sequence>.pkl, found {what_is_there(root)}",
        hint="Name the folder into which imageFiles.zip and sequenceFiles.zip were unpacked.",
    )


def _candidates(root: Path) -> Iterator[Path]:
    yield root
    if root.name in (IMAGE_FOLDER, SEQUENCE_FOLDER):
        yield root.absolute().parent
    yield from subfolders(root)


def _unfold(folder: Path) -> Path:
    """The folder, or that of the same name in it, which some programs unpack to."""
    inner = folder / folder.name
    return inner if inner.is_dir() else folder


def _sequence_files(
    sequences: Path, images: Path, splits: Sequence[str]
) -> Iterator[SequenceFile]:
    for split in splits:
        for name in SPLIT_FOLDERS[split]:
            for path in sorted((sequences / name).glob("*.pkl")):
                if not path.name.startswith("."):
                    yield SequenceFile(split, path.stem, path, images / path.stem)


def read_sequence_file(path: Path) -> Mapping[str, Any]:
    """Content of a sequence file.

    Raises:
        DamagedLabelsError: It holds no dictionary, or asks for anything but data.
    """
    try:
        content = load_pickle(path)
    except UnreadableFileError as error:
        raise DamagedLabelsError(UNREADABLE) from error
    except HostileFileError as error:
        raise DamagedLabelsError(REFUSED) from error
    if not isinstance(content, dict):
        raise DamagedLabelsError(UNREADABLE)
    return content


def read_cameras(content: Mapping[str, Any]) -> Cameras:
    """Cameras of all frames; those of single frames may still hold anything.

    Raises:
        DamagedLabelsError: There are none.
    """
    poses = _numbers(_entry(content, "cam_poses"), (None, 4, 4))
    cam_int = _numbers(_entry(content, "cam_intrinsics"), (3, 3))
    is_camera = cam_int[0, 0] > 0 and cam_int[1, 1] > 0 and (cam_int[2] == [0, 0, 1]).all()
    if not (is_sane(cam_int[None]).all() and is_camera):
        raise DamagedLabelsError(NO_CAMERA)
    return Cameras(poses[:, :3, :3], poses[:, :3, 3], cam_int)


def sequence_size(file: SequenceFile, content: Mapping[str, Any]) -> SequenceSize:
    """Frames and people that a file is about.

    Raises:
        DamagedLabelsError: It does not say, or there are none, or more than anybody filmed.
    """
    cameras = _numbers(_entry(content, "cam_poses"), (None, 4, 4))
    size = SequenceSize(len(cameras), len(_people(content, "poses")))
    is_filmed = 0 < size.num_frames <= MAX_FRAMES and 0 < size.num_people <= MAX_PEOPLE
    if not (is_filmed and NAME.fullmatch(file.name)):
        raise DamagedLabelsError(NO_SEQUENCE)
    return size


def read_track(content: Mapping[str, Any], person: int, size: SequenceSize) -> Track:
    """Labels of one person, checked except for what single frames hold.

    Raises:
        DamagedLabelsError: Some are missing, of another shape, or hold for no frame.
    """

    def of(key: str) -> Any:
        people = _people(content, key)
        if len(people) != size.num_people:
            raise DamagedLabelsError(DISAGREE)
        return people[person]

    num_frames = size.num_frames
    gender = GENDERS.get(str(of("genders")).lower())
    if gender is None:
        raise DamagedLabelsError(NO_GENDER)
    joints = _numbers(of("jointPositions"), (num_frames, 3 * NUM_JOINTS))
    keypoints = _numbers(of("poses2d"), (num_frames, 3, len(COCO18_JOINTS)))
    return Track(
        gender=gender,
        pose=_numbers(of("poses"), (num_frames, 3 * NUM_JOINTS)),
        trans=_numbers(of("trans"), (num_frames, 3)),
        shape=_shape(of("betas")),
        joints=joints.reshape(num_frames, NUM_JOINTS, 3),
        keypoints=keypoints.swapaxes(1, 2),
        has_camera=_numbers(of("campose_valid"), (num_frames,)),
    )


def is_rotation(matrices: Floats) -> np.ndarray:
    """Whether each of N matrices (N, 3, 3) turns and does nothing else, (N,)."""
    skew = np.abs(matrices @ matrices.mT - np.eye(3)).max(axis=(1, 2))
    return np.asarray((skew < MAX_SKEW) & (np.linalg.det(matrices) > 0))


def _entry(content: Mapping[str, Any], key: str) -> Any:
    if key not in content:
        raise DamagedLabelsError(f"sequence file has no {key}")
    return content[key]


def _people(content: Mapping[str, Any], key: str) -> Sequence[Any]:
    """What a file holds of each person: a list, or an array where somebody wrote it anew."""
    people = _entry(content, key)
    if isinstance(people, np.ndarray) and people.ndim:
        return [*people]
    if not isinstance(people, list | tuple):
        raise DamagedLabelsError(DISAGREE)
    return people


def _shape(betas: Any) -> Floats:
    """The first 10 of 10 or of 300; the rest is zero where there are more."""
    numbers = _numbers(betas, (None,) if getattr(betas, "ndim", 1) == 1 else (None, None))
    shape = np.atleast_2d(numbers)[:1, :NUM_BETAS]
    if shape.shape != (1, NUM_BETAS):
        raise DamagedLabelsError(DISAGREE)
    if not is_sane(shape).all():
        raise DamagedLabelsError(NOT_NUMBERS)
    return np.asarray(shape[0])


def _numbers(value: Any, shape: tuple[int | None, ...]) -> Floats:
    """A float64 array of this shape, in which ``None`` is any length."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        raise DamagedLabelsError(NOT_NUMBERS)
    fits = len(value.shape) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, value.shape, strict=True)
    )
    if not fits:
        raise DamagedLabelsError(DISAGREE)
    return value.astype(np.float64)
