"""`smplcli doctor`."""

from typing import TYPE_CHECKING

import typer

from smplcli.cli._options import BodyOption, JsonOption
from smplcli.cli._output import print_json, print_line

if TYPE_CHECKING:
    from smplcli.workflows.doctor import Check

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(*, body: BodyOption = None, as_json: JsonOption = False) -> None:
    """Check installation, machine and folder. Each fault comes with what to do about it."""
    from smplcli.workflows.doctor import doctor as examine

    report = examine(body)
    if as_json:
        print_json(report.to_dict())
    else:
        for check in report.checks:
            _print_check(check)
    if not report.is_healthy:
        raise typer.Exit(report.exit_code)


def _print_check(check: "Check") -> None:
    typer.secho(f"{check.status:<4}", fg=COLOURS[check.status], nl=False)
    print_line(f"  {check.name:<14} {check.found}")
    if check.remedy:
        print_line(f"{'':<20} -> {check.remedy}")
