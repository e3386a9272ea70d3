"""Where a film cuts from one shot to the next."""

import cv2
import numpy as np

from smplcli.motion.cuts import CutFinder


def scenery(seed):
    """Soft blobs of colour."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (6, 9, 3), dtype=np.uint8)
    return cv2.resize(small, (640, 360), interpolation=cv2.INTER_CUBIC)


def panned(picture, frames, step):
    """A camera that turns."""
    return [np.ascontiguousarray(np.roll(picture, step * i, axis=1)) for i in range(frames)]


def cuts_in(frames):
    finder = CutFinder()
    return [number for number, frame in enumerate(frames) if finder.is_cut(frame)]


def test_each_new_shot_is_a_cut():
    frames = [frame for seed in range(4) for frame in panned(scenery(seed), 12, 3)]

    assert cuts_in(frames) == [12, 24, 36]


def test_a_turning_camera_cuts_nothing():
    assert cuts_in(panned(scenery(0), 60, 12)) == []


def test_somebody_who_walks_by_and_light_that_changes_cut_nothing():
    frames = [np.clip(scenery(0) * (1 - 0.01 * i), 0, 255).astype(np.uint8) for i in range(50)]
    for number, frame in enumerate(frames):
        frame[:, 12 * number : 12 * number + 120] = 20

    assert cuts_in(frames) == []
