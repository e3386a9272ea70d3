"""Weights averaged over the steps of a run, with batch norms that fit them.

An average of weights is a network that never took a step, so the statistics that its batch norms
gathered are another network's. They are measured anew on training batches before it is judged.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from smplcli.training.config import ScheduleConfig

T = TypeVar("T")

WeightsKind = Literal["raw", "ema", "swa"]
"""Weights of the last step, their exponential average, or the mean of snapshots."""

AVERAGES: tuple[WeightsKind, ...] = ("ema", "swa")
NORM_BATCHES = 16
"""Training batches over which the statistics of batch norms are measured."""

COUNT = "count"
"""Name of the number of networks in an average, which no parameter has."""


class Average:
    """A mean of a network's parameters, and the buffers that were measured for it.

    Parameters are kept as tensors by name, so nothing of the network itself is ever copied.

    Args:
        network: What is averaged.
        decay: Of the exponential mean; ``None`` for the plain mean of all that was added.
    """

    def __init__(self, network: nn.Module, decay: float | None) -> None:
        self.decay = decay
        self.count = 0
        self._parameters = [name for name, _ in network.named_parameters()]
        self._tensors = {
            name: value.detach().clone() for name, value in network.state_dict().items()
        }
        if decay is None:  # sums: in float64 they are exact
            for name in self._parameters:
                self._tensors[name] = torch.zeros_like(self._tensors[name], dtype=torch.float64)

    def add(self, network: nn.Module) -> None:
        """Take the network's weights into the mean."""
        own = [self._tensors[name] for name in self._parameters]
        values = [value.detach() for value in network.parameters()]
        if self.decay is None:
            for total, value in zip(own, values, strict=True):
                total.add_(value)
        else:
            get_ema_multi_avg_fn(self.decay if self.count else 0.0)(own, values, self.count)
        self.count += 1

    @contextmanager
    def worn_by(self, network: nn.Module) -> Iterator[None]:
        """Give the network these weights until the block ends, then its own again, to the bit."""
        own = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(_means(self.state_dict()))
        try:
            yield
        finally:
            network.load_state_dict(own)

    def keep_buffers(self, network: nn.Module) -> None:
        """Keep what was measured while the network wore these weights."""
        for name, value in network.state_dict().items():
            if name not in self._parameters and value.is_floating_point():
                self._tensors[name] = value.detach().clone()

    def state_dict(self) -> dict[str, Tensor]:
        """Everything to go on from, by name."""
        return {**self._tensors, COUNT: torch.tensor(self.count)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` gave.

        Raises:
            KeyError: It is of another network.
        """
        self.count = int(state[COUNT])
        for name, value in self._tensors.items():
            value.copy_(state[name])


class Averages:
    """The averages that a schedule asks for.

    Args:
        network: What is averaged.
        schedule: Decay of the exponential mean, and when snapshots are taken.

    Source:
        Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI
        2018, for the snapshots (SWA) and the batch norms.
    """

    def __init__(self, network: nn.Module, schedule: ScheduleConfig) -> None:
        self.schedule = schedule
        self.by_kind: dict[WeightsKind, Average] = {}
        if schedule.average:
            self.by_kind["ema"] = Average(network, schedule.average)
        if schedule.swa_start is not None:
            self.by_kind["swa"] = Average(network, None)

    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights that a step led to.

        Args:
            network: The network after the step.
            step: Steps taken so far.
        """
        if "ema" in self.by_kind:
            self.by_kind["ema"].add(network)
        if self.schedule.is_snapshot(step):
            self.by_kind["swa"].add(network)

    def begun(self) -> dict[WeightsKind, Average]:
        """Averages of at least one network."""
        return {kind: average for kind, average in self.by_kind.items() if average.count}

    def state_dict(self) -> dict[str, Tensor]:
        """Everything to go on from: names begin with the kind and a dot."""
        return {
            f"{kind}.{name}": value
            for kind, average in self.by_kind.items()
            for name, value in average.state_dict().items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` gave.

        Raises:
            KeyError: It is of another network, or lacks an average.
        """
        for kind, average in self.by_kind.items():
            average.load_state_dict(_part(state, kind))


def weights_of(state: Mapping[str, Tensor], kind: WeightsKind) -> dict[str, Tensor]:
    """Weights of one average from the state of all, under the network's own names.

    Empty if there is none, or nothing was added to it yet.
    """
    part = _part(state, kind)
    return _means(part) if part and part[COUNT] else {}


def _part(state: Mapping[str, Tensor], kind: WeightsKind) -> dict[str, Tensor]:
    prefix = f"{kind}."
    return {
        name.removeprefix(prefix): value
        for name, value in state.items()
        if name.startswith(prefix)
    }


def _means(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    count = int(state[COUNT])
    return {
        name: (value / count).float() if value.dtype == torch.float64 else value
        for name, value in state.items()
        if name != COUNT
    }


def measure_norms(
    network: nn.Module, batches: Iterable[T], forward: Callable[[T], object]
) -> None:
    """Replace the statistics of batch norms by their means over batches; frozen norms keep theirs.

    Args:
        network: The network, whose mode is as before afterwards.
        batches: Training batches, of one size.
        forward: Passes a batch through the network.
    """
    was_training = network.training
    set_training(network)
    norms = [norm for norm in _norms(network) if norm.training]
    momenta = [norm.momentum for norm in norms]
    try:
        for index, batch in enumerate(batches):
            for norm in norms:
                norm.momentum = 1 / (index + 1)
            with torch.no_grad():
                forward(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(was_training)


def has_norms(network: nn.Module) -> bool:
    """Whether a network has batch norms that learn statistics."""
    return any(not _is_frozen(norm) for norm in _norms(network))


def set_training(network: nn.Module) -> None:
    """Put a network into training mode, but for batch norms that are frozen."""
    network.train()
    for norm in _norms(network):
        if _is_frozen(norm):
            norm.eval()


def _norms(network: nn.Module) -> list[_BatchNorm]:
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


def _is_frozen(norm: _BatchNorm) -> bool:
    return any(not parameter.requires_grad for parameter in norm.parameters())
