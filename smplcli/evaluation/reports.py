"""Tables of single samples that people plot and spreadsheets open."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from smplcli.evaluation.predictions import SampleId
from smplcli.evaluation.protocols import Protocol
from smplcli.evaluation.scoring import OK, SampleErrors
from smplcli.files import atomic_write

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet runs a cell that starts so (OWASP, "CSV Injection")."""


def write_per_sample_csv(
    path: Path,
    protocol: Protocol,
    ids: Sequence[SampleId],
    samples: SampleErrors,
    *,
    overwrite: bool = False,
) -> None:
    """Write one row per sample: who it is, its state and its errors.

    Args:
        path: The csv file.
        protocol: What was measured.
        ids: Image name and person of every sample.
        samples: Their errors, in the same order.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    columns = [f"{name}_{metric.unit}" for name, metric in protocol.metrics.items()]
    table.writerow(["imgname", "person_id", "state", *columns])
    for row, (imgname, person_id) in enumerate(ids):
        is_ok = samples.states[row] == OK
        values = [f"{errors[row]:.6f}" if is_ok else "" for errors in samples.errors.values()]
        table.writerow([_harmless(imgname), person_id, samples.states[row], *values])
    with atomic_write(path, overwrite=overwrite) as file:
        file.write(text.getvalue().encode())


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
