"""Looks for what the Machine Perception course would refuse or misread in a csv of joints."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smplcli.errors import HostileFileError, MissingFileError
from smplcli.submission.checks.report import Findings
from smplcli.submission.checks.scores import course_score
from smplcli.submission.checks.values import axes_fault, unit_fault
from smplcli.types import Floats

COLUMNS = 147
OFFICIAL_ROWS = 5074
FILE_NAME = "test_pred_joints.csv"

MAX_BYTES = 1 << 30
MAX_LINE = 1 << 16
"""Bytes of a row; 147 numbers of '%.18e' take 3,800."""

MAX_ROWS = 200_000

TWINS = {0: 44, 2: 33, 3: 32, 4: 31, 5: 34, 6: 35, 7: 36, 10: 26, 11: 25, 13: 29, 14: 30}
TWINS |= {15: 46, 16: 45, 17: 48, 18: 47}
"""Joints that occur among OpenPose's 25 and again among the 24 that follow, in one place."""

SAME_PLACE = 1e-3
PELVIS, NOSE, ANKLES = 8, 0, (11, 14)

ROOTS = {"the pelvis": (8,), "the nose": (0,), "the middle of the hips": (9, 12)}
ROOTS |= {"the middle of the LSP hips": (27, 28), "the MPII pelvis": (39,)}
CENTRED = 1e-6
"""Metres from the origin of a joint that everything was moved to."""

FAR_PELVIS = 1.0
"""Metres; without translation SMPL's pelvis stays within half a metre of the origin."""

CLEARLY_BETTER, FAR_BETTER = 0.5, 0.3
"""Shares of an error that are left when its cause has been found."""

HALF_TURNS = {"x": (1, -1, -1), "y": (-1, 1, -1), "z": (-1, -1, 1)}
OTHER_AXES_MM = 100.0
SAMPLE = 64
"""Rows that are compared with the labels of every row."""


class Table(NamedTuple):
    """The rows of a csv."""

    values: Floats
    """(N, columns); NaN where a field is no number."""

    is_demo: bool
    problems: tuple[str, ...]


def check_eth(
    path: Path, *, num_rows: int | None = None, true_joints3d: Floats | None = None
) -> Findings:
    """Look for faults in a submission to the course.

    Args:
        path: The csv.
        num_rows: Rows of the data set; ``None`` takes the course's own 5,074.
        true_joints3d: (N, 49, 3) joints of the labels, metres, NaN rows where there are none.

    Raises:
        MissingFileError: There is no such file.
        HostileFileError: It is far larger than any submission.
    """
    table = _read(path)
    findings = Findings(is_demo=table.is_demo, problems=list(table.problems))
    findings.count("rows", len(table.values))
    findings.count("columns", table.values.shape[1])
    wanted = OFFICIAL_ROWS if num_rows is None else num_rows
    if len(table.values) != wanted and not (table.is_demo and num_rows is None):
        findings.problems.append(f"holds {len(table.values)} rows, must hold {wanted}")
    if wanted != OFFICIAL_ROWS and not table.is_demo:
        findings.notes.append(f"the course's own test split has {OFFICIAL_ROWS} rows")
    if not findings.is_demo and path.name != FILE_NAME:
        findings.notes.append(f"the course calls the file {FILE_NAME}")
    if table.values.shape[1] != COLUMNS:
        findings.problems.append(
            f"holds {table.values.shape[1]} columns, must hold {COLUMNS}: 49 joints x, y, z"
        )
        return findings
    joints3d = table.values.reshape(-1, 49, 3)
    findings.problems += _value_problems(joints3d)
    if not findings.problems:
        fault = axes_fault(joints3d[:, NOSE, 1] - joints3d[:, list(ANKLES), 1].mean(axis=1))
        findings.doubts += [fault] if fault else []
    if not findings.problems and true_joints3d is not None:
        _compare(joints3d, true_joints3d, findings)
    return findings


def looks_like_csv(path: Path) -> bool:
    """Whether the first line that is no comment is numbers between commas."""
    with path.open("rb") as file:
        for _ in range(10):
            line = file.readline(MAX_LINE)
            if line and not line.startswith(b"#"):
                return line.count(b",") > 1 and b"\0" not in line
    return False


