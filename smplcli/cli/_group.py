"""Where errors and interruptions become text on stderr and an exit code, for every command."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from smplcli.cli._output import note, printable
from smplcli.errors import ResourceError, SmplCliError


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised as Ctrl-C is, so that whatever cleans up after one does after the other."""


class SmplCliGroup(TyperGroup):
    """The commands of `smplcli`, with its errors and exit codes."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Parse the arguments and run the command they name."""
        is_process = extra.pop("standalone_mode", True)
        extra["standalone_mode"] = False
        try:
            result = super().main(*args, **extra)
        except typer.TyperException as error:
            _show_usage_error(error)
            result = error.exit_code
        if is_process:
            sys.exit(result)
        return result

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            with _sigterm_raises():
                return super().invoke(ctx)
        except SmplCliError as error:
            show_error(error.message, error.hint)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            is_sigterm = isinstance(error, Terminated)
            note("terminated" if is_sigterm else "interrupted")
            number = signal.SIGTERM if is_sigterm else signal.SIGINT
            raise typer.Exit(128 + number) from error
        except OSError as error:
            where = "" if error.filename is None else f": {error.filename}"
            show_error(f"{error.strerror or error}{where}")
            raise typer.Exit(ResourceError.exit_code) from error
        except MemoryError as error:
            show_error("out of memory")
            raise typer.Exit(ResourceError.exit_code) from error


class SectionedCommand(TyperCommand):
    """A command with so many options that its help puts them under headings."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, those without a heading first."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                heading = getattr(param, "rich_help_panel", None) or "Options"
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def show_error(message: str, hint: str | None = None) -> None:
    """Write an error, and what to do about it, to stderr."""
    typer.secho(f"error: {printable(message)}", fg="red", err=True)
    if hint:
        note(f"hint: {hint}")


def _show_usage_error(error: typer.TyperException) -> None:
    message = error.format_message().rstrip(".").replace(". Did you mean", ", did you mean")
    near = getattr(error, "possibilities", None)
    if near:
        message = f"{error.message}, did you mean {near[0]}?"
    ctx = getattr(error, "ctx", None)
    hint = f"Run '{ctx.command_path} --help' to see what there is." if ctx else None
    show_error(message[:1].lower() + message[1:], hint)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_terminated(*_: object) -> None:
    raise Terminated
