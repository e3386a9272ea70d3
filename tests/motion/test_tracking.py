"""People of a sequence linked into tracks."""

import numpy as np
import pytest

from smplcli.motion.tracking import link_people

FPS = 25.0
BODY = np.random.default_rng(7).uniform(-1, 1, (24, 2)) * [40, 100]
OTHER = np.random.default_rng(8).uniform(-1, 1, (24, 2)) * [40, 100]


def sightings(paths, *, missed=(), noise=1.0):
    """Frames, boxes, joints and true owners of people who walk along paths (T, 2), shuffled."""
    rng = np.random.default_rng(0)
    rows = [
        (frame, owner, point)
        for owner, path in enumerate(paths)
        for frame, point in enumerate(path)
        if (owner, frame) not in missed
    ]
    rng.shuffle(rows)
    frames, owners = (np.array([row[k] for row in rows]) for k in range(2))
    points = np.array([row[2] for row in rows])[:, None]
    joints = np.stack([BODY, OTHER])[owners % 2] + points
    joints = joints + rng.normal(scale=noise, size=joints.shape)
    bbox = np.concatenate([joints.min(axis=1) - 5, joints.max(axis=1) + 5], axis=1)
    return frames, bbox, joints, owners


def walk(start, end, frames=60):
    return np.linspace(start, end, frames)


def pairs(tracks, owners):
    """Which numbers each person has had."""
    return [sorted(set(tracks[owners == owner].tolist())) for owner in np.unique(owners)]


def nearest_links(frames, bbox):
    """What a tracker does that takes the nearest box of the frame before."""
    tracks = np.full(len(frames), -1)
    for frame in np.unique(frames):
        rows, before = np.flatnonzero(frames == frame), np.flatnonzero(frames == frame - 1)
        for index, row in enumerate(rows):
            gaps = np.abs(bbox[before] - bbox[row]).sum(axis=1)
            tracks[row] = tracks[before[gaps.argmin()]] if len(before) else index
    return tracks


def test_people_who_cross_keep_their_numbers():
    paths = [walk((100, 300), (700, 300)), walk((700, 305), (100, 305))]
    hidden = {(1, frame) for frame in range(27, 33)}
    frames, bbox, joints, owners = sightings(paths, missed=hidden)

    tracks = link_people(frames, bbox, joints, fps=FPS)

    assert sorted(map(tuple, pairs(tracks, owners))) == [(0,), (1,)]
    assert pairs(nearest_links(frames, bbox), owners) != [[0], [1]]


def test_people_who_stand_side_by_side_are_not_swapped():
    paths = [
        walk((300, 300), (310, 300)),
        walk((360, 300), (350, 300)),
        walk((420, 300), (430, 300)),
    ]
    frames, bbox, joints, owners = sightings(paths, noise=4.0)

    tracks = link_people(frames, bbox, joints, fps=FPS)

    assert sorted(map(tuple, pairs(tracks, owners))) == [(0,), (1,), (2,)]


@pytest.mark.parametrize(("gap", "num_tracks"), [(1, 1), (10, 1), (25, 2)])
def test_a_gap_shorter_than_a_second_does_not_end_a_track(gap, num_tracks):
    missed = {(0, frame) for frame in range(20, 20 + gap)}
    frames, bbox, joints, _ = sightings([walk((100, 300), (400, 300))], missed=missed)

    assert len(set(link_people(frames, bbox, joints, fps=FPS).tolist())) == num_tracks


def test_a_slow_rate_still_survives_a_missed_frame():
    frames, bbox, joints, _ = sightings([walk((100, 300), (150, 300), 9)], missed={(0, 4)})

    assert set(link_people(frames, bbox, joints, fps=1.0).tolist()) == {0}


@pytest.mark.parametrize(("seconds", "num_tracks"), [(2, 1), (4, 9), (20, 9)])
def test_frames_far_apart_in_time_link_nobody(seconds, num_tracks):
    frames, bbox, joints, _ = sightings([walk((100, 300), (150, 300), 9)])

    tracks = link_people(frames, bbox, joints, fps=1 / seconds)

    assert len(set(tracks.tolist())) == num_tracks


def test_somebody_elsewhere_in_the_next_shot_is_somebody_new():
    path = np.concatenate([walk((100, 300), (120, 300), 20), walk((500, 300), (480, 300), 20)])
    frames, bbox, joints, _ = sightings([path])

    tracks = link_people(frames, bbox, joints, fps=FPS)

    assert set(tracks[frames < 20].tolist()) == {0}
    assert set(tracks[frames >= 20].tolist()) == {1}


@pytest.mark.parametrize("cut", [20, 21])
def test_a_cut_starts_new_tracks_at_the_same_place(cut):
    missed = {(0, 20)}
    frames, bbox, joints, _ = sightings([walk((100, 300), (120, 300), 40)], missed=missed)

    uncut = link_people(frames, bbox, joints, fps=FPS)
    tracks = link_people(frames, bbox, joints, fps=FPS, cuts=[cut])

    assert set(uncut.tolist()) == {0}
    assert set(tracks[frames < cut].tolist()) == {0}
    assert set(tracks[frames >= cut].tolist()) == {1}


def test_a_second_figure_of_another_size_is_another_person():
    frames = np.array([0, 1])
    joints = np.stack([BODY, BODY / 2]) + 300
    bbox = np.concatenate([joints.min(axis=1), joints.max(axis=1)], axis=1)

    assert link_people(frames, bbox, joints, fps=FPS).tolist() == [0, 1]


def test_every_nth_frame_is_enough_to_follow_a_walk():
    frames, bbox, joints, owners = sightings(
        [walk((100, 300), (500, 300)), walk((500, 300), (900, 300))]
    )
    kept = frames % 6 == 0

    tracks = link_people(frames[kept], bbox[kept], joints[kept], fps=FPS)

    assert sorted(map(tuple, pairs(tracks, owners[kept]))) == [(0,), (1,)]


def test_nobody_has_no_tracks():
    nobody = link_people(np.zeros(0, int), np.zeros((0, 4)), np.zeros((0, 24, 2)), fps=FPS)

    assert nobody.shape == (0,)