def _read(path: Path) -> Table:
    if not path.is_file():
        raise MissingFileError(f"submission not found: {path}")
    if path.stat().st_size > MAX_BYTES:
        raise HostileFileError(f"csv is larger than {MAX_BYTES} bytes: {path}")
    rows: list[Floats] = []
    problems: list[str] = []
    is_demo = False
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE):
            if len(line) == MAX_LINE or len(rows) == MAX_ROWS:
                raise HostileFileError(f"csv has a row or more rows than any submission: {path}")
            if line.startswith(b"#"):
                is_demo |= b"DEMO" in line
                if b"DEMO" not in line:
                    problems.append(f"has a header, which must not be there: {line[:60]!r}")
                continue
            row, is_sound = _numbers(line)
            if not is_sound and not rows and not _is_number(line.split(b",")[0]):
                problems.append(f"has a header, which must not be there: {line[:60]!r}")
                continue
            if not is_sound:
                problems.append(f"row {len(rows)} holds something that is no number")
            rows.append(row)
    return _table(rows, problems, is_demo=is_demo)


def _numbers(line: bytes) -> tuple[Floats, bool]:
    fields = line.strip().split(b",")
    if b"_" in line:  # which Python takes for part of a number
        return np.full(len(fields), np.nan), False
    try:
        return np.array([float(field) for field in fields]), True
    except ValueError:
        return np.full(len(fields), np.nan), False


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _table(rows: list[Floats], problems: list[str], *, is_demo: bool) -> Table:
    widths = {len(row) for row in rows}
    if not rows:
        return Table(np.zeros((0, 0)), is_demo, (*problems, "holds no row"))
    if len(widths) > 1:
        problems.append(f"rows have from {min(widths)} to {max(widths)} columns")
        return Table(np.full((len(rows), max(widths)), np.nan), is_demo, tuple(problems))
    return Table(np.stack(rows), is_demo, tuple(problems))


def _value_problems(joints3d: Floats) -> Iterator[str]:
    finite = np.isfinite(joints3d).all(axis=(1, 2))
    if not finite.all():
        first = np.flatnonzero(~finite)[0]
        yield (
            f"{(~finite).sum()} rows hold NaN or infinity, first row {first}: the course's mean"
            " becomes NaN"
        )
    sound = joints3d[finite]
    if not len(sound):
        return
    fault = unit_fault(sound[:, [PELVIS, *range(49)]])
    if fault:
        yield f"joints {fault}"
        return
    yield from _order_problems(sound)
    yield from _place_problems(sound)


def _order_problems(joints3d: Floats) -> Iterator[str]:
    apart = [
        (first, second)
        for first, second in TWINS.items()
        if np.abs(joints3d[:, first] - joints3d[:, second]).max() > SAME_PLACE
    ]
    if apart:
        yield (
            f"columns are not SPIN's 49 joints in order: joints {apart[0][0]} and {apart[0][1]}"
            f" must be the same place, and so for {len(apart)} of {len(TWINS)} pairs"
        )


def _place_problems(joints3d: Floats) -> Iterator[str]:
    for root, members in ROOTS.items():
        middle = joints3d[:, list(members)].mean(axis=1)
        if np.abs(middle).max() < CENTRED:
            yield f"bodies are moved to {root}; they must stay where SMPL's function puts them"
            return
    if np.median(np.linalg.norm(joints3d[:, PELVIS], axis=-1)) > FAR_PELVIS:
        yield "bodies carry a translation; they must stay where SMPL's function puts them"


def _compare(joints3d: Floats, true: Floats, findings: Findings) -> None:
    labelled = np.isfinite(true).all(axis=(1, 2))
    if len(true) != len(joints3d) or not labelled.any():
        return
    pred, true = joints3d[labelled], true[labelled]
    findings.scores = (course_score(pred, true),)
    value = findings.scores[0].value
    for name, turn in HALF_TURNS.items():
        turned = course_score(pred * turn, true).value
        if value > OTHER_AXES_MM and turned < CLEARLY_BETTER * value:
            findings.doubts.append(
                f"bodies fit the labels once they are turned by half about {name}"
                f" ({turned:.0f} mm instead of {value:.0f}): axes must be the camera's"
            )
    if not findings.doubts:
        findings.doubts += _other_rows(pred, true)


def _other_rows(pred: Floats, true: Floats) -> Iterator[str]:
    """Rows that fit the labels of other rows far better than their own."""
    picked = np.linspace(0, len(pred) - 1, min(len(pred), SAMPLE)).astype(int)
    distance = np.stack([np.abs(true - pred[row]).mean(axis=(1, 2)) for row in picked])
    own = np.median(distance[np.arange(len(picked)), picked])
    # A method that always predicts the same fits some rows well too, but the same few rows.
    is_varied = 2 * len(np.unique(distance.argmin(axis=1))) > len(picked)
    is_better = np.median(distance.min(axis=1)) < FAR_BETTER * own
    if is_varied and is_better and 1000 * own > OTHER_AXES_MM / 2:
        yield "rows fit the labels of other rows: they must be in the order of the data's npz"
