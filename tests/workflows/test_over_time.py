"""Tracks and smooth motion, from the arrays of a predictions file alone."""

import json

import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.camera import project_points
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Camera
from smplcli.workflows.over_time import link_rows, mean_jitter, smooth_rows
from smplcli.workflows.sequences import find_sequences
from tests.predicted import people_arrays

FRAMES = 40


def posed_again(arrays):
    """Joints that pose, shape and place say."""
    pose, betas, transl = (torch.from_numpy(arrays[x]) for x in ("pose", "betas", "cam_t"))
    joints = JointsLayer(load_body())(aa_to_rotmat(pose.unflatten(1, (-1, 3))), betas)[:, :24]
    camera = Camera(
        torch.from_numpy(arrays["focal_length"]),
        torch.from_numpy(arrays["principal_point"]),
        torch.from_numpy(arrays["img_size"]),
    )
    return joints.numpy(), project_points(joints, transl, camera).numpy()


@pytest.fixture(scope="module")
def arrays():
    """Two people walk from side to side in a video, shaking; and there is a photo of one."""
    names = [f"v.mp4/{frame:06d}" for frame in range(FRAMES) for _ in range(2)]
    arrays = people_arrays([*names, "photo.jpg"])
    rng = np.random.default_rng(0)
    frame, owner = np.divmod(np.arange(2 * FRAMES), 2)
    arrays["pose"][:-1] += rng.normal(scale=0.06, size=(2 * FRAMES, 72))
    arrays["betas"][:-1] += rng.normal(scale=0.3, size=(2 * FRAMES, 10)) + 0.5
    arrays["cam_t"][:-1, 0] = np.where(owner, 1 - 0.02 * frame, 0.02 * frame - 1)
    arrays["cam_t"][:-1, 2] *= np.exp(rng.normal(scale=0.03, size=2 * FRAMES))
    joints3d, joints2d = posed_again(arrays)
    arrays["joints3d"], arrays["joints2d"] = joints3d, joints2d
    arrays["bbox"] = np.concatenate([joints2d.min(axis=1), joints2d.max(axis=1)], axis=1)
    arrays["meta"] = np.array(json.dumps({"sequences": {"v.mp4": {"fps": 25.0}}}))
    return arrays


@pytest.fixture(scope="module")
def sequences(arrays):
    return find_sequences(arrays["imgname"], json.loads(str(arrays["meta"])))


@pytest.fixture(scope="module")
def track_id(arrays, sequences):
    return link_rows(arrays, sequences)


@pytest.fixture(scope="module")
def smooth(arrays, sequences, track_id):
    return arrays | smooth_rows(arrays, load_body(), sequences, track_id)


def test_each_person_of_a_video_is_a_track_and_a_photo_has_none(track_id):
    assert track_id[:-1].tolist() == [0, 1] * FRAMES
    assert track_id[-1] == -1


def test_tracks_of_several_sequences_have_numbers_of_their_own():
    names = [f"{clip}.mp4/{frame:06d}" for clip in "ab" for frame in range(3)]
    arrays = people_arrays(names)
    arrays["bbox"][:] = 10, 10, 50, 100
    found = find_sequences(arrays["imgname"], {"sequences": {"a.mp4": {}, "b.mp4": {}}})

    assert link_rows(arrays, found).tolist() == [0, 0, 0, 1, 1, 1]


def test_smoothing_takes_most_of_the_jitter(arrays, smooth, sequences, track_id):
    before = mean_jitter(arrays, sequences, track_id)
    after = mean_jitter(smooth, sequences, track_id)

    assert after.pose < 0.25 * before.pose
    assert after.place < 0.25 * before.place


def test_what_is_smoothed_is_still_one_body_under_one_camera(smooth):
    joints3d, joints2d = posed_again(smooth)

    assert smooth["joints3d"] == pytest.approx(joints3d, abs=1e-5)
    assert smooth["joints2d"] == pytest.approx(joints2d, abs=0.01)


def test_a_track_keeps_its_shape_and_its_size_in_the_picture(arrays, smooth, track_id):
    own = track_id == 0

    heights = [np.ptp(x["joints2d"][own][..., 1], axis=1) for x in (arrays, smooth)]
    assert np.ptp(smooth["betas"][own], axis=0).max() == 0
    assert heights[1].mean() == pytest.approx(heights[0].mean(), rel=0.01)
    assert heights[1].std() < 0.7 * heights[0].std()


def test_who_is_on_no_track_is_left_alone(arrays, smooth):
    assert all((smooth[name][-1] == arrays[name][-1]).all() for name in ("pose", "cam_t"))


def test_a_frame_that_is_not_finite_is_passed_over(arrays, sequences, track_id):
    broken = {name: np.array(value) for name, value in arrays.items()}
    broken["pose"][10] = np.nan

    smooth = smooth_rows(broken, load_body(), sequences, track_id)

    assert np.isnan(smooth["pose"][10]).all()
    assert np.isfinite(np.delete(smooth["pose"], 10, axis=0)).all()


def test_two_frames_have_no_jitter():
    arrays = people_arrays(["v.mp4/000000", "v.mp4/000001"])
    found = find_sequences(arrays["imgname"], {"sequences": {"v.mp4": {}}})

    assert mean_jitter(arrays, found, np.zeros(2, int)) is None
