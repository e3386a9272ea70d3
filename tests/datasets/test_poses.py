import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.conventions import SMPL_JOINTS
from smplcli.datasets import poses
from smplcli.datasets.poses import LIMITS, clips_of_split, draw_pose, load_poses, made_up_pose
from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.rotations import aa_to_rotmat

JOINT = {name: index for index, name in enumerate(SMPL_JOINTS)}


def _clips_file(path, *, clips=20, width=72, **arrays):
    poses = np.zeros((clips, width))
    poses[:, 3] = np.arange(clips) / 100
    np.savez(path, poses=poses, clip=np.arange(clips), **arrays)
    return path


@pytest.mark.parametrize("seed", range(30))
def test_made_up_poses_bend_knees_and_elbows_one_way_only(seed):
    pose = made_up_pose(np.random.default_rng(seed))

    assert (pose[[JOINT["left_knee"], JOINT["right_knee"]], 0] >= 0).all()
    assert pose[JOINT["left_elbow"], 1] <= 0 <= pose[JOINT["right_elbow"], 1]


@pytest.mark.parametrize("seed", range(30))
def test_made_up_poses_keep_within_the_limits_of_joints(seed):
    pose = made_up_pose(np.random.default_rng(seed))

    for name, angles in zip(SMPL_JOINTS, pose, strict=True):
        side, _, joint = name.rpartition("_")
        if joint in LIMITS:
            mirror = np.array([1, -1, -1]) if side == "right" else np.ones(3)
            low, high = np.array(LIMITS[joint]).T
            assert (low <= mirror * angles).all()
            assert (mirror * angles <= high).all()


def test_crossed_arms_cross_and_others_seldom_do(monkeypatch):
    monkeypatch.setattr(poses, "CROSSED_ARMS_SHARE", 1.0)
    crossed = _share_of_crossing_hands()
    monkeypatch.setattr(poses, "CROSSED_ARMS_SHARE", 0.0)

    assert crossed > 0.7
    assert _share_of_crossing_hands() < 0.2


def _share_of_crossing_hands():
    pose = np.stack([made_up_pose(np.random.default_rng(seed)) for seed in range(60)])
    pose[:, :16] = 0  # a straight body, whose left is where x grows
    rotmat = aa_to_rotmat(torch.from_numpy(pose).float())
    joints = JointsLayer(load_body())(rotmat, torch.zeros(len(pose), 10))
    left, right = (joints[:, JOINT[f"{side}_hand"], 0] for side in ("left", "right"))
    return (left < right).float().mean()


def test_people_mostly_stand_upright_in_the_camera():
    rng = np.random.default_rng(0)

    heads_up = [-(draw_pose(rng, [])[0] @ [0, 1, 0])[1] for _ in range(200)]

    # Camera axes have y down, so the body's own y must point against it.
    assert np.mean(np.array(heads_up) > 0.7) > 0.85


def test_people_face_every_direction():
    rng = np.random.default_rng(0)

    facing = np.array([draw_pose(rng, [])[0] @ [0, 0, 1] for _ in range(400)])

    quadrants = (facing[:, 0] > 0) * 2 + (facing[:, 2] > 0)
    assert np.bincount(quadrants, minlength=4).min() > 50


def test_held_out_splits_have_clips_of_their_own(tmp_path):
    path = _clips_file(tmp_path / "poses.npz")

    frames = {
        split: {float(clip[0, 1, 0]) for clip in clips_of_split(load_poses(path), split).clips}
        for split in ("train", "validation", "test")
    }

    assert not frames["train"] & (frames["validation"] | frames["test"])
    assert not frames["validation"] & frames["test"]
    assert len(set.union(*frames.values())) == 20


def test_a_folder_of_amass_files_is_read_with_z_up_turned_to_y_up(tmp_path):
    upright = aa_to_rotmat(torch.tensor([[np.pi / 2, 0.0, 0.0]])).numpy()
    poses = np.zeros((5, 156))
    poses[:, 0] = np.pi / 2  # how a person stands where z is up
    (tmp_path / "subject").mkdir()
    for number in range(12):
        np.savez(tmp_path / f"subject/{number:02d}_poses.npz", poses=poses, trans=np.zeros((5, 3)))
    np.savez(tmp_path / "subject/shape.npz", betas=np.zeros(16))

    clips = load_poses(tmp_path).clips

    assert np.allclose(upright @ [0, 1, 0], [0, 0, 1])
    assert [len(clip) for clip in clips] == 12 * [5]
    np.testing.assert_allclose(clips[0][:, 0], 0, atol=1e-6)


def test_hands_of_amass_are_left_out(tmp_path):
    poses = np.ones((1000, 156))
    np.savez(tmp_path / "poses.npz", poses=poses)

    clips = load_poses(tmp_path / "poses.npz").clips

    np.testing.assert_array_equal(clips[0][:, 22:], 0)


def test_a_file_without_poses_is_refused(tmp_path):
    np.savez(tmp_path / "poses.npz", betas=np.zeros(10))

    with pytest.raises(UnreadableFileError, match=r"no poses in .*poses.npz"):
        load_poses(tmp_path / "poses.npz")


def test_poses_that_are_not_finite_are_refused(tmp_path):
    np.savez(tmp_path / "poses.npz", poses=np.full((10, 72), np.nan))

    with pytest.raises(UnreadableFileError, match="not finite"):
        load_poses(tmp_path / "poses.npz")


def test_too_few_clips_for_a_held_out_split_say_how_many_are_needed(tmp_path):
    path = _clips_file(tmp_path / "poses.npz", clips=3)

    with pytest.raises(UnreadableFileError, match="none for the validation split"):
        clips_of_split(load_poses(path), "validation")


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="no pose file"):
        load_poses(tmp_path)


def test_a_clip_of_another_length_is_refused(tmp_path):
    np.savez(tmp_path / "poses.npz", poses=np.zeros((10, 72)), clip=np.zeros(9))

    with pytest.raises(UnreadableFileError, match="poses and clip disagree"):
        load_poses(tmp_path / "poses.npz")


def test_long_clips_are_thinned_from_end_to_end(tmp_path):
    poses = np.zeros((2000, 72))
    poses[:, 3] = np.linspace(0, 1, 2000)
    np.savez(tmp_path / "poses.npz", poses=poses, clip=np.zeros(2000))

    (clip,) = load_poses(tmp_path / "poses.npz").clips

    assert len(clip) == 200
    np.testing.assert_allclose(np.diff(clip[:, 1, 0]), 10 / 1999, rtol=1e-3)


def test_who_sits_leans_with_the_seat_and_who_stands_does_not():
    rng = np.random.default_rng(0)
    tilts = [made_up_pose(rng, is_seated=True)[0, 0] for _ in range(300)]

    assert np.std(tilts) == pytest.approx(0.25, abs=0.05)
    bends = [made_up_pose(rng) for _ in range(300)]
    stands = [pose for pose in bends if abs(pose[JOINT["left_hip"], 0]) < 0.3]
    assert len(stands) > 30
    assert not np.any([pose[0] for pose in stands])
