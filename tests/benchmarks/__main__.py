"""Print how long the hot paths take: ``nox -s bench``.

The machine is never idle, so the ratio is the result; the milliseconds only show the order.
"""

import platform

import torch

from tests.benchmarks import (
    body,
    metrics,
    network,
    predict,
    prepare,
    rendering,
    startup,
    training,
)
from tests.benchmarks.duel import fight

MODULES = (startup, metrics, body, rendering, prepare, network, training, predict)
ROW = "{:<54} {:>9} {:>9} {:>7} {:>6}  {}"


def main() -> None:
    """Run all duels and print a line for each."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread, {platform.platform()}")
    print(ROW.format("", "ours ms", "theirs ms", "ratio", "reach", "theirs"))
    for module in MODULES:
        for duel in module.duels():
            ours, theirs, ratio = fight(duel)
            cells = (f"{ours:.2f}", _cell(theirs, ".2f"), _cell(ratio, ".1f"))
            print(ROW.format(duel.job, *cells, _cell(duel.reach, "g"), duel.beside), flush=True)


def _cell(number: float | None, form: str) -> str:
    return "" if number is None else format(number, form)


if __name__ == "__main__":
    main()
