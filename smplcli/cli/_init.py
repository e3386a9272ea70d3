"""`smplcli init`."""

from pathlib import Path

import typer

from smplcli.cli._output import note


def init() -> None:
    """Write a commented smplcli.toml. It makes this folder, and those below it, a project."""
    from smplcli.workflows.init import init as write_settings

    typer.echo(write_settings(Path.cwd()))
    note("Every line is a comment: uncomment what you want to change.")
