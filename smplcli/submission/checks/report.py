"""What a checker says about a file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

MAX_LINES = 40
"""Sentences about one file; a file that is wrong everywhere is not described everywhere."""


class Score(NamedTuple):
    """A number that the leaderboard would give, computed here."""

    label: str
    value: float
    unit: str
    joint_set: str
    """What it is the mean of."""

    root: str
    """What both bodies are moved to before they are compared."""

    num_people: int
    """People compared, each frame of theirs once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a submission holds and what is wrong with it."""

    path: Path
    format: str
    is_demo: bool
    """Whether the file says that it is no result."""

    counts: Mapping[str, int]
    """What is in it, by what it is."""

    problems: tuple[str, ...]
    """One sentence for each thing that the leaderboard would refuse or misread."""

    doubts: tuple[str, ...]
    """The same for what a poor method may be to blame for as well as a wrong file."""

    notes: tuple[str, ...]
    """What whoever uploads the file should know; nothing of it is wrong by itself."""

    n_unscored: int
    """People whom the leaderboard scores and for whom the file holds no number."""

    scores: tuple[Score, ...]
    """What the leaderboard would say; empty without labels."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is wrong and nothing is lacking."""
        return not (self.problems or self.doubts or self.n_unscored)

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        scores = [score._asdict() for score in self.scores]
        return {
            **asdict(self),
            "path": str(self.path),
            "is_complete": self.is_complete,
            "scores": scores,
        }


@dataclass(slots=True)
class Findings:
    """What has been seen so far."""

    problems: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    is_demo: bool = False
    n_unscored: int = 0
    scores: tuple[Score, ...] = ()

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count."""
        self.counts[what] = self.counts.get(what, 0) + number

    def report(self, path: Path, format_name: str) -> CheckReport:
        """The findings as a report."""
        return CheckReport(
            path=path,
            format=format_name,
            is_demo=self.is_demo,
            counts=self.counts,
            problems=_shortened(self.problems),
            doubts=_shortened(self.doubts),
            notes=_shortened(self.notes),
            n_unscored=self.n_unscored,
            scores=self.scores,
        )


def _shortened(lines: list[str]) -> tuple[str, ...]:
    rest = len(lines) - MAX_LINES
    return (*lines[:MAX_LINES], *([f"and {rest} more like these"] if rest > 0 else []))
