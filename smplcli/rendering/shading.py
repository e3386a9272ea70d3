"""Normals and light."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals of vertices, pointing out of the body.

    Args:
        vertices: (B, V, 3), any axes and unit.
        faces: (F, 3) int64, counter-clockwise seen from outside in y-up axes.

    Returns:
        (B, V, 3): the mean of the adjacent faces' normals, weighted by their areas.
    """
    first, second, third = vertices[:, faces].unbind(2)
    normals = torch.linalg.cross(second - first, third - first)
    total = torch.zeros_like(vertices)
    for corner in faces.unbind(1):
        total.index_add_(1, corner, normals)
    return normalize(total, dim=-1)
