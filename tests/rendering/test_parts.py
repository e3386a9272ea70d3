import numpy as np
import torch

from smplcli.body.files import load_body
from smplcli.conventions import SMPL_JOINTS
from smplcli.rendering.parts import part_labels, vertex_parts
from smplcli.rendering.rasteriser import rasterise


def test_vertex_belongs_to_the_joint_that_moves_it_most():
    weights = np.array([[0.1, 0.7, 0.2], [0.5, 0.0, 0.5]])

    assert vertex_parts(weights).tolist() == [1, 0]


def test_pixel_has_the_label_of_its_face_and_the_background_has_none():
    points = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 3.0, 1.0], [3.0, 0.0, 1.0]]])
    faces = torch.tensor([[0, 1, 2]])
    weights = np.eye(24)[[7, 7, 7]]

    labels = part_labels(rasterise(points, faces, (4, 4)), faces, weights)

    assert labels.dtype == torch.uint8
    assert labels[0].tolist() == [[8, 8, 8, 8], [8, 8, 8, 0], [8, 8, 0, 0], [8, 0, 0, 0]]


def test_left_hand_of_somebody_who_faces_the_camera_is_on_the_right():
    body = load_body()
    x, y, z = torch.from_numpy(body.v_template).unbind(-1)
    points = torch.stack([100 + 100 * x, 100 - 100 * y, 5 - z], dim=-1)[None]
    faces = torch.from_numpy(body.faces)

    labels = part_labels(rasterise(points, faces, (256, 200)), faces, body.weights)[0]

    columns = {
        name: (labels == SMPL_JOINTS.index(name) + 1).nonzero()[:, 1]
        for name in ("left_hand", "right_hand", "head")
    }
    assert columns["right_hand"].max() < columns["head"].min()
    assert columns["head"].max() < columns["left_hand"].min()
