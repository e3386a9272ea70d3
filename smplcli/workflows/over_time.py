"""Predictions of pictures that follow each other: who is who, and motion without jitter."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.body.model import BodyModel
from smplcli.camera import project_points
from smplcli.conventions import NUM_JOINTS, PELVIS
from smplcli.motion.jitter import jitter
from smplcli.motion.smoothing import quaternion_to_aa, smooth_places, smooth_rotations
from smplcli.motion.tracking import link_people
from smplcli.rotations import aa_to_rotmat, rotmat_to_quaternion
from smplcli.types import Camera, Floats, Ints
from smplcli.workflows.people import NO_TRACK
from smplcli.workflows.sequences import SEQUENCES, FrameSequence, find_sequences, tracks_of

SMOOTHED = "pose, betas and cam_t over each track, by One-Euro filters in both directions"
MIN_DEPTH = 0.05
"""Metres; who seems to be nearer than this is not smoothed."""


class Jitter(NamedTuple):
    """How much tracks shake, mm per squared frame: the mean acceleration of joints."""

    pose: float
    """About the pelvis."""

    place: float
    """Of the pelvis in front of the camera."""


class OverTime(NamedTuple):
    """What is known of predictions once they are seen as sequences."""

    arrays: dict[str, NDArray[Any]]
    """Those that are new or have changed."""

    meta: dict[str, Any]
    num_tracks: int
    jitter: dict[str, Jitter]
    """``before`` and, where it was asked for, ``after`` smoothing."""


def over_time(
    arrays: Mapping[str, NDArray[Any]],
    body: BodyModel,
    facts: Mapping[str, Mapping[str, Any]],
    *,
    smooth: bool,
) -> OverTime:
    """Link the people of sequences, and smooth their motion if asked.

    Args:
        arrays: Of a predictions file.
        body: What it was made with.
        facts: About each sequence, by its name.
        smooth: Whether to change poses and places.
    """
    meta: dict[str, Any] = {SEQUENCES: dict(facts)} if facts else {}
    sequences = find_sequences(arrays["imgname"], meta)
    track_id = link_rows(arrays, sequences)
    changed: dict[str, NDArray[Any]] = {"track_id": track_id}
    before = mean_jitter(arrays, sequences, track_id)
    jitters = {"before": before} if before else {}
    if smooth:
        changed |= smooth_rows(arrays, body, sequences, track_id)
        after = mean_jitter(dict(arrays) | changed, sequences, track_id)
        jitters |= {"after": after} if after else {}
        meta["smoothed"] = SMOOTHED
    return OverTime(changed, meta, int(track_id.max(initial=NO_TRACK)) + 1, jitters)


def link_rows(arrays: Mapping[str, NDArray[Any]], sequences: Sequence[FrameSequence]) -> Ints:
    """Tracks (N,) of all people of a predictions file; -1 for those of single pictures.

    Args:
        arrays: Of the file.
        sequences: Its sequences; no track goes from one to another.
    """
    track_id = np.full(len(arrays["imgname"]), NO_TRACK, np.int32)
    num_tracks = 0
    for sequence in sequences:
        bbox, joints2d = (np.asarray(arrays[x][sequence.rows]) for x in ("bbox", "joints2d"))
        is_usable = np.isfinite(bbox).all(axis=1) & np.isfinite(joints2d).all(axis=(1, 2))
        rows, bbox, joints2d = sequence.rows[is_usable], bbox[is_usable], joints2d[is_usable]
        frames = sequence.frames[is_usable] // sequence.every
        own = link_people(
            frames,
            bbox.astype(np.float64),
            joints2d.astype(np.float64),
            fps=sequence.fps / sequence.every,
            cuts=[-(-cut // sequence.every) for cut in sequence.cuts],
        )
        track_id[rows] = num_tracks + own
        num_tracks += int(own.max(initial=-1)) + 1
    return track_id


def mean_jitter(
    arrays: Mapping[str, NDArray[Any]], sequences: Sequence[FrameSequence], track_id: Ints
) -> Jitter | None:
    """Jitter of all tracks; nothing if none has three frames that follow each other."""
    pose, place = [], []
    for sequence in sequences:
        for _, rows, frames in tracks_of(sequence, track_id):
            joints = np.asarray(arrays["joints3d"][rows], np.float64)
            pelvis = joints[:, PELVIS, None]
            pose.append(jitter(joints - pelvis, frames))
            place.append(jitter(pelvis + arrays["cam_t"][rows][:, None], frames))
    if not sum(map(len, pose)):
        return None
    return Jitter(*(float(np.concatenate(parts).mean()) for parts in (pose, place)))


def smooth_rows(
    arrays: Mapping[str, NDArray[Any]],
    body: BodyModel,
    sequences: Sequence[FrameSequence],
    track_id: Ints,
) -> dict[str, NDArray[Any]]:
    """Arrays that change when every track moves smoothly and keeps its shape.

    A track's betas become their mean, and its distance follows, so that the size in the picture
    stays. ``bbox``, ``cam`` and the like stay what each frame alone gave.

    Args:
        arrays: Of a predictions file.
        body: What it was made with.
        sequences: Its sequences.
        track_id: (N,) tracks of its people.
    """
    names = ["pose", "betas", "cam_t", "joints3d", "joints2d"]
    names += ["vertices"] if "vertices" in arrays else []
    changed = {name: np.array(arrays[name]) for name in names}
    joints_layer, layer = JointsLayer(body), BodyLayer(body)
    for sequence in sequences:
        for _, rows, frames in tracks_of(sequence, track_id):
            kept = _is_usable(changed, rows)
            if np.count_nonzero(kept) > 1:
                _smooth_track(changed, body, rows[kept], frames[kept] / sequence.fps)
                _pose_again(changed, arrays, rows[kept], joints_layer, layer)
    return changed


def _is_usable(arrays: Mapping[str, NDArray[Any]], rows: Ints) -> NDArray[np.bool_]:
    numbers = [arrays[name][rows] for name in ("pose", "betas", "cam_t")]
    depth = arrays["joints3d"][rows, PELVIS, 2] + arrays["cam_t"][rows, 2]
    is_finite = np.isfinite(np.concatenate(numbers, axis=1)).all(axis=1)
    is_usable: NDArray[np.bool_] = is_finite & (depth > MIN_DEPTH)
    return is_usable


def _smooth_track(
    arrays: Mapping[str, NDArray[Any]], body: BodyModel, rows: Ints, times: Floats
) -> None:
    """Smooth one track, in place: its pose, betas and cam_t."""
    rotmat = aa_to_rotmat(torch.from_numpy(arrays["pose"][rows]).double().unflatten(1, (-1, 3)))
    quaternions = smooth_rotations(rotmat_to_quaternion(rotmat).numpy(), times)
    arrays["pose"][rows] = quaternion_to_aa(quaternions).reshape(len(rows), -1)

    betas = arrays["betas"][rows].astype(np.float64)
    own, mean = _rest_joints(body, betas), _rest_joints(body, betas.mean(axis=0)[None])
    growth = _bone_length(mean, body) / _bone_length(own, body)
    places = growth[:, None] * (own[:, PELVIS] + arrays["cam_t"][rows])
    arrays["betas"][rows] = betas.mean(axis=0)
    arrays["cam_t"][rows] = smooth_places(places, times) - mean[:, PELVIS]


def _rest_joints(body: BodyModel, betas: Floats) -> Floats:
    """(T, 24, 3) metres."""
    shape = np.einsum("jv,vck->jck", body.joint_regressor, body.shapedirs)
    rest: Floats = body.joint_regressor @ body.v_template + np.einsum("jck,tk->tjc", shape, betas)
    return rest


def _bone_length(joints: Floats, body: BodyModel) -> Floats:
    bones = joints[:, 1:] - joints[:, body.parents[1:]]
    length: Floats = np.linalg.norm(bones, axis=-1).sum(axis=-1)
    return length


def _pose_again(
    changed: Mapping[str, NDArray[Any]],
    arrays: Mapping[str, NDArray[Any]],
    rows: Ints,
    joints_layer: JointsLayer,
    layer: BodyLayer,
) -> None:
    """Joints and surfaces of changed poses, in place."""
    pose, betas, transl = (torch.from_numpy(changed[x][rows]) for x in ("pose", "betas", "cam_t"))
    with torch.inference_mode():
        rotmat = aa_to_rotmat(pose.unflatten(1, (-1, 3)))
        joints = joints_layer(rotmat, betas)[:, :NUM_JOINTS]
        lens = (arrays[x][rows] for x in ("focal_length", "principal_point", "img_size"))
        camera = Camera(*(torch.from_numpy(np.asarray(x, np.float32)) for x in lens))
        changed["joints3d"][rows] = joints.numpy()
        changed["joints2d"][rows] = project_points(joints, transl, camera).numpy()
        if "vertices" in changed:
            changed["vertices"][rows] = layer(rotmat, betas).vertices.numpy()
