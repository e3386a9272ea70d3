"""Predictions for the samples of a split, matched by identity and never by order."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.conventions import NUM_JOINTS
from smplcli.errors import UnreadableFileError
from smplcli.evaluation.matching import Match, Places, match_people
from smplcli.evaluation.prediction_files import PICTURE, Offered, read_offered
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

    matched_by: str = "number"
    """What told people of one picture apart in a file: ``number``, ``place`` or ``row``."""


def is_finite(predictions: Predictions) -> NDArray[np.bool_]:
    """(N,) whether there is a prediction without NaN or infinity."""
    values = np.concatenate(
        [predictions.full_pose.reshape(len(predictions.betas), -1), predictions.betas], axis=1
    )
    return np.asarray(np.isfinite(values).all(axis=1))


def sample_ids(imgname: Sequence[str] | NDArray[np.str_], person_id: Ints) -> list[SampleId]:
    """Identities of samples, in their order."""
    return list(zip(map(str, imgname), person_id.tolist(), strict=True))


def match_predictions(
    path: Path, wanted: Sequence[SampleId], places: Places | None = None
) -> Predictions:
    """Read predictions of any tool and put them in the order of a split.

    Args:
        path: An npz file as `read_offered` knows them: our own, or of SPIN, CLIFF, 4D-Humans; a
            file or folder of ROMP's.
        wanted: The samples of the split.
        places: Where they are in their pictures; tells people apart where numbers do not.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no npz, lacks an array, an array has another shape, or it holds
            none of the samples.
        HostileFileError: It holds Python objects where numbers belong.
    """
    offered = read_offered(path)
    match = _match(path, offered, wanted, places)
    if not (match.rows >= 0).any():
        raise UnreadableFileError(
            f"none of {len(offered.pose)} predictions is of a person in the data: {path}"
            f" (predicted: {_first_of(offered)}; data: {_example(wanted)})",
            hint="Predict the images of this data set and keep its image names and person ids.",
        )
    pose, betas = (_taken(values, match.rows) for values in (offered.pose, offered.betas))
    rotmat = aa_to_rotmat(torch.from_numpy(pose).unflatten(-1, (NUM_JOINTS, 3)))
    return Predictions(
        full_pose=rotmat.float().numpy(),
        betas=betas.astype(np.float32),
        is_missing=match.rows < 0,
        num_unmatched=match.num_unmatched,
        num_duplicates=match.num_duplicates,
        camera=_camera(offered, match.rows, places),
        pose=pose,
        matched_by=match.by,
    )


def _match(
    path: Path, offered: Offered, wanted: Sequence[SampleId], places: Places | None
) -> Match:
    if offered.imgname is not None:
        return match_people(offered.imgname, offered.person_id, offered.place, wanted, places)
    if len(offered.pose) != len(wanted):
        raise UnreadableFileError(
            f"names no pictures, and its {len(offered.pose)} rows are not the {len(wanted)} of"
            f" the split: {path}",
            hint=f"Add {PICTURE[0]}, the name of each row's picture.",
        )
    return Match(np.arange(len(wanted)), "row", 0)


def _taken(values: Floats, rows: Ints) -> Floats:
    """(N, ...) the values of rows, NaN for -1."""
    taken: Floats = np.concatenate([values, np.full_like(values[:1], np.nan)])[rows]
    return taken


def _camera(offered: Offered, rows: Ints, places: Places | None) -> ImageCamera | None:
    if offered.transl is None or offered.focal_length is None:
        return None
    if offered.principal_point is not None:
        centre = _taken(offered.principal_point, rows)
    elif places is not None:
        centre = (places.image_size - 1) / 2
    else:
        return None
    return ImageCamera(_taken(offered.transl, rows), _taken(offered.focal_length, rows), centre)


def _first_of(offered: Offered) -> str:
    if not offered.imgname:
        return "nobody"
    number = 0 if offered.person_id is None else int(offered.person_id[0])
    return _example([(offered.imgname[0], number)])


def _example(ids: Sequence[SampleId]) -> str:
    return f"{ids[0][0]!r} person {ids[0][1]}" if ids else "nobody"
