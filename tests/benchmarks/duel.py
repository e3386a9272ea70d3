"""Timing two ways of one job side by side."""

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import NamedTuple

ROUNDS = 9
ROUND_SECONDS = 0.15


class Duel(NamedTuple):
    """One job, ours and the way it is usually done."""

    job: str
    ours: Callable[[], object]
    beside: str = ""
    theirs: Callable[[], object] | None = None
    reach: float | None = None
    """How many times faster ours must be."""


class Outcome(NamedTuple):
    """Milliseconds per call; the ratio is the median over rounds in which both ran."""

    ours: float
    theirs: float | None
    ratio: float | None


def fight(duel: Duel) -> Outcome:
    """Time both sides in turns, so that whatever else the machine does meets both alike."""
    if duel.theirs is None:
        repeats = _repeats(duel.ours)
        return Outcome(median(_time(duel.ours, repeats) for _ in range(ROUNDS)), None, None)
    repeats = _repeats(duel.ours), _repeats(duel.theirs)
    rounds = [
        (_time(duel.ours, repeats[0]), _time(duel.theirs, repeats[1])) for _ in range(ROUNDS)
    ]
    ours, theirs = (median(side) for side in zip(*rounds, strict=True))
    return Outcome(ours, theirs, median(theirs / ours for ours, theirs in rounds))


def _repeats(call: Callable[[], object]) -> int:
    call()
    return max(1, round(1000 * ROUND_SECONDS / _time(call, 1)))


def _time(call: Callable[[], object], repeats: int) -> float:
    gc.collect()
    start = perf_counter()
    for _ in range(repeats):
        call()
    return 1000 * (perf_counter() - start) / repeats
