"""The log of a run: one JSON object per line."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from smplcli.files import atomic_write

LOG_FILE = "log.jsonl"
LOG_EVERY = 20
"""Steps per line of the log."""


class TrainingLog:
    """Lines of the log: mean losses of the last steps, and how fast they went."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.terms: list[Mapping[str, float]] = []
        self.since = time.monotonic()

    def add(self, step: int, terms: Mapping[str, float]) -> None:
        """Note the losses of a step."""
        self.terms.append(terms)
        if len(self.terms) == LOG_EVERY:
            mean = {name: np.mean([t[name] for t in self.terms if name in t]) for name in terms}
            now = time.monotonic()
            speed = LOG_EVERY / (now - self.since)
            losses = {name: round(float(value), 5) for name, value in mean.items()}
            self.write({"step": step + 1, "losses": losses, "steps_per_second": round(speed, 3)})
            self.terms, self.since = [], now

    def write(self, entry: Mapping[str, object]) -> None:
        """Append a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def rewind(self, step: int) -> None:
        """Drop the lines of later steps, which will be taken again."""
        if not self.path.is_file():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if _step_of(line) <= step]
        if kept != lines:
            with atomic_write(self.path) as file:
                file.writelines(kept)


def _step_of(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # half a line, from a process that was killed
