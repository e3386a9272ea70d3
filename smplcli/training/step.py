"""One optimizer step, which is not taken where a number is not finite."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from smplcli.datasets.samples import Sample
from smplcli.models.network import Network
from smplcli.training.averaging import set_training
from smplcli.training.config import Recipe
from smplcli.training.distributed import Ranks
from smplcli.training.lifting import LiftingBatch, draw_lifting_batch
from smplcli.training.losses import Losses, label_shares
from smplcli.training.precision import autocast, compile_failure, compiled
from smplcli.training.run import Run, TrainingState
from smplcli.training.schedule import learning_rate
from smplcli.types import Floats

LIFTING_STREAM = 1
"""Second half of the key of the lifting batches' chance; sample orders use the epoch."""


class StepOutcome(NamedTuple):
    """What a step came to."""

    terms: dict[str, float]
    """Weighted losses by name, means over all processes."""

    grad_norm: float
    """Size of the gradient of all weights, before it was clipped."""

    is_finite: bool
    """Whether losses and gradient were finite; if not, nothing has changed."""

    names: tuple[str, ...] = ()
    """If not: the samples that may be to blame."""


class Lesson(nn.Module):
    """What a step minimises: network and losses in one, so that one forward holds all of it."""

    def __init__(self, recipe: Recipe, network: Network, losses: Losses) -> None:
        super().__init__()
        self.recipe = recipe
        self.network = network
        # Not a submodule: its buffers are constants, which nobody needs to send around.
        self._losses = (losses,)
        self._look = compiled(network.look, recipe.compute)

    def forward(
        self,
        pictures: Sample | None,
        bodies: LiftingBatch | None,
        *,
        supervise_parts: bool,
        whole: Sample | None = None,
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch, by name; their sum is to be minimised.

        Args:
            pictures: People in pictures, if the step sees any.
            bodies: Poses without pictures, for networks that take keypoints.
            supervise_parts: Whether the part maps are still supervised.
            whole: The batch that the pictures are a part of, if they are.
        """
        (losses,) = self._losses
        terms: dict[str, Tensor] = {}
        if pictures is not None:
            terms = self._picture_losses(losses, pictures, whole, supervise_parts=supervise_parts)
        if bodies is not None:
            terms["lifting"] = losses.lifting(*self.network.lift(bodies.keypoints), bodies)
        return terms

    def _picture_losses(
        self, losses: Losses, batch: Sample, whole: Sample | None, *, supervise_parts: bool
    ) -> dict[str, Tensor]:
        network, device = self.network, batch.image.device
        image = batch.image.to(memory_format=torch.channels_last).float() / 255
        with autocast(self.recipe.compute.precision, device):
            seen = self._look(image)
        shares = {} if whole is None else label_shares(batch, whole)
        output = network.answer(seen, batch.keypoints)
        terms = _shared_out(losses(output, batch, supervise_parts=supervise_parts), shares)
        if self.recipe.model.keypoints:
            alone = network.answer(seen)._replace(part_logits=None, keypoints=None)
            unaided = losses(alone, batch, supervise_parts=False)
            terms["unaided"] = self.recipe.losses.unaided * total(_shared_out(unaided, shares))
        return terms


class Stepper:
    """Takes the steps of a run.

    Args:
        run: The run.
        state: What the steps change.
    """

    def __init__(self, run: Run, state: TrainingState) -> None:
        self.run = run
        self.state = state
        self.losses = Losses(run.recipe.losses, run.joints, run.body).to(run.device)
        self.lesson = Lesson(run.recipe, run.network, self.losses)
        self.shared = _shared(self.lesson, run)
        split = run.samples.split
        self.poses: Floats = split.field("pose")[split.field("has_smpl") > 0]
        self._buffers = [buffer for buffer in run.network.buffers() if buffer.is_floating_point()]

    def take(self, step: int, batch: Sample | None) -> StepOutcome:
        """Take one step, unless a loss or the gradient is not finite.

        Args:
            step: Which.
            batch: This process's pictures; ``None`` if the step sees none.
        """
        run, state = self.run, self.state
        # Whatever chance a network asks torch for depends on the step alone.
        torch.manual_seed(_chance(run.recipe.seed, step, run.ranks))
        set_training(run.network)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(run.recipe.schedule, step)
        before = [buffer.clone() for buffer in self._buffers]
        terms = self._descend(step, batch)
        norm = nn.utils.clip_grad_norm_(run.network.parameters(), run.recipe.schedule.clip)
        means = run.ranks.mean(torch.stack([term.detach() for term in terms.values()]))
        values = torch.cat([means, norm.detach()[None]]).tolist()
        named = dict(zip(terms, values, strict=False))
        if not np.isfinite(values).all():
            torch._foreach_copy_(self._buffers, before)
            return StepOutcome(named, values[-1], is_finite=False, names=self._suspects(batch))
        state.optimizer.step()
        state.averages.update(run.network, step + 1)
        return StepOutcome(named, values[-1], is_finite=True)

    def _descend(self, step: int, batch: Sample | None) -> dict[str, Tensor]:
        """Losses of the step, whose gradient the parameters hold afterwards."""
        run = self.run
        pictures = None if batch is None else moved(batch, run.device)
        bodies = self.bodies(step) if run.recipe.model.keypoints else None
        self.state.optimizer.zero_grad(set_to_none=True)
        supervise = step < run.recipe.losses.parts_until * run.recipe.schedule.steps
        terms: dict[str, Tensor] = {}
        for part in _parts(pictures, run.recipe.compute.accumulate):
            whole = None if part is pictures else pictures
            found = self._forward(part, bodies, supervise_parts=supervise, whole=whole)
            total(found).backward()
            bodies = None  # once
            for name, term in found.items():
                terms[name] = terms.get(name, 0) + term.detach()
        return terms

    def _forward(self, *batches: object, **options: object) -> dict[str, Tensor]:
        """The losses.

        Raises:
            RefusedError: The network is to be compiled and cannot be.
        """
        try:
            return cast("dict[str, Tensor]", self.shared(*batches, **options))
        except RuntimeError as error:
            failure = compile_failure(error)
            if failure is None:
                raise
            raise failure from error

    def bodies(self, step: int) -> LiftingBatch:
        """This process's share of the bodies that a step sees without pictures."""
        run = self.run
        key = [run.recipe.seed, LIFTING_STREAM]
        rng = np.random.Generator(np.random.Philox(key=key).jumped(step))
        count = run.recipe.schedule.lifting_batch
        bodies = draw_lifting_batch(self.poses, self.losses.joints, count, rng)
        ranks = run.ranks
        return LiftingBatch(*(v[ranks.number :: ranks.size].to(run.device) for v in bodies))

    def _suspects(self, batch: Sample | None) -> tuple[str, ...]:
        """Names of the samples whose own losses are not finite; of all of them if none is."""
        if batch is None:
            return ("poses without pictures",)
        rows = [
            int(row) for index, row in enumerate(batch.row) if not self._is_sound(batch, index)
        ]
        guilty = self.run.ranks.gather(rows)
        suspects = guilty or self.run.ranks.gather(batch.row.tolist())
        return tuple(self.run.samples.split.field("imgname")[sorted(suspects)].tolist())

    def _is_sound(self, batch: Sample, index: int) -> bool:
        alone = moved(Sample(*(value[index : index + 1] for value in batch)), self.run.device)
        self.lesson.eval()
        with torch.no_grad():
            terms = self.lesson(alone, None, supervise_parts=True)
        self.lesson.train()
        return bool(total(terms).isfinite())


def _parts(batch: Sample | None, count: int) -> Iterator[Sample | None]:
    """A batch in so many parts, or fewer if it is small."""
    if batch is None or count == 1:
        yield batch
        return
    for values in zip(*(value.chunk(count) for value in batch), strict=True):
        yield Sample(*values)


def _shared_out(terms: dict[str, Tensor], shares: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: term * shares.get(name, 1.0) for name, term in terms.items()}


def total(terms: dict[str, Tensor]) -> Tensor:
    """Sum of losses."""
    return torch.stack(list(terms.values())).sum()


def _shared(lesson: Lesson, run: Run) -> nn.Module:
    """The lesson with gradients that are means over all processes."""
    if run.ranks.size == 1:
        return lesson
    # Steps without pictures leave the backbone out.
    has_unused = run.recipe.schedule.lifting_steps > 0
    return cast("nn.Module", DistributedDataParallel(lesson, find_unused_parameters=has_unused))


def moved(batch: Sample, device: torch.device) -> Sample:
    """A batch on a device, where it may still be arriving."""
    return Sample(*(value.to(device, non_blocking=True) for value in batch))


def _chance(seed: int, step: int, ranks: Ranks) -> int:
    return int(np.random.SeedSequence([seed, step, ranks.number]).generate_state(1)[0])
