"""Filters over time: less jitter, hardly any lag, and no spinning."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from smplcli.motion import smoothing
from smplcli.motion.jitter import jitter
from smplcli.motion.smoothing import (
    ROTATION,
    smooth_places,
    smooth_rotations,
    unrolled,
    without_outliers,
)

FPS = 30.0
TIMES = np.arange(150) / FPS
NOISE = 0.07
"""Radians about each axis, as networks differ from frame to frame."""


def quaternions(rotations):
    return np.roll(rotations.as_quat(), 1, axis=-1)


def rotations(quaternion):
    return Rotation.from_quat(np.roll(quaternion, -1, axis=-1))


def about_y(angles):
    return Rotation.from_rotvec(np.asarray(angles)[:, None] * [0.0, 1.0, 0.0])


def noisy(clean, scale=NOISE):
    noise = np.random.default_rng(0).normal(scale=scale, size=(len(clean), 3))
    return clean * Rotation.from_rotvec(noise)


def errors(one, other):
    return np.degrees((one.inv() * other).magnitude())


def shake(motion):
    """Jitter of a point half a metre from the joint, mm per squared frame."""
    return jitter(motion.apply([0, 0, 0.5])[:, None], np.arange(len(motion))).mean()


def moving_average(motion, width):
    padded = np.pad(unrolled(quaternions(motion)), ((width // 2, width // 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)
    return rotations(windows.mean(axis=-1))


def test_smoothing_takes_the_jitter_from_a_slow_motion():
    clean = about_y(0.4 * np.sin(2 * np.pi * 0.3 * TIMES))
    shaky = noisy(clean)

    smooth = rotations(smooth_rotations(quaternions(shaky), TIMES))

    assert shake(smooth) < 0.2 * shake(shaky)
    assert errors(smooth, clean).mean() < 0.4 * errors(shaky, clean).mean()


def test_a_fast_move_is_hardly_blurred_where_a_moving_average_blurs_it():
    clean = about_y(2.0 / (1 + np.exp(-30 * (TIMES - 2.5))))
    shaky = noisy(clean, 0.03)
    is_move = np.abs(TIMES - 2.5) < 0.15

    smooth = rotations(smooth_rotations(quaternions(shaky), TIMES))
    average = next(
        candidate
        for candidate in (moving_average(shaky, width) for width in range(3, 40, 2))
        if shake(candidate) <= shake(smooth)
    )

    assert errors(smooth, clean)[is_move].max() < 8
    assert errors(average, clean)[is_move].max() > 12


def test_a_filter_of_both_directions_does_not_lag():
    clean = about_y(0.8 * np.sin(2 * np.pi * 0.8 * TIMES))

    smooth = rotations(smooth_rotations(quaternions(clean), TIMES))
    angle = smooth.as_rotvec()[:, 1]

    shifts = range(-4, 5)
    fit = [np.abs(np.roll(angle, s) - clean.as_rotvec()[:, 1])[10:-10].mean() for s in shifts]
    assert shifts[int(np.argmin(fit))] == 0


def test_what_does_not_move_is_left_alone():
    still = np.broadcast_to([0.5, 0.5, -0.5, 0.5], (60, 24, 4))
    place = np.broadcast_to([0.3, -0.2, 4.0], (60, 3))

    assert smooth_rotations(still, TIMES[:60]) == pytest.approx(still, abs=1e-12)
    assert smooth_places(place, TIMES[:60]) == pytest.approx(place, abs=1e-12)


def test_a_turn_through_180_degrees_does_not_spin():
    clean = about_y(np.linspace(2.6, 3.7, len(TIMES)))
    shaky = noisy(clean, 0.03)
    vectors = shaky.as_rotvec()  # jump from +pi to -pi about y half-way

    smooth = rotations(smooth_rotations(quaternions(shaky), TIMES))
    naive = Rotation.from_rotvec((vectors[2:] + vectors[1:-1] + vectors[:-2]) / 3)

    assert errors(smooth, clean).max() < 5
    assert errors(naive, clean[1:-1]).max() > 90


def test_signs_of_quaternions_mean_nothing():
    shaky = quaternions(noisy(about_y(TIMES)))
    signs = np.random.default_rng(0).choice([-1, 1], (len(shaky), 1))

    one, other = smooth_rotations(shaky, TIMES), smooth_rotations(signs * shaky, TIMES)

    assert np.abs((one * other).sum(axis=1)) == pytest.approx(1, abs=1e-9)


def test_frames_that_follow_each_other_lie_on_the_same_side():
    shaky = quaternions(noisy(about_y(np.linspace(0, 14, len(TIMES)))))

    smooth = smooth_rotations(shaky, TIMES)

    assert ((smooth[1:] * smooth[:-1]).sum(axis=1) > 0).all()


def test_a_missed_frame_is_bridged():
    clean = about_y(0.5 * np.sin(TIMES))
    kept = np.delete(np.arange(len(TIMES)), [40, 41, 42, 90])

    smooth = rotations(smooth_rotations(quaternions(clean)[kept], TIMES[kept]))

    assert errors(smooth, clean[kept])[30:-30].max() < 1.5


def test_depth_is_smoothed_and_the_place_in_the_picture_followed():
    rng = np.random.default_rng(0)
    clean = np.stack([np.linspace(-1, 1, len(TIMES)), 0 * TIMES, 4 + 0 * TIMES], axis=1)
    shaky = clean * np.exp(rng.normal(scale=0.03, size=(len(TIMES), 1)))

    smooth = smooth_places(shaky, TIMES)

    seen, wanted = (places[:, :2] / places[:, 2:] for places in (smooth, clean))
    assert np.abs(smooth[:, 2] - 4).mean() < 0.5 * np.abs(shaky[:, 2] - 4).mean()
    assert np.abs(seen - wanted).max() < 0.01


def test_jitter_is_the_acceleration_in_mm_per_squared_frame():
    frames = np.arange(6)
    path = np.stack([0.001 * frames**2, 0 * frames, 0 * frames], axis=1)[:, None]

    assert jitter(path, frames) == pytest.approx([2.0] * 4)
    assert jitter(path[[0, 1, 2, 4, 5]], frames[[0, 1, 2, 4, 5]]) == pytest.approx([2.0])
    assert len(jitter(path[:2], frames[:2])) == 0


def test_a_filter_of_one_frame_is_that_frame():
    one = np.array([[1.0, 0.0, 0.0, 0.0]])

    assert (smooth_rotations(one, TIMES[:1], ROTATION) == one).all()


def test_a_single_frame_turned_back_to_front_does_not_show(monkeypatch):
    clean = about_y(0.4 * np.sin(TIMES))
    turned = quaternions(clean)
    turned[70] = quaternions(clean[70:71] * about_y([np.pi]))[0]

    smooth = rotations(smooth_rotations(turned, TIMES))
    monkeypatch.setattr(smoothing, "OUTLIER", np.inf)
    filtered_only = rotations(smooth_rotations(turned, TIMES))

    assert errors(smooth, clean)[50:90].max() < 2
    assert errors(filtered_only, clean)[50:90].max() > 20


def test_somebody_who_turns_round_fast_is_not_taken_for_an_outlier():
    clean = about_y(np.pi / (1 + np.exp(-40 * (TIMES - 2.5))))
    kept = without_outliers(unrolled(quaternions(clean)))

    assert errors(rotations(kept), clean).max() < 1e-6
