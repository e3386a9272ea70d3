"""PA-MPJPE of a whole test set beside a loop over its samples."""

import functools
from collections.abc import Iterator

import numpy as np

from smplcli.conventions import METRES_TO_MM
from smplcli.evaluation.metrics import pa_mpjpe
from smplcli.types import Floats
from tests.benchmarks.duel import Duel

NUM_SAMPLES, NUM_JOINTS = 35_515, 14
"""The test split of 3DPW on the joints of LSP."""


def duels() -> Iterator[Duel]:
    """One, after both sides were found to agree."""
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
