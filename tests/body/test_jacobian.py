"""Derivatives that are written out, against central differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.jacobian import JointsJacobian
from smplcli.conventions import COCO17_JOINTS, NUM_BETAS, NUM_JOINTS, SMPL_JOINTS
from smplcli.rotations import aa_to_rotmat
from tests.body.official import random_body

STEP = 1e-5


def without_correctives(body):
    return replace(body, posedirs=np.zeros_like(body.posedirs))


@pytest.fixture(params=["demo body, all from vertices", "SMPL, limbs from joints"])
def layer(request):
    face = {name: number for number, name in enumerate(("nose", "leye", "reye", "lear", "rear"))}
    smpl = replace(random_body(60), vertex_ids=face)
    body = load_body() if "demo" in request.param else smpl
    return JointsJacobian(without_correctives(body)).double()


@pytest.fixture
def pose():
    generator = torch.Generator().manual_seed(0)
    aa = 0.5 * torch.randn(2, NUM_JOINTS, 3, generator=generator, dtype=torch.float64)
    return aa_to_rotmat(aa), torch.randn(2, NUM_BETAS, generator=generator, dtype=torch.float64)


def joints_of(layer, pose, betas):
    return layer(pose, betas)[:, NUM_JOINTS:]


def test_joints_are_those_of_the_layer(layer, pose):
    assert layer.move(*pose).joints == pytest.approx(joints_of(layer, *pose))


@pytest.mark.parametrize("joint", ["pelvis", "spine2", "left_shoulder", "right_knee", "left_hand"])
def test_turning_a_joint_moves_what_hangs_on_it_along_its_levers(layer, pose, joint):
    full_pose, betas = pose
    index = SMPL_JOINTS.index(joint)
    move = layer.move(full_pose, betas)

    for axis in torch.eye(3, dtype=torch.float64):
        ends = []
        for sign in (1, -1):
            turned = full_pose.clone()
            turned[:, index] = turned[:, index] @ aa_to_rotmat(sign * STEP * axis)
            ends.append(joints_of(layer, turned, betas))
        world_axis = (move.rotation[:, index] @ axis)[:, None].expand(-1, len(COCO17_JOINTS), -1)
        expected = torch.linalg.cross(world_axis, move.levers[:, :, index])
        assert expected == pytest.approx((ends[0] - ends[1]) / (2 * STEP), abs=1e-6)


def test_betas_move_joints_as_said(layer, pose):
    full_pose, betas = pose
    move = layer.move(full_pose, betas)

    for index, change in enumerate(STEP * torch.eye(NUM_BETAS, dtype=torch.float64)):
        ends = [joints_of(layer, full_pose, betas + sign * change) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * STEP)
        assert move.by_betas[..., index] == pytest.approx(slope, abs=1e-6)
