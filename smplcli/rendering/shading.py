"""Normals and light."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

KEY_LIGHT = (-0.45, -0.65, -0.61)
"""Direction towards the main light, camera axes: over the photographer's left shoulder."""

AMBIENT, KEY, FILL, GLOSS = 0.42, 0.52, 0.14, 0.10
"""Shares of light from everywhere, from the main light, from the camera and of its reflection."""

GLOSS_SHARPNESS = 24


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals of vertices, pointing out of the body.

    Args:
        vertices: (B, V, 3), any right-handed axes and unit.
        faces: (F, 3) int64, counter-clockwise seen from outside, as in SMPL files.

    Returns:
        (B, V, 3): the mean of the adjacent faces' normals, weighted by their areas.
    """
    count, num_vertices = vertices.shape[:2]
    # A row per vertex is read at one go.
    rows = vertices.transpose(0, 1).reshape(num_vertices, 3 * count)
    corners = faces.T.contiguous()
    first, second, third = (rows.index_select(0, x).view(len(faces), count, 3) for x in corners)
    normals = torch.linalg.cross(second - first, third - first).view(len(faces), 3 * count)
    total = torch.zeros_like(rows)
    for corner in corners:
        total.index_add_(0, corner, normals)
    return normalize(total.view(num_vertices, count, 3).transpose(0, 1).contiguous(), dim=-1)


def shade(normals: Tensor, colours: Tensor) -> Tensor:
    """Colours of a smooth, slightly glossy surface in soft light.

    Args:
        normals: (..., 3) unit normals, camera axes.
        colours: (..., 3) RGB of the surface, 0..1.

    Returns:
        (..., 3) RGB, 0..1.

    Source:
        Blinn, Models of light reflection for computer synthesized pictures, SIGGRAPH 1977.
    """
    key = normalize(normals.new_tensor(KEY_LIGHT), dim=0)
    half_way = normalize(key + key.new_tensor([0.0, 0.0, -1.0]), dim=0)
    diffuse = AMBIENT + KEY * (normals @ key).clamp(min=0) + FILL * (-normals[..., 2]).clamp(min=0)
    gloss = GLOSS * (normals @ half_way).clamp(min=0) ** GLOSS_SHARPNESS
    return (colours * diffuse[..., None] + gloss[..., None]).clamp(0, 1)
