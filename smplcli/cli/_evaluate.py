"""`smplcli evaluate`."""

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
from smplcli.cli._output import (
    METRIC_COLUMNS,
    exit_if_incomplete,
    note,
    print_result,
    print_table,
    show_progress,
)
from smplcli.cli._work import open_project, open_target

if TYPE_CHECKING:
    from smplcli.workflows.evaluate import EvaluationReport


def evaluate(
    target: TargetArgument = None,
    *,
    data: DataOption = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Part of the data set to measure on.  [default: test]"),
    ] = None,
    keypoints: KeypointsOption = None,
    body: BodyOption = None,
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where files go.  [default: a new folder of the run]"),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the errors of a network. Predictions in a file are measured as well."""
    project, data = open_project(data, target)
    target = open_target(project, target)
    settings = project.settings
    split = split or settings.evaluate.split

    from smplcli.workflows.evaluate import evaluate as measure
    from smplcli.workflows.outputs import default_evaluation_dir

    report = measure(
        target,
        data,
        split=split,
        keypoints=keypoints or settings.evaluate.keypoints,
        body=body or settings.body.path,
        device=device,
        out=out or default_evaluation_dir(target, split),
        overwrite=overwrite,
        progress=show_progress,
    )
    print_result(report, _print_report, as_json=as_json)
    exit_if_incomplete(report)


def _print_report(report: "EvaluationReport") -> None:
    print_table(
        f"{report.target}\n{report.data}, split {report.split}, body {report.body}, "
        f"keypoints {report.keypoints}",
        METRIC_COLUMNS,
        [
            (
                number.label,
                "-" if number.value is None else f"{number.value:.1f} {number.unit}",
                number.joint_set,
                number.root,
                number.count,
            )
            for number in report.measurements
        ],
    )
    for text in report.notes:
        note(f"note: {text}")
    for path in report.written:
        note(f"wrote {path}")
