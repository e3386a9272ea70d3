import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.training.lifting import LIMBS, draw_lifting_batch

COUNT = 64


@pytest.fixture(scope="module")
def joints():
    return JointsLayer(load_body())


def _poses(value):
    poses = np.zeros((10, 72), np.float32)
    poses[:, 0] = np.pi
    poses[:, 3:] = value
    return poses


def test_the_same_random_numbers_give_the_same_batch(joints):
    first, again = (
        draw_lifting_batch(_poses(0.1), joints, COUNT, np.random.default_rng(0)) for _ in range(2)
    )

    np.testing.assert_array_equal(first.keypoints, again.keypoints)


def test_people_fill_the_crop_and_no_more(joints):
    batch = draw_lifting_batch(_poses(0.0), joints, COUNT, np.random.default_rng(0))

    seen = batch.keypoints[..., 2] > 0
    farthest = batch.keypoints[..., :2].abs()[seen].max()
    assert 0.6 < farthest < 2.5


def test_people_are_seen_from_all_sides(joints):
    batch = draw_lifting_batch(_poses(0.0), joints, COUNT, np.random.default_rng(0))

    towards_camera = (batch.full_pose[:, 0, 2, 2] < 0).float().mean()
    assert 0.25 < towards_camera < 0.75


def test_legs_and_arms_are_all_joints_of_their_chains():
    assert [len(limb) for limb in LIMBS] == [8, 10]


def test_limbs_of_different_poses_are_mixed(joints):
    poses = _poses(0.0)
    poses[5:, 3:] = 0.5
    batch = draw_lifting_batch(poses, joints, 400, np.random.default_rng(0))

    bend = batch.full_pose[:, :, 0, 0] < 0.97  # entries of nearly unbent joints are near 1
    legs, arms = (bend[:, limb].float().mean(1) > 0.7 for limb in LIMBS)
    assert 0.1 < (legs ^ arms).float().mean() < 0.6
