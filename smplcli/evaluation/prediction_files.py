"""Predicted bodies in npz files of several tools, under the names that each gives them.

Source:
    The result files of SPIN, CLIFF, ROMP and 4D-Humans, and our own.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.conventions import NUM_BETAS, NUM_JOINTS
from smplcli.errors import UnreadableFileError
from smplcli.evaluation.romp_files import RESULTS, read_romp
from smplcli.files import npz_names, read_npz
from smplcli.rotations import rotmat_to_aa
from smplcli.types import Floats, Ints

PICTURE = ("imgname", "img_name", "image_name", "image_path", "imgpath")
PERSON = ("person_id", "personid", "pid")
WHOLE_POSE = ("pose", "smpl_thetas", "thetas", "poses", "pred_pose", "full_pose", "rotmat")
ROOT = ("global_orient", "pred_global_orient", "poses_root")
LIMBS = ("body_pose", "pred_body_pose", "poses_body")
BETAS = ("betas", "shape", "smpl_betas", "pred_betas", "pred_shape")
PLACE_IN_SPACE = ("cam_t", "global_t", "pred_cam_t", "cam_trans", "trans_cam", "transl", "trans")
FOCAL_LENGTH = ("focal_length", "focal_l")
CENTRE = ("principal_point",)
POINT, BOX, BOX_AFTER_INDEX = ("center",), ("bbox",), ("detection_all",)
POINTS = ("joints2d", "pj2d_org")
ALL = (
    *(*PICTURE, *PERSON, *WHOLE_POSE, *ROOT, *LIMBS, *BETAS),
    *(*PLACE_IN_SPACE, *FOCAL_LENGTH, *CENTRE, *POINT, *BOX, *BOX_AFTER_INDEX, *POINTS),
)
"""Names of what is read, best first where there are several for one thing."""


class Offered(NamedTuple):
    """R predicted people as a file lists them."""

    pose: Floats
    """(R, 72) axis-angle, root first, camera frame, float64."""

    betas: Floats
    """(R, 10)."""

    imgname: list[str] | None
    """(R,) names of pictures; ``None`` where the file has none."""

    person_id: Ints | None
    """(R,) number of the person, by the file's own count."""

    place: Floats | None
    """(R, 2) pixel of the picture in the middle of the person."""

    transl: Floats | None
    """(R, 3) metres; only together with a focal length."""

    focal_length: Floats | None
    """(R,) pixels."""

    principal_point: Floats | None
    """(R, 2) pixels; ``None`` for the middle of the picture."""


def read_offered(path: Path) -> Offered:
    """Read predicted bodies.

    Args:
        path: The file, or a folder of ROMP's.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no npz, holds no bodies, or an array has another shape.
        HostileFileError: It holds Python objects where numbers belong.
    """
    names = {RESULTS} if path.is_dir() else npz_names(path)
    if RESULTS in names and not names & {*WHOLE_POSE, *LIMBS}:
        reader = _Reader(path, read_romp(path))
    else:
        reader = _Reader(path, read_npz(path, keys=names & set(ALL)))
    transl, focal = reader.floats(PLACE_IN_SPACE, (3,)), reader.floats(FOCAL_LENGTH, ())
    has_camera = transl is not None and focal is not None
    return Offered(
        pose=reader.pose(),
        betas=reader.betas(),
        imgname=reader.imgname(),
        person_id=reader.person_id(),
        place=reader.place(),
        transl=transl if has_camera else None,
        focal_length=focal if has_camera else None,
        principal_point=reader.floats(CENTRE, (2,)),
    )


