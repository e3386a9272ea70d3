"""Errors of a whole test set beside loops over its samples and thresholds."""

import functools
from collections.abc import Iterator

import numpy as np

from smplcli.conventions import METRES_TO_MM
from smplcli.evaluation.bootstrap import Units, mean_intervals
from smplcli.evaluation.metrics import auc, pa_mpjpe
from smplcli.types import Floats
from tests.benchmarks.duel import Duel

NUM_SAMPLES, NUM_JOINTS = 35_515, 14
"""The test split of 3DPW on the joints of LSP."""

NUM_MAJOR = 12
"""Joints of the 3DPW challenge's PCK and AUC."""

NUM_METRICS, NUM_SEQUENCES = 25, 24
"""Numbers of the four protocols of 3DPW, and sequences of its test split."""


def duels() -> Iterator[Duel]:
    """Three, after the sides of each were found to agree."""
    rng = np.random.default_rng(0)
    gt = rng.normal(size=(NUM_SAMPLES, NUM_JOINTS, 3))
    pred = gt + 0.1 * rng.normal(size=gt.shape)
    np.testing.assert_allclose(pa_mpjpe(pred[:500], gt[:500]), _loop(pred[:500], gt[:500]))
    yield Duel(
        "PA-MPJPE of 35,515 x 14 joints",
        functools.partial(pa_mpjpe, pred, gt),
        "loop over samples",
        functools.partial(_loop, pred, gt),
        10,
    )
    errors = 80 * rng.random((NUM_SAMPLES, NUM_MAJOR))
    np.testing.assert_allclose(auc(errors).mean(), _auc_by_thresholds(errors))
    yield Duel(
        "AUC of 35,515 x 12 joints",
        functools.partial(auc, errors),
        "PCK at each of 200 thresholds",
        functools.partial(_auc_by_thresholds, errors),
    )
    values = rng.random((NUM_SAMPLES, NUM_METRICS))
    units = Units(np.arange(NUM_SAMPLES) % NUM_SEQUENCES, NUM_SEQUENCES, "sequence")
    yield Duel(
        "95 % intervals of 25 means over 24 sequences",
        functools.partial(mean_intervals, values, np.ones_like(values), units),
    )


def _loop(pred: Floats, gt: Floats) -> Floats:
    pairs = zip(pred, gt, strict=True)
    return METRES_TO_MM * np.array([_aligned_error(*pair) for pair in pairs])


def _aligned_error(pred: Floats, gt: Floats) -> float:
    """Mean distance after the similarity transform of Umeyama (PAMI 1991), equations 40-42."""
    pred_centre, gt_centre = pred.mean(axis=0), gt.mean(axis=0)
    source, target = pred - pred_centre, gt - gt_centre
    u, spread, vt = np.linalg.svd(target.T @ source)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (spread * signs).sum() / np.square(source).sum()
    aligned = scale * source @ ((u * signs) @ vt).T
    return float(np.linalg.norm(aligned - target, axis=1).mean())


def _auc_by_thresholds(errors: Floats) -> float:
    thresholds = np.arange(200.0)
    shares = [(errors <= threshold).mean() for threshold in thresholds]
    return float(100 * np.trapezoid(shares, thresholds / thresholds[-1]))
