"""Reader of 3DPW (von Marcard et al., ECCV 2018) as its owners distribute it.

The image of array index i is ``image_{i:05d}.jpg``. The files also hold ``img_frame_ids``, which
number the frames of the 60 Hz arrays and not the images.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smplcli.body.model import BodyModel
from smplcli.conventions import SCALE_PIXELS
from smplcli.datasets.annotations import Dropped, Person, Picture, RawSet, SequenceSize
from smplcli.datasets.label_checks import NO_BOX, NO_PICTURE, NOT_NUMBERS, is_sane
from smplcli.datasets.listing import Listing
from smplcli.datasets.spin_joints import SpinJoints
from smplcli.datasets.threedpw_files import (
    DamagedLabelsError,
    SequenceFile,
    Track,
    find_sequences,
    is_rotation,
    read_cameras,
    read_sequence_file,
    read_track,
    sequence_size,
)
from smplcli.datasets.threedpw_labels import (
    Cameras,
    body_in_camera,
    keypoint_boxes,
    keypoints_to_openpose25,
    keypoints_to_spin24,
    point_boxes,
    usable_squares,
)
from smplcli.datasets.threedpw_sequences import OFFICIAL_SEQUENCES
from smplcli.errors import ConfigError
from smplcli.types import Floats, Ints

SPLITS = ("train", "validation", "test")
PUBLISHED = {"train": 22735, "test": 35515}
"""People whose camera was aligned (SPIN, ICCV 2019); nobody has published validation's."""

Flags = NDArray[np.bool_]
BoxSource = Literal["keypoints", "projected"]

NOT_ALIGNED = "camera not aligned"
SKEWED_CAMERA = "camera rotation is none"


def read_3dpw(
    root: Path,
    *,
    splits: Sequence[str] = SPLITS,
    stride: int = 1,
    box: BoxSource = "keypoints",
    bodies: Mapping[str, BodyModel] | None = None,
    extra_regressor: Path | None = None,
) -> RawSet:
    """Read the labels of 3DPW.

    People are kept where ``campose_valid`` says that the camera was aligned for them, as SPIN
    does. Their squares are those of SPIN: around all keypoints of any confidence. Where
    ``poses2d`` is all zero, SPIN's rule has no box; such people are kept with the box of their
    projected joints, so that the published counts come out, and a note tells how many there are.
    Their ``openpose`` is all zero, by which the 3DPW challenge leaves them out.

    Args:
        root: The folder with ``imageFiles`` and ``sequenceFiles``, the one above it, or one of
            the two.
        splits: Of ``train``, ``validation`` and ``test``.
        stride: Every so many frames of each sequence are read, the first among them.
        box: What squares are around: ``keypoints`` found in the picture, or the ``projected``
            joints of the labels.
        bodies: Bodies by ``m`` and ``f``, which ``S`` is computed with; without them it is left
            out.
        extra_regressor: J_regressor_extra.npy of SPIN, which 9 joints of ``S`` need.

    Raises:
        ConfigError: There is no such split or box, or ``stride`` is less than 1.
        MissingFileError: ``root`` holds no 3DPW.
    """
    _check_options(splits, stride, box)
    joints = SpinJoints(bodies, extra_regressor=extra_regressor) if bodies else None
    reader = _Reader(stride=stride, box=box, joints=joints)
    for file in find_sequences(root, splits):
        reader.read(file)
    return RawSet(
        source="3dpw",
        pictures=reader.pictures,
        dropped=reader.dropped,
        sequences=reader.sequences,
        notes=[*_missing_sequences(splits, reader.found), *reader.notes()],
        published={split: PUBLISHED[split] for split in splits if split in PUBLISHED}
        if stride == 1
        else {},
    )


