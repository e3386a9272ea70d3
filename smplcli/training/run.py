"""What a training run works on, and what it has come to so far."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import nn
from torch.optim import Adam, Optimizer

from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.datasets.samples import SampleSet
from smplcli.errors import ConfigError
from smplcli.models.movenet import MoveNetFeatures
from smplcli.models.network import Network
from smplcli.training.averaging import Averages
from smplcli.training.config import Recipe
from smplcli.training.distributed import Ranks
from smplcli.training.precision import frozen_dtype

T = TypeVar("T")


class Through(Protocol):
    """Hands out the items it was given, one by one."""

    def __call__(self, items: Iterable[T], label: str, /) -> Iterable[T]:
        """Pass ``items`` through under a label of one or two words."""
        ...


@dataclass(slots=True)
class Run:
    """One training run: what it works on and what it has reached."""

    recipe: Recipe
    run_dir: Path
    network: Network
    samples: SampleSet
    joints: JointsLayer
    validate: Callable[[Network, Through], dict[str, float]]
    """Errors of a network on the validation split, ``pa_mpjpe`` of which decides which is best;
    its batches go through the second argument, which may end it by an exception."""

    on_best: Callable[[Network, dict[str, Any]], None]
    """Called with the network whenever it is the best so far, and with its ``step``, the kind of
    ``weights`` that it wears, and their errors in ``validation``."""

    has_best: Callable[[], bool]
    """Whether what ``on_best`` wrote is still there."""

    facts: dict[str, Any]
    """What checkpoints say of the run: recipe, data, versions; JSON-like."""

    device: torch.device
    workers: int = 0
    body: BodyLayer | None = None
    """For the loss on vertices, if the recipe has one."""

    ranks: Ranks = field(default_factory=Ranks)
    """The processes that train together."""

    on_log: Callable[[Mapping[str, object]], None] | None = None
    """Hears of every line of the log."""

    on_judged: Callable[[Network, int], None] | None = None
    """Called after every validation with its step and the network, wearing its best weights."""

    history: list[dict[str, Any]] = field(default_factory=list)
    """Validations so far: errors of the best ``weights`` of each ``step``."""

    skipped: list[int] = field(default_factory=list)
    """Steps that changed nothing because a number was not finite."""

    rollbacks: list[int] = field(default_factory=list)
    """Steps from which the run went back to the weights of a checkpoint."""

    @property
    def best(self) -> dict[str, Any] | None:
        """The best validation; ``None`` before the first."""
        return min(self.history, key=lambda entry: entry["pa_mpjpe"], default=None)

    @property
    def best_step(self) -> int | None:
        """Its step."""
        return None if self.best is None else int(self.best["step"])


class TrainingState(NamedTuple):
    """Everything of a run that changes from step to step, but for what `Run` lists."""

    network: nn.Module
    averages: Averages
    """Of the network's weights over the steps so far."""

    optimizer: Optimizer


def begin_state(run: Run) -> TrainingState:
    """The state before the first step.

    Raises:
        ConfigError: Batch norms cannot work together on this device.
    """
    network = run.network.to(run.device)
    if run.recipe.schedule.sync_norm and run.ranks.size > 1:
        if run.device.type != "cuda":
            raise ConfigError(
                "schedule.sync_norm needs GPUs", hint="Leave it out, or use --device cuda."
            )
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for name, parameter in network.backbone.net.named_parameters():
        if name.startswith(run.recipe.schedule.frozen or ("\0",)):
            parameter.requires_grad_(False)
    net = network.backbone.net
    if isinstance(net, MoveNetFeatures) and run.recipe.compute.precision == "auto":
        net.frozen_dtype = frozen_dtype(run.device)
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimizer = Adam(trainable, lr=run.recipe.schedule.learning_rate)
    return TrainingState(network, Averages(network, run.recipe.schedule), optimizer)
