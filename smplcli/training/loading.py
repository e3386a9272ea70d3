"""The pictures of a run's steps, decoded and augmented beside the steps or between them."""

import logging
from collections.abc import Iterator

import cv2
import torch
from torch.utils.data import DataLoader, Sampler

from smplcli.datasets.samples import Sample
from smplcli.errors import ResourceError
from smplcli.training.distributed import Ranks
from smplcli.training.mixing import recipe_batches
from smplcli.training.run import Run
from smplcli.training.signals import ignore_signals, signals_blocked

log = logging.getLogger(__name__)

RESTARTS = 3
"""How often lost worker processes are replaced."""


class OwnShare(Sampler[list[tuple[int, int]]]):
    """This process's part of every batch: all parts together are the batch.

    Args:
        batches: What all processes work on together.
        ranks: Which of them this is.
    """

    def __init__(self, batches: Sampler[list[tuple[int, int]]], ranks: Ranks) -> None:
        self.batches = batches
        self.ranks = ranks

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in self.batches:
            yield batch[self.ranks.number :: self.ranks.size]


def pictures(run: Run, first: int) -> Iterator[Sample]:
    """This process's share of the pictures of every step from ``first`` on.

    Worker processes that die are replaced, and the step is begun again with the same pictures.

    Raises:
        ResourceError: They die again and again.
    """
    restarts = 0
    while True:
        try:
            with signals_blocked():
                batches = iter(_loader(run, first))
            for batch in batches:
                yield batch
                first += 1
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            if restarts == RESTARTS:
                raise ResourceError(
                    f"workers died {restarts + 1} times: {error}",
                    hint="Lower --workers, or give the machine or /dev/shm more memory.",
                ) from error
            restarts += 1
            log.warning("a worker died at step %d and is replaced: %s", first, error)
        else:
            return


def _loader(run: Run, first: int) -> DataLoader[Sample]:
    steps = range(first, run.recipe.schedule.steps)
    batches = OwnShare(recipe_batches(run.recipe, run.samples.split, steps), run.ranks)
    return DataLoader(
        run.samples,
        sampler=batches,
        batch_size=None,  # keys come in batches, and so do samples
        num_workers=run.workers,
        pin_memory=run.device.type == "cuda",
        worker_init_fn=_prepare_worker,
    )


def _prepare_worker(worker: int) -> None:
    """A worker computes on one thread and leaves stopping to its parent."""
    ignore_signals(worker)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
