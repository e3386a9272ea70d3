"""`smplcli init`."""

from pathlib import Path

from smplcli.cli._output import note, print_line


def init() -> None:
    """Write a commented smplcli.toml. It makes this folder, and those below it, a project."""
    from smplcli.workflows.init import init as write_settings

    print_line(write_settings(Path.cwd()))
    note("Every line is a comment: uncomment what you want to change.")
