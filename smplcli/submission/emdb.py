"""Writes results in the form that EMDB's own evaluation reads: folders of a pickle per frame.

Source:
    github.com/eth-ait/emdb, evaluation_loaders.py: load_hybrik, which its evaluate.py calls as it
    is. The npz beside the pickles holds the same for those who write a loader of their own.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch

from smplcli.datasets.sequences import NAME
from smplcli.errors import UnreadableFileError
from smplcli.files import write_npz
from smplcli.rotations import aa_to_rotmat, rotmat_to_aa
from smplcli.submission.archives import DEMO_FILE, DEMO_NOTICE, plain_pickle
from smplcli.types import Floats

METHOD_DIR = "hybrIK-out"
ARRAYS_FILE = "smpl.npz"
SUBJECT = re.compile(r"P\d{1,3}")


class EmdbSequence(NamedTuple):
    """One person in all N frames of a sequence."""

    subject: str
    """Such as ``P3``."""

    name: str
    full_pose: Floats
    """(N, 24, 3, 3), the root in camera axes."""

    betas: Floats
    """(N, 10)."""

    transl: Floats
    """(N, 3) metres, camera axes, to be added to the body."""


def emdb_place(imgname: str) -> tuple[str, str, int]:
    """Subject, sequence and frame of ``.../P3/<sequence>/images/00012.jpg``.

    Raises:
        UnreadableFileError: The name is no such name.
    """
    parts = PurePosixPath(imgname.replace("\\", "/"))
    names = parts.parts[-4:]
    is_place = len(names) == 4 and SUBJECT.fullmatch(names[0]) and NAME.fullmatch(names[1])
    if not is_place or names[2] != "images" or not re.fullmatch(r"\d{1,5}", parts.stem):
        raise UnreadableFileError(
            f"image name is none of EMDB's: {imgname!r}",
            hint="Names must look like P3/31_outdoor_workout/images/00012.jpg.",
        )
    return names[0], names[1], int(parts.stem)


def write_emdb(folder: Path, sequences: Sequence[EmdbSequence], *, is_demo: bool = False) -> None:
    """Write results; the same predictions give the same bytes.

    Args:
        folder: Where the folders of subjects go.
        sequences: Results without gaps.
        is_demo: Whether the folder must say that it is no result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if is_demo:
        (folder / DEMO_FILE).write_text(DEMO_NOTICE, encoding="utf-8")
    for sequence in sequences:
        own = folder / sequence.subject / sequence.name
        (own / METHOD_DIR).mkdir(parents=True)
        for frame in range(len(sequence.betas)):
            content = {
                "pred_theta_mats": _plain(sequence.full_pose[frame, None]),
                "pred_shape": _plain(sequence.betas[frame, None]),
                "transl": _plain(sequence.transl[frame, None]),
            }
            (own / METHOD_DIR / f"{frame:06d}.pkl").write_bytes(plain_pickle(content))
        poses = rotmat_to_aa(torch.from_numpy(sequence.full_pose)).flatten(1).numpy()
        arrays = {"poses": poses, "betas": sequence.betas, "trans": sequence.transl}
        write_npz(own / ARRAYS_FILE, {name: _plain(array) for name, array in arrays.items()})


def to_rotations(pose: Floats) -> Floats:
    """(N, 24, 3, 3) rotation matrices of axis-angle (N, 72)."""
    aa = torch.from_numpy(np.asarray(pose, dtype=np.float32)).unflatten(-1, (24, 3))
    matrices: Floats = aa_to_rotmat(aa).numpy()
    return matrices


def _plain(array: Floats) -> Floats:
    return np.ascontiguousarray(array, dtype="<f4")
