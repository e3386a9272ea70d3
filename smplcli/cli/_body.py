"""`smplcli body`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smplcli.cli._options import JsonOption, OverwriteOption
from smplcli.cli._output import note, print_result

if TYPE_CHECKING:
    from smplcli.workflows.body import BodyReport

FileArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="SMPL file (.pkl as downloaded, or .npz), or folder that holds a neutral one.",
    ),
]

body_app = typer.Typer(
    name="body",
    help="Look at SMPL files, and turn them into plain arrays.",
    rich_markup_mode=None,
    context_settings={"default_map": {"help": False}},  # as in the app itself: keeps pydantic out
)


@body_app.command(epilog="Example: smplcli body info SMPL_NEUTRAL.pkl")
def info(file: FileArgument, *, as_json: JsonOption = False) -> None:
    """Check an SMPL file and say what it holds."""
    from smplcli.workflows.body import describe_body

    print_result(describe_body(file), _print_report, as_json=as_json)


@body_app.command("import", epilog="Example: smplcli body import SMPL_NEUTRAL.pkl --out body.npz")
def import_file(
    file: FileArgument,
    *,
    out: Annotated[Path, typer.Option(metavar="FILE.npz", help="File to write.")],
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write an SMPL file again as plain arrays, readable without pickle and chumpy."""
    from smplcli.workflows.body import import_body

    report = import_body(file, out, overwrite=overwrite)
    print_result(report, _print_report, as_json=as_json)


def _print_report(report: "BodyReport") -> None:
    for label, value in (
        ("file", report.path),
        ("name", report.name),
        ("gender", report.gender),
        ("vertices", report.num_vertices),
        ("faces", report.num_faces),
        ("height at rest", f"{report.height:.3f} m"),
        ("joint sets", ", ".join(report.joint_sets)),
        ("sha256", report.sha256),
    ):
        typer.echo(f"{label:<16}{value}")
    for name, text in report.obstacles.items():
        note(f"note: no {name}: {text}")
    if report.is_demo:
        note("note: this is the demo body; its numbers do not compare with SMPL's")
    if report.licence:
        note(f"licence: {report.licence}")
    if report.out:
        note(f"wrote {report.out}")
