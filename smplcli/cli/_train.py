"""`smplcli train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smplcli.cli._options import BodyOption, DataOption, DeviceOption, JsonOption
from smplcli.cli._output import METRIC_COLUMNS, note, print_result, print_table, show_progress
from smplcli.cli._work import open_project

if TYPE_CHECKING:
    from smplcli.workflows.train import TrainReport


def train(
    *,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Recipe that comes with smplcli, or a TOML file."),
    ] = None,
    data: DataOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder.  [default: a new one of the project]"),
    ] = None,
    body: BodyOption = None,
    device: DeviceOption = "auto",
    workers: Annotated[
        int, typer.Option(metavar="N", min=0, help="Processes that decode and augment.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Train a network. If it was interrupted, the same command goes on from there."""
    project, data = open_project(data)
    settings = project.settings
    recipe = recipe or settings.train.recipe
    body = body or settings.body.path

    from smplcli.workflows.outputs import default_run_dir
    from smplcli.workflows.train import train as run

    out = out or default_run_dir(settings.paths.runs, recipe)
    note(f"run: {out}")
    report = run(
        data, out, recipe=recipe, body=body, device=device, workers=workers, progress=show_progress
    )
    print_result(report, _print_report, as_json=as_json)


def _print_report(report: "TrainReport") -> None:
    from smplcli.evaluation.protocols import SMPL24

    print_table(
        f"{report.checkpoint}\nstep {report.best['step']:.0f} of {report.steps}, split validation",
        METRIC_COLUMNS,
        [
            (
                metric.label,
                f"{report.best[name]:.1f} {metric.unit}",
                metric.joint_set,
                metric.root,
                report.validation_samples,
            )
            for name, metric in SMPL24.metrics.items()
            if name in report.best
        ],
    )
