"""Judging what a run has come to: the weights of the last step beside their averages."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from typing import NamedTuple

import torch

from smplcli.datasets.samples import Sample
from smplcli.models.network import Network
from smplcli.training.averaging import NORM_BATCHES, WeightsKind, has_norms, measure_norms
from smplcli.training.lifting import LiftingBatch
from smplcli.training.mixing import recipe_batches
from smplcli.training.precision import autocast, part_size
from smplcli.training.run import Run, Through, TrainingState
from smplcli.training.step import Stepper, moved


class Verdict(NamedTuple):
    """Errors on the validation split."""

    errors: dict[WeightsKind, dict[str, float]]

    @property
    def best(self) -> WeightsKind:
        """The weights with the least ``pa_mpjpe`` that is a number."""
        means = {kind: errors["pa_mpjpe"] for kind, errors in self.errors.items()}
        return min(means, key=lambda kind: (isnan(means[kind]), means[kind]))


class Judge:
    """Validates the network with its own weights and with each of their averages.

    Args:
        run: The run.
        state: What it has reached.
        stepper: What takes its steps.
    """

    def __init__(self, run: Run, state: TrainingState, stepper: Stepper) -> None:
        self.run = run
        self.state = state
        self.stepper = stepper

    def judge(self, through: Through) -> Verdict:
        """Errors with all weights, the averages' batch norms measured on training batches.

        Args:
            through: Batches go through it; it may end the work by an exception.
        """
        errors: dict[WeightsKind, dict[str, float]] = {"raw": self._errors(through)}
        for kind, average in self.state.averages.begun().items():
            with average.worn_by(self.run.network):
                if has_norms(self.run.network):
                    measure_norms(self.run.network, self._batches(through), self._pass)
                    average.keep_buffers(self.run.network)
                errors[kind] = self._errors(through)
        return Verdict(errors)

    @contextmanager
    def wearing(self, kind: WeightsKind) -> Iterator[Network]:
        """The network with some of the weights it was judged by, until the block ends."""
        network = self.run.network.eval()
        if kind == "raw":
            yield network
        else:
            with self.state.averages.by_kind[kind].worn_by(network):
                yield network

    def _errors(self, through: Through) -> dict[str, float]:
        self.run.ranks.align(self.run.network)
        return self.run.validate(self.run.network.eval(), through)

    def _batches(self, through: Through) -> Iterator[tuple[Sample, LiftingBatch | None]]:
        """The same parts of batches every time, all of them on every process."""
        run = self.run
        size = part_size(run.recipe, run.ranks.size)
        numbers = range(min(NORM_BATCHES, run.recipe.schedule.steps))
        keys = iter(recipe_batches(run.recipe, run.samples.split, numbers))
        for number in through(numbers, "norms"):
            pictures = run.samples[next(keys)[:size]]
            bodies = self.stepper.bodies(number) if run.recipe.model.keypoints else None
            yield moved(pictures, run.device), bodies

    def _pass(self, batch: tuple[Sample, LiftingBatch | None]) -> None:
        pictures, bodies = batch
        network, device = self.run.network, self.run.device
        image = pictures.image.to(memory_format=torch.channels_last).float() / 255
        with autocast(self.run.recipe.compute.precision, device):
            seen = network.look(image)
        network.answer(seen, pictures.keypoints)
        if bodies is not None:
            network.lift(bodies.keypoints)
