"""The command line: the only part that prints, reads the environment or exits."""

import os
from typing import Annotated

import typer

from smplcli.cli._body import body_app
from smplcli.cli._doctor import doctor
from smplcli.cli._evaluate import evaluate
from smplcli.cli._group import SectionedCommand, SmplCliGroup
from smplcli.cli._init import init
from smplcli.cli._output import show_logs
from smplcli.cli._predict import predict
from smplcli.cli._prepare import prepare
from smplcli.cli._submit import submit
from smplcli.cli._train import train
from smplcli.cli._view import view

app = typer.Typer(
    name="smplcli",
    cls=SmplCliGroup,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # The default of typer's own flags is None, and typer imports pydantic, 0.1 s of every
        # command's start, to find that None is no boolean.
        "default_map": dict.fromkeys(("help", "install_completion", "show_completion"), False),
    },
)
for command, example in (
    (prepare, "smplcli prepare 3dpw mpii --root 3dpw=data/3DPW --root mpii=data/mpii"),
    (train, "smplcli train --recipe pare --device cuda --workers 8"),
    (evaluate, "smplcli evaluate runs/lite-1 --split validation --json"),
    (predict, "smplcli predict ./imgs --out preds.npz --overlay drawn"),
    (submit, "smplcli submit runs/lite-1"),
    (view, "smplcli view preds.npz --out view.html"),
    (init, "smplcli init && smplcli"),
    (doctor, "smplcli doctor"),
):
    app.command(cls=SectionedCommand, epilog=f"Example: {example}")(command)
app.add_typer(body_app)


def _hush_decoders() -> None:
    """Keep OpenCV and FFmpeg from writing what they stumble over: our own messages say it once."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def _print_version(wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        from smplcli import __version__

        typer.echo(f"smplcli {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Show the version."
        ),
    ] = False,
) -> None:
    """Human pose and shape (SMPL) from pictures.

    Without any data, 'prepare', 'train', 'evaluate' and 'submit' run a small demo in that order.
    """
    show_logs()
    _hush_decoders()
    if ctx.invoked_subcommand is None:
        from smplcli.cli._status import print_status

        typer.echo(ctx.get_help())
        print_status()
