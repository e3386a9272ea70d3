"""What stands in for frames without a prediction."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from smplcli.submission.filling import blend_frames, blend_poses

KNOWN = np.array([2, 4, 8])
WANTED = np.arange(10)


def poses(angles):
    """Bodies whose every joint is turned by some angle about one axis."""
    turns = Rotation.from_rotvec(np.outer(angles, [0.6, 0.0, 0.8])).as_matrix()
    return np.repeat(turns[:, None], 24, axis=1).astype(np.float32)


def filled_angles(fill, angles):
    full_pose, _ = blend_poses(
        poses(angles), np.zeros((3, 10), np.float32), blend_frames(KNOWN, WANTED, fill)
    )
    turns = Rotation.from_matrix(full_pose[:, 5].astype(float)).as_rotvec()
    return turns @ [0.6, 0.0, 0.8]


def test_previous_repeats_the_last_prediction_and_the_first_before_it():
    angles = filled_angles("previous", [0.1, 0.5, 0.9])

    assert angles == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.5, 0.5, 0.5, 0.5, 0.9, 0.9], abs=1e-5)


def test_interpolation_turns_evenly():
    angles = filled_angles("interpolate", [0.1, 0.5, 0.9])

    assert angles == pytest.approx([0.1, 0.1, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.9], abs=1e-5)


def test_interpolation_takes_the_shorter_way_round():
    angles = np.degrees(filled_angles("interpolate", np.radians([170.0, 190.0, 190.0])))

    assert abs(angles[3]) == pytest.approx(180, abs=1e-3)


def test_interpolated_rotations_are_rotations():
    rng = np.random.default_rng(0)
    turns = Rotation.random(3 * 24, random_state=rng).as_matrix().reshape(3, 24, 3, 3)

    full_pose, _ = blend_poses(
        turns, np.zeros((3, 10)), blend_frames(KNOWN, WANTED, "interpolate")
    )

    skew = full_pose @ full_pose.swapaxes(-1, -2) - np.eye(3)
    assert np.abs(skew).max() < 1e-5
    assert np.linalg.det(full_pose) == pytest.approx(np.ones((10, 24)), abs=1e-5)


def test_shapes_are_mixed_evenly():
    betas = np.array([[0.0], [1.0], [5.0]]).repeat(10, axis=1).astype(np.float32)

    _, filled = blend_poses(poses([0, 0, 0]), betas, blend_frames(KNOWN, WANTED, "interpolate"))

    assert filled[:, 0] == pytest.approx([0, 0, 0, 0.5, 1, 2, 3, 4, 5, 5])


@pytest.mark.parametrize("fill", ["none", "previous", "interpolate"])
def test_predictions_themselves_are_not_touched(fill):
    given = poses([0.1, 2.0, 3.1])

    full_pose, _ = blend_poses(given, np.ones((3, 10)), blend_frames(KNOWN, KNOWN, fill))

    assert full_pose.tolist() == given.tolist()


def test_a_single_prediction_stands_for_all():
    blend = blend_frames(np.array([5]), WANTED, "interpolate")

    assert blend.first.tolist() == blend.second.tolist() == [0] * 10
