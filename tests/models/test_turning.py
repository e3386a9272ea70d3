"""Who lies is answered as if he stood, and lies again in the answer."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from smplcli.conventions import COCO17_JOINTS
from smplcli.models.network import NetworkOutput
from smplcli.models.turning import quarter_turns, turn, turn_back

HEIGHTS = {"nose": 0, "eye": 0, "ear": 0, "shoulder": 1, "elbow": 2, "wrist": 3}
HEIGHTS |= {"hip": 3, "knee": 5, "ankle": 7}


def _standing():
    """Keypoints (1, 17, 3) of somebody upright in a picture, y down, round the middle."""
    sides = {"left": 0.5, "right": -0.5}
    places = [
        [sides.get(name.split("_")[0], 0), HEIGHTS[name.split("_")[-1]] - 3.5, 1]
        for name in COCO17_JOINTS
    ]
    return torch.tensor(places)[None] / torch.tensor([8.0, 8.0, 1.0])


def _leaning(degrees):
    """The same, fallen over to the right by an angle."""
    keypoints = _standing()
    rotation = torch.from_numpy(
        Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    ).float()
    keypoints[..., :2] = keypoints[..., :2] @ rotation[:2, :2].T
    return keypoints


@pytest.mark.parametrize(
    ("degrees", "turns"), [(0, 0), (50, 0), (-50, 0), (70, 1), (100, 1), (-90, 3), (180, 2)]
)
def test_only_who_is_far_from_upright_is_turned_and_the_right_way(degrees, turns):
    assert quarter_turns(_leaning(degrees)).tolist() == [turns]


def test_who_bends_down_over_straight_legs_is_not_turned():
    bent = _standing()
    shoulders = [COCO17_JOINTS.index("left_shoulder"), COCO17_JOINTS.index("right_shoulder")]
    bent[0, shoulders, 0], bent[0, shoulders, 1] = 0.3, -0.05

    assert quarter_turns(bent).tolist() == [0]


def test_nobody_is_turned_by_keypoints_that_are_not_trusted():
    lying = _leaning(90)
    lying[..., 2] = 0.1
    lying[..., 0] = float("nan")

    assert quarter_turns(lying).tolist() == [0]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_turning_moves_keypoints_with_the_picture(turns):
    image = torch.zeros(1, 3, 8, 8)
    image[0, :, 1, 6] = 1
    keypoints = torch.tensor([[[0.625, -0.625, 0.5]]])  # the middle of that pixel

    turned, moved = turn(image, keypoints, torch.tensor([turns]))

    row, column = np.argwhere(turned[0, 0].numpy() == 1)[0]
    expected = torch.tensor([[[(2 * column + 1) / 8 - 1, (2 * row + 1) / 8 - 1, 0.5]]])
    torch.testing.assert_close(moved, expected.float())


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_turned_people_are_upright(degrees):
    lying = _leaning(degrees)

    _, upright = turn(torch.zeros(1, 3, 4, 4), lying, quarter_turns(lying))

    torch.testing.assert_close(upright, _standing(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_an_answer_to_a_turned_picture_is_turned_back(turns):
    many = torch.tensor([turns])
    joints, keypoints = torch.randn(1, 5, 3), torch.rand(1, 17, 3)
    rotmat = torch.from_numpy(Rotation.random(24, random_state=0).as_matrix()).float()[None]
    camera, logits = torch.tensor([[0.9, 0.2, -0.4]]), torch.rand(1, 25, 4, 4)
    turned_logits, turned_keypoints = turn(logits, keypoints, many)
    # The body in the turned picture: what is seen at (x, y) of it was seen at (x, y) turned.
    seen = turn(logits, torch.cat([joints[..., :2], joints[..., 2:]], dim=-1), many)[1]
    to_turned = torch.linalg.lstsq(joints[0], seen[0]).solution.T
    shift = turn(logits, torch.tensor([[[0.2, -0.4, 1.0]]]), many)[1][:, 0, :2]
    answer = NetworkOutput(
        rotmat=torch.cat([(to_turned @ rotmat[0, 0])[None, None], rotmat[:, 1:]], dim=1),
        betas=torch.zeros(1, 10),
        pred_cam=torch.cat([camera[:, :1], shift], dim=1),
        part_logits=turned_logits,
        keypoints=turned_keypoints,
    )

    back = turn_back(answer, many)

    torch.testing.assert_close(back.rotmat, rotmat, atol=1e-5, rtol=0)
    torch.testing.assert_close(back.pred_cam, camera)
    torch.testing.assert_close(back.part_logits, logits)
    torch.testing.assert_close(back.keypoints, keypoints)
