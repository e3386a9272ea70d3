"""From crops as pictures to what the network takes."""

from typing import TypeVar

import torch
from torch import Tensor

from smplcli.types import Floats, Pixels


def to_network_input(
    crops: Pixels, keypoints: Floats | None = None
) -> tuple[Tensor, Tensor | None]:
    """Tensors for the network.

    Args:
        crops: (B, S, S, 3) RGB.
        keypoints: (B, 17, 3) x, y in crop pixels, and confidence; ``None`` if unknown.

    Returns:
        Pictures (B, 3, S, S) in 0..1, channels last in memory, and keypoints (B, 17, 3) with
        x, y in -1..1, the picture's edges.
    """
    image = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    if keypoints is None:
        return image, None
    return image, crop_to_unit(torch.from_numpy(keypoints).float(), crops.shape[1])


Points = TypeVar("Points", Tensor, Floats)


def crop_to_unit(keypoints: Points, size: int) -> Points:
    """Crop pixels to -1..1 from edge to edge, for (..., 2 or 3); confidences stay."""
    unit = keypoints * 1
    unit[..., :2] = (2 * keypoints[..., :2] + 1) / size - 1
    return unit
