"""The log of a run: one JSON object per line, from which all else about its course is told."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from smplcli.files import atomic_write
from smplcli.training.memory import GIGABYTE, peak_memory

LOG_FILE = "log.jsonl"
LOG_EVERY = 20
"""Steps per line of the log, which tells their means."""


class StepFacts(NamedTuple):
    """How one step went."""

    losses: Mapping[str, float]
    """Weighted, by name."""

    learning_rate: float
    grad_norm: float
    """Before it was clipped."""

    pictures: int
    """Seen by all processes together."""

    seconds: float
    waited: float
    """Of these, seconds in which the step waited for its pictures."""


class TrainingLog:
    """Writes the log, and says in a few words what it would say now.

    Args:
        path: The file.
        device: Where the run computes.
        listener: Hears of every line.
    """

    def __init__(
        self,
        path: Path,
        device: torch.device,
        listener: Callable[[Mapping[str, object]], None] | None = None,
    ) -> None:
        self.path = path
        self.device = device
        self.listener = listener
        self.latest: deque[StepFacts] = deque(maxlen=LOG_EVERY)
        self.memory = 0.0

    def add(self, step: int, facts: StepFacts, *, is_last: bool = False) -> None:
        """Note how a step went; every so often, and at last, that is worth a line.

        Args:
            step: Steps taken.
            facts: Of the last of them.
            is_last: Whether no step comes after it.
        """
        self.latest.append(facts)
        if len(self.latest) == 1 or step % LOG_EVERY == 0:
            self.memory = peak_memory(self.device) / GIGABYTE
        if step % LOG_EVERY == 0 or is_last:
            self.write({"step": step, **self._means()})

    def remark(self) -> str:
        """Loss and speed of the last steps."""
        if not self.latest:
            return ""
        means = self._means()
        words = [f"loss {sum(self._losses().values()):.3f}"]
        if means["images_per_second"]:
            words.append(f"{means['images_per_second']:.0f} images/s")
            words.append(f"{means['waiting']:.0%} waiting for data")
        return ", ".join([*words, f"{self.memory:.1f} GB"])

    def _means(self) -> dict[str, Any]:
        seconds = sum(facts.seconds for facts in self.latest)
        waited = sum(facts.waited for facts in self.latest)
        pictures = sum(facts.pictures for facts in self.latest)
        return {
            "losses": {name: round(value, 5) for name, value in self._losses().items()},
            "learning_rate": self.latest[-1].learning_rate,
            "grad_norm": round(float(np.mean([facts.grad_norm for facts in self.latest])), 4),
            "steps_per_second": round(len(self.latest) / seconds, 3),
            "images_per_second": round(pictures / seconds, 1),
            "waiting": round(waited / seconds, 4),
            "memory_gb": round(self.memory, 2),
        }

    def _losses(self) -> dict[str, float]:
        return {
            name: float(np.mean([f.losses[name] for f in self.latest if name in f.losses]))
            for name in self.latest[-1].losses
        }

    def write(self, entry: Mapping[str, object]) -> None:
        """Append a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self.listener is not None:
            self.listener(entry)

    def rewind(self, step: int) -> None:
        """Drop the lines of later steps, which will be taken again."""
        if not self.path.is_file():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if _step_of(line) <= step]
        if kept != lines:
            with atomic_write(self.path) as file:
                file.writelines(kept)


class Steps:
    """Steps to take, with a remark on how they go.

    Args:
        numbers: Of the steps.
        remark: What to say beside their number at any time.
    """

    def __init__(self, numbers: range, remark: Callable[[], str]) -> None:
        self._numbers = numbers
        self.remark = remark

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)


def _step_of(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # half a line, from a process that was killed
