"""Sharing samples among the processes that torchrun starts, and putting the parts together."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import torch
from torch import distributed

from smplcli.types import Floats, Ints

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others; one may have the slowest samples."""


class Rank(NamedTuple):
    """One of the processes that work together."""

    number: int = 0
    size: int = 1
    """How many processes there are."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes what all have found."""
        return self.number == 0

    def share(self, batches: Sequence[Ints]) -> list[Ints]:
        """Batches that are this process's; those of all are the batches that one would have."""
        return list(batches[self.number :: self.size])

    def gather(self, array: Floats, batches: Sequence[Ints]) -> Floats:
        """Rows that each process has filled in, on all of them.

        Args:
            array: (N, ...) of which this process knows the rows of its share.
            batches: All batches; together, each row once.
        """
        if self.size == 1:
            return array
        summed = torch.from_numpy(own_rows(array, self.share(batches)))
        distributed.all_reduce(summed)
        gathered: Floats = summed.numpy()
        return gathered


def own_rows(array: Floats, batches: Sequence[Ints]) -> Floats:
    """An array with zeros in all rows but those of some batches: the sum over all shares is whole.

    One number and zeros are added, so that nothing is rounded and NaN stays NaN.
    """
    own = np.zeros_like(array)
    for rows in batches:
        own[rows] = array[rows]
    return own


@contextmanager
def joined() -> Iterator[Rank]:
    """Work with the processes that torchrun started beside this one, or alone."""
    if not distributed.is_available() or not distributed.is_torchelastic_launched():
        yield Rank()
        return
    distributed.init_process_group("gloo", timeout=TIMEOUT)
    try:
        yield Rank(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
