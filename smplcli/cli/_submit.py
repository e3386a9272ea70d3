"""`smplcli submit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from smplcli.cli._options import (
    BodyOption,
    DataOption,
    DeviceOption,
    JsonOption,
    KeypointsOption,
    OverwriteOption,
    TargetArgument,
)
from smplcli.cli._output import (
    METRIC_COLUMNS,
    exit_if_incomplete,
    note,
    print_line,
    print_result,
    print_table,
    show_progress,
)
from smplcli.cli._work import open_project, open_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from smplcli.submission.checks.report import CheckReport, Score
    from smplcli.workflows.project import Project
    from smplcli.workflows.submission_report import FormatName, SubmissionReport

FormatOption = Annotated[
    Literal["3dpw-challenge", "eth-mp", "emdb", "agora"] | None,
    typer.Option("--format", help="The leaderboard.  [default: that of the data]"),
]


def submit(
    target: TargetArgument = None,
    *,
    data: DataOption = None,
    format: FormatOption = None,  # noqa: A002 - what the option is called
    splits: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME", help="Parts of the data.  [default: all that is wanted]"
        ),
    ] = None,
    fill: Annotated[
        Literal["none", "previous", "interpolate"],
        typer.Option(help="What stands in for people without a prediction."),
    ] = "none",
    joint_regressor: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="J_regressor_extra.npy for eth-mp.  [default: beside the SMPL file]",
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write nothing: look for faults in a file, of any tool's making."
        ),
    ] = None,
    keypoints: KeypointsOption = None,
    body: BodyOption = None,
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write.  [default: a new one of the project]"),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write what a leaderboard takes, and check it. With --check, only check a file."""
    names = splits.split(",") if splits else None
    if check is not None:
        _refuse_target(target)
        _check(
            check,
            data,
            format_name=format,
            splits=names,
            body=body,
            joint_regressor=joint_regressor,
            as_json=as_json,
        )
        return

    from smplcli.workflows.project import evaluation_target, find_project

    if target is not None:
        evaluation_target(find_project(data or target), target)
    from smplcli.workflows.outputs import default_submission_file
    from smplcli.workflows.submit import choose_format
    from smplcli.workflows.submit import submit as write

    project, folder, target = _open(data, target, format, out)
    settings = project.settings
    chosen = choose_format(format, folder)
    report = write(
        target,
        folder,
        out or default_submission_file(settings.paths.submissions, chosen),
        format=chosen,
        splits=names,
        fill=fill,
        joint_regressor=joint_regressor,
        keypoints=keypoints or settings.evaluate.keypoints,
        body=body or settings.body.path,
        device=device,
        overwrite=overwrite,
        progress=show_progress,
    )
    print_result(report, _print_report, as_json=as_json)
    exit_if_incomplete(report)


def _open(
    data: Path | None, target: Path | None, format_name: str | None, out: Path | None
) -> "tuple[Project, Path | None, Path]":
    """What to work on; no data for formats that predictions alone make."""
    from smplcli.errors import ConfigError
    from smplcli.workflows.project import find_project
    from smplcli.workflows.submit import PICTURE_FORMATS

    if format_name not in PICTURE_FORMATS:
        project, folder = open_project(data, target, out)
        return project, folder, open_target(project, target)
    if target is None:
        raise ConfigError(
            f"{format_name} needs predictions",
            hint=f"Run 'smplcli submit preds.npz --format {format_name}'.",
        )
    project = find_project(target)
    return project, None, open_target(project, target)


def _refuse_target(target: Path | None) -> None:
    from smplcli.errors import ConfigError

    if target is not None:
        raise ConfigError(f"--check takes no target beside its file: {target}")


def _check(
    file: Path,
    data: Path | None,
    *,
    format_name: "FormatName | None",
    splits: list[str] | None,
    body: Path | None,
    joint_regressor: Path | None,
    as_json: bool,
) -> None:
    from smplcli.workflows.check_submission import check_submission
    from smplcli.workflows.project import data_set, find_project

    project = find_project(data or file)
    report = check_submission(
        file,
        data_set(project, data) if data else None,
        format=format_name,
        splits=splits,
        body=body or project.settings.body.path,
        joint_regressor=joint_regressor,
    )
    print_result(report, _print_check, as_json=as_json)
    exit_if_incomplete(report)


def _print_check(report: "CheckReport") -> None:
    verdict = (
        "sound"
        if report.is_complete
        else "wrong"
        if report.problems or report.doubts
        else "incomplete"
    )
    print_line(f"{report.path}: {report.format}, {verdict}")
    for text in (*report.problems, *report.doubts):
        print_line(f"problem: {text}")
    _note_contents(report.counts, report.notes)
    rows = [(s.label, _number(s), s.joint_set, s.root, s.num_people) for s in report.scores]
    if rows:
        print_table("the leaderboard's own score, computed here", METRIC_COLUMNS, rows)


def _print_report(report: "SubmissionReport") -> None:
    print_line(report.path)
    note(f"{report.n_submitted} of {report.n_expected} people submitted")
    for text in report.gaps:
        note(f"filled, {report.fill}: {text}" if report.n_filled else f"note: {text}")
    _note_contents(report.counts, report.notes)
    if report.scores:
        numbers = ", ".join(f"{score.label} {_number(score)}" for score in report.scores)
        note(f"the leaderboard's own score, computed here: {numbers}")


def _note_contents(counts: "Mapping[str, int]", notes: "Iterable[str]") -> None:
    note(f"checked: {', '.join(f'{number} {what}' for what, number in counts.items())}")
    for text in notes:
        note(f"note: {text}")


def _number(score: "Score") -> str:
    return f"{score.value:.3f} {score.unit}".rstrip()
