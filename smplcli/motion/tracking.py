"""Who is who from frame to frame: people of a sequence linked into tracks."""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import floor

import numpy as np

from smplcli.types import Floats, Ints

MAX_GAP_SECONDS = 1.0
"""A person who is not seen for longer is somebody else..."""

SLOW_GAP_FRAMES, SLOW_GAP_SECONDS = 3, 3.0
"""...but after so many frames, if they are no longer than this: a slow rate survives a miss."""

NEAR = 0.35
"""Mean distance of the joints of two findings that can be one person, over the size of both."""

SPEED = 0.8
"""How much farther they can be after each second, likewise: about a fast walk."""

DRIFT = 0.4
"""The same for each second in which nobody was seen where they should have been."""

FARTHEST = 1.2
"""How far at most."""

MAX_GROWTH = 1.8
"""Ratio of sizes at which they are surely two people."""

VELOCITY_SHARE = 0.5
"""Weight of the newest step in what is known of a person's velocity."""

FADING = 0.9
"""How much of the velocity is left after each frame in which a person is not seen."""

FORBIDDEN = 1e6


@dataclass(slots=True)
class _Track:
    """Somebody as last seen."""

    number: int
    frame: int
    bbox: Floats
    joints: Floats
    velocity: Floats = field(default_factory=lambda: np.zeros(2))
    """(2,) pixels per frame."""

    def moved_to(self, frame: int) -> Floats:
        """How far (2,) they should have come since, in pixels."""
        return self.velocity * (1 - FADING ** (frame - self.frame)) / (1 - FADING)

    def see(self, frame: int, bbox: Floats, joints: Floats) -> None:
        """Take over where they are now."""
        step = (joints - self.joints).mean(axis=0) / (frame - self.frame)
        self.velocity = self.velocity + VELOCITY_SHARE * (step - self.velocity)
        self.frame, self.bbox, self.joints = frame, bbox, joints


def link_people(
    frames: Ints, bbox: Floats, joints2d: Floats, *, fps: float, cuts: Collection[int] = ()
) -> Ints:
    """Number the people of one sequence, so that who is the same has the same number.

    From frame to frame those are taken for the same who together fit best, by the overlap of their
    boxes and the distance of their joints where their velocity should have taken them.

    Args:
        frames: (N,) number of the frame in which each was found, in any order.
        bbox: (N, 4) x1, y1, x2, y2, pixels.
        joints2d: (N, J, 2) pixels.
        fps: Frames per second, by the count of ``frames``.
        cuts: Frames that begin a new shot, with new people.

    Returns:
        (N,) numbers of tracks, 0, 1, ... in the order of their first frames and rows.
    """
    track_of = np.full(len(frames), -1)
    tracks: list[_Track] = []
    num_tracks, max_gap = 0, _max_gap(fps)
    shot_starts, last = sorted(cuts), -1
    order = np.argsort(frames, kind="stable")
    numbers, first = np.unique(frames[order], return_index=True)
    parts = np.split(order, first[1:])
    for frame, rows in zip(numbers.tolist(), parts, strict=False):  # one empty part of nobody
        if any(last < start <= frame for start in shot_starts):
            tracks = []
        tracks = [track for track in tracks if frame - track.frame <= max_gap]
        fits = [_costs(track, frame, bbox[rows], joints2d[rows], fps) for track in tracks]
        pairs = _best_pairs(np.array(fits)) if fits else {}
        for index, row in enumerate(rows.tolist()):
            if index in pairs:
                tracks[pairs[index]].see(frame, bbox[row], joints2d[row])
                track_of[row] = tracks[pairs[index]].number
            else:
                tracks.append(_Track(num_tracks, frame, bbox[row], joints2d[row]))
                track_of[row] = num_tracks
                num_tracks += 1
        last = frame
    return track_of


def _max_gap(fps: float) -> int:
    """Frames from one in which a person is seen to the next, at most."""
    slow = min(SLOW_GAP_FRAMES, floor(SLOW_GAP_SECONDS * fps))
    return max(slow, round(MAX_GAP_SECONDS * fps))


def _best_pairs(cost: Floats) -> dict[int, int]:
    """Index of the track of each finding that has one, by their costs (tracks, findings)."""
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow, and seldom needed

    chosen = zip(*linear_sum_assignment(cost), strict=True)
    return {int(found): int(track) for track, found in chosen if cost[track, found] < FORBIDDEN}


def _costs(track: _Track, frame: int, bbox: Floats, joints: Floats, fps: float) -> Floats:
    """How badly findings fit a track, (M,): 0 for the same place and pose."""
    shift = track.moved_to(frame)
    expected = track.bbox + np.tile(shift, 2)
    own, sizes = _size(track.bbox), _size(bbox)
    distance = np.linalg.norm(joints - (track.joints + shift), axis=-1).mean(axis=-1)
    distance = distance / np.maximum((own + sizes) / 2, 1e-6)
    growth = np.maximum(own, sizes) / np.maximum(np.minimum(own, sizes), 1e-6)
    missed = (frame - track.frame - 1) / fps
    farthest = min(FARTHEST, NEAR + SPEED / fps + DRIFT * missed)
    cost = (1 - _overlaps(expected, bbox)) / 2 + distance
    is_possible = (distance <= farthest) & (growth <= MAX_GROWTH)
    costs: Floats = np.where(is_possible, cost, FORBIDDEN)
    return costs


def _size(bbox: Floats) -> Floats:
    """Diagonals of boxes (..., 4)."""
    size: Floats = np.linalg.norm(bbox[..., 2:] - bbox[..., :2], axis=-1)
    return size


def _overlaps(one: Floats, others: Floats) -> Floats:
    """Intersection over union of a box (4,) with each of others (M, 4)."""
    corner = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    shared = np.maximum(corner, 0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + np.prod(one[2:] - one[:2])
    overlap: Floats = shared / np.maximum(areas - shared, 1e-6)
    return overlap
