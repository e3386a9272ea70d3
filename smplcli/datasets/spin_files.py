"""Labels in npz files of the SPIN family, whichever of its dialects a file is written in.

Source:
    SPIN (ICCV 2019), EFT (3DV 2021), CLIFF (ECCV 2022), BEDLAM (CVPR 2023), 4D-Humans (ICCV 2023):
    what their data loaders read.
"""

import shutil
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import NamedTuple
from uuid import uuid4
from weakref import finalize

import numpy as np

from smplcli.conventions import NUM_BETAS, NUM_JOINTS, OPENPOSE25_JOINTS, SCALE_PIXELS
from smplcli.conventions import SPIN24_JOINTS as JOINTS
from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.files import StoredArray, store_npz
from smplcli.types import Floats

NEEDED = ("imgname", "center", "scale")
OPTIONAL = (
    "pose_cam",
    "pose",
    "body_pose",
    "shape",
    "betas",
    "has_smpl",
    "has_body_pose",
    "has_betas",
    "gender",
    "part",
    "openpose",
    "S",
    "body_keypoints_2d",
    "extra_keypoints_2d",
    "extra_keypoints_3d",
    "cam_int",
    "cam_ext",
    "trans_cam",
)
MARKS_OF_HMR2 = ("body_pose", "has_body_pose", "body_keypoints_2d", "extra_keypoints_2d")
"""Keys of 4D-Humans' files, whose ``scale`` is in pixels."""

POSE_KEYS = ("pose_cam", "pose", "body_pose")
"""In the order that BEDLAM's loader asks for them; ``body_pose`` holds the root too."""

NUM_EXTRA = 19
"""Joints of ``extra_keypoints``: SPIN's 24 without nose, eyes and ears."""

EXTRA_PELVIS = JOINTS.index("pelvis")


class SpinTable(NamedTuple):
    """Labels of N people; ``None`` where a file has none of a kind."""

    imgname: list[str]
    center: Floats
    """(N, 2), pixels."""

    scale: Floats
    """(N,) side of the square over 200 pixels."""

    gender: list[str]
    """``n``, ``m`` or ``f``."""

    has_smpl: np.ndarray
    """(N,) whether pose and shape are labels."""

    pose: Floats | None
    """(N, 72)."""

    shape: Floats | None
    """(N, 10)."""

    transl: Floats | None
    """(N, 3), metres."""

    cam_int: Floats | None
    """(N, 3, 3), pixels."""

    part: Floats
    """(N, 24, 3)."""

    openpose: Floats
    """(N, 25, 3)."""

    S: Floats | None
    """(N, 24, 4)."""


def is_spin_file(path: Path) -> bool:
    """Whether an npz file has what every file of the family has."""
    return set(NEEDED) <= _names(path)


class SpinFile:
    """One file, whose labels stay on disk and are read some rows at a time.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no npz, lacks names or squares, or has labels of another shape.
        HostileFileError: It holds Python objects in place of labels.
        ResourceError: It is compressed, and there is no room to unpack it.
    """

    def __init__(self, path: Path) -> None:
        names = _names(path)
        keys = [*NEEDED, *(key for key in OPTIONAL if key in names)]
        # Made only if something is unpacked, as a killed process leaves it behind.
        unpacked = Path(gettempdir()) / f"smplcli-{uuid4().hex}"
        finalize(self, shutil.rmtree, unpacked, ignore_errors=True)
        self._path, self._arrays = path, store_npz(path, keys, unpacked)
        self._count = (self._arrays["imgname"].shape or (1,))[0]
        self.table(0, 1)  # refuses other shapes before anything is done

    def __len__(self) -> int:
        return self._count

    def table(self, start: int, stop: int) -> SpinTable:
        """Labels of some rows."""
        return self._columns(start, stop).table()

    def imgnames(self, start: int, stop: int) -> list[str]:
        """Only the names of pictures of some rows."""
        return self._columns(start, stop, ("imgname",)).texts("imgname")

    def _columns(self, start: int, stop: int, keys: Collection[str] | None = None) -> "_Columns":
        stored = self._arrays if keys is None else {key: self._arrays[key] for key in keys}
        arrays = {key: array.rows(start, stop) for key, array in stored.items()}
        return _Columns(self._path, arrays, stored)


