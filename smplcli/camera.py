"""Pinhole projection and the place of a body in the full image."""

import torch
from torch import Tensor

from smplcli.types import Camera, Crop

MIN_DEPTH = 0.1
"""Metres; nothing is projected from nearer than this."""

ROBUST_ROUNDS = 5
"""Reweightings of the least-squares placement; the weights no longer change after a few."""


def default_focal_length(image_size: Tensor) -> Tensor:
    """Focal length for cameras that nobody measured: the image diagonal.

    Args:
        image_size: (..., 2) width, height, pixels.

    Returns:
        (...,) pixels, a field of view of 53 degrees over the diagonal.

    Source:
        CLIFF (Li et al., ECCV 2022), section 3.2.
    """
    return image_size.float().norm(dim=-1)


def project_points(points: Tensor, transl: Tensor, camera: Camera) -> Tensor:
    """Pixels where points appear.

    Args:
        points: (B, N, 3), metres, camera axes.
        transl: (B, 3) added to every point, metres.
        camera: The full image's camera.

    Returns:
        (B, N, 2), pixels of the full image.
    """
    placed = points + transl[:, None]
    depth = placed[..., 2:].clamp(min=MIN_DEPTH)
    focal = camera.focal_length[:, None, None]
    return focal * placed[..., :2] / depth + camera.principal_point[:, None]


def crop_camera_to_transl(pred_cam: Tensor, crop: Crop, camera: Camera) -> Tensor:
    """Translation in the full image of a body that a weak-perspective camera sees in a crop.

    Args:
        pred_cam: (B, 3) s (half crops per metre), tx, ty (metres, before scaling).
        crop: The squares that the network saw.
        camera: The full image's camera.

    Returns:
        (B, 3), metres, camera axes.

    Source:
        CLIFF (Li et al., ECCV 2022), supplementary material, equation 1.
    """
    scale, tx, ty = pred_cam.unbind(-1)
    pixels_per_metre = crop.bbox_size * scale / 2
    shift = (crop.bbox_center - camera.principal_point) / pixels_per_metre[:, None]
    depth = camera.focal_length / pixels_per_metre
    return torch.stack([tx + shift[:, 0], ty + shift[:, 1], depth], dim=-1)


def solve_translation(
    joints3d: Tensor, keypoints2d: Tensor, camera: Camera
) -> tuple[Tensor, Tensor]:
    """Place bodies so that their joints fall on observed keypoints.

    Every keypoint gives two equations that are linear in the translation; they are weighted by
    confidence over depth (so that the error counts in pixels), and reweighted a few times to let
    outliers go (Cauchy's weight, at the scale of the median residual).

    Args:
        joints3d: (B, N, 3), metres, camera axes.
        keypoints2d: (B, N, 3) x, y in pixels of the full image, and confidence (0: not seen).
        camera: The full image's camera.

    Returns:
        Translations (B, 3), metres, and the weighted root-mean-square residual (B,), pixels. Where
        fewer than two keypoints are seen, both are NaN.
    """
    rays = (keypoints2d[..., :2] - camera.principal_point[:, None]) / camera.focal_length[
        :, None, None
    ]
    confidence = keypoints2d[..., 2]
    weight = confidence
    transl = torch.zeros_like(joints3d[:, 0])
    depth = torch.ones_like(confidence)
    for _ in range(ROBUST_ROUNDS):
        transl = _weighted_translation(joints3d, rays, weight / depth)
        depth = (joints3d[..., 2] + transl[:, None, 2]).clamp(min=MIN_DEPTH)
        residual = (project_points(joints3d, transl, camera) - keypoints2d[..., :2]).norm(dim=-1)
        scale = _weighted_median(residual, confidence).clamp(min=1.0)
        weight = confidence / (1 + (residual / scale[:, None]) ** 2)
    mean_square = (weight * residual**2).sum(-1) / weight.sum(-1).clamp(min=1e-12)
    unseen = (confidence > 0).sum(-1) < 2
    nan = float("nan")
    return transl.masked_fill(unseen[:, None], nan), mean_square.sqrt().masked_fill(unseen, nan)


def _weighted_translation(joints3d: Tensor, rays: Tensor, weight: Tensor) -> Tensor:
    """Least squares of ``t_xy - ray * t_z = ray * Z - XY``, in double precision."""
    rays, joints3d = rays.double(), joints3d.double()
    square = weight.double() ** 2
    right = rays * joints3d[..., 2:] - joints3d[..., :2]
    total = square.sum(-1)
    cross = (square[..., None] * rays).sum(1)
    normal = rays.new_zeros(len(rays), 3, 3)
    normal[:, 0, 0] = normal[:, 1, 1] = total
    normal[:, :2, 2] = normal[:, 2, :2] = -cross
    normal[:, 2, 2] = (square[..., None] * rays**2).sum((1, 2))
    moment = (square[..., None] * right).sum(1)
    depth_moment = -(square[..., None] * rays * right).sum((1, 2))
    ridge = 1e-12 * (1 + normal.diagonal(dim1=1, dim2=2).sum(-1))
    normal = normal + ridge[:, None, None] * torch.eye(3, dtype=normal.dtype, device=normal.device)
    target = torch.cat([moment, depth_moment[:, None]], dim=-1)
    return torch.linalg.solve(normal, target).to(weight.dtype)


def _weighted_median(values: Tensor, weight: Tensor) -> Tensor:
    order = values.argsort(dim=-1)
    cumulative = weight.gather(-1, order).cumsum(-1)
    middle = (cumulative < cumulative[:, -1:] / 2).sum(-1, keepdim=True).clamp(max=order.shape[-1] - 1)
    return values.gather(-1, order.gather(-1, middle)).squeeze(-1)
