"""Metrics against hand-worked values, an independent solver and their own invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from smplcli.errors import ShapeError
from smplcli.evaluation.metrics import mpjae, mpjpe, pa_mpjpe, procrustes_align, pve

SEEDS = st.integers(0, 2**32 - 1)
ROUNDING_MM = 1e-6
"""Joints are about a metre apart and doubles hold 16 digits; nine orders of magnitude remain."""


def joints(seed, *, batch=2, num_joints=24):
    return np.random.default_rng(seed).normal(size=(batch, num_joints, 3))


def turns(seed, *shape):
    vectors = np.random.default_rng(seed).normal(scale=2.0, size=(int(np.prod(shape)), 3))
    return Rotation.from_rotvec(vectors).as_matrix().reshape(*shape, 3, 3)


def test_mpjpe_of_one_joint_24_mm_off_is_1_mm():
    gt = joints(0, batch=1)
    pred = gt.copy()
    pred[0, 7] += [0.0, 0.024, 0.0]

    assert mpjpe(pred, gt) == pytest.approx([1.0], abs=ROUNDING_MM)


def test_mpjpe_counts_a_wrong_root_against_every_other_joint():
    gt = joints(0, batch=1)
    pred = gt.copy()
    pred[0, 0] += [0.003, 0.0, 0.004]

    assert mpjpe(pred, gt) == pytest.approx([23 / 24 * 5], abs=ROUNDING_MM)


def test_mpjpe_without_a_root_compares_absolute_positions():
    gt = joints(0)

    assert mpjpe(gt + [0.0, 0.0, 2.0], gt, root=None) == pytest.approx([2000.0, 2000.0])
    assert mpjpe(gt + [0.0, 0.0, 2.0], gt) == pytest.approx([0.0, 0.0], abs=ROUNDING_MM)


def test_mpjpe_refuses_arrays_that_do_not_pair():
    with pytest.raises(ShapeError, match=r"\(2, 24, 3\) and \(2, 14, 3\)"):
        mpjpe(joints(0), joints(0, num_joints=14))


@settings(deadline=None, max_examples=50)
@given(seed=SEEDS, scale=st.floats(0.01, 100.0))
def test_pa_mpjpe_ignores_rotation_translation_and_scale(seed, scale):
    rng = np.random.default_rng(seed)
    gt = joints(seed)
    pred = scale * gt @ turns(seed, 1)[0].T + rng.normal(size=(2, 1, 3))

    assert pa_mpjpe(pred, gt) == pytest.approx([0.0, 0.0], abs=ROUNDING_MM)


@settings(deadline=None, max_examples=50)
@given(seed=SEEDS)
def test_procrustes_finds_the_rotation_that_an_independent_solver_finds(seed):
    pred, gt = joints(seed, batch=1), joints(seed + 1, batch=1)
    x, y = (points[0] - points[0].mean(axis=0) for points in (pred, gt))
    turned = Rotation.align_vectors(y, x)[0].apply(x)
    by_hand = (turned * y).sum() / (turned**2).sum() * turned + gt[0].mean(axis=0)

    aligned = procrustes_align(pred, gt)[0]

    assert aligned == pytest.approx(by_hand, abs=1e-9)


def test_pa_mpjpe_does_not_mirror():
    gt = joints(0, batch=1)

    assert pa_mpjpe(gt * [-1, 1, 1], gt)[0] > 100


def test_a_fit_that_may_mirror_would_hide_that_error():
    gt = joints(0, batch=1)[0]
    mirrored, centred = (points - points.mean(axis=0) for points in (gt * [-1, 1, 1], gt))
    left, _, right = np.linalg.svd(mirrored.T @ centred)

    assert np.linalg.det(left @ right) < 0
    assert mirrored @ left @ right == pytest.approx(centred, abs=1e-9)


@pytest.mark.parametrize("axes", [1, 2], ids=["on a line", "in a plane"])
def test_pa_mpjpe_handles_flat_people(axes):
    gt = joints(3)
    gt[..., axes:] = 0.0

    assert pa_mpjpe(2.0 * gt @ turns(4, 1)[0], gt) == pytest.approx([0.0, 0.0], abs=ROUNDING_MM)


def test_a_collapsed_prediction_scores_the_spread_of_the_truth():
    gt = joints(5, batch=3)
    pred = joints(6, batch=3)
    pred[0] = 0.0
    pred[1] = [0.1, 0.2, 1000.3]
    spread = 1000 * np.linalg.norm(gt - gt.mean(axis=1, keepdims=True), axis=-1).mean(axis=-1)

    error = pa_mpjpe(pred, gt)

    assert error[:2] == pytest.approx(spread[:2])
    assert error[2] == pa_mpjpe(pred[2:], gt[2:])[0]


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("metric", [mpjpe, pa_mpjpe])
@pytest.mark.parametrize("side", ["prediction", "truth"])
def test_one_poisoned_sample_fails_alone(metric, poison, side):
    pred, gt = joints(7, batch=4), joints(8, batch=4)
    clean = metric(pred, gt)
    (pred if side == "prediction" else gt)[2, 5, 1] = poison

    error = metric(pred, gt)

    assert np.isnan(error[2])
    assert error[[0, 1, 3]].tolist() == clean[[0, 1, 3]].tolist()


def test_pve_moves_both_bodies_to_their_own_root():
    gt, roots = joints(9, num_joints=50), joints(10, num_joints=1)[:, 0]
    pred = gt + [0.0, 0.0, 3.0]

    assert pve(pred, gt, pred_root=roots + [0, 0, 3], gt_root=roots) == pytest.approx(
        [0.0, 0.0], abs=ROUNDING_MM
    )
    assert pve(gt, gt, pred_root=roots + [0, 0.006, 0.008], gt_root=roots) == pytest.approx(
        [10.0, 10.0]
    )


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 1.0, 90.0, 179.9999, 180.0])
def test_mpjae_measures_the_angle_at_any_size(degrees):
    gt = turns(11, 2, 9)
    twist = Rotation.from_rotvec([0.0, np.radians(degrees), 0.0]).as_matrix()

    assert mpjae(twist @ gt, gt) == pytest.approx([degrees, degrees], abs=1e-9)


def test_mpjae_averages_over_parts():
    gt = turns(12, 1, 9)
    pred = gt.copy()
    pred[0, 4] = Rotation.from_rotvec([0.5 * np.pi, 0, 0]).as_matrix() @ gt[0, 4]

    assert mpjae(pred, gt) == pytest.approx([10.0])


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS)
def test_every_metric_is_zero_on_the_truth_itself(seed):
    gt, rotations = joints(seed), turns(seed, 2, 9)

    assert mpjpe(gt, gt).tolist() == [0.0, 0.0]
    assert pve(gt, gt, pred_root=gt[:, 0], gt_root=gt[:, 0]).tolist() == [0.0, 0.0]
    assert pa_mpjpe(gt, gt) == pytest.approx([0.0, 0.0], abs=ROUNDING_MM)
    assert mpjae(rotations, rotations) == pytest.approx([0.0, 0.0], abs=1e-9)
