"""The body layer beside smplx."""

import contextlib
import functools
import types
from collections.abc import Callable, Iterator

import numpy as np
import smplx
import torch
from torch import Tensor

from smplcli.body.files import load_body
from smplcli.body.joint_sets import joint_regressor
from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.body.model import BodyModel
from smplcli.rotations import aa_to_rotmat
from tests.benchmarks.duel import Duel

JOINT_SET = "coco17"


def duels() -> Iterator[Duel]:
    """Vertices, joints, and joints with their gradients."""
    model = load_body()
    layer, joints_layer = BodyLayer(model), JointsLayer(model, [JOINT_SET])
    regressor = torch.from_numpy(joint_regressor(model, JOINT_SET))
    for batch, reach in ((1, 2.5), (64, 3.0), (512, 5.0)):
        pose, betas = _random_bodies(batch)
        reference = _smplx(model, batch)
        yield Duel(
            f"body, vertices, batch {batch}",
            _without_gradient(functools.partial(layer, pose, betas)),
            "smplx",
            _without_gradient(functools.partial(_vertices, reference, pose, betas)),
            reach,
        )
    pose, betas = _random_bodies(64)
    reference = _smplx(model, 64)
    ours = functools.partial(joints_layer, pose, betas)
    theirs = functools.partial(_regressed, reference, regressor, pose, betas)
    against = "smplx + regressor"
    yield Duel(
        "body, 24 + 17 joints, batch 64",
        _without_gradient(ours),
        against,
        _without_gradient(theirs),
        30,
    )
    yield Duel(
        "body, 24 + 17 joints, forward and backward, batch 64",
        functools.partial(_backward, ours, pose, betas),
        against,
        functools.partial(_backward, theirs, pose, betas),
        20,
    )


def _random_bodies(batch: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(batch)
    angles = 0.4 * torch.randn(batch, 24, 3, generator=generator)
    return aa_to_rotmat(angles), torch.randn(batch, 10, generator=generator)


def _smplx(model: BodyModel, batch: int) -> smplx.SMPL:
    arrays = types.SimpleNamespace(
        v_template=model.v_template,
        shapedirs=model.shapedirs,
        posedirs=model.posedirs,
        J_regressor=model.joint_regressor,
        weights=model.weights,
        kintree_table=np.stack([model.parents, np.arange(24)]),
        f=model.faces,
    )
    ids = dict(model.vertex_ids)
    with contextlib.redirect_stdout(None):  # it warns about bodies with 10 betas
        return smplx.SMPL("", data_struct=arrays, vertex_ids=ids, batch_size=batch)


def _vertices(body: smplx.SMPL, pose: Tensor, betas: Tensor) -> Tensor:
    return body(
        betas=betas, global_orient=pose[:, :1], body_pose=pose[:, 1:], pose2rot=False
    ).vertices


def _regressed(body: smplx.SMPL, regressor: Tensor, pose: Tensor, betas: Tensor) -> Tensor:
    output = body(betas=betas, global_orient=pose[:, :1], body_pose=pose[:, 1:], pose2rot=False)
    return torch.cat([output.joints[:, :24], regressor @ output.vertices], dim=1)


def _without_gradient(call: Callable[[], object]) -> Callable[[], object]:
    return torch.inference_mode()(call)


def _backward(joints: Callable[[], Tensor], pose: Tensor, betas: Tensor) -> None:
    leaves = pose.requires_grad_(), betas.requires_grad_()
    torch.autograd.grad(joints().square().sum(), leaves)
