"""`smplcli predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from smplcli.cli._options import BodyOption, DeviceOption, JsonOption, OverwriteOption
from smplcli.cli._output import exit_if_incomplete, note, print_result, print_table, show_progress

if TYPE_CHECKING:
    from smplcli.workflows.predict import PredictReport


def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT", show_default=False, help="Pictures, or folders."),
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
        inputs,
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
        overwrite=overwrite,
        progress=show_progress,
    )
    print_result(report, _print_report, as_json=as_json)
    exit_if_incomplete(report)


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
