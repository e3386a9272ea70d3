"""`smplcli evaluate`."""

from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby
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
    command_line,
    exit_if_incomplete,
    is_first_process,
    note,
    print_line,
    print_result,
    print_table,
    show_progress,
)
from smplcli.cli._work import open_project, open_target

if TYPE_CHECKING:
    from smplcli.evaluation.comparison import Difference
    from smplcli.evaluation.summaries import Measurement
    from smplcli.workflows.evaluation_report import EvaluationReport
    from smplcli.workflows.occlusion import OcclusionReport

COLUMNS = ("metric", "value", "95 %", "mean over", "aligned by", "people")
OCCLUSION_COLUMNS = ("network", "without patch", "mean of places", "worst place")
DIFFERENCE_COLUMNS = ("metric", "here", "there", "difference", "95 %", "people")


def evaluate(
    target: TargetArgument = None,
    *,
    data: DataOption = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Part of the data set to measure on.  [default: validation]"
        ),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Protocol; repeatable.  [default: what suits the data]"),
    ] = None,
    keypoints: KeypointsOption = None,
    body: BodyOption = None,
    joint_regressor: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="J_regressor_h36m.npy or J_regressor_extra.npy."),
    ] = None,
    missing: Annotated[
        Literal["exclude", "worst"],
        typer.Option(help="What people without a prediction count as."),
    ] = "exclude",
    weights: Annotated[
        Literal["averaged", "last"],
        typer.Option(help="Weights of a run's checkpoint folder, which holds both."),
    ] = "averaged",
    flip_test: Annotated[
        bool, typer.Option("--flip-test", help="Average with the answer to the mirror image.")
    ] = False,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="metrics.json of an evaluation to subtract."),
    ] = None,
    fail_above: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=LIMIT", help="Exit with 4 above this, as pa-mpjpe=60."),
    ] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Compare the labels with themselves.")
    ] = False,
    occlusion: Annotated[
        bool, typer.Option("--occlusion", help="Measure a network behind a grey patch as well.")
    ] = False,
    occlusion_size: Annotated[
        int, typer.Option(metavar="PX", help="Side of the patch, pixels of a crop of 224.")
    ] = 40,
    occlusion_stride: Annotated[
        int, typer.Option(metavar="PX", help="Distance between its places.")
    ] = 20,
    occlusion_people: Annotated[
        int, typer.Option(metavar="N", help="People to show it to at most.")
    ] = 100,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="CHECKPOINT", help="Network behind the same patch; repeatable."),
    ] = None,
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where files go.  [default: a new folder of the run]"),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the errors of a network. Predictions in a file are measured as well."""
    project, data = open_project(data, target, out)
    target = None if self_test else open_target(project, target)
    others = tuple(open_target(project, other) for other in against or ())
    settings = project.settings
    split = split or settings.evaluate.split

    from smplcli.evaluation.occlusion import Patches
    from smplcli.workflows.evaluate import evaluate as measure
    from smplcli.workflows.evaluation_settings import EvaluationOptions
    from smplcli.workflows.occlusion import OcclusionSettings
    from smplcli.workflows.outputs import default_evaluation_dir

    patches = Patches(size=occlusion_size, stride=occlusion_stride)
    behind = OcclusionSettings(patches=patches, people=occlusion_people, against=others)
    report = measure(
        target,
        data,
        split=split,
        keypoints=keypoints or settings.evaluate.keypoints,
        body=body or settings.body.path,
        device=device,
        options=EvaluationOptions(
            protocols=tuple(protocol or ()),
            joint_regressors=tuple(joint_regressor or ()),
            missing=missing,
            weights=weights,
            flip_test=flip_test,
            compare_with=compare,
            limits=tuple(fail_above or ()),
            occlusion=behind if occlusion or others else None,
            command=command_line(),
        ),
        out=out or (target and default_evaluation_dir(target, split)),
        overwrite=overwrite,
        progress=show_progress,
    )
    if is_first_process():
        print_result(report, _print_report, as_json=as_json)
    exit_if_incomplete(report)


def _print_report(report: "EvaluationReport") -> None:
    print_line(
        f"{report.target}\n{report.data}, split {report.split}, body {report.body}, "
        f"keypoints {report.keypoints}"
    )
    for name, numbers in groupby(report.measurements, lambda number: number.protocol):
        _print_protocol(f"{name}: {report.protocols[name]}", list(numbers))
    for name, differences in groupby(report.differences, lambda number: number.protocol):
        print_table(f"{name}, difference", DIFFERENCE_COLUMNS, _difference_rows(differences))
    if report.occlusion is not None:
        _print_occlusion(report.occlusion)
    for refused in report.not_evaluated:
        note(f"not evaluated: {refused.protocol}: {refused.reason}\nhint: {refused.remedy}")
    occlusion_notes = report.occlusion.notes if report.occlusion else ()
    for text in (*report.notes, *occlusion_notes, *report.exceeded):
        note(f"note: {text}")
    for path in report.written:
        note(f"wrote {path}")


def _print_protocol(title: str, numbers: "list[Measurement]") -> None:
    print_table(
        f"{title}\ntruth: {numbers[0].truth}",
        COLUMNS,
        [
            (
                number.label,
                "-" if number.value is None else f"{number.value:.1f} {number.unit}",
                _interval(number.low, number.high),
                number.joint_set,
                number.root,
                number.count,
            )
            for number in numbers
        ],
    )


def _print_occlusion(report: "OcclusionReport") -> None:
    patches = report.patches
    print_table(
        f"{report.metric} behind a grey patch of {patches.size} of {report.crop} pixels, in steps"
        f" of {patches.stride}: {report.joint_set}, root {report.root}, {report.people} people",
        OCCLUSION_COLUMNS,
        [
            (
                network.name,
                *(f"{value:.1f} {report.unit}" for value in asdict(network.mean).values()),
            )
            for network in report.networks
        ],
    )


def _difference_rows(differences: "Iterable[Difference]") -> list[tuple[object, ...]]:
    return [
        (
            number.label,
            f"{number.here:.1f}",
            f"{number.there:.1f}",
            f"{number.difference:+z.1f} {number.difference_unit}",
            _interval(number.low, number.high),
            number.count,
        )
        for number in differences
    ]


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:z.1f}..{high:z.1f}"
