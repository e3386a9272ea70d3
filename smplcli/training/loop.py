"""The training loop."""

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.datasets.samples import Sample, SampleSet
from smplcli.errors import ConfigError, UnstableTrainingError
from smplcli.models.network import Network
from smplcli.training.checkpoints import TrainingState, load_newest_checkpoint, save_checkpoint
from smplcli.training.config import Recipe
from smplcli.training.lifting import LiftingBatch, draw_lifting_batch
from smplcli.training.losses import Losses
from smplcli.training.mixing import recipe_batches
from smplcli.training.schedule import learning_rate
from smplcli.training.signals import defer_signals
from smplcli.types import Floats

logger = logging.getLogger(__name__)

LOG_FILE = "log.jsonl"
LOG_EVERY = 20
"""Steps per line of the log."""

LIFTING_STREAM = 1
"""Second half of the key of the lifting batches' chance; sample orders use the epoch."""


@dataclass(slots=True)
class Run:
    """One training run: what it works on and what it has reached."""

    recipe: Recipe
    run_dir: Path
    network: Network
    samples: SampleSet
    joints: JointsLayer
    validate: Callable[[Network], dict[str, float]]
    """Errors of a network on the validation split; ``pa_mpjpe`` decides which is best."""

    on_best: Callable[[Network, int, dict[str, float]], None]
    """Called with the averaged network whenever it is the best so far."""

    data_sha256: str
    """Hash of the data set's manifest: a run goes on only with the data that it began with."""

    device: torch.device
    workers: int = 0
    body: BodyLayer | None = None
    """For the loss on vertices, if the recipe has one."""

    history: list[dict[str, float]] = field(default_factory=list)
    """Validations so far, each with its ``step``."""

    def facts(self) -> dict[str, object]:
        """What a checkpoint keeps beside weights and optimizer."""
        return {"history": self.history, "data_sha256": self.data_sha256}


class _Lesson(NamedTuple):
    """What every step of a run minimises, and the poses that it may draw."""

    losses: Losses
    poses: Floats
    """(N, 72) axis-angle, camera axes."""


def run_training(run: Run, progress: Callable[[Iterable[int], str], Iterable[int]]) -> int:
    """Train to the recipe's last step, from the newest checkpoint if there is one.

    Returns:
        The step at which training went on: 0 for a new run.

    Raises:
        ConfigError: The checkpoint is of a run on other data.
        IntegrityError: There are checkpoints, and all are damaged.
        UnstableTrainingError: A loss or gradient is not finite.
    """
    state = _state(run)
    facts = load_newest_checkpoint(run.run_dir, state)
    first = 0
    if facts is not None:
        if facts["data_sha256"] != run.data_sha256:
            raise ConfigError(
                f"run was started on other data: {run.run_dir}",
                hint="Give the same data, or choose another folder with --out.",
            )
        first = int(str(facts["step"]))
        run.history = list(facts["history"])  # type: ignore[call-overload]
    schedule = run.recipe.schedule
    poses = run.samples.split.field("pose")[run.samples.split.field("has_smpl") > 0]
    lesson = _Lesson(Losses(run.recipe.losses, run.joints, run.body).to(run.device), poses)
    log = _Log(run.run_dir / LOG_FILE)
    with defer_signals() as signals:
        pictures = iter(_loader(run, max(first, schedule.lifting_steps)))
        for step in progress(range(first, schedule.steps), "train"):
            is_lifting = step < schedule.lifting_steps
            batch = None if is_lifting else next(pictures)
            log.add(step, _train_step(run, state, lesson, step, batch))
            done = step + 1 == schedule.steps
            if done or (step + 1) % schedule.validate_every == 0:
                _validate(run, state, step + 1, log)
            if done or signals.received or (step + 1) % schedule.validate_every == 0:
                save_checkpoint(run.run_dir, step + 1, state, run.facts())
            if signals.received:
                break
    return first


def _state(run: Run) -> TrainingState:
    network = run.network.to(run.device)
    for name, parameter in network.backbone.net.named_parameters():
        if name.startswith(run.recipe.schedule.frozen or ("\0",)):
            parameter.requires_grad_(False)
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimizer = Adam(trainable, lr=run.recipe.schedule.learning_rate)
    decay = get_ema_multi_avg_fn(run.recipe.schedule.average)
    averaged = AveragedModel(network, multi_avg_fn=decay, use_buffers=True)
    return TrainingState(network, averaged, optimizer)


