"""`smplcli view`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smplcli.cli._options import BodyOption, JsonOption, OverwriteOption
from smplcli.cli._output import counted, note, print_line, print_result, show_progress

if TYPE_CHECKING:
    from smplcli.workflows.view import ViewReport


def view(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDS", help="File written by 'smplcli predict'.")
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Page (html) to write.")] = Path(
        "view.html"
    ),
    body: BodyOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show predictions in one HTML page: photos, bodies from all sides, joints by name."""
    from smplcli.paths import check_file
    from smplcli.workflows.project import find_project

    check_file(predictions)
    from smplcli.workflows.view import view as run

    report = run(
        predictions,
        out,
        body=body or find_project().settings.body.path,
        overwrite=overwrite,
        progress=show_progress,
    )
    print_result(report, _print_report, as_json=as_json)


def _print_report(report: "ViewReport") -> None:
    for text in report.notes:
        note(f"note: {text}")
    people = counted(report.num_people, "person", "people")
    print_line(f"{report.out}: {counted(report.num_images, 'picture')}, {people}")
