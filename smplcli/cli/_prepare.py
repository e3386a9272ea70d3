"""`smplcli prepare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from smplcli.cli._options import BodyOption, JsonOption, OverwriteOption
from smplcli.cli._output import note, print_result, print_table, show_progress

if TYPE_CHECKING:
    from smplcli.workflows.prepare import PrepareReport


def prepare(
    source: Annotated[
        Literal["synthetic"] | None,
        typer.Argument(
            show_default=False, help="What to prepare.  [default: what the project has]"
        ),
    ] = None,
    *,
    count: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="People to train on; up to 500 each are held out on top."
        ),
    ] = None,
    poses: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Pose file (npz), or folder of them, such as AMASS."),
    ] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photographs to stand in front of.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Another seed, other people.")
    ] = None,
    body: BodyOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Data set folder.  [default: a new one of the project]"),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes.  [default: one per core]")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Render synthetic people. If it was interrupted, the same command goes on from there."""
    from smplcli.workflows.outputs import default_data_dir
    from smplcli.workflows.prepare import prepare as run
    from smplcli.workflows.project import find_project, refuse_raw_data

    project = find_project()
    note(project.notice)
    if source is None:
        refuse_raw_data(project)
    settings = project.settings.prepare
    out = out or default_data_dir(project.settings.paths.data, "synthetic")
    note(f"data: {out}")
    report = run(
        out,
        count=count or settings.count,
        seed=settings.seed if seed is None else seed,
        poses=poses or settings.poses,
        backgrounds=backgrounds or settings.backgrounds,
        body=body or project.settings.body.path,
        jobs=jobs,
        overwrite=overwrite,
        progress=show_progress,
    )
    print_result(report, _print_report, as_json=as_json)


def _print_report(report: "PrepareReport") -> None:
    print_table(
        f"{report.out}: {report.num_bytes / 1e6:.0f} MB",
        ("split", "people"),
        report.counts.items(),
    )
    total = sum(report.counts.values())
    note(f"the detector finds {report.found_by_detector} of {total} people in their pictures")