def _loader(run: Run, first: int) -> DataLoader[Sample]:
    steps = range(first, run.recipe.schedule.steps)
    batches = recipe_batches(run.recipe, run.samples.split, steps)
    return DataLoader(run.samples, batch_sampler=batches, num_workers=run.workers)


def _train_step(
    run: Run, state: TrainingState, lesson: _Lesson, step: int, batch: Sample | None
) -> dict[str, float]:
    run.network.train()
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(run.recipe.schedule, step)
    terms = {} if batch is None else _picture_losses(run, lesson, step, batch)
    if run.recipe.model.keypoints:
        terms["lifting"] = _lifting_loss(run, lesson, step)
    _descend(run, state, torch.stack(list(terms.values())).sum(), step, batch)
    return {name: float(value.detach()) for name, value in terms.items()}


def _picture_losses(run: Run, lesson: _Lesson, step: int, batch: Sample) -> dict[str, Tensor]:
    recipe, network = run.recipe, run.network
    batch = Sample(*(value.to(run.device, non_blocking=True) for value in batch))
    image = batch.image.to(memory_format=torch.channels_last).float() / 255
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.device.type == "cuda"):
        seen = network.look(image)
    supervise = step < recipe.losses.parts_until * recipe.schedule.steps
    output = network.answer(seen, batch.keypoints)
    terms: dict[str, Tensor] = lesson.losses(output, batch, supervise_parts=supervise)
    if recipe.model.keypoints:
        unaided = lesson.losses(network.answer(seen), batch, supervise_parts=False)
        terms["unaided"] = recipe.losses.unaided * torch.stack(list(unaided.values())).sum()
    return terms


def _lifting_loss(run: Run, lesson: _Lesson, step: int) -> Tensor:
    rng = np.random.Generator(np.random.Philox(key=[run.recipe.seed, LIFTING_STREAM]).jumped(step))
    count = run.recipe.schedule.lifting_batch
    bodies = draw_lifting_batch(lesson.poses, lesson.losses.joints, count, rng)
    bodies = LiftingBatch(*(value.to(run.device) for value in bodies))
    return lesson.losses.lifting(*run.network.lift(bodies.keypoints), bodies)


def _descend(
    run: Run, state: TrainingState, loss: Tensor, step: int, batch: Sample | None
) -> None:
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), run.recipe.schedule.clip)
    if not torch.isfinite(norm):
        raise UnstableTrainingError(
            f"gradient is not finite at step {step}, on one of: {_names(run, batch)}",
            hint="Run train again to go on from the last checkpoint, or lower the learning rate.",
        )
    state.optimizer.step()
    state.averaged.update_parameters(state.network)


def _names(run: Run, batch: Sample | None) -> str:
    if batch is None:
        return "poses without pictures"
    names = run.samples.split.field("imgname")[batch.row.cpu().numpy()]
    return ", ".join(map(str, names))


def _validate(run: Run, state: TrainingState, step: int, log: "_Log") -> None:
    averaged = cast("Network", state.averaged.module).eval()
    errors = run.validate(averaged)
    before = [entry["pa_mpjpe"] for entry in run.history]
    run.history.append({"step": step, **errors})
    log.write({"step": step, "validation": errors})
    if errors["pa_mpjpe"] < min(before, default=float("inf")):
        run.on_best(averaged, step, errors)


class _Log:
    """Lines of the log: mean losses of the last steps, and how fast they went."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.terms: list[dict[str, float]] = []
        self.since = time.monotonic()

    def add(self, step: int, terms: dict[str, float]) -> None:
        self.terms.append(terms)
        if len(self.terms) == LOG_EVERY:
            mean = {name: np.mean([t[name] for t in self.terms if name in t]) for name in terms}
            now = time.monotonic()
            speed = LOG_EVERY / (now - self.since)
            losses = {name: round(float(value), 5) for name, value in mean.items()}
            self.write({"step": step + 1, "losses": losses, "steps_per_second": round(speed, 3)})
            self.terms, self.since = [], now

    def write(self, entry: dict[str, object]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
