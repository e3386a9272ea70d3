"""Predictions for the samples of a split, matched by identity and never by order."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.conventions import NUM_BETAS, NUM_JOINTS
from smplcli.errors import UnreadableFileError
from smplcli.files import read_npz
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Floats, Ints

SampleId = tuple[str, int]
"""Image name and person: what makes a sample the same one in two files."""


class ImageCamera(NamedTuple):
    """Where predicted bodies are, in the cameras of N full pictures."""

    transl: Floats
    """(N, 3) to add to the body, metres; NaN where unknown."""

    focal_length: Floats
    """(N,) pixels."""

    principal_point: Floats
    """(N, 2) x, y, pixels."""


class Predictions(NamedTuple):
    """What was predicted for every sample of a split, in the split's order."""

    full_pose: Floats
    """(N, 24, 3, 3) rotation matrices, camera frame, float32; NaN where nothing was predicted."""

    betas: Floats
    """(N, 10), float32; NaN where nothing was predicted."""

    is_missing: NDArray[np.bool_]
    """(N,) whether nothing was predicted."""

    num_unmatched: int = 0
    """Predictions of people that the split does not hold."""

    num_duplicates: int = 0
    """Predictions of a person that had one already; the first counts."""

    camera: ImageCamera | None = None
    """Where the bodies are in the picture; ``None`` where nobody said."""

    pose: Floats | None = None
    """(N, 72) ``full_pose`` as axis-angle, where it was given so: rounded less."""


def is_finite(predictions: Predictions) -> NDArray[np.bool_]:
    """(N,) whether there is a prediction without NaN or infinity."""
    values = np.concatenate(
        [predictions.full_pose.reshape(len(predictions.betas), -1), predictions.betas], axis=1
    )
    return np.asarray(np.isfinite(values).all(axis=1))


def sample_ids(imgname: Sequence[str] | NDArray[np.str_], person_id: Ints) -> list[SampleId]:
    """Identities of samples, in their order."""
    return list(zip(map(str, imgname), person_id.tolist(), strict=True))


def match_predictions(path: Path, wanted: Sequence[SampleId]) -> Predictions:
    """Read a ``preds.npz`` and put its rows in the order of a split.

    Args:
        path: A file with ``imgname``, ``person_id``, ``pose`` (N, 72) and ``betas`` (N, 10).
        wanted: The samples of the split.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no npz, lacks an array, an array has another shape, or it holds
            none of the samples.
    """
    arrays = read_npz(path, keys=("imgname", "person_id", "pose", "betas"))
    _check_arrays(path, arrays)
    offered = sample_ids(arrays["imgname"], arrays["person_id"])
    rows: dict[SampleId, int] = {}
    for row, identity in enumerate(offered):
        rows.setdefault(identity, row)
    found = np.array([rows.get(identity, -1) for identity in wanted], dtype=np.int64)
    if not (found >= 0).any():
        raise UnreadableFileError(
            f"none of {len(offered)} predictions is of a person in the data: {path}"
            f" (predicted: {_example(offered)}; data: {_example(wanted)})",
            hint="Predict the images of this data set and keep its image names and person ids.",
        )
    full_pose = np.full((len(wanted), NUM_JOINTS, 3, 3), np.nan, dtype=np.float32)
    betas = np.full((len(wanted), NUM_BETAS), np.nan, dtype=np.float32)
    has_row = found >= 0
    aa = torch.from_numpy(arrays["pose"][found[has_row]].astype(np.float32))
    full_pose[has_row] = aa_to_rotmat(aa.unflatten(-1, (NUM_JOINTS, 3))).numpy()
    betas[has_row] = arrays["betas"][found[has_row]]
    pose = np.full((len(wanted), 3 * NUM_JOINTS), np.nan)
    pose[has_row] = arrays["pose"][found[has_row]]
    return Predictions(
        full_pose=full_pose,
        betas=betas,
        is_missing=~has_row,
        num_unmatched=len(rows.keys() - set(wanted)),
        num_duplicates=len(offered) - len(rows),
        pose=pose,
    )


def _check_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    num_rows = arrays["imgname"].shape[:1]
    wanted: dict[str, tuple[tuple[int, ...], str]] = {
        "imgname": ((), "U"),
        "person_id": ((), "iu"),
        "pose": ((3 * NUM_JOINTS,), "f"),
        "betas": ((NUM_BETAS,), "f"),
    }
    for name, (trailing, kinds) in wanted.items():
        array = arrays[name]
        if array.shape != num_rows + trailing or array.dtype.kind not in kinds or not num_rows:
            raise UnreadableFileError(
                f"{name} must be (rows{''.join(f', {n}' for n in trailing)}) of kind {kinds!r},"
                f" is {array.shape} of {array.dtype}: {path}"
            )


def _example(ids: Sequence[SampleId]) -> str:
    return f"{ids[0][0]!r} person {ids[0][1]}" if ids else "nobody"
