"""Bodies whose labels have no place are put where their keypoints, or their squares, are."""

import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.camera import project_points
from smplcli.conventions import BOX_PADDING, NUM_JOINTS, SCALE_PIXELS
from smplcli.datasets.placing import BodyPlacer
from smplcli.datasets.scenes import Studio
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Camera


@pytest.fixture(scope="module")
def truth():
    studio = Studio(load_body(), [], [])
    return [studio.take_picture(np.random.default_rng(k), f"s/{k}.jpg") for k in range(5)]


def seen_joints(sample):
    """COCO's joints of the body where ``transl`` puts it, (17, 2) pixels."""
    pose, shape, transl, matrix = (
        torch.from_numpy(np.float32(value))[None]
        for value in (sample.pose, sample.shape, sample.transl, sample.cam_int)
    )
    joints = JointsLayer(load_body())(aa_to_rotmat(pose.view(1, 24, 3)), shape)[:, NUM_JOINTS:]
    camera = Camera(matrix[:, 0, 0], matrix[:, :2, 2], torch.ones(1, 2))
    return project_points(joints, transl, camera)[0].numpy()


def box_of(sample):
    """Centre and longer side of the box around the joints that the picture shows."""
    points = seen_joints(sample)
    points = points[((points > -0.5) & (points < sample.image_size - 0.5)).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, (high - low).max()


def place(samples):
    return BodyPlacer({"n": load_body()}).place(samples)


def test_keypoints_put_a_body_where_it_was(truth):
    placed = place([sample._replace(transl=np.zeros(3)) for sample in truth])

    for ours, sample in zip(placed, truth, strict=True):
        off = np.abs(seen_joints(ours) - seen_joints(sample)).max()
        assert off < 0.02 * SCALE_PIXELS * sample.scale


def test_square_alone_is_filled_as_its_keypoints_filled_it(truth):
    nowhere = []
    for sample in truth:
        center, side = box_of(sample)
        scale = BOX_PADDING * side / SCALE_PIXELS
        bare = {"keypoints": np.zeros((17, 3)), "transl": np.zeros(3)}
        nowhere.append(sample._replace(center=center, scale=scale, **bare))

    for ours, sample in zip(place(nowhere), nowhere, strict=True):
        center, side = box_of(ours)
        wanted = SCALE_PIXELS * sample.scale
        np.testing.assert_allclose(center, sample.center, atol=0.02 * wanted)
        assert BOX_PADDING * side == pytest.approx(wanted, rel=0.02)


def test_keypoints_of_somebody_else_give_way_to_the_square(truth):
    sample = truth[0]
    rng = np.random.default_rng(0)
    side = SCALE_PIXELS * sample.scale
    wrong = np.column_stack([sample.center + side * rng.uniform(-0.5, 0.5, (17, 2)), np.ones(17)])
    without = sample._replace(keypoints=np.zeros((17, 3)), transl=np.zeros(3))

    (theirs,), (ours,) = place([without._replace(keypoints=wrong)]), place([without])

    np.testing.assert_array_equal(theirs.transl, ours.transl)


def test_place_that_is_known_stays(truth):
    for ours, sample in zip(place(truth), truth, strict=True):
        np.testing.assert_array_equal(ours.transl, sample.transl)


def test_who_has_no_body_has_no_place(truth):
    (ours,) = place([truth[0]._replace(has_smpl=0, transl=np.zeros(3))])

    assert not ours.transl.any()
