from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import smplx
import torch
from hypothesis import given
from hypothesis import strategies as st
from smplx.utils import Struct
from torch.testing import assert_close

from smplcli.body.files import load_body, smpl_vertex_ids
from smplcli.body.joint_sets import joint_set
from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.conventions import NUM_JOINTS
from smplcli.errors import ShapeError
from smplcli.rotations import aa_to_rotmat
from tests.body.official import random_body

TOLERANCE = 1e-5
"""Metres, and metres per unit of input: float32 adds up 217 blend shapes."""

DOUBLE_TOLERANCE = 1e-7
"""The same for float64, where the joints at rest are still float32 constants."""


@cache
def body(name):
    if name == "demo":
        return load_body()
    return replace(random_body(6890), vertex_ids=smpl_vertex_ids())


@cache
def reference(name, dtype=torch.float32):
    """smplx's own layer over the same arrays."""
    model = body(name)
    data = Struct(
        v_template=model.v_template,
        shapedirs=model.shapedirs,
        posedirs=model.posedirs,
        J_regressor=model.joint_regressor,
        weights=model.weights,
        kintree_table=np.array([model.parents, np.arange(NUM_JOINTS)]),
        f=model.faces,
    )
    return smplx.SMPLLayer("", data_struct=data, vertex_ids=dict(model.vertex_ids), dtype=dtype)


