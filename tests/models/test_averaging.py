"""What networks answer together."""

import pytest
import torch
from scipy.spatial.transform import Rotation

from smplcli.conventions import COCO17_JOINTS, COCO17_MIRROR, SMPL_MIRROR
from smplcli.models.averaging import mean_answer
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.rotations import mirror_rotmat

SHOULDERS = [COCO17_JOINTS.index(f"{side}_shoulder") for side in ("left", "right")]


def network_of(seed, **changes):
    torch.manual_seed(seed)
    small = {"head": "baseline", "input_size": 64, "hidden": 8, "keypoints": 8}
    config = ModelConfig(backbone="resnet18", **small | changes)
    network = build_network(config).eval()
    for parameter in network.head.parameters():  # the first weights hardly see the picture
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def pictures():
    generator = torch.Generator().manual_seed(0)
    image, keypoints = (torch.rand(2, *x, generator=generator) for x in ((3, 64, 64), (17, 3)))
    keypoints[:, SHOULDERS, 1] -= 2  # above everything else, as nobody shall be turned
    return image, keypoints


def test_a_picture_and_its_mirror_image_are_answered_by_mirrored_bodies():
    network = network_of(0)
    image, keypoints = pictures()
    mirrored = keypoints[:, list(COCO17_MIRROR)] * torch.tensor([-1.0, 1.0, 1.0])

    with torch.inference_mode():
        here = mean_answer([network], image, keypoints, flip_test=True)
        there = mean_answer([network], image.flip(-1), mirrored, flip_test=True)

    back = mirror_rotmat(there.rotmat[:, list(SMPL_MIRROR)])
    assert back == pytest.approx(here.rotmat, abs=1e-5)
    assert there.betas == pytest.approx(here.betas, abs=1e-5)
    assert (there.pred_cam * torch.tensor([1.0, -1.0, 1.0])) == pytest.approx(
        here.pred_cam, abs=1e-5
    )


@torch.inference_mode()
def test_a_network_and_itself_answer_as_it_does_alone():
    network, (image, keypoints) = network_of(0), pictures()

    alone = network(image, keypoints)
    together = mean_answer([network, network], image, keypoints)

    assert together.rotmat == pytest.approx(alone.rotmat, abs=1e-6)
    assert together.betas == pytest.approx(alone.betas, abs=1e-6)
    assert together.pred_cam == pytest.approx(alone.pred_cam, abs=1e-6)


@torch.inference_mode()
def test_two_networks_answer_half_way_between_them():
    networks, (image, keypoints) = [network_of(0), network_of(1)], pictures()

    first, second = (network(image, keypoints) for network in networks)
    mean = mean_answer(networks, image, keypoints)

    assert mean.betas == pytest.approx((first.betas + second.betas) / 2, abs=1e-6)
    turn, rest = (a.rotmat.mT @ mean.rotmat for a in (first, second))
    angles = [Rotation.from_matrix(x.view(-1, 3, 3)).magnitude() for x in (turn, rest)]
    assert angles[0] == pytest.approx(angles[1], abs=1e-3)
    assert max(angles[0]) > 0.1


@torch.inference_mode()
def test_the_surer_keypoints_are_the_more_counts_what_a_network_says_with_them():
    network = network_of(0, head="part-attention", channels=8, finds_keypoints=True)
    image, keypoints = pictures()
    keypoints[0, :, 2], keypoints[1, :, 2] = 1.0, 0.25

    told, untold = network(image, keypoints), network(image)
    mean = mean_answer([network], image, keypoints)

    assert mean.rotmat[0] == pytest.approx(told.rotmat[0], abs=1e-6)
    assert mean.betas[1] == pytest.approx((told.betas[1] + untold.betas[1]) / 2, abs=1e-6)
    assert not torch.allclose(told.betas, untold.betas, atol=1e-3)


@torch.inference_mode()
def test_scores_above_one_count_as_one():
    network = network_of(0, head="part-attention", channels=8, finds_keypoints=True)
    image, keypoints = pictures()
    keypoints[..., 2] = 1.5  # as some detectors' files have them

    assert mean_answer([network], image, keypoints).betas == pytest.approx(
        network(image, keypoints).betas, abs=1e-6
    )


@torch.inference_mode()
def test_who_lies_is_answered_like_the_same_person_upright():
    network, (image, keypoints) = network_of(0), pictures()
    lying = keypoints.clone()
    lying[..., :2] = torch.stack([-keypoints[..., 1], keypoints[..., 0]], dim=-1)

    upright = mean_answer([network], image, keypoints)
    fallen = mean_answer([network], image.rot90(-1, (2, 3)), lying)

    assert fallen.betas == pytest.approx(upright.betas, abs=1e-5)
    assert fallen.rotmat[:, 1:] == pytest.approx(upright.rotmat[:, 1:], abs=1e-5)
    assert not torch.allclose(fallen.rotmat[:, 0], upright.rotmat[:, 0], atol=0.1)
