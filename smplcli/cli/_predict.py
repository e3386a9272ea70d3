"""`smplcli predict`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from smplcli.cli._options import BodyOption, DeviceOption, JsonOption, OverwriteOption
from smplcli.cli._output import exit_if_incomplete, note, print_result, print_table, show_progress

if TYPE_CHECKING:
    from smplcli.workflows.predict_report import PredictReport

STDIN = Path("-")


def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT",
            show_default=False,
            help="Pictures, folders, 'patterns*', lists (.txt) of paths, or - for paths on stdin.",
        ),
    ],
    *,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="File of predictions (npz) to write.")
    ] = Path("preds.npz"),
    table: Annotated[
        Literal["jsonl", "csv"] | None,
        typer.Option("--format", help="Also write the rows beside that file, as text."),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw the bodies over the photos, and from the side."),
    ] = None,
    mesh: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a mesh file of the bodies in each picture."),
    ] = None,
    mesh_format: Annotated[
        Literal["glb", "obj", "ply"],
        typer.Option(help="Of mesh files; glb has skin and skeleton, the others are surfaces."),
    ] = "glb",
    boxes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Boxes of people (csv, COCO's JSON, npz) to use."),
    ] = None,
    whole_image: Annotated[
        bool, typer.Option("--whole-image", help="Each picture shows one person, and little else.")
    ] = False,
    network: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Weights file of 'smplcli train'.  [default: the shipped one]"
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            metavar="X", min=0, max=1, help="Least score of who is detected.  [default: 0.2]"
        ),
    ] = None,
    max_people: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Detect N people in a picture at most, the surest."),
    ] = None,
    focal_length: Annotated[
        float | None,
        typer.Option(
            metavar="PX", help="Of the camera, in pixels.  [default: each picture's diagonal]"
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Look into the subfolders of folders as well.")
    ] = False,
    body: BodyOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the people in pictures and estimate their bodies."""
    from smplcli.detection.movenet import MIN_SCORE
    from smplcli.workflows.predict import predict as run
    from smplcli.workflows.project import find_project

    report = run(
        _with_stdin(inputs),
        out,
        boxes=boxes,
        whole_image=whole_image,
        network=network,
        body=body or find_project().settings.body.path,
        overlay_dir=overlay,
        table_format=table,
        mesh_dir=mesh,
        mesh_format=mesh_format,
        device=device,
        min_score=MIN_SCORE if min_score is None else min_score,
        max_people=max_people,
        focal_length=focal_length,
        recursive=recursive,
        overwrite=overwrite,
        progress=show_progress,
    )
    print_result(report, _print_report, as_json=as_json)
    exit_if_incomplete(report)


def _with_stdin(inputs: list[Path]) -> list[Path]:
    """The inputs, with the paths on stdin in place of ``-``."""
    if STDIN not in inputs:
        return inputs
    from smplcli.workflows.pictures import listed_paths

    listed = listed_paths(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"))
    return [path for item in inputs for path in (listed if item == STDIN else [item])]


def _print_report(report: "PredictReport") -> None:
    print_table(
        f"{report.out}\npeople: {report.num_people}, body: {report.body}",
        ("pictures", "number"),
        report.counts.items(),
    )
    for failed in report.failed:
        note(f"{failed.status}: {failed.detail}")
    if report.num_unused_boxes:
        note(f"note: boxes of pictures that are no inputs: {report.num_unused_boxes}")
    if report.overlays:
        note(f"wrote {len(report.overlays)} pictures in {report.overlays[0].parent}")
    if report.meshes:
        note(f"wrote {len(report.meshes)} mesh files in {report.meshes[0].parent}")
    note(f"wrote {report.out}")
