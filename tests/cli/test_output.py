import json
import logging
import os
import sys
from contextlib import suppress

import pytest

from smplcli.cli import _output
from smplcli.cli._group import show_error
from smplcli.cli._output import (
    counted,
    file_size,
    note,
    print_json,
    print_line,
    print_table,
    show_logs,
    show_progress,
)


def test_progress_passes_every_item_through(capsys):
    assert list(show_progress([3, 1, 2], "count")) == [3, 1, 2]
    assert capsys.readouterr().out == ""


def test_progress_writes_whole_lines_where_nobody_watches(capsys, monkeypatch):
    monkeypatch.setattr(_output, "PLAIN_INTERVAL", 0.0)

    list(show_progress([3, 1, 2], "count"))

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("count: ") for line in lines)
    assert "3/3" in lines[-1]


def test_progress_of_unknown_length_still_counts(capsys):
    list(show_progress(iter("abcd"), "count"))

    assert "count: 4it" in capsys.readouterr().err


def read_to_end(leader):
    """Everything that was written to a pseudo-terminal whose other end is closed."""
    chunks = []
    with suppress(OSError):  # how Linux says that there is no more
        while chunk := os.read(leader, 4096):
            chunks.append(chunk)
    os.close(leader)
    return b"".join(chunks).decode()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_progress_draws_a_bar_in_a_terminal(monkeypatch):
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        items = list(show_progress(range(3), "count"))
    drawn = read_to_end(leader)

    assert items == [0, 1, 2]
    assert "\r" in drawn
    assert "3/3" in drawn


def test_json_has_no_nan(capsys):
    print_json({"errors": [{"mpjpe": float("nan")}, 1.5]})

    assert json.loads(capsys.readouterr().out) == {"errors": [{"mpjpe": None}, 1.5]}


def test_json_writes_paths_as_strings(capsys, tmp_path):
    print_json({"path": tmp_path})

    assert json.loads(capsys.readouterr().out) == {"path": str(tmp_path)}


def test_a_table_leaves_brackets_as_they_are(capsys):
    print_table("Joints [mm]", ["name", "error"], [["[red]pelvis", 1.5]])

    text = capsys.readouterr().out
    assert "Joints [mm]" in text
    assert "[red]pelvis" in text


def test_logs_go_to_stderr_once_and_warnings_say_so(capsys):
    show_logs()
    show_logs()

    logging.getLogger("smplcli.workflows.x").info("resumed")
    logging.getLogger("smplcli.workflows.x").warning("disk is nearly full")

    assert capsys.readouterr() == ("", "resumed\nwarning: disk is nearly full\n")


def test_control_characters_of_file_names_never_reach_the_terminal(capsys):
    name = "a\x1b]0;title\x07\x9b2J.jpg"

    note(name)
    show_error(f"not a picture: {name}", f"Rename {name}.")
    print_table(name, ["name"], [[name]])
    print_line(name)

    out, err = capsys.readouterr()
    assert {"\x1b", "\x07", "\x9b"}.isdisjoint(out + err)
    assert (out + err).count("\\x1b]0;title") == 6


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(1, "1 byte"), (870, "870 bytes"), (12_400, "12 kB"), (3.44e6, "3 MB"), (2e9, "2.0 GB")],
)
def test_sizes_are_in_units_that_leave_something_of_them(num_bytes, text):
    assert file_size(num_bytes) == text


def test_one_thing_is_counted_in_the_singular():
    assert [counted(number, "picture") for number in (0, 1, 2)] == [
        "0 pictures",
        "1 picture",
        "2 pictures",
    ]