class _Reader:
    """Arrays of one file, checked as they are taken."""

    def __init__(self, path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
        self._path = path
        self._arrays = arrays
        name = self._first((*WHOLE_POSE, *LIMBS), "a pose")
        self._num_rows = next(iter(arrays[name].shape), 0)

    def pose(self) -> Floats:
        root, limbs = self._found(ROOT), self._found(LIMBS)
        whole = self._found(WHOLE_POSE)
        if root is None or limbs is None or whole is not None:
            # 4D-Humans calls the whole pose that of the body.
            return self._axis_angles(self._first((*WHOLE_POSE, *LIMBS), "a pose"), NUM_JOINTS)
        parts = (self._axis_angles(root, 1), self._axis_angles(limbs, NUM_JOINTS - 1))
        return np.concatenate(parts, axis=1)

    def betas(self) -> Floats:
        name = self._first(BETAS, BETAS[0])
        array = self._arrays[name]
        if array.ndim != 2 or array.shape[1] < NUM_BETAS:
            self._fits(name, (NUM_BETAS,), "f")
        self._fits(name, array.shape[1:], "f")
        betas: Floats = array[:, :NUM_BETAS].astype(np.float64)
        return betas

    def imgname(self) -> list[str] | None:
        name = self._found(PICTURE)
        if name is None:
            return None
        self._fits(name, (), "US")
        array = self._arrays[name]
        return [
            item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
            for item in array.tolist()
        ]

    def person_id(self) -> Ints | None:
        name = self._found(PERSON)
        if name is None:
            return None
        self._fits(name, (), "iu")
        numbers: Ints = self._arrays[name].astype(np.int64)
        return numbers

    def place(self) -> Floats | None:
        point = self.floats(POINT, (2,))
        if point is not None:
            return point
        box = self.floats(BOX, (4,))
        after_index = self._found(BOX_AFTER_INDEX)
        if box is None and after_index is not None and self._arrays[after_index].ndim == 2:
            box = self._arrays[after_index][:, 1:5].astype(np.float64)
        if box is not None and box.shape == (self._num_rows, 4):
            return (box[:, :2] + box[:, 2:]) / 2
        points = self._found(POINTS)
        if points is None or self._arrays[points].ndim != 3 or not self._has_rows(points):
            return None
        middle: Floats = self._arrays[points][..., :2].astype(np.float64).mean(axis=1)
        return middle

    def floats(self, names: Sequence[str], trailing: tuple[int, ...]) -> Floats | None:
        """The first array of these names, if there is one."""
        name = self._found(names)
        if name is None:
            return None
        self._fits(name, trailing, "f")
        array: Floats = self._arrays[name].astype(np.float64)
        return array

    def _axis_angles(self, name: str, num_joints: int) -> Floats:
        """(R, 3 J) from axis-angle or rotation matrices, however many axes they are laid along."""
        array = self._arrays[name]
        numbers = array.reshape(self._num_rows, -1) if self._has_rows(name) else array
        is_matrix = array.ndim > 3 or numbers.shape[1:] == (9 * num_joints,)
        width = (9 if is_matrix else 3) * num_joints
        if array.dtype.kind != "f" or numbers.shape != (self._num_rows, width):
            self._fits(name, (3 * num_joints,), "f")
        floats: Floats = numbers.astype(np.float64)
        if is_matrix:
            matrices = torch.from_numpy(floats).unflatten(1, (num_joints, 3, 3))
            floats = rotmat_to_aa(matrices).flatten(1).numpy()
        return floats

    def _found(self, names: Iterable[str]) -> str | None:
        return next((name for name in names if name in self._arrays), None)

    def _first(self, names: Iterable[str], what: str) -> str:
        names = tuple(names)
        name = self._found(names)
        if name is None:
            raise UnreadableFileError(
                f"npz lacks {what}: {self._path}",
                hint=f"Name it one of {', '.join(names)}.",
            )
        return name

    def _has_rows(self, name: str) -> bool:
        return self._num_rows > 0 and self._arrays[name].shape[:1] == (self._num_rows,)

    def _fits(self, name: str, trailing: tuple[int, ...], kinds: str) -> None:
        array = self._arrays[name]
        if array.shape != (self._num_rows, *trailing) or array.dtype.kind not in kinds:
            expected = (self._num_rows, *trailing)
            raise UnreadableFileError(
                f"{name} must be {expected} of kind {kinds!r}, is {array.shape} of {array.dtype}: "
                f"{self._path}"
            )
