"""The motion of people who were followed over frames, in the forms that files need."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.body.model import BodyModel
from smplcli.conventions import PELVIS
from smplcli.motion.smoothing import quaternion_to_aa, unrolled
from smplcli.rotations import aa_to_rotmat, rotmat_to_quaternion
from smplcli.types import Floats, Ints
from smplcli.workflows.sequences import FrameSequence, tracks_of


class Track(NamedTuple):
    """Somebody's motion; the shape is the mean of all frames."""

    number: int
    vertices: Floats
    """(V, 3) at rest, y up, metres."""

    joints: Floats
    """(24, 3) at rest."""

    frames: Ints
    """(T,) numbers of the frames, growing."""

    rotations: Floats
    """(T, 24, 3, 3): the root in camera axes, the others relative to their parents."""

    pelvis: Floats
    """(T, 3) place in camera axes, metres."""


def tracks_in(
    arrays: Mapping[str, NDArray[Any]], sequence: FrameSequence, body: BodyModel
) -> Iterator[Track]:
    """Tracks of a sequence that have usable numbers, in the order of their numbers."""
    for number, rows, frames in tracks_of(sequence, np.asarray(arrays["track_id"])):
        track = motion_of(arrays, rows, frames, body, number=number)
        if len(track.frames):
            yield track


def motion_of(
    arrays: Mapping[str, NDArray[Any]], rows: Ints, frames: Ints, body: BodyModel, *, number: int
) -> Track:
    """The motion in some rows, apart from those with numbers that are not finite."""
    names = ("pose", "betas", "cam_t", "joints3d")
    pose, betas, transl, joints3d = (np.asarray(arrays[x][rows], np.float64) for x in names)
    pelvis = joints3d[:, PELVIS] + transl
    is_finite = np.isfinite(np.concatenate([pose, betas, pelvis], axis=1)).all(axis=1)
    mean = betas[is_finite].mean(axis=0) if is_finite.any() else np.zeros(betas.shape[1])
    vertices = body.v_template + body.shapedirs @ mean
    return Track(
        number,
        vertices,
        body.joint_regressor @ vertices,
        frames[is_finite],
        aa_to_rotmat(torch.from_numpy(pose[is_finite]).unflatten(1, (-1, 3))).numpy(),
        pelvis[is_finite],
    )


def without_gaps(track: Track, *, every: int) -> Track:
    """The same motion with every ``every``-th frame, those that were missed between the others."""
    frames = np.arange(track.frames[0], track.frames[-1] + 1, every)
    if len(frames) == len(track.frames):
        return track
    quaternions = unrolled(rotmat_to_quaternion(torch.from_numpy(track.rotations)).numpy())
    between = _interpolated(frames, track.frames, quaternions)
    between = between / np.linalg.norm(between, axis=-1, keepdims=True)
    rotations = aa_to_rotmat(torch.from_numpy(quaternion_to_aa(between))).numpy()
    pelvis = _interpolated(frames, track.frames, track.pelvis)
    return track._replace(frames=frames, rotations=rotations, pelvis=pelvis)


def _interpolated(wanted: Ints, known: Ints, values: Floats) -> Floats:
    flat = values.reshape(len(values), -1)
    columns = [np.interp(wanted, known, column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(len(wanted), *values.shape[1:])
