"""Pinhole projection and the place of a body in the full image."""

import torch
from torch import Tensor

from smplcli.types import Camera, Crop

MIN_DEPTH = 0.1
"""Metres; nothing is projected from nearer than this."""

CONVEX_ROUNDS = 15
"""Steps towards least distances, which have no wrong minimum to be caught in."""

ROBUST_ROUNDS = 5
"""Steps after those, which let outliers go; by then little changes."""


def default_focal_length(image_size: Tensor) -> Tensor:
    """Focal length for cameras that nobody measured: the image diagonal.

    Args:
        image_size: (..., 2) width, height, pixels.

    Returns:
        (...,) pixels, a field of view of 53 degrees over the diagonal.

    Source:
        CLIFF (Li et al., ECCV 2022), section 3.2.
    """
    diagonal: Tensor = image_size.float().norm(dim=-1)
    return diagonal


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

    Starts from the linear least-squares solution and takes Gauss-Newton steps on the distance in
    pixels, weighted by confidence: first towards least distances, then with weights that let
    outliers go altogether (Geman and McClure's, at the scale of the median distance).

    Args:
        joints3d: (B, N, 3), metres, camera axes.
        keypoints2d: (B, N, 3) x, y in pixels of the full image, and confidence (0: not seen).
        camera: The full image's camera.

    Returns:
        Translations (B, 3), metres, and the weighted root-mean-square residual (B,), pixels. Where
        fewer than two keypoints are seen, both are NaN.
    """
    focal = camera.focal_length[:, None, None]
    rays = (keypoints2d[..., :2] - camera.principal_point[:, None]) / focal
    confidence = keypoints2d[..., 2]
    target = rays * joints3d[..., 2:] - joints3d[..., :2]
    transl = _in_front(_least_squares(rays, target, confidence), joints3d)
    weight, residual = confidence, torch.zeros_like(confidence)
    for step in range(CONVEX_ROUNDS + ROBUST_ROUNDS):
        placed = joints3d + transl[:, None]
        depth = placed[..., 2:]
        seen = placed[..., :2] / depth
        residual = (focal * (rays - seen)).norm(dim=-1)
        if step < CONVEX_ROUNDS:
            weight = confidence / residual.clamp(min=1.0).sqrt()
        else:
            scale = _weighted_median(residual, confidence).clamp(min=1.0)
            weight = confidence / (1 + (residual / scale[:, None]) ** 2)
        move = _least_squares(seen, (rays - seen) * depth, weight / depth.squeeze(-1))
        transl = _in_front(transl + move, joints3d)
    mean_square = (weight * residual**2).sum(-1) / weight.sum(-1).clamp(min=1e-12)
    unseen = (confidence > 0).sum(-1) < 2
    nan = float("nan")
    return transl.masked_fill(unseen[:, None], nan), mean_square.sqrt().masked_fill(unseen, nan)


def _in_front(transl: Tensor, joints3d: Tensor) -> Tensor:
    """The same translation, or farther away where it would put a joint behind the camera."""
    nearest = joints3d[..., 2].amin(1)
    depth = transl[:, 2].maximum(MIN_DEPTH - nearest)
    return torch.cat([transl[:, :2], depth[:, None]], dim=-1)


def _least_squares(rays: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """The t (B, 3) that minimises ``|weight * (t_xy - rays * t_z - target)|``."""
    rays, target, square = rays.double(), target.double(), weight.double() ** 2
    cross = -(square[..., None] * rays).sum(1)
    normal = rays.new_zeros(len(rays), 3, 3)
    normal[:, 0, 0] = normal[:, 1, 1] = square.sum(-1)
    normal[:, :2, 2] = normal[:, 2, :2] = cross
    normal[:, 2, 2] = (square[..., None] * rays**2).sum((1, 2))
    moment = (square[..., None] * target).sum(1)
    depth_moment = -(square[..., None] * rays * target).sum((1, 2))
    # Keypoints in one place fix no depth: the ridge then takes the smallest solution.
    ridge = 1e-9 * normal.diagonal(dim1=1, dim2=2).sum(-1) + 1e-30
    eye = torch.eye(3, dtype=normal.dtype, device=normal.device)
    right = torch.cat([moment, depth_moment[:, None]], dim=-1)
    solution: Tensor = torch.linalg.solve(normal + ridge[:, None, None] * eye, right)
    return solution.to(weight.dtype)


def _weighted_median(values: Tensor, weight: Tensor) -> Tensor:
    order = values.argsort(dim=-1)
    cumulative = weight.gather(-1, order).cumsum(-1)
    middle = (
        (cumulative < cumulative[:, -1:] / 2).sum(-1, keepdim=True).clamp(max=order.shape[-1] - 1)
    )
    return values.gather(-1, order.gather(-1, middle)).squeeze(-1)
