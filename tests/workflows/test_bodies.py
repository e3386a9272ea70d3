"""Bodies of known pose and place are put back where they were."""

import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.camera import crop_camera_to_transl, project_points, solve_translation
from smplcli.conventions import NUM_JOINTS
from smplcli.datasets.poses import draw_pose
from smplcli.types import Camera, Crop
from smplcli.workflows.bodies import FOUND_SCORE, assume_camera, join_keypoints, place_bodies

SIZE = (1280, 720)


@pytest.fixture(scope="module")
def bodies():
    """COCO-17 joints (B, 17, 3) of people in poses of their own, and their translations."""
    rng = np.random.default_rng(0)
    pose = torch.from_numpy(np.stack([draw_pose(rng, []) for _ in range(8)])).float()
    betas = torch.from_numpy(rng.normal(size=(8, 10))).float()
    joints = JointsLayer(load_body())(pose, betas)[:, NUM_JOINTS:]
    transl = torch.from_numpy(rng.uniform([-2, -0.5, 3], [2, 1, 12], (8, 3))).float()
    return joints, transl


def camera_of(count):
    return assume_camera([SIZE] * count)


def observe(joints, transl, score=1.0):
    points = project_points(joints, transl, camera_of(len(joints)))
    return torch.cat([points, torch.full((*points.shape[:2], 1), score)], dim=-1)


def crops(keypoints, *, scale=1.2, shift=0.0):
    low, high = keypoints[..., :2].amin(1), keypoints[..., :2].amax(1)
    side = scale * (high - low).amax(1)
    return Crop((low + high) / 2 + shift * side[:, None], side)


def misses(joints, transl, keypoints):
    """Pixels, (B, 17)."""
    found = project_points(joints, transl, camera_of(len(joints)))
    return (found - keypoints[..., :2]).norm(dim=-1)


def test_assumed_cameras_look_through_the_centre_with_the_diagonal_as_focal_length():
    camera = assume_camera([(1201, 501), (3, 4)])

    assert camera.principal_point.tolist() == [[600, 250], [1, 1.5]]
    assert camera.focal_length.tolist() == pytest.approx([np.hypot(1201, 501), 5])


@pytest.mark.parametrize(("scale", "shift"), [(1.2, 0), (3.0, 0), (1.0, 0.4), (0.7, -0.3)])
def test_projection_lies_on_the_person_whatever_the_crop(bodies, scale, shift):
    joints, transl = bodies
    keypoints = observe(joints, transl)
    crop = crops(keypoints, scale=scale, shift=shift)

    found, is_placed = place_bodies(joints, keypoints, torch.full((8, 3), 9.0), crop, camera_of(8))

    assert is_placed.all()
    assert misses(joints, found, keypoints).max() < 1


def test_four_keypoints_are_enough(bodies):
    joints, transl = bodies
    keypoints = observe(joints, transl)
    keypoints[:, [0, 1, 2, 3, 4, 7, 8, 9, 10, 13, 14, 15, 16], 2] = 0.1  # shoulders, hips left

    found, is_placed = place_bodies(
        joints, keypoints, torch.zeros(8, 3), crops(keypoints), camera_of(8)
    )

    assert is_placed.all()
    assert misses(joints, found, keypoints).max() < 1


def test_keypoints_of_low_score_do_not_pull(bodies):
    joints, transl = bodies
    exact = observe(joints, transl)
    keypoints = exact.clone()
    keypoints[:, 9:11] += torch.tensor([500, 500, -0.9])

    found, _ = place_bodies(joints, keypoints, torch.zeros(8, 3), crops(exact), camera_of(8))

    assert misses(joints, found, exact).max() < 1


@pytest.mark.parametrize("count", [0, 1, 3])
def test_with_few_keypoints_the_networks_camera_counts(bodies, count):
    joints, transl = bodies
    keypoints = observe(joints, transl)
    keypoints[:, count:, 2] = 0
    default = torch.arange(24.0).view(8, 3)

    found, is_placed = place_bodies(joints, keypoints, default, crops(keypoints), camera_of(8))

    assert not is_placed.any()
    assert (found == default).all()


def test_where_keypoints_do_not_fit_the_body_the_networks_camera_counts(bodies):
    joints, transl = bodies
    keypoints = observe(joints, transl)
    scattered = torch.from_numpy(np.random.default_rng(1).uniform(0, 700, (8, 17, 2)))
    keypoints[..., :2] = scattered
    default = torch.arange(24.0).view(8, 3)

    _, is_placed = place_bodies(joints, keypoints, default, crops(keypoints), camera_of(8))

    assert is_placed.sum() <= 1


def test_the_networks_camera_puts_a_body_in_the_middle_of_its_crop():
    crop = Crop(torch.tensor([[300.0, 500.0]]), torch.tensor([200.0]))
    camera = Camera(torch.tensor([1000.0]), torch.tensor([[639.5, 359.5]]), torch.tensor([SIZE]))

    transl = crop_camera_to_transl(torch.tensor([[0.9, 0.0, 0.0]]), crop, camera)
    seen = project_points(torch.zeros(1, 1, 3), transl, camera)

    assert seen[0, 0].tolist() == pytest.approx([300, 500], abs=1e-3)


def test_the_networks_own_keypoints_stand_where_the_detector_is_not_sure():
    crop = Crop(torch.tensor([[100.0, 60.0]]), torch.tensor([40.0]))
    told = torch.tensor([[[1.0, 2.0, 0.9]] * 8 + [[1.0, 2.0, 0.1]] * 9])
    found = torch.tensor([[[-1.0, 0.5, 1.0]] * 17])

    joined = join_keypoints(told, found, crop)

    assert torch.equal(joined[:, :8], told[:, :8])
    own = torch.tensor([80.0, 70.0, FOUND_SCORE])
    torch.testing.assert_close(joined[0, 8:], own.expand(9, 3))


def test_a_network_that_looks_for_none_leaves_keypoints_alone():
    told = torch.rand(2, 17, 3)

    assert torch.equal(join_keypoints(told, None, Crop(torch.rand(2, 2), torch.rand(2))), told)


def test_a_head_that_is_held_otherwise_does_not_draw_the_body_aside(bodies):
    joints, transl = bodies
    keypoints = observe(joints, transl)
    crop = crops(keypoints)
    turned = keypoints.clone()
    turned[:, :5, 0] += 0.1 * crop.bbox_size[:, None]
    default = torch.zeros_like(transl)

    placed, _ = place_bodies(joints, turned, default, crop, camera_of(len(joints)))
    alike, _ = solve_translation(joints, turned, camera_of(len(joints)))

    rest = [misses(joints, found, keypoints)[:, 5:].mean() for found in (placed, alike)]
    assert rest[0] < 0.7 * rest[1]
