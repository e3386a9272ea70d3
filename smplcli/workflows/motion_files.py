"""Motion of the people in a predictions file, as the content of files for other programs."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smplcli.body.model import BodyModel
from smplcli.rendering.animation import MovingFigure, moving_glb
from smplcli.rendering.bvh import bvh_file
from smplcli.rendering.gltf import PhotoCamera, Rig
from smplcli.rendering.overlay import colours_of
from smplcli.workflows.sequences import FrameSequence
from smplcli.workflows.tracks import Track, motion_of, tracks_in, without_gaps

POSE_SECONDS = 1.0
"""How long the one frame of a picture lasts."""


def animation(
    arrays: Mapping[str, NDArray[Any]],
    sequence: FrameSequence,
    body: BodyModel,
    colours: Mapping[int, int],
    *,
    name: str,
) -> bytes | None:
    """Everybody of a sequence as one GLB file that moves; nothing if there is nobody.

    Args:
        arrays: Of a predictions file.
        sequence: One of its sequences.
        body: What it was made with.
        colours: Numbers of the tracks' colours.
        name: Of the animation.
    """
    figures = [
        MovingFigure(
            f"track_{track.number}",
            track.vertices,
            track.joints,
            track.rotations,
            track.pelvis,
            track.frames / sequence.fps,
            colours_of([colours[track.number]])[0],
        )
        for track in tracks_in(arrays, sequence, body)
    ]
    if not figures:
        return None
    row = sequence.rows[0]
    width, height = arrays["img_size"][row].tolist()
    return moving_glb(
        figures,
        Rig(body.faces, body.weights, body.parents),
        PhotoCamera(float(arrays["focal_length"][row]), (width, height)),
        name=name,
        fps=sequence.fps / sequence.every,
    )


def track_motions(
    arrays: Mapping[str, NDArray[Any]], sequence: FrameSequence, body: BodyModel
) -> Iterator[tuple[int, bytes]]:
    """Number and BVH file of each track of a sequence; frames that were missed are filled in."""
    seconds = sequence.every / sequence.fps
    for track in tracks_in(arrays, sequence, body):
        yield track.number, _bvh(without_gaps(track, every=sequence.every), body, seconds)


def pose_of(arrays: Mapping[str, NDArray[Any]], row: int, body: BodyModel) -> bytes | None:
    """BVH file of one person of a picture; nothing if their numbers are not finite."""
    motion = motion_of(arrays, np.array([row]), np.zeros(1, np.int64), body, number=0)
    return _bvh(motion, body, POSE_SECONDS) if len(motion.frames) else None


def _bvh(track: Track, body: BodyModel, frame_seconds: float) -> bytes:
    return bvh_file(
        track.joints, body.parents, track.rotations, track.pelvis, frame_seconds=frame_seconds
    )
