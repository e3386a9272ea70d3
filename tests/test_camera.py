import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smplcli.camera import (
    crop_camera_to_transl,
    default_focal_length,
    project_points,
    solve_translation,
)
from smplcli.types import Camera, Crop


def _scene(seed: int, count: int = 4):
    generator = torch.Generator().manual_seed(seed)
    joints = torch.randn(count, 17, 3, generator=generator) * torch.tensor([0.3, 0.5, 0.2])
    transl = torch.randn(count, 3, generator=generator) * torch.tensor([1.0, 0.5, 1.0])
    transl[:, 2] += 5
    size = torch.tensor([1920.0, 1080.0]).expand(count, 2)
    camera = Camera(default_focal_length(size), size / 2, size)
    return joints, transl, camera


def _observed(points, confidence=1.0):
    return torch.cat([points, torch.full_like(points[..., :1], confidence)], dim=-1)


def test_point_on_the_axis_falls_on_the_principal_point():
    camera = Camera(torch.tensor([500.0]), torch.tensor([[320.0, 240.0]]), torch.zeros(1, 2))

    pixels = project_points(torch.zeros(1, 1, 3), torch.tensor([[0.0, 0, 3]]), camera)

    assert pixels.tolist() == [[[320.0, 240.0]]]


def test_one_metre_at_two_metres_is_half_the_focal_length():
    camera = Camera(torch.tensor([500.0]), torch.tensor([[320.0, 240.0]]), torch.zeros(1, 2))

    pixels = project_points(torch.tensor([[[1.0, 0, 2]]]), torch.zeros(1, 3), camera)

    assert pixels.tolist() == [[[570.0, 240.0]]]


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_true_keypoints_give_back_the_true_translation(seed):
    joints, transl, camera = _scene(seed)

    solved, residual = solve_translation(
        joints, _observed(project_points(joints, transl, camera)), camera
    )

    again = project_points(joints, solved, camera)
    assert (again - project_points(joints, transl, camera)).abs().max() < 0.5
    assert residual.max() < 0.5
    torch.testing.assert_close(solved, transl, atol=0.02, rtol=0.01)


def test_outlying_keypoints_do_not_move_the_body():
    joints, transl, camera = _scene(1)
    keypoints = _observed(project_points(joints, transl, camera))
    keypoints[:, :3, :2] += 700

    solved, _ = solve_translation(joints, keypoints, camera)

    torch.testing.assert_close(solved, transl, atol=0.15, rtol=0.05)


def test_keypoints_without_confidence_do_not_count():
    joints, transl, camera = _scene(2)
    keypoints = _observed(project_points(joints, transl, camera))
    keypoints[:, 10:] = torch.tensor([1e5, -1e5, 0.0])

    solved, _ = solve_translation(joints, keypoints, camera)

    torch.testing.assert_close(solved, transl, atol=0.02, rtol=0.01)


def test_too_few_keypoints_give_no_translation():
    joints, transl, camera = _scene(3)
    keypoints = _observed(project_points(joints, transl, camera))
    keypoints[0, 1:, 2] = 0

    solved, residual = solve_translation(joints, keypoints, camera)

    assert solved[0].isnan().all()
    assert residual[0].isnan()
    assert solved[1:].isfinite().all()


def test_crop_camera_puts_the_body_where_the_crop_shows_it():
    # Weak perspective: s half crops per metre, so the pelvis offset (tx, ty) metres scales alike.
    size = torch.tensor([[1920.0, 1080.0]])
    camera = Camera(torch.tensor([5000.0]), size / 2, size)
    crop = Crop(torch.tensor([[1400.0, 300.0]]), torch.tensor([400.0]))
    pred_cam = torch.tensor([[0.8, 0.1, -0.2]])

    transl = crop_camera_to_transl(pred_cam, crop, camera)

    expected = crop.bbox_center + 200 * 0.8 * torch.tensor([[0.1, -0.2]])
    pixels = project_points(torch.zeros(1, 1, 3), transl, camera)
    torch.testing.assert_close(pixels[:, 0], expected)
    assert transl[0, 2].item() == pytest.approx(2 * 5000 / (400 * 0.8))
