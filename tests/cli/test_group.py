import os
import signal
import time
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from smplcli import errors
from smplcli.cli._group import SmplCliGroup

runner = CliRunner()
app = typer.Typer(cls=SmplCliGroup, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def fail(name: str):
    raise getattr(errors, name)(f"{name} raised", hint="Do something else.")


@app.command()
def kill(number: int):
    os.kill(os.getpid(), number)
    time.sleep(60)


@app.command()
def crash(kind: str):
    raise {"bug": ZeroDivisionError("a bug"), "memory": MemoryError()}[kind]


@app.command()
def count(number: int, *, fast: Annotated[bool, typer.Option("--fast")] = False):
    typer.echo(number * 10 if fast else number)


def test_success_exits_0():
    result = runner.invoke(app, ["count", "3", "--fast"])

    assert (result.exit_code, result.stdout, result.stderr) == (0, "30\n", "")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ConfigError", 2),
        ("OutputExistsError", 2),
        ("MissingFileError", 3),
        ("UnreadableFileError", 3),
        ("HostileFileError", 5),
        ("IntegrityError", 5),
        ("ResourceError", 6),
    ],
)
def test_a_deliberate_error_becomes_text_and_its_exit_code(name, code):
    result = runner.invoke(app, ["fail", name])

    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == f"error: {name} raised\nhint: Do something else.\n"


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "terminated\n")],
)
def test_a_signal_ends_the_command_with_its_own_code(number, code, text):
    result = runner.invoke(app, ["kill", str(int(number))])

    assert (result.exit_code, result.stdout, result.stderr) == (code, "", text)


def test_the_handler_of_sigterm_is_put_back():
    before = signal.getsignal(signal.SIGTERM)

    runner.invoke(app, ["count", "3"])

    assert signal.getsignal(signal.SIGTERM) is before


def test_a_bug_keeps_its_traceback():
    result = runner.invoke(app, ["crash", "bug"])

    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_lack_of_memory_exits_6():
    result = runner.invoke(app, ["crash", "memory"])

    assert (result.exit_code, result.stderr) == (6, "error: out of memory\n")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["cuont"], "error: no such command 'cuont', did you mean 'count'?"),
        (["count", "3", "--fats"], "error: no such option: --fats, did you mean --fast?"),
        (["count"], "error: missing argument 'number'"),
        (["count", "x"], "error: invalid value for 'number'"),
    ],
)
def test_a_usage_error_exits_2_and_says_what_was_meant(args, text):
    result = runner.invoke(app, args)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(text)
    assert "\nhint: Run '" in result.stderr


def test_the_exit_code_is_returned_where_no_process_should_end():
    assert app(["cuont"], standalone_mode=False) == 2
