"""Results on stdout, everything else on stderr."""

import json
import logging
import math
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Protocol, TypeVar

import typer

T = TypeVar("T")

METRIC_COLUMNS = ("metric", "value", "mean over", "aligned by", "samples")
"""What every number is printed with, beside the split and the body in the table's title."""

CONTROL_CHARACTERS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}
"""What moves the cursor or talks to the terminal, and how it is written instead."""

INCOMPLETE = 4
"""Exit code of a command that finished, but could not do everything."""

PLAIN_INTERVAL = 5.0
"""Seconds between two progress lines where nobody watches a terminal."""


class Report(Protocol):
    """What a workflow returns."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        ...


class CountingReport(Protocol):
    """Report of a workflow that may finish without having managed everything."""

    @property
    def is_complete(self) -> bool:
        """Whether everything was managed."""
        ...


R = TypeVar("R", bound=Report)


def print_result(report: R, show: Callable[[R], None], *, as_json: bool) -> None:
    """Print a report the way the user wants it."""
    if as_json:
        print_json(report.to_dict())
    else:
        show(report)


def exit_if_incomplete(report: CountingReport) -> None:
    """Say by the exit code that some items failed."""
    if not report.is_complete:
        raise typer.Exit(INCOMPLETE)


def print_json(result: Mapping[str, Any]) -> None:
    """Print a result as one JSON object; what is no number is null there."""
    typer.echo(json.dumps(_without_nan(result), indent=2, default=str, allow_nan=False))


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a result as a table, its first column aligned left and the others right."""
    _table(title, columns, rows, is_result=True)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Say something that is no result as a table."""
    _table(title, columns, rows, is_result=False)


def _table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, is_result: bool
) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*(printable(str(cell)) for cell in row))
    console = Console(highlight=False, markup=False, emoji=False, stderr=not is_result)
    # Not the table's own title, which is broken to the width of a narrow table.
    console.print(printable(title), style="bold", soft_wrap=True)
    console.print(table)


def print_line(text: object) -> None:
    """Print a result that is a line of text."""
    typer.echo(printable(str(text)))


def note(text: str) -> None:
    """Say something that is no result, once where several processes work together."""
    if is_first_process():
        typer.echo(printable(text), err=True)


def is_first_process() -> bool:
    """Whether this process speaks for those that torchrun started beside it."""
    return os.environ.get("RANK", "0") == "0"


def printable(text: str) -> str:
    """The text with its control characters spelled out: file names may hold any."""
    return text.translate(CONTROL_CHARACTERS)


def counted(number: int, name: str, plural: str | None = None) -> str:
    """``1 picture``, ``2 pictures``, ``3 people``."""
    return f"{number} {name if number == 1 else plural or name + 's'}"


def file_size(num_bytes: int) -> str:
    """Bytes in the unit that suits them: ``870 bytes``, ``12 kB``, ``3 MB``, ``2.1 GB``."""
    if num_bytes >= 1e9:
        return f"{num_bytes / 1e9:.1f} GB"
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.0f} {unit}"
    return counted(num_bytes, "byte")


def command_line() -> str:
    """The command that runs, as one would type it in a shell."""
    return shlex.join(["smplcli", *sys.argv[1:]])


def show_progress(items: Iterable[T], label: str, /) -> Iterable[T]:
    """Show rate and remaining time on stderr: a bar in a terminal, else a line now and then."""
    from tqdm import tqdm

    if not is_first_process():
        return items
    if sys.stderr.isatty():
        # Where a terminal, as in containers, claims to have no size, tqdm alone draws nothing.
        size = shutil.get_terminal_size()
        bar = tqdm(items, desc=label, ncols=size.columns, nrows=size.lines)
        return _with_remarks(bar, items)
    return _plain_lines(items, label)


def _with_remarks(bar: Any, items: Iterable[T]) -> Iterator[T]:
    """Items of a bar, which says what their remark says, if they have one."""
    remark = _remark_of(items)
    for item in bar:
        bar.set_postfix_str(remark(), refresh=False)
        yield item


def _remark_of(items: Iterable[T]) -> Callable[[], str]:
    return getattr(items, "remark", str)  # str() is empty


def _plain_lines(items: Iterable[T], label: str) -> Iterator[T]:
    total = len(items) if isinstance(items, Sized) else None
    start = last = time.monotonic()
    done = 0
    remark = _remark_of(items)
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= PLAIN_INTERVAL and done != total:
            _plain_line(label, done, total, now - start, remark())
            last = now
    _plain_line(label, done, total, time.monotonic() - start, remark())


def _plain_line(label: str, done: int, total: int | None, elapsed: float, remark: str) -> None:
    from tqdm import tqdm

    meter = tqdm.format_meter(done, total, elapsed, ncols=0, postfix=remark or None)
    note(f"{label}: {meter}")


class StderrHandler(logging.Handler):
    """Writes log records to stderr, above a progress bar if one is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; what is worse than information says so."""
        from tqdm import tqdm

        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        tqdm.write(level + printable(record.getMessage()), file=sys.stderr)


def show_logs() -> None:
    """Send what the workflows log to stderr, once, however often a command is run."""
    logger = logging.getLogger("smplcli")
    if not any(isinstance(handler, StderrHandler) for handler in logger.handlers):
        logger.addHandler(StderrHandler())
        logger.setLevel(logging.INFO if is_first_process() else logging.WARNING)
