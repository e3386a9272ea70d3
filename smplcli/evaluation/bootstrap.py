"""Confidence intervals of means by resampling, the same on every run.

Source:
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3 (percentiles).
"""

from typing import NamedTuple

import numpy as np

from smplcli.types import Floats, Ints

LEVEL = 95
RESAMPLES = 1000
SEED = 0
CHUNK = 50
"""Resamples drawn at a time, so that memory stays flat."""


class Units(NamedTuple):
    """What is drawn: sequences where there are some, since their frames are much alike."""

    of_sample: Ints
    """(N,) number of the unit that a sample is of."""

    size: int
    """How many units there are."""

    kind: str
    """``sequence`` or ``sample``."""


def mean_intervals(values: Floats, weights: Floats, units: Units) -> Floats:
    """Intervals that the means would be found in again.

    Args:
        values: (N, M) numbers of N samples.
        weights: (N, M) how much each counts, 0 where a sample has no number.
        units: What is drawn; those without any weight are left out, metric by metric.

    Returns:
        (M, 2) lower and upper end at `LEVEL` percent; NaN where fewer than two units count.
    """
    known = np.where(weights > 0, values, 0.0) * weights
    sums, totals = (_by_unit(columns, units) for columns in (known, weights))
    result = np.full((values.shape[1], 2), np.nan)
    patterns, pattern_of = np.unique(totals > 0, axis=1, return_inverse=True)
    for number, present in enumerate(patterns.T):
        columns = np.flatnonzero(pattern_of.reshape(-1) == number)
        if present.sum() >= 2:
            result[columns] = _intervals(sums[present][:, columns], totals[present][:, columns])
    return result


def _by_unit(columns: Floats, units: Units) -> Floats:
    sums = np.zeros((units.size, columns.shape[1]))
    np.add.at(sums, units.of_sample, columns)
    return sums


def _intervals(sums: Floats, totals: Floats) -> Floats:
    rng = np.random.default_rng(SEED)
    count = len(sums)
    means = []
    for _ in range(RESAMPLES // CHUNK):
        drawn = rng.integers(count, size=(CHUNK, count))
        drawn += count * np.arange(CHUNK)[:, None]
        times = np.bincount(drawn.ravel(), minlength=CHUNK * count).reshape(CHUNK, count)
        means.append((times @ sums) / (times @ totals))
    tail = (100 - LEVEL) / 2
    ends: Floats = np.percentile(np.concatenate(means), [tail, 100 - tail], axis=0).T
    return ends
