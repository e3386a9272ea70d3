"""`smplcli train`."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from smplcli.cli._options import (
    DATA_VARIABLE,
    BodyOption,
    DeviceOption,
    JsonOption,
    seconds,
)
from smplcli.cli._output import (
    METRIC_COLUMNS,
    is_first_process,
    note,
    print_line,
    print_result,
    print_table,
    show_progress,
)
from smplcli.cli._work import show_project

if TYPE_CHECKING:
    from smplcli.workflows.train import TrainReport

Precision = Literal["auto", "bf16", "fp32"]
GOING_ON, SEVERAL = "Going on, and stopping in time", "Several processes"
WEIGHTS = {
    "raw": "weights of that step",
    "ema": "average of the weights (EMA)",
    "swa": "mean of snapshots (SWA)",
}
STOPPED = 143
"""Exit code of a run that was stopped before its end, its state saved."""


def train(
    *,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Recipe that comes with smplcli, or a TOML file."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="DIR",
            envvar=DATA_VARIABLE,
            help="Folder written by 'smplcli prepare'; give it several times to train on several, "
            "by the shares of the recipe's mix.  [default: the newest of each source]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Run folder.  [default: of the recipe's unfinished run, else a new one]",
        ),
    ] = None,
    body: BodyOption = None,
    device: DeviceOption = "auto",
    workers: Annotated[
        int, typer.Option(metavar="N", min=0, help="Processes that decode and augment.")
    ] = 0,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="What the network computes with; auto is bf16 on a GPU.  [default: the recipe's]",
            show_default=False,
        ),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write curves, people and attention for TensorBoard into the run folder.",
        ),
    ] = False,
    fast_dev_run: Annotated[
        bool,
        typer.Option(
            "--fast-dev-run", help="Try one batch of everything, and keep nothing of it."
        ),
    ] = False,
    resume: Annotated[
        str,
        typer.Option(
            metavar="auto|must|never|DIR",
            rich_help_panel=GOING_ON,
            help="Go on with an unfinished run if there is one, or must be, or never; or with the "
            "run in this folder; or begin a run with this checkpoint of another.",
        ),
    ] = "auto",
    allow_change: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            rich_help_panel=GOING_ON,
            help="Go on though this differs: a key of the recipe, data or body. Repeatable.",
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="TIME",
            parser=seconds,
            rich_help_panel=GOING_ON,
            help="Stop in time, saved, with exit code 143: 90m, 47h, 2d, 1:30:00.",
        ),
    ] = None,
    nproc: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            rich_help_panel=SEVERAL,
            help="Train in N processes on this machine, each on a GPU of its own if there are.",
        ),
    ] = 1,
    max_restarts: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            rich_help_panel=SEVERAL,
            help="Go on by itself up to N times when a process has died.",
        ),
    ] = 0,
    stop_at: Annotated[
        float | None, typer.Option(hidden=True, help="When to stop: seconds since 1970.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network. If it was interrupted, the same command goes on from there."""
    if time_limit is not None:
        stop_at = time.time() + time_limit

    from smplcli.workflows.project import find_project
    from smplcli.workflows.training_data import training_data

    project = find_project(data[0] if data else None)
    show_project(project, is_data_given=bool(data), is_out_given=out is not None)
    settings = project.settings
    recipe = recipe or settings.train.recipe
    given = training_data(project, data) if data else []
    from smplcli.workflows.outputs import checkpoint_to_begin_with, choose_run_dir

    out = choose_run_dir(settings.paths.runs, recipe, out=out, resume=resume)
    checkpoint = checkpoint_to_begin_with(resume, out)
    folders = given or training_data(project, [])
    for folder in folders:
        note(f"data: {folder}")
    note("run: one batch of everything" if fast_dev_run else f"run: {out}")
    if (nproc > 1 or max_restarts) and "RANK" not in os.environ:
        # Processes that begin again after an accident go on with the run.
        begin = ["--out", str(out), "--resume", str(checkpoint or "auto")]
        limit = [] if stop_at is None else ["--stop-at", str(stop_at)]
        _launch(out, [*begin, *limit], nproc, max_restarts, is_trial=fast_dev_run)
        return

    from smplcli.training.memory import keep_freed_memory
    from smplcli.workflows.train import train as run

    keep_freed_memory()
    report = run(
        folders,
        out,
        recipe=recipe,
        begin_with=checkpoint,
        body=body or settings.body.path,
        device=device,
        workers=workers,
        allow_change=allow_change or (),
        deadline=None if stop_at is None else time.monotonic() + stop_at - time.time(),
        runs_dir=settings.paths.runs,
        precision=precision,
        tensorboard=tensorboard,
        fast_dev_run=fast_dev_run,
        progress=show_progress,
    )
    if is_first_process() and report.is_finished:
        print_result(report, _print_report, as_json=as_json)
    if not report.is_finished and "RANK" not in os.environ:
        raise typer.Exit(STOPPED)


def _launch(
    out: Path, arguments: list[str], nproc: int, max_restarts: int, *, is_trial: bool
) -> None:
    """Run this command in several processes that go on with the same run."""
    from smplcli.training.launch import launch
    from smplcli.workflows.outputs import is_complete_run

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // nproc)))
    # What is given twice counts the last time.
    last = [*arguments, "--nproc", "1", "--max-restarts", "0"]
    code = launch([*sys.argv[1:], *last], processes=nproc, max_restarts=max_restarts)
    if code or not (is_trial or is_complete_run(out)):
        raise typer.Exit(code or STOPPED)


def _print_report(report: "TrainReport") -> None:
    from smplcli.evaluation.protocols import SMPL24

    if report.is_trial:
        print_line("One batch of everything works. Nothing of it was kept.")
        return
    print_table(
        f"{report.checkpoint}\nstep {report.best['step']:.0f} of {report.steps}, "
        f"{WEIGHTS[report.best['weights']]}, split validation",
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
