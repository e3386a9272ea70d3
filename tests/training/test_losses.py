import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.conventions import NUM_JOINTS
from smplcli.datasets.samples import Sample
from smplcli.models.network import NetworkOutput
from smplcli.rotations import aa_to_rotmat
from smplcli.training.config import LossConfig
from smplcli.training.losses import Losses, joints_error, part_error, project_to_crop

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
    found = batch.gt_keypoints2d
    return NetworkOutput(full_pose, betas, camera, logits, found), batch._replace(**changes)


def _total(losses, output, batch):
    return {
        name: value.item() for name, value in losses(output, batch, supervise_parts=True).items()
    }


def test_the_truth_costs_nothing(losses, joints):
    output, batch = _labelled(joints)

    names = ["pose", "betas", "joints3d", "keypoints2d", "parts", "found", "presence"]
    assert _total(losses, output, batch) == pytest.approx(dict.fromkeys(names, 0), abs=1e-4)


GARBAGE = pytest.mark.parametrize("garbage", [7.0, -1e30, float("inf"), float("nan")])
"""What the label of somebody without one may hold."""


def _cost(losses, output, batch, name):
    """Value of one loss, and its gradient by everything that a network answers."""
    leaves = NetworkOutput(*(value.detach().clone().requires_grad_() for value in output))
    value = losses(leaves, batch, supervise_parts=True)[name]
    value.backward()
    return [value.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def _wrong(output):
    """An answer that is wrong about everything."""
    return output._replace(
        rotmat=output.rotmat.roll(1, 1),
        betas=output.betas + 1,
        pred_cam=output.pred_cam * 1.2 + 0.1,
        part_logits=output.part_logits.roll(1, 1),
        keypoints=0.7 * output.keypoints + 0.1,
    )


def _assert_alone(losses, output, batch, name, spoilt):
    """The first sample alone decides, whatever the labels of the others hold."""
    costs = _cost(losses, output, batch, name)
    again = _cost(losses, output, spoilt, name)

    assert costs[0] > 0.01
    assert any(gradient.any() for gradient in costs[1:])
    assert not any(gradient[1:].any() for gradient in costs[1:])
    torch.testing.assert_close(again, costs, rtol=0, atol=0)


def _without_bodies(batch):
    has_smpl = torch.tensor([1.0, 0, 0])
    return batch._replace(has_smpl=has_smpl)


@GARBAGE
@pytest.mark.parametrize("name", ["pose", "joints3d"])
def test_a_pose_without_label_adds_nothing(losses, joints, name, garbage):
    output, batch = _labelled(joints)
    batch = _without_bodies(batch)
    full_pose = batch.full_pose.clone()
    full_pose[1:] = garbage

    _assert_alone(losses, _wrong(output), batch, name, batch._replace(full_pose=full_pose))


@GARBAGE
@pytest.mark.parametrize("name", ["betas", "joints3d"])
def test_betas_without_label_add_nothing(losses, joints, name, garbage):
    output, batch = _labelled(joints)
    batch = _without_bodies(batch)
    betas = batch.betas.clone()
    betas[1:] = garbage

    _assert_alone(losses, _wrong(output), batch, name, batch._replace(betas=betas))


@GARBAGE
def test_vertices_without_label_add_nothing(joints, garbage):
    losses = Losses(LossConfig(vertices=1), joints, BodyLayer(load_body()))
    output, batch = _labelled(joints)
    batch = _without_bodies(batch)
    full_pose, betas = batch.full_pose.clone(), batch.betas.clone()
    full_pose[1:] = betas[1:] = garbage
    spoilt = batch._replace(full_pose=full_pose, betas=betas)

    _assert_alone(losses, _wrong(output), batch, "vertices", spoilt)


@GARBAGE
@pytest.mark.parametrize("name", ["keypoints2d", "found"])
def test_keypoints_without_label_add_nothing(losses, joints, name, garbage):
    output, batch = _labelled(joints)
    keypoints = batch.gt_keypoints2d.clone()
    keypoints[1:, :, 2] = 0
    spoilt = keypoints.clone()
    spoilt[1:, :, :2] = garbage

    _assert_alone(
        losses,
        _wrong(output),
        batch._replace(gt_keypoints2d=keypoints),
        name,
        batch._replace(gt_keypoints2d=spoilt),
    )


def test_only_of_whole_bodies_is_it_known_which_keypoints_are_outside(losses, joints):
    output, batch = _labelled(joints)
    keypoints = batch.gt_keypoints2d.clone()
    keypoints[:, 9:, 2] = 0

    keypoints[0] = batch.gt_keypoints2d[0]
    batch = _without_bodies(batch)
    cut_off = batch._replace(gt_keypoints2d=keypoints)

    _assert_alone(losses, _wrong(output), batch, "presence", cut_off)


def test_being_sure_of_a_keypoint_outside_the_picture_costs_more_than_doubt(losses, joints):
    output, batch = _labelled(joints)
    keypoints = batch.gt_keypoints2d.clone()
    keypoints[:, 9:, 2] = 0
    doubt = output.keypoints.clone()
    doubt[:, 9:, 2] = 0.1

    sure, doubtful = (
        _total(losses, output._replace(keypoints=x), batch._replace(gt_keypoints2d=keypoints))[
            "presence"
        ]
        for x in (output.keypoints, doubt)
    )

    assert sure > 10 * doubtful


def test_keypoints_count_by_their_confidence(losses, joints):
    output, batch = _labelled(joints)
    keypoints = batch.gt_keypoints2d.clone()
    keypoints[:, 0, 0] += 0.1
    doubted = keypoints.clone()
    doubted[:, 0, 2] = 0.5

    full, half = (
        _total(losses, output, batch._replace(gt_keypoints2d=points))["keypoints2d"]
        for points in (keypoints, doubted)
    )

    assert half / full == pytest.approx(0.5 * 17 / 16.5, rel=1e-3)


def test_pixels_without_label_add_nothing(losses, joints):
    output, batch = _labelled(joints)
    unknown = batch.part_map.clone()
    unknown[1:] = -1
    alone = part_error(_wrong(output).part_logits[:1], unknown[:1])

    costs = _cost(losses, _wrong(output), batch._replace(part_map=unknown), "parts")

    torch.testing.assert_close(costs[0], LossConfig().parts * alone)
    assert not costs[1][1:].any()


@pytest.mark.parametrize(
    "name", ["pose", "betas", "joints3d", "keypoints2d", "parts", "found", "presence"]
)
def test_a_batch_without_any_label_costs_nothing_and_pulls_nowhere(losses, joints, name):
    output, batch = _labelled(joints)
    nothing = batch._replace(
        has_smpl=torch.zeros(3),
        gt_keypoints2d=torch.full_like(batch.gt_keypoints2d, float("nan")),
        part_map=torch.full_like(batch.part_map, -1),
    )

    costs = _cost(losses, _wrong(output), nothing, name)

    assert not any(cost.any() for cost in costs)


def test_squared_distances_punish_what_is_far_off(joints):
    output, batch = _labelled(joints)
    wrong, squared = _wrong(output), Losses(LossConfig(distance="squared"), joints)
    one_joint, two_joints = torch.zeros(2, 1, 5, 3)
    one_joint[0, 3, 1], two_joints[0, 3:, 1] = 0.2, 0.1

    assert _total(squared, output, batch)["joints3d"] == pytest.approx(0, abs=1e-6)
    assert _total(squared, wrong, batch)["joints3d"] > 0
    origin = torch.zeros(1, 5, 3)
    assert joints_error(one_joint, origin, squared=True) == pytest.approx(0.04 / 15)
    assert joints_error(two_joints, origin, squared=True) == pytest.approx(0.02 / 15)


def test_a_camera_pays_only_for_people_near_zero_in_size(joints):
    losses = Losses(LossConfig(camera=1), joints)
    output, batch = _labelled(joints)
    tiny = output._replace(pred_cam=output.pred_cam * torch.tensor([0.01, 1, 1]))

    assert _total(losses, output, batch)["camera"] < 1e-6
    assert _total(losses, tiny, batch)["camera"] > 0.5


def test_vertices_cost_nothing_when_they_are_right(joints):
    losses = Losses(LossConfig(vertices=1), joints, BodyLayer(load_body()))
    output, batch = _labelled(joints)

    assert _total(losses, output, batch)["vertices"] == pytest.approx(0, abs=1e-6)


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
