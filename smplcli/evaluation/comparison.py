"""Two evaluations of the same people, sample by sample."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.evaluation.bootstrap import Units, mean_intervals
from smplcli.evaluation.predictions import SampleId
from smplcli.evaluation.protocols import PROTOCOLS
from smplcli.evaluation.reports import PER_SAMPLE_FILE, harmless
from smplcli.evaluation.scoring import OK, SampleErrors
from smplcli.evaluation.summaries import Counted, exact_mean
from smplcli.files import read_json
from smplcli.types import Floats

MAX_CSV_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A mean here minus the same mean there, over the people that both evaluated."""

    protocol: str
    metric: str
    label: str
    unit: str
    here: float
    there: float
    difference: float
    low: float | None
    high: float | None
    """Ends of the 95 % interval of the difference; ``None`` where there is too little to tell."""

    count: int
    higher_is_better: bool

    @property
    def difference_unit(self) -> str:
        """Unit of the difference: shares in percent differ by percentage points."""
        return "points" if self.unit == "%" else self.unit


class Other(NamedTuple):
    """An earlier evaluation, as its files tell it."""

    summary: Mapping[str, Any]
    """What its metrics.json holds."""

    rows: Mapping[tuple[str, str], int]
    """Row of each person, by the name of the picture and the number as text."""

    columns: Mapping[str, Floats]
    """Numbers by ``<protocol>.<metric>``, NaN where there is none and once more at the end, where
    people who are not in it find theirs."""


def read_other(path: Path) -> Other:
    """Read an earlier evaluation.

    Args:
        path: Its metrics.json, or the folder of that; per_sample.csv lies beside it.

    Raises:
        MissingFileError: A file is not there.
        UnreadableFileError: A file is not what `evaluate` writes.
    """
    path = path / "metrics.json" if path.is_dir() else path
    summary = read_json(path)
    if not isinstance(summary, dict) or "measurements" not in summary:
        raise UnreadableFileError(f"not the metrics.json of an evaluation: {path}")
    table = path.parent / PER_SAMPLE_FILE
    if not table.is_file():
        raise MissingFileError(
            f"no {PER_SAMPLE_FILE} beside: {path}",
            hint="Comparing needs the errors of single samples: keep both files together.",
        )
    if table.stat().st_size > MAX_CSV_BYTES:
        raise UnreadableFileError(f"table is larger than {MAX_CSV_BYTES} bytes: {table}")
    try:
        text = table.read_text(encoding="utf-8")
        names, *rows = list(csv.reader(io.StringIO(text, newline="")))
        cells = {name: [row[place] for row in rows] for place, name in enumerate(names)}
        ids = list(zip(cells["imgname"], cells["person_id"], strict=True))
        columns = {
            name: np.array([*(float(cell or "nan") for cell in values), np.nan])
            for name, values in cells.items()
            if "." in name and not name.endswith(".state")
        }
    except (ValueError, KeyError, IndexError, csv.Error) as error:
        raise UnreadableFileError(f"not the table of an evaluation: {table}") from error
    return Other(summary, {identity: row for row, identity in enumerate(ids)}, columns)


def compare(
    other: Other, ids: Sequence[SampleId], samples: Mapping[str, SampleErrors], units: Units
) -> tuple[Difference, ...]:
    """Differences of all metrics that both evaluations have, over people that both evaluated.

    Args:
        other: The earlier evaluation.
        ids: Image name and person of every sample here.
        samples: Their errors by protocol.
        units: What intervals are drawn from.
    """
    rows = np.array(
        [other.rows.get((harmless(imgname), str(person)), -1) for imgname, person in ids]
    )
    result = []
    for protocol, measured in samples.items():
        for name, errors in measured.errors.items():
            column = other.columns.get(f"{protocol}.{name}")
            if column is None:
                continue
            here, there = np.where(measured.states == OK, errors, np.nan), column[rows]
            is_both = np.isfinite(here) & np.isfinite(there)
            weights = is_both * np.asarray(measured.num_points.get(name, 1), dtype=np.float64)
            if is_both.any():
                pair = (Counted(here, weights), Counted(there, weights))
                result.append(_difference(protocol, name, pair, units))
    return tuple(result)


def comparison_notes(other: Other, summary: Mapping[str, Any]) -> tuple[str, ...]:
    """In what else than the predictions two evaluations differ, in sentences."""
    names = {"data_sha256": "data", "split": "split", "body_sha256": "body"}
    differing = [name for key, name in names.items() if other.summary.get(key) != summary.get(key)]
    if not differing:
        return ()
    return (f"the evaluation compared with is of another {', '.join(differing)}",)


def _difference(
    protocol: str, name: str, pair: tuple[Counted, Counted], units: Units
) -> Difference:
    metric = PROTOCOLS[protocol].metrics[name]
    here, there = pair
    ours, theirs = (exact_mean(numbers) or 0.0 for numbers in pair)
    offset, weights = (here.values - there.values)[:, None], here.weights[:, None]
    low, high = mean_intervals(offset, weights, units)[0]
    return Difference(
        protocol=protocol,
        metric=name,
        label=metric.label,
        unit=metric.unit,
        here=ours,
        there=theirs,
        difference=ours - theirs,
        low=float(low) if np.isfinite(low) else None,
        high=float(high) if np.isfinite(high) else None,
        count=int((here.weights > 0).sum()),
        higher_is_better=metric.higher_is_better,
    )
