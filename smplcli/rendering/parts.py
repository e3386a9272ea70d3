"""Which part of the body each pixel shows."""

import numpy as np
import torch
from torch import Tensor

from smplcli.rendering.rasteriser import Fragments
from smplcli.types import Floats, Ints


def vertex_parts(weights: Floats) -> Ints:
    """Joint (V,) that moves each vertex most, from skinning weights (V, 24)."""
    return np.asarray(weights.argmax(axis=1))


def part_labels(fragments: Fragments, faces: Tensor, weights: Floats) -> Tensor:
    """Labels (B, H, W) uint8: 0 for background, joint + 1 for its part.

    A face belongs to the lowest of its vertices' parts.

    Source:
        PARE (Kocabas et al., ICCV 2021), section 3.3, with skinning weights for its part file.
    """
    parts = torch.from_numpy(vertex_parts(weights)).to(faces.device)[faces].amin(1) + 1
    labels = torch.cat([parts, parts.new_zeros(1)])  # index -1, the background, reads the zero
    return labels[fragments.face_index].to(torch.uint8)
