import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.conventions import NUM_JOINTS
from smplcli.datasets.samples import Sample
from smplcli.models.network import NetworkOutput
from smplcli.rotations import aa_to_rotmat
from smplcli.training.config import LossConfig
from smplcli.training.losses import Losses, joints_error, project_to_crop

SIZE = 64


@pytest.fixture(scope="module")
def joints():
    return JointsLayer(load_body())


@pytest.fixture
def losses(joints):
    return Losses(LossConfig(), joints)


def _bodies(count=3):
    generator = torch.Generator().manual_seed(0)
    aa = 0.3 * torch.randn(count, 24, 3, generator=generator)
    aa[:, 0] = torch.tensor([torch.pi, 0, 0])
    return aa_to_rotmat(aa), torch.randn(count, 10, generator=generator)


def _labelled(joints, **changes):
    """A batch and the output that is right about everything in it."""
    full_pose, betas = _bodies()
    count = len(full_pose)
    camera = torch.tensor([[0.9, 0.05, 0.3]]).expand(count, 3)
    parts = torch.randint(0, 25, (count, 4, 4), generator=torch.Generator().manual_seed(1))
    batch = Sample(
        image=torch.zeros(count, 3, SIZE, SIZE, dtype=torch.uint8),
        keypoints=torch.zeros(count, 17, 3),
        gt_keypoints2d=torch.zeros(count, 17, 3),
        full_pose=full_pose,
        betas=betas,
        has_smpl=torch.ones(count),
        focal_length=torch.full((count,), 300.0),
        principal_point=torch.tensor([[40.0, 20.0]]).expand(count, 2),
        part_map=parts,
        row=torch.arange(count),
    )
    points = project_to_crop(joints(full_pose, betas)[:, NUM_JOINTS:], camera, batch)
    batch = batch._replace(gt_keypoints2d=torch.cat([points, torch.ones(count, 17, 1)], dim=2))
    logits = 50 * torch.nn.functional.one_hot(parts, 25).permute(0, 3, 1, 2).float()
    return NetworkOutput(full_pose, betas, camera, logits), batch._replace(**changes)


def _total(losses, output, batch):
    return {
        name: value.item() for name, value in losses(output, batch, supervise_parts=True).items()
    }


def test_the_truth_costs_nothing(losses, joints):
    output, batch = _labelled(joints)

    assert _total(losses, output, batch) == pytest.approx(
        {"pose": 0, "betas": 0, "joints3d": 0, "keypoints2d": 0, "parts": 0}, abs=1e-4
    )


@pytest.mark.parametrize("name", ["pose", "betas", "joints3d"])
def test_bodies_without_label_add_nothing(losses, joints, name):
    output, batch = _labelled(joints)
    wrong = output._replace(
        rotmat=output.rotmat.roll(1, 0).flip(1), betas=output.betas + 1, part_logits=None
    )
    unlabelled = batch._replace(
        has_smpl=torch.zeros(3), full_pose=torch.full_like(batch.full_pose, float("nan"))
    )

    assert _total(losses, wrong, batch)[name] > 0.01
    assert _total(losses, wrong, unlabelled)[name] == 0


def test_keypoints_without_label_add_nothing(losses, joints):
    output, batch = _labelled(joints)
    keypoints = batch.gt_keypoints2d.clone()
    keypoints[:, 5:] = torch.tensor([float("nan"), 7.0, 0.0])

    total = _total(losses, output, batch._replace(gt_keypoints2d=keypoints))

    assert total["keypoints2d"] == pytest.approx(0, abs=1e-5)


def test_pixels_without_label_add_nothing(losses, joints):
    output, batch = _labelled(joints)
    unknown = torch.full_like(batch.part_map, -1)
    unknown[0] = batch.part_map[0]
    wrong_elsewhere = output.part_logits.clone()
    wrong_elsewhere[1:] = 0

    total = _total(
        losses,
        output._replace(part_logits=wrong_elsewhere),
        batch._replace(part_map=unknown),
    )

    assert total["parts"] == pytest.approx(0, abs=1e-6)


def test_parts_are_not_supervised_when_their_time_is_over(losses, joints):
    output, batch = _labelled(joints)

    assert "parts" not in losses(output, batch, supervise_parts=False)


def test_one_joint_a_decimetre_off_costs_its_share():
    joints3d = torch.zeros(1, 5, 3)
    moved = joints3d.clone()
    moved[0, 3, 1] = 0.1

    assert joints_error(moved, joints3d).item() == pytest.approx(0.1 / 15)


def test_moving_the_whole_body_costs_nothing_in_3d():
    joints3d = torch.randn(2, 41, 3, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(joints_error(joints3d + 3, joints3d), torch.zeros(2))


def test_every_output_gets_a_gradient(losses, joints):
    output, batch = _labelled(joints)
    leaves = NetworkOutput(*(value.clone().requires_grad_() for value in output))
    shaken = leaves._replace(rotmat=leaves.rotmat * 1.1, betas=leaves.betas + 0.1)

    torch.stack(list(losses(shaken, batch, supervise_parts=True).values())).sum().backward()

    assert all(leaf.grad.isfinite().all() and leaf.grad.any() for leaf in leaves[:3])