def _check_options(splits: Sequence[str], stride: int, box: str) -> None:
    unknown = [split for split in splits if split not in SPLITS]
    if unknown:
        raise ConfigError(
            f"3DPW has no such split: {unknown[0]}", hint=f"Choose from {', '.join(SPLITS)}."
        )
    if stride < 1:
        raise ConfigError(f"stride must be at least 1, got {stride}")
    if box not in ("keypoints", "projected"):
        raise ConfigError(f"no such box: {box}", hint="Choose keypoints or projected.")


class _Labels(NamedTuple):
    """Labels of one person in the frames where they hold."""

    frames: Ints
    people: list[Person]
    reasons: dict[int, str]
    """Why others do not hold, by frame."""

    num_projected: int
    """Squares around projected joints for want of keypoints."""


class _Squares(NamedTuple):
    """Squares around a person in M frames."""

    center: Floats
    """(M, 2), pixels."""

    side: Floats
    """(M,), pixels; NaN where there is no box."""

    is_projected: Flags
    """(M,) whether keypoints were wanted, but there are none."""

    def at(self, rows: Ints) -> "_Squares":
        return _Squares(self.center[rows], self.side[rows], self.is_projected[rows])


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Collects what the files hold, one after the other."""

    stride: int
    box: BoxSource
    joints: SpinJoints | None
    listing: Listing = field(default_factory=Listing)
    pictures: list[Picture] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    sequences: dict[str, dict[str, SequenceSize]] = field(default_factory=dict)
    found: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    num_projected: int = 0
    genders_without_body: set[str] = field(default_factory=set)

    def read(self, file: SequenceFile) -> None:
        """Add one sequence."""
        self.found[file.split].add(file.name)
        try:
            content = read_sequence_file(file.path)
            size = sequence_size(file, content)
            cameras = read_cameras(content)
        except DamagedLabelsError as damage:
            self._lose(file, max(1, self.listing.count(file.image_dir)), -1, str(damage))
            return
        self.sequences.setdefault(file.split, {})[file.name] = size
        people = defaultdict[int, list[Person]](list)
        for person in range(size.num_people):
            try:
                track = read_track(content, person, size)
            except DamagedLabelsError as damage:
                self._lose(file, size.num_frames, person, str(damage))
                continue
            labels = self._label(track, person, cameras)
            for frame, labelled in zip(labels.frames.tolist(), labels.people, strict=True):
                people[frame].append(labelled)
            for frame, reason in labels.reasons.items():
                self._drop(file, frame, person, reason)
            self.num_projected += labels.num_projected
        for frame in sorted(people):
            self._add(file, frame, people[frame], cameras.cam_int)

    def notes(self) -> list[str]:
        """What a user should know."""
        notes = []
        if self.num_projected:
            notes.append(
                f"{self.num_projected} people without 2D keypoints have the box of their "
                "projected joints."
            )
        if self.joints is None:
            notes.append("3D joints (S) are left out: they need a male and a female SMPL body.")
        elif self.genders_without_body:
            names = " and ".join(sorted(self.genders_without_body))
            notes.append(f"3D joints (S) of gender {names} are left out: there is no such body.")
        return notes

    def _add(self, file: SequenceFile, frame: int, people: list[Person], cam_int: Floats) -> None:
        name = _imgname(file.name, frame)
        path = file.image_dir / Path(name).name
        if self.listing.has(path):
            self.pictures.append(Picture(file.split, name, path, tuple(people), cam_int))
        else:
            for person in people:
                self._drop(file, frame, person.person_id, NO_PICTURE)

    def _lose(self, file: SequenceFile, num_frames: int, person: int, reason: str) -> None:
        for frame in range(0, num_frames, self.stride):
            self._drop(file, frame, person, reason)

    def _drop(self, file: SequenceFile, frame: int, person: int, reason: str) -> None:
        name = _imgname(file.name, frame)
        self.dropped.append(Dropped(file.split, name, person, reason, reason != NOT_ALIGNED))

    def _label(self, track: Track, person: int, cameras: Cameras) -> _Labels:
        frames, reasons = _usable_frames(track, cameras, self.stride)
        track, cameras = track.at(frames), cameras.at(frames)
        squares = _squares(track, cameras, self.box)
        has_box = is_sane(np.column_stack([squares.center, squares.side]))
        reasons.update(dict.fromkeys(frames[~has_box].tolist(), NO_BOX))
        rows = np.flatnonzero(has_box)
        squares = squares.at(rows)
        people = self._people(track.at(rows), person, cameras.at(rows), squares)
        return _Labels(frames[rows], people, reasons, int(squares.is_projected.sum()))

    def _people(
        self, track: Track, person: int, cameras: Cameras, squares: _Squares
    ) -> list[Person]:
        pose, transl = body_in_camera(track.pose, track.trans, track.joints[:, 0], cameras)
        labels = {
            "center": squares.center,
            "part": keypoints_to_spin24(track.keypoints),
            "openpose": keypoints_to_openpose25(track.keypoints),
            "pose": pose,
            "shape": np.tile(track.shape, (len(pose), 1)),
            "transl": transl,
        }
        if self.joints is not None and len(pose):
            spin = self.joints.locate(track.gender, pose, labels["shape"])
            if spin is None:
                self.genders_without_body.add(track.gender)
            else:
                labels["S"] = spin
        labels = {name: values.astype(np.float32) for name, values in labels.items()}
        return [
            Person(
                person_id=person,
                gender=track.gender,
                scale=float(side) / SCALE_PIXELS,
                **{name: values[row] for name, values in labels.items()},
            )
            for row, side in enumerate(squares.side)
        ]


def _usable_frames(track: Track, cameras: Cameras, stride: int) -> tuple[Ints, dict[int, str]]:
    """Frames (M,) whose labels hold, and why others do not."""
    reasons: dict[int, str] = {}
    frames: Ints = np.arange(0, len(track.pose), stride)
    for reason, is_good in CHECKS:
        good = is_good(track.at(frames), cameras.at(frames))
        reasons.update(dict.fromkeys(frames[~good].tolist(), reason))
        frames = frames[good]
    return frames, reasons


def _are_numbers(track: Track, cameras: Cameras) -> Flags:
    places = (track.trans, cameras.rotation, cameras.translation)
    labels = (track.pose, track.joints, track.keypoints, *places)
    return np.asarray(np.all([is_sane(values) for values in labels], axis=0))


CHECKS: tuple[tuple[str, Callable[[Track, Cameras], Flags]], ...] = (
    (NOT_ALIGNED, lambda track, _: track.has_camera > 0),
    (NOT_NUMBERS, _are_numbers),
    (SKEWED_CAMERA, lambda _, cameras: is_rotation(cameras.rotation)),
)
"""What must hold in a frame, in this order, and the reason to drop it."""


def _squares(track: Track, cameras: Cameras, box: BoxSource) -> _Squares:
    center, side = usable_squares(point_boxes(cameras.project(track.joints)))
    if box == "projected":
        return _Squares(center, side, np.zeros(len(side), bool))
    found_center, found_side = usable_squares(keypoint_boxes(track.keypoints))
    is_projected = np.isnan(found_side)
    return _Squares(
        np.where(is_projected[:, None], center, found_center),
        np.where(is_projected, side, found_side),
        is_projected,
    )


def _imgname(sequence: str, frame: int) -> str:
    return f"{sequence}/image_{frame:05d}.jpg"


def _missing_sequences(splits: Sequence[str], found: Mapping[str, set[str]]) -> list[str]:
    """A note that names the sequences of 3DPW that are not there."""
    parts = []
    for split in splits:
        missing = sorted(set(OFFICIAL_SEQUENCES[split]) - found.get(split, set()))
        if len(missing) == len(OFFICIAL_SEQUENCES[split]):
            parts.append(f"all {len(missing)} of {split}")
        elif missing:
            parts.append(f"of {split} {', '.join(missing)}")
    return [f"Not all of 3DPW is there. Missing: {'; '.join(parts)}."] if parts else []