def _names(path: Path) -> set[str]:
    if not path.is_file():
        raise MissingFileError(f"file not found: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UnreadableFileError(f"not a readable npz file: {path}") from error


class _Columns:
    """Arrays of one file, checked as they are taken."""

    def __init__(
        self, path: Path, arrays: Mapping[str, np.ndarray], stored: Mapping[str, StoredArray]
    ) -> None:
        self._path, self._arrays, self._stored = path, arrays, stored
        self._total = (stored["imgname"].shape or (1,))[0]
        self._count = len(arrays["imgname"])

    def table(self) -> SpinTable:
        pose = self._first(POSE_KEYS, (3 * NUM_JOINTS,))
        shape = self._first(("shape", "betas"), (NUM_BETAS,))
        return SpinTable(
            imgname=self.texts("imgname"),
            center=self._numbers("center", (2,)),
            scale=self._scale(),
            gender=self._genders(),
            has_smpl=self._has_smpl(is_there=pose is not None and shape is not None),
            pose=pose,
            shape=shape,
            transl=self._transl(),
            cam_int=self._numbers("cam_int", (3, 3)) if "cam_int" in self._arrays else None,
            part=self._part(),
            openpose=self._openpose(),
            S=self._joints(),
        )

    def _error(self, key: str, wanted: tuple[int, ...]) -> UnreadableFileError:
        hint = None
        if key in POSE_KEYS:
            hint = "Give poses of SMPL, 72 numbers; those of SMPL-X or SMPL-H are longer."
        array = self._stored[key]
        return UnreadableFileError(
            f"{key} must be numbers of shape {(self._total, *wanted)}, "
            f"got {array.dtype} {array.shape}: {self._path}",
            hint=hint,
        )

    def _numbers(self, key: str, shape: tuple[int, ...]) -> Floats:
        """(N, *shape) float64; longer last axes of shapes are cut, other forms reshaped."""
        array = self._arrays[key]
        if array.dtype.kind not in "fiub" or self._stored[key].shape[:1] != (self._total,):
            raise self._error(key, shape)
        if key in ("shape", "betas") and array.ndim == 2:
            array = array[:, :NUM_BETAS]
        if array[:1].size != min(1, self._count) * int(np.prod(shape)):
            raise self._error(key, shape)
        return array.reshape(self._count, *shape).astype(np.float64)

    def _first(self, keys: tuple[str, ...], shape: tuple[int, ...]) -> Floats | None:
        for key in keys:
            if key in self._arrays:
                return self._numbers(key, shape)
        return None

    def _scale(self) -> Floats:
        """Files of 4D-Humans have the box's width and height, or its side, in pixels."""
        if self._stored["scale"].shape == (self._total, 2):
            return np.asarray(self._numbers("scale", (2,)).max(axis=1) / SCALE_PIXELS)
        scale = self._numbers("scale", ())
        is_pixels = any(key in self._arrays for key in MARKS_OF_HMR2)
        return scale / SCALE_PIXELS if is_pixels else scale

    def texts(self, key: str) -> list[str]:
        """Text of either kind, or numbers as text."""
        array = self._arrays[key]
        if (self._stored[key].shape or (1,)) != (self._total,):
            raise self._error(key, ())
        if array.dtype.kind == "S":
            return [bytes(text).decode("utf-8", "surrogateescape") for text in array.tolist()]
        return [str(text) for text in array.tolist()]

    def _genders(self) -> list[str]:
        if "gender" not in self._arrays:
            return ["n"] * self._count
        initials = [text[:1].lower() for text in self.texts("gender")]
        return [initial if initial in ("m", "f") else "n" for initial in initials]

    def _has_smpl(self, *, is_there: bool) -> np.ndarray:
        flags = np.full(self._count, is_there)
        for key in ("has_smpl", "has_body_pose", "has_betas"):
            if key in self._arrays:
                flags &= self._numbers(key, ()) > 0
        return flags

    def _transl(self) -> Floats | None:
        """BEDLAM keeps a part of the translation in the camera's matrix."""
        if not {"trans_cam", "cam_int"} <= set(self._arrays):
            return None
        transl = self._numbers("trans_cam", (3,))
        if "cam_ext" in self._arrays:
            transl = transl + self._numbers("cam_ext", (4, 4))[:, :3, 3]
        return transl

    def _part(self) -> Floats:
        if "part" in self._arrays:
            return self._numbers("part", (len(JOINTS), 3))
        part = np.zeros((self._count, len(JOINTS), 3))
        if "extra_keypoints_2d" in self._arrays:
            part[:, :NUM_EXTRA] = self._numbers("extra_keypoints_2d", (NUM_EXTRA, 3))
        return part

    def _openpose(self) -> Floats:
        openpose = self._first(("openpose", "body_keypoints_2d"), (len(OPENPOSE25_JOINTS), 3))
        if openpose is None:
            return np.zeros((self._count, len(OPENPOSE25_JOINTS), 3))
        return openpose

    def _joints(self) -> Floats | None:
        if "S" in self._arrays:
            return self._numbers("S", (len(JOINTS), 4))
        if "extra_keypoints_3d" not in self._arrays:
            return None
        joints = np.zeros((self._count, len(JOINTS), 4))
        joints[:, :NUM_EXTRA] = self._numbers("extra_keypoints_3d", (NUM_EXTRA, 4))
        joints[..., :3] -= joints[:, EXTRA_PELVIS, None, :3]
        joints[joints[..., 3] <= 0] = 0
        joints[joints[:, EXTRA_PELVIS, 3] <= 0] = 0  # positions from nowhere
        return joints
