"""The training loop."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import isfinite
from typing import Any, TypeVar

from smplcli.errors import ResourceError, SmplCliError, UnstableTrainingError
from smplcli.training.checkpoints import (
    UNSTABLE_HINT,
    checkpoint_dir,
    read_checkpoint,
    refuse_non_finite,
    restore,
    save_checkpoint,
    sound_checkpoint,
)
from smplcli.training.loading import pictures
from smplcli.training.logs import LOG_FILE, StepFacts, Steps, TrainingLog
from smplcli.training.resume import is_measured
from smplcli.training.run import Run, Through, TrainingState, begin_state
from smplcli.training.schedule import learning_rate
from smplcli.training.signals import StopRequest, defer_signals
from smplcli.training.step import StepOutcome, Stepper
from smplcli.training.validation import Judge

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_SKIPS, SKIPS_WITHIN = 10, 1000
"""How many of the latest steps may be skipped because a number was not finite."""

MOST_ROLLBACKS = 3
"""How often a run may go back to the weights of a checkpoint."""

RECENT = 20
"""Steps whose longest tells how long the next may take."""

MOST_NAMES = 8
"""Samples that a message names; the log has all."""


class _StoppedError(Exception):
    """Validation ended early because the run is to stop."""


def run_training(run: Run, progress: Through, *, deadline: float | None = None) -> range:
    """Train to the recipe's last step, from the newest checkpoint if there is one.

    Args:
        run: The run.
        progress: Shows the steps.
        deadline: When training must have stopped, on the monotonic clock.

    Returns:
        The steps that were taken: from 0 in a new run, none in one that was finished.

    Raises:
        IntegrityError: There are checkpoints, and all are damaged.
        UnstableTrainingError: A loss or gradient is not finite, and the recipe does not say what
            to do then, or it has happened too often.
        ResourceError: The disk was full when the last checkpoint was to be written.
    """
    with defer_signals(deadline) as stop:
        training = Training(run, progress, stop)
        first = training.go_on()
        reached = training.train(first)
    return range(first, reached)


class Training:
    """A run on its way.

    Args:
        run: The run.
        progress: Shows the steps.
        stop: Says when to stop.
    """

    def __init__(self, run: Run, progress: Through, stop: StopRequest) -> None:
        self.run = run
        self.progress = progress
        self.stop = stop
        self.state: TrainingState = begin_state(run)
        self.stepper = Stepper(run, self.state)
        self.judge = Judge(run, self.state, self.stepper)
        self.log = TrainingLog(run.run_dir / LOG_FILE, run.device, run.on_log)
        self.saving = 0.0
        """Seconds that writing a checkpoint took."""

    def go_on(self) -> int:
        """Take up the newest sound checkpoint, if there is one, and return its step."""
        run = self.run
        folder = run.ranks.agree(lambda: sound_checkpoint(run.run_dir))
        if folder is None:
            if run.ranks.is_first:
                self.log.rewind(0)
            return 0
        facts, files = read_checkpoint(folder)
        run.history = list(facts["history"])
        run.skipped, run.rollbacks = list(facts["skipped"]), list(facts["rollbacks"])
        self._regain_best()
        restore(self.state, files, source=folder)
        step = int(facts["step"])
        if run.ranks.is_first:
            self.log.rewind(step)
            steps = run.recipe.schedule.steps
            remark = "nothing is left to do" if step == steps else "it goes on"
            logger.info("run has taken %d of %d steps: %s", step, steps, remark)
        if self._validates_at(step) and not is_measured(run.history, step):
            self._validate(step)
            self._save(step)
        return step

    def _regain_best(self) -> None:
        """Where the best weights are lost, take them from their checkpoint, or look for others."""
        run, best = self.run, self.run.best
        if best is None or run.ranks.agree(run.has_best):
            return
        step = best["step"]
        folder = checkpoint_dir(run.run_dir, step)
        try:
            restore(self.state, read_checkpoint(folder)[1], source=folder)
        except (SmplCliError, OSError):
            logger.warning("best weights of step %d are gone: the best from here on is kept", step)
            run.history = []
            return
        logger.info("best weights of step %d are taken from its checkpoint", step)
        if run.ranks.is_first:
            with self.judge.wearing(best["weights"]) as network:
                self._spared(lambda: run.on_best(network, _public(best)), "best weights")

    def train(self, first: int) -> int:
        """Take the steps from ``first`` on, and return how many are taken at the end."""
        run, schedule = self.run, self.run.recipe.schedule
        batches = pictures(run, max(first, schedule.lifting_steps))
        took: deque[float] = deque(maxlen=RECENT)
        for step in self.progress(Steps(range(first, schedule.steps), self.log.remark), "train"):
            began = time.monotonic()
            batch = None if step < schedule.lifting_steps else next(batches)
            waited = time.monotonic() - began
            outcome = self.stepper.take(step, batch)
            if outcome.is_finite and run.ranks.is_first:
                self._note(step, outcome, time.monotonic() - began, waited)
            elif not outcome.is_finite:
                self._handle_non_finite(step, outcome)
            took.append(time.monotonic() - began)
            if self._conclude(step + 1, 2 * max(took) + 2 * self.saving):
                return step + 1
        return schedule.steps

    def _note(self, step: int, outcome: StepOutcome, seconds: float, waited: float) -> None:
        schedule = self.run.recipe.schedule
        facts = StepFacts(
            losses=outcome.terms,
            learning_rate=learning_rate(schedule, step),
            grad_norm=outcome.grad_norm,
            pictures=schedule.batch_size if step >= schedule.lifting_steps else 0,
            seconds=seconds,
            waited=waited,
        )
        self.log.add(step + 1, facts, is_last=step + 1 == schedule.steps)

    def _conclude(self, step: int, needed: float) -> bool:
        """Validate and save after a step if it is time, and say whether to stop."""
        schedule, ranks = self.run.recipe.schedule, self.run.ranks
        stopping = ranks.any(self.stop.is_due(needed))
        if self._validates_at(step) and not stopping:
            stopping = not self._validate(step)
        is_last = stopping or step == schedule.steps
        if is_last or self._saves_at(step):
            self._save(step, must=is_last)
        if stopping:
            reason = "time is over" if self.stop.received is None else "interrupted"
            logger.info("%s: saved at step %d of %d", reason, step, schedule.steps)
        return stopping

    def _validates_at(self, step: int) -> bool:
        schedule = self.run.recipe.schedule
        return step == schedule.steps or step % schedule.validate_every == 0

    def _saves_at(self, step: int) -> bool:
        return step % self.run.recipe.save_every == 0

    def _validate(self, step: int) -> bool:
        """Measure all weights; false if there was a reason to stop before the end."""
        run = self.run
        refuse_non_finite(
            (self.state.network.state_dict(), self.state.averages.state_dict()), step
        )
        try:
            verdict = self.judge.judge(self._unless_stopped)
        except _StoppedError:
            return False
        best = verdict.best
        errors = verdict.errors[best]
        if not isfinite(errors["pa_mpjpe"]):
            raise UnstableTrainingError(
                f"validation errors are not finite after step {step}", hint=UNSTABLE_HINT
            )
        run.history.append({"step": step, "weights": best, **errors})
        if run.ranks.is_first:
            facts = _public(run.history[-1])
            self.log.write({**facts, "by_weights": verdict.errors})
            remark = ", the best so far" if run.best_step == step else ""
            values = (step, best, errors["pa_mpjpe"], remark)
            logger.info("step %d: PA-MPJPE of %s weights %.1f mm%s", *values)
            with self.judge.wearing(best) as network:
                if run.best_step == step:
                    self._spared(lambda: run.on_best(network, facts), "best weights")
                if run.on_judged is not None:
                    run.on_judged(network, step)
        return True

    def _unless_stopped(self, items: Iterable[T], label: str, /) -> Iterator[T]:
        """Items until all processes know that one of them should stop.

        Raises:
            _StoppedError: One of them should.
        """
        del label
        for item in items:
            if self.run.ranks.any(self.stop.is_due()):
                raise _StoppedError
            yield item

    def _save(self, step: int, *, must: bool = False) -> None:
        """Write a checkpoint; if there is no room for it, go on, unless it ``must`` be there."""
        run = self.run
        if not run.ranks.is_first:
            return
        began = time.monotonic()
        reached = {
            "history": run.history,
            "skipped": run.skipped,
            "rollbacks": run.rollbacks,
        }
        save = partial(
            save_checkpoint,
            run.run_dir,
            step,
            self.state,
            {**run.facts, **reached},
            best=run.best_step,
            keep_every=run.recipe.conduct.keep_every,
        )
        save() if must else self._spared(save, f"checkpoint of step {step}")
        self.saving = time.monotonic() - began

    def _spared(self, write: Callable[[], None], what: str) -> None:
        """Write what a run can do without for a while."""
        try:
            write()
        except ResourceError as error:
            logger.warning("%s not saved, training goes on: %s", what, error.message)

    def _handle_non_finite(self, step: int, outcome: StepOutcome) -> None:
        """Do what the recipe says about numbers that are not finite.

        Raises:
            UnstableTrainingError: The recipe says to stop, or it has happened too often.
        """
        run, policy = self.run, self.run.recipe.conduct.non_finite
        what = (
            f"loss or gradient is not finite at step {step}, on one of: {_listed(outcome.names)}"
        )
        if run.ranks.is_first:
            self.log.write({"step": step, "non_finite": list(outcome.names), "policy": policy})
        if policy == "skip":
            run.skipped.append(step)
            recent = sum(step - old < SKIPS_WITHIN for old in run.skipped)
            if recent <= MOST_SKIPS:
                logger.warning("%s; the step is skipped", what)
                return
            what = f"{what}; {recent} of the last {SKIPS_WITHIN} steps were skipped"
        elif policy == "rollback":
            if len(run.rollbacks) < MOST_ROLLBACKS and self._roll_back():
                run.rollbacks.append(step)
                logger.warning("%s; back to the weights of the last checkpoint", what)
                return
            went = (
                "the run went back 3 times before"
                if run.rollbacks
                else "there is no checkpoint to go back to"
            )
            what = f"{what}; {went}"
        self._save(step)
        raise UnstableTrainingError(
            what,
            hint="Look at these samples; run train again to go on from the last checkpoint, with "
            "[conduct] non_finite or a lower learning rate.",
        )

    def _roll_back(self) -> bool:
        """Take the weights of the newest checkpoint, if there is one."""
        folder = self.run.ranks.agree(lambda: sound_checkpoint(self.run.run_dir))
        if folder is None:
            return False
        restore(self.state, read_checkpoint(folder)[1], source=folder)
        return True


def _public(validation: Mapping[str, Any]) -> dict[str, Any]:
    """What the log and the best weights say of a validation in a run's history."""
    errors = {name: validation[name] for name in validation if name not in ("step", "weights")}
    return {"step": validation["step"], "weights": validation["weights"], "validation": errors}


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
