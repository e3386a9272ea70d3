"""What a prepared data set knows of the people whom a leaderboard scores."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smplcli.datasets.sequences import data_source
from smplcli.datasets.shards import open_prepared, prepared_splits
from smplcli.submission.checks.bodies import BodyOf, pose_joints
from smplcli.types import Floats

PLACE = re.compile(r"([^/]+)/[^/]*?(\d+)\.[^./]+$")
"""The end of an image name: sequence, picture, number."""


class Labels(NamedTuple):
    """The people of one split, (N,) or (N, ...) each, in its order."""

    sequence: np.ndarray
    frame: np.ndarray
    """-1 where the name of the picture tells none."""

    person: np.ndarray
    gender: np.ndarray
    pose: Floats
    """(N, 72), the root in camera axes."""

    betas: Floats
    """(N, 10)."""

    is_scored: np.ndarray
    """Whether there are labels and the leaderboard looks at them."""

    def take(self, rows: np.ndarray) -> "Labels":
        """Some of the people."""
        return Labels(*(field[rows] for field in self))


def labels_of(folder: Path, split: str) -> Labels:
    """Labels of a split.

    Raises:
        MissingFileError: The folder holds no prepared data set, or not this split.
        UnreadableFileError: It is damaged.
    """
    samples = open_prepared(folder, split)
    places = [PLACE.search(str(name)) for name in samples.field("imgname")]
    is_scored = samples.field("has_smpl") > 0
    if data_source(folder) == "3dpw":
        # The evaluator leaves out frames in which nobody's joints were detected.
        is_scored &= samples.field("openpose").any(axis=(1, 2))
    return Labels(
        sequence=np.array([place[1] if place else "" for place in places]),
        frame=np.array([int(place[2]) if place else -1 for place in places]),
        person=samples.field("person_id"),
        gender=samples.field("gender"),
        pose=samples.field("pose"),
        betas=samples.field("shape"),
        is_scored=is_scored,
    )


def labels_by_member(folder: Path) -> dict[str, Labels]:
    """Labels of a whole data set by what its sequences are called in the 3DPW challenge."""
    result = {}
    for split in prepared_splits(folder):
        labels = labels_of(folder, split)
        for sequence in np.unique(labels.sequence):
            own = labels.take(np.flatnonzero(labels.sequence == sequence))
            result[f"{split}/{sequence}.pkl"] = own
    return result


def true_joints(labels: Labels, body_of: BodyOf) -> tuple[Floats, Floats]:
    """Joints (N, 24, 3), metres, and global rotations (N, 24, 3, 3) of labelled people."""
    joints = np.full((len(labels.pose), 24, 3), np.nan)
    rotations = np.full((len(labels.pose), 24, 3, 3), np.nan)
    for gender, rows in by_gender(labels.gender):
        posed = pose_joints(body_of(gender), labels.pose[rows], labels.betas[rows])
        joints[rows], rotations[rows] = posed
    return joints, rotations


def by_gender(genders: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Rows of each gender."""
    for gender in np.unique(genders).tolist():
        yield str(gender), np.flatnonzero(genders == gender)
