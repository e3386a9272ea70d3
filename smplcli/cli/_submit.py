"""`smplcli submit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from smplcli.cli._output import exit_if_incomplete, note, print_line, print_result, show_progress
from smplcli.cli._work import open_project, open_target

if TYPE_CHECKING:
    from smplcli.workflows.submit import SubmissionReport


def submit(
    target: TargetArgument = None,
    *,
    data: DataOption = None,
    keypoints: KeypointsOption = None,
    body: BodyOption = None,
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Zip to write.  [default: a new one of the project]"),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write and check the file that the 3DPW challenge takes."""
    project, data = open_project(data, target)
    target = open_target(project, target)
    settings = project.settings

    from smplcli.workflows.outputs import default_submission_file
    from smplcli.workflows.submit import submit as write

    report = write(
        target,
        data,
        out or default_submission_file(settings.paths.submissions),
        keypoints=keypoints or settings.evaluate.keypoints,
        body=body or settings.body.path,
        device=device,
        overwrite=overwrite,
        progress=show_progress,
    )
    print_result(report, _print_report, as_json=as_json)
    exit_if_incomplete(report)


def _print_report(report: "SubmissionReport") -> None:
    print_line(report.path)
    note(
        f"checked: {report.num_sequences} sequences, {report.num_tracks} people, "
        f"{report.n_submitted} of {report.n_expected} samples"
    )
    for text in (*report.gaps, *report.notes):
        note(f"note: {text}")
