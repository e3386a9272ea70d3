"""Tables of single samples that people plot and spreadsheets open."""

import csv
import io
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from smplcli.evaluation.predictions import SampleId
from smplcli.evaluation.scoring import SampleErrors
from smplcli.files import atomic_write

PER_SAMPLE_FILE = "per_sample.csv"

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet runs a cell that starts so (OWASP, "CSV Injection")."""


def write_per_sample_csv(
    path: Path,
    ids: Sequence[SampleId],
    sequences: Sequence[str],
    samples: Mapping[str, SampleErrors],
    *,
    overwrite: bool = False,
) -> None:
    """Write one row per sample: who it is, its states and its errors under every protocol.

    Args:
        path: The csv file.
        ids: Image name and person of every sample.
        sequences: The sequence that each is of.
        samples: Their errors by protocol, in the same order.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    columns = per_sample_columns(samples)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["imgname", "person_id", "sequence", *columns])
    cells = zip(*(_cells(values) for values in columns.values()), strict=True)
    rows = cells if columns else [()] * len(ids)  # where no protocol could be applied
    for (imgname, person_id), sequence, row in zip(ids, sequences, rows, strict=True):
        table.writerow([harmless(imgname), person_id, harmless(sequence), *row])
    with atomic_write(path, overwrite=overwrite) as file:
        file.write(text.getvalue().encode())


def per_sample_columns(samples: Mapping[str, SampleErrors]) -> dict[str, NDArray[Any]]:
    """(N,) states and errors by their name in the table: ``<protocol>.<metric>``."""
    columns: dict[str, NDArray[Any]] = {}
    for protocol, measured in samples.items():
        columns[f"{protocol}.state"] = measured.states
        columns |= {f"{protocol}.{name}": values for name, values in measured.errors.items()}
    return columns


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _cells(values: NDArray[Any]) -> list[str]:
    if values.dtype.kind == "U":
        return list(map(str, values.tolist()))
    return [f"{value:.6f}" if isfinite(value) else "" for value in values.tolist()]