def random_input(batch_size, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(batch_size, NUM_JOINTS, 3, generator=generator, dtype=dtype)
    betas = 2 * torch.randn(batch_size, 10, generator=generator, dtype=dtype)
    return aa_to_rotmat(pose), betas


def smplx_output(layer, full_pose, betas):
    return layer(global_orient=full_pose[:, :1], body_pose=full_pose[:, 1:], betas=betas)


def gradients(function, full_pose, betas):
    """Of the mean distance of a body's points from fixed ones."""
    inputs = [full_pose.clone().requires_grad_(), betas.clone().requires_grad_()]
    points = function(*inputs)
    target = torch.linspace(-1, 1, points.numel(), dtype=points.dtype).view_as(points)
    return torch.autograd.grad((points - target).square().sum(-1).mean(), inputs)


@pytest.mark.parametrize("name", ["demo", "random"])
@pytest.mark.parametrize("batch_size", [1, 3, 70])
def test_vertices_and_joints_equal_those_of_smplx(name, batch_size):
    inputs = random_input(batch_size)

    ours, theirs = BodyLayer(body(name))(*inputs), smplx_output(reference(name), *inputs)

    assert_close(ours.vertices, theirs.vertices, atol=TOLERANCE, rtol=0)
    assert_close(ours.joints, theirs.joints[:, :NUM_JOINTS], atol=TOLERANCE, rtol=0)


def test_layer_computes_the_same_formula_as_smplx():
    inputs = random_input(2, dtype=torch.float64)

    ours = BodyLayer(body("random")).double()(*inputs)
    theirs = smplx_output(reference("random", torch.float64), *inputs)

    assert_close(ours.vertices, theirs.vertices, atol=DOUBLE_TOLERANCE, rtol=0)


@pytest.mark.parametrize(("name", "batch_size"), [("demo", 2), ("random", 2), ("demo", 20)])
def test_gradients_of_vertices_equal_those_of_smplx(name, batch_size):
    layer, theirs = BodyLayer(body(name)), reference(name)
    inputs = random_input(batch_size)

    ours = gradients(lambda *x: layer(*x).vertices, *inputs)
    expected = gradients(lambda *x: smplx_output(theirs, *x).vertices, *inputs)

    for actual, wanted in zip(ours, expected, strict=True):
        assert_close(actual, wanted, atol=TOLERANCE, rtol=0)


def joints_by_way_of_vertices(layer, sets, full_pose, betas):
    output = layer(full_pose, betas)
    parts = [output.joints]
    for item in sets:
        from_joints, from_vertices = map(torch.from_numpy, item)
        parts.append(from_joints @ output.joints + from_vertices @ output.vertices)
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("names", [("coco17",), ("smpl24",), ("coco17", "spin49")])
def test_joints_without_vertices_equal_joints_regressed_from_vertices(batch_size, names):
    model = body("demo")
    sets = [joint_set(model, name) for name in names]
    inputs = random_input(batch_size)

    expected = joints_by_way_of_vertices(BodyLayer(model), sets, *inputs)

    assert_close(JointsLayer(model, names)(*inputs), expected, atol=TOLERANCE, rtol=0)


def test_gradients_of_joints_without_vertices_equal_those_by_way_of_vertices():
    model = body("demo")
    layer, joints_layer = BodyLayer(model), JointsLayer(model)
    sets = [joint_set(model, "coco17")]
    inputs = random_input(2)

    expected = gradients(lambda *x: joints_by_way_of_vertices(layer, sets, *x), *inputs)

    for actual, wanted in zip(gradients(joints_layer, *inputs), expected, strict=True):
        assert_close(actual, wanted, atol=TOLERANCE, rtol=0)


def test_dense_regressor_that_the_user_brings_is_folded_too():
    model = random_body(200)
    regressor = np.random.default_rng(0).dirichlet(np.ones(200), size=17).astype(np.float32)
    lsp14 = joint_set(model, "lsp14", given=regressor)
    inputs = random_input(2)

    expected = joints_by_way_of_vertices(BodyLayer(model), [lsp14], *inputs)

    assert_close(JointsLayer(model, [lsp14])(*inputs), expected, atol=TOLERANCE, rtol=0)


def test_one_body_of_a_batch_does_not_depend_on_the_others():
    layer = BodyLayer(body("demo"))
    full_pose, betas = random_input(5)

    together = layer(full_pose, betas).vertices
    alone = torch.cat([layer(full_pose[i : i + 1], betas[i : i + 1]).vertices for i in range(5)])

    assert_close(together, alone, atol=TOLERANCE, rtol=0)


def test_empty_batch_gives_no_body():
    inputs = random_input(0)

    assert BodyLayer(body("demo"))(*inputs).vertices.shape == (0, 6890, 3)
    assert JointsLayer(body("demo"))(*inputs).shape == (0, 41, 3)


def test_body_at_rest_is_the_template():
    model = body("demo")
    full_pose = torch.eye(3).expand(1, NUM_JOINTS, 3, 3)

    output = BodyLayer(model)(full_pose, torch.zeros(1, 10))

    template = torch.from_numpy(model.v_template)
    rest = torch.from_numpy(model.joint_regressor) @ template
    assert_close(output.vertices[0], template, atol=TOLERANCE, rtol=0)
    assert_close(output.joints[0], rest, atol=TOLERANCE, rtol=0)


def test_gradients_at_rest_are_finite():
    full_pose = torch.eye(3).repeat(1, NUM_JOINTS, 1, 1)
    layer = BodyLayer(body("demo"))

    for gradient in gradients(lambda *x: layer(*x).vertices, full_pose, torch.zeros(1, 10)):
        assert gradient.isfinite().all()


@given(seed=st.integers(0, 2**32 - 1))
def test_turning_the_root_turns_the_whole_body_about_the_pelvis(seed):
    layer = BodyLayer(random_body(50))
    full_pose, betas = random_input(1, seed)
    turn, _ = random_input(1, seed + 1)
    before = layer(full_pose, betas)

    full_pose[:, 0] = turn[:, 0] @ full_pose[:, 0]
    after = layer(full_pose, betas)

    pelvis = before.joints[:, :1]
    turned = (before.vertices - pelvis) @ turn[:, 0].mT + pelvis
    assert_close(after.vertices, turned, atol=TOLERANCE, rtol=0)


def test_views_and_permuted_inputs_give_the_same_body():
    layer = BodyLayer(body("demo"))
    full_pose, betas = random_input(2)
    strided = full_pose.mT.contiguous().mT

    assert_close(layer(strided, betas.T.contiguous().T).vertices, layer(full_pose, betas).vertices)


@pytest.mark.parametrize("make", [BodyLayer, JointsLayer])
@pytest.mark.parametrize(
    ("pose_shape", "betas_shape", "problem"),
    [
        ((2, 23, 3, 3), (2, 10), "full_pose must be"),
        ((2, 72), (2, 10), "full_pose must be"),
        ((2, 24, 3, 3), (2, 300), "betas must be"),
        ((2, 24, 3, 3), (1, 10), "betas must be"),
    ],
)
def test_input_of_another_shape_is_a_mistake_of_the_caller(make, pose_shape, betas_shape, problem):
    layer = make(body("demo"))

    with pytest.raises(ShapeError, match=problem):
        layer(torch.zeros(pose_shape), torch.zeros(betas_shape))
