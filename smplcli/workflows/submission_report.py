"""What `submit` says when it is done, and what all of its formats have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import smplcli
from smplcli.errors import RefusedError
from smplcli.submission.checks.report import CheckReport, Score
from smplcli.submission.filling import Fill

FormatName = Literal["3dpw-challenge", "eth-mp", "emdb", "agora"]
"""Leaderboards that files can be written for."""

DEMO_PREFIX = "DEMO-"
COURSE_FILE = "test_pred_joints.csv"
"""What the course calls the file that it takes."""

MAX_LISTED = 20
"""Gaps named in an error; a report names all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionReport:
    """What was written, and what is not in it."""

    path: Path
    sha256: str
    format: FormatName
    is_demo: bool
    target: str
    data: Path | None
    """Prepared data set; none for formats that predictions alone make."""

    splits: tuple[str, ...]
    body: str
    fill: Fill
    counts: dict[str, int]
    """What the checker found in the file, by what it is."""

    n_expected: int
    """People of the data set: the sum of the next three."""

    n_submitted: int
    n_failed: int
    """People whose prediction is not finite."""

    n_missing: int
    """People without a prediction."""

    n_filled: int
    """Of those without a sound prediction, how many something else stands in for."""

    gaps: tuple[str, ...]
    """One line for each person with failed or missing predictions, naming the frames."""

    notes: tuple[str, ...]
    """Sentences that whoever uploads the file should read."""

    scores: tuple[Score, ...]
    """What the leaderboard would say, where the data has labels."""

    @property
    def is_complete(self) -> bool:
        """Whether the file has a result for every person of the data set."""
        return self.n_submitted + self.n_filled == self.n_expected

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {
            "smplcli": smplcli.__version__,
            **asdict(self),
            "path": str(self.path),
            "data": None if self.data is None else str(self.data),
            "scores": [score._asdict() for score in self.scores],
        }


def demo_path(out: Path, *, is_demo: bool) -> Path:
    """Where the file goes: a demo says so in its name."""
    return out.with_name(DEMO_PREFIX + out.name) if is_demo else out


def refuse_gaps(format_name: FormatName, gaps: Sequence[str], count: int) -> None:
    """Stop where a format has no place for people without a result.

    Raises:
        RefusedError: There are some.
    """
    if not count:
        return
    listed = [*gaps[:MAX_LISTED]]
    if len(gaps) > MAX_LISTED:
        listed.append(f"and {len(gaps) - MAX_LISTED} more people")
    raise RefusedError(
        "\n  ".join([f"{format_name} has no place for {count} people without a result:", *listed]),
        hint="Predict them, or pass --fill interpolate or --fill previous.",
    )


def refuse_problems(check: CheckReport) -> None:
    """Stop before a file is kept that its checker found wrong.

    Raises:
        RefusedError: It did.
    """
    if check.problems:
        more = f" (and {len(check.problems) - 1} more)" if len(check.problems) > 1 else ""
        raise RefusedError(f"submission refused by its checker: {check.problems[0]}{more}")


def common_notes(check: CheckReport) -> Iterator[str]:
    """What every report says of its file."""
    if check.is_demo:
        yield "synthetic people or the demo body: marked DEMO inside and outside, not a result"
    yield from (f"unless the method itself is to blame, {doubt}" for doubt in check.doubts)
    yield from check.notes
