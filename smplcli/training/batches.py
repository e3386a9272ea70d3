"""Which samples a step sees: a function of seed and step, so that a run can go on anywhere."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from smplcli.types import Ints


class StepBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) keys from a given step on.

    Every epoch visits all samples once in an order of its own; a batch may span two epochs.
    """

    def __init__(self, *, count: int, batch_size: int, seed: int, steps: range) -> None:
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.steps = steps

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = -1
        order: Ints = np.empty(0, dtype=np.int64)
        for step in self.steps:
            batch = []
            for position in range(step * self.batch_size, (step + 1) * self.batch_size):
                if position // self.count != epoch:
                    epoch = position // self.count
                    order = epoch_order(self.count, seed=self.seed, epoch=epoch)
                batch.append((epoch, int(order[position % self.count])))
            yield batch


def epoch_order(count: int, *, seed: int, epoch: int) -> Ints:
    """Order of the samples in an epoch, (count,)."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(count)
