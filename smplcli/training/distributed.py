"""Processes that train one network together, each on its share of every batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.elastic.utils.api import get_env_variable_or_raise
from torch.distributed.rendezvous import rendezvous

from smplcli.errors import ConfigError, LostProcessError, SmplCliError
from smplcli.training.config import Recipe

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others; one may have the slowest samples."""


class Ranks(NamedTuple):
    """This process among those that train together."""

    number: int = 0
    size: int = 1
    """How many processes there are."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes what all have found."""
        return self.number == 0

    def agree(self, value: Callable[[], T]) -> T:
        """What the first process finds, on all of them; only the first one looks.

        Raises:
            SmplCliError: It found that something is wrong; all of them raise it.
        """
        box: list[Any] = [None, None]
        if self.is_first:
            try:
                box[0] = value()
            except SmplCliError as error:
                box[1] = error
        if self.size > 1:
            distributed.broadcast_object_list(box)
        if box[1] is not None:
            raise box[1]
        found: T = box[0]
        return found

    def any(self, flag: bool) -> bool:  # noqa: FBT001 - nothing else could be asked
        """Whether it is so on one of them at least."""
        if self.size == 1:
            return flag
        flags = torch.tensor(int(flag))
        distributed.all_reduce(flags, distributed.ReduceOp.MAX)
        return bool(flags)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes, on all of them."""
        if self.size == 1:
            return values
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed / self.size

    def gather(self, items: list[T]) -> list[T]:
        """Items of all processes, on all of them."""
        if self.size == 1:
            return items
        parts: list[list[T]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(parts, items)
        return [item for part in parts for item in part]

    def align(self, module: nn.Module) -> None:
        """Give all processes the first one's parameters and buffers."""
        if self.size > 1:
            for value in module.state_dict().values():
                distributed.broadcast(value, 0)


def check_shares(recipe: Recipe, ranks: Ranks) -> None:
    """Every process must have as many samples of each batch.

    Raises:
        ConfigError: A batch cannot be shared evenly.
    """
    for key in ("batch_size", "lifting_batch"):
        count = getattr(recipe.schedule, key)
        if count % ranks.size:
            raise ConfigError(
                f"schedule.{key} cannot be shared by {ranks.size} processes: {count}",
                hint="Choose a number of processes that divides it.",
            )


def shared_count(count: Tensor) -> Tensor:
    """Labels that a mean over all processes' batches divides by, per process; at least one in all.

    The mean over processes of sums divided by it is the mean over all their labels, however
    unevenly these are spread.
    """
    if not distributed.is_initialized():
        return count.clamp(min=1)
    total = count.detach().float()
    distributed.all_reduce(total)
    return total.clamp(min=1) / distributed.get_world_size()


@contextmanager
def trained_together(device: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """Join the processes that torchrun started beside this one, if it was torchrun.

    Args:
        device: What to compute on; each process takes a GPU of its own.

    Yields:
        This process's place, and its device.

    Raises:
        ConfigError: There are fewer GPUs than processes on this machine.
    """
    if not distributed.is_available() or not distributed.is_torchelastic_launched():
        yield Ranks(), device
        return
    device = _own_device(device)
    _join(device)
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size()), device
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        raise LostProcessError(
            "another process of this run has ended",
            hint="What it said, or the system's log, tells why; the same command goes on from "
            "the last checkpoint.",
        ) from error
    finally:
        distributed.destroy_process_group()


def _own_device(device: torch.device) -> torch.device:
    """This process's GPU, or the processor."""
    if device.type != "cuda":
        return device
    index = distributed.get_node_local_rank()
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"process {index + 1} finds {torch.cuda.device_count()} GPUs on this machine",
            hint="Start one process per GPU, or pass --device cpu.",
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def _join(device: torch.device) -> None:
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, number, size = next(rendezvous("env://", timeout=TIMEOUT))
    # The launcher keeps one store for all its attempts: what those before said must not be heard.
    attempt = get_env_variable_or_raise("TORCHELASTIC_RESTART_COUNT")
    store = PrefixStore(f"attempt-{attempt}", store)
    distributed.init_process_group(
        backend, store=store, rank=number, world_size=size, timeout=TIMEOUT
    )


def _is_loss(error: RuntimeError) -> bool:
    """Whether the processes could no longer talk to each other."""
    text = str(error)
    return isinstance(error, distributed.DistBackendError) or any(
        sign in text for sign in ("Connection closed by peer", "Connection reset", "gloo")
    )
