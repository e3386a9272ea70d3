import numpy as np
import pytest
import torch

from smplcli.rendering.shading import KEY_LIGHT, shade, vertex_normals

CUBE = torch.tensor([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
OCTAHEDRON = torch.tensor(
    [[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0], [0, 0, 1.0], [0, 0, -1.0]]
)
EIGHT_FACES = torch.tensor(
    [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
)


def test_normals_of_an_octahedron_point_out_of_its_corners():
    normals = vertex_normals(3 * OCTAHEDRON[None] + 5, EIGHT_FACES)

    assert normals[0].numpy() == pytest.approx(OCTAHEDRON.numpy(), abs=1e-6)


def test_large_faces_count_more_than_small_ones():
    vertices = torch.tensor([[[0.0, 0, 0], [3.0, 0, 0], [0, 4.0, 0], [0, 0, 1.0]]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])

    normal = vertex_normals(vertices, faces)[0, 0]

    assert normal.numpy() == pytest.approx(np.array([4, 0, 12]) / np.sqrt(160), abs=1e-6)


def test_vertex_without_faces_has_no_normal():
    assert vertex_normals(torch.ones(1, 4, 3), EIGHT_FACES[:0]).tolist() == [[[0.0] * 3] * 4]


def test_side_towards_the_light_is_brightest():
    directions = torch.nn.functional.normalize(CUBE, dim=1)

    brightness = shade(directions, torch.full_like(directions, 0.5)).sum(-1)

    assert int(brightness.argmax()) == int((directions @ torch.tensor(KEY_LIGHT)).argmax())
    assert brightness.min() > 0


def test_shaded_colours_stay_in_range():
    directions = torch.nn.functional.normalize(torch.tensor([KEY_LIGHT, (0.0, 0.0, -1.0)]), dim=1)

    assert shade(directions, torch.ones(2, 3)).max() == 1
