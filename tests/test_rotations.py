import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from smplcli.rotations import (
    aa_jacobian,
    aa_to_rotmat,
    mirror_rotmat,
    nearest_rotation,
    rot6d_to_rotmat,
    rotmat_to_aa,
    rotmat_to_rot6d,
)

SEEDS = st.integers(0, 2**31)
DEGENERATE_6D = {
    "zero": [0.0] * 6,
    "parallel": [1.0, 2, 3, 2, 4, 6],
    "opposite": [1.0, 2, 3, -1, -2, -3],
    "nearly_parallel": [1.0, 2, 3, 1, 2, 3.0001],
    "denormal": [1e-40] * 6,
    "huge": [1e30, 2e30, 0, 0, 1e30, 1e30],
    "second_missing": [0.0, 0, 1, 0, 0, 0],
}


def _random_aa(seed: int, *, scale: float = 1.0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(5, 3, generator=generator, dtype=dtype)


@settings(deadline=None)
@given(seed=SEEDS, scale=st.sampled_from([1e-9, 1e-4, 0.3, 1.2]))
def test_axis_angle_survives_the_way_to_matrices_and_back(seed, scale):
    aa = _random_aa(seed, scale=scale)
    angle = aa.norm(dim=-1, keepdim=True)
    shortest = aa * (1 - 2 * math.pi / angle * (angle > math.pi))

    there_and_back = rotmat_to_aa(aa_to_rotmat(aa))

    torch.testing.assert_close(there_and_back, shortest, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("axis", [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.6, 0, -0.8]])
def test_half_turns_survive_the_way_to_axis_angle_and_back(axis):
    rotmat = aa_to_rotmat(math.pi * torch.tensor(axis, dtype=torch.float64))

    torch.testing.assert_close(aa_to_rotmat(rotmat_to_aa(rotmat)), rotmat)


@settings(deadline=None)
@given(seed=SEEDS)
def test_rotation_matrices_are_orthonormal_and_proper(seed):
    rotmat = aa_to_rotmat(_random_aa(seed))

    torch.testing.assert_close(rotmat @ rotmat.mT, torch.eye(3).double().expand(5, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotmat), torch.ones(5).double())


def test_quarter_turn_about_z_carries_x_to_y():
    rotmat = aa_to_rotmat(torch.tensor([0.0, 0, math.pi / 2]))

    torch.testing.assert_close(rotmat @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


def test_axis_angle_has_right_gradients_everywhere_even_at_zero():
    aa = torch.cat([_random_aa(0), torch.zeros(1, 3).double()]).requires_grad_()

    assert torch.autograd.gradcheck(aa_to_rotmat, aa)


def test_6d_form_is_the_first_two_columns_one_after_the_other():
    rotmat = aa_to_rotmat(_random_aa(1))

    rot6d = rotmat_to_rot6d(rotmat)

    assert torch.equal(rot6d[..., :3], rotmat[..., :, 0])
    torch.testing.assert_close(rot6d_to_rotmat(rot6d), rotmat)


@pytest.mark.parametrize("name", DEGENERATE_6D)
def test_degenerate_6d_gives_a_rotation_and_finite_gradients(name):
    rot6d = torch.tensor(DEGENERATE_6D[name], requires_grad=True)

    rotmat = rot6d_to_rotmat(rot6d)
    rotmat.sum().backward()

    torch.testing.assert_close(rotmat @ rotmat.mT, torch.eye(3), atol=1e-5, rtol=0)
    assert torch.linalg.det(rotmat).item() == pytest.approx(1, abs=1e-5)
    assert rot6d.grad is not None
    assert rot6d.grad.isfinite().all()


def test_common_6d_form_fails_where_ours_holds():
    first = torch.zeros(3) / torch.zeros(3).norm()

    assert not first.isfinite().all()


def test_mirroring_twice_changes_nothing():
    rotmat = aa_to_rotmat(_random_aa(2))

    torch.testing.assert_close(mirror_rotmat(mirror_rotmat(rotmat)), rotmat)


def test_mirrored_axis_angle_keeps_x_and_negates_y_and_z():
    aa = _random_aa(3, scale=0.5)

    mirrored = rotmat_to_aa(mirror_rotmat(aa_to_rotmat(aa)))

    torch.testing.assert_close(mirrored, aa * torch.tensor([1.0, -1, -1]).double())


def test_the_mean_of_two_rotations_is_a_rotation_half_way():
    first, second = Rotation.from_euler("z", [[10], [50]], degrees=True).as_matrix()

    mean = nearest_rotation(torch.from_numpy(first + second)).numpy()

    assert mean == pytest.approx(Rotation.from_euler("z", 30, degrees=True).as_matrix())


@settings(deadline=None)
@given(seed=SEEDS, scale=st.sampled_from([1e-9, 1e-3, 0.02, 0.7, 1.5]))
def test_the_jacobian_of_axis_angle_is_its_derivative(seed, scale):
    aa = _random_aa(seed, scale=scale)
    change = 1e-6 * _random_aa(seed + 1)

    exact = aa_to_rotmat(aa - change).mT @ aa_to_rotmat(aa + change)
    linear = 2 * (aa_jacobian(aa) @ change[..., None]).squeeze(-1)

    assert rotmat_to_aa(exact) == pytest.approx(linear, abs=1e-10)
