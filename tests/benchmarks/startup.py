"""The time until help appears beside the time that Python itself takes to start."""

import functools
import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks.duel import Duel


def duels() -> Iterator[Duel]:
    """Help of the whole and of the command with most options."""
    bare = functools.partial(_run, "-c", "pass")
    for command in ((), ("predict",)):
        yield Duel(
            " ".join(("smplcli", *command, "--help")),
            functools.partial(_run, "-m", "smplcli", *command, "--help"),
            "python -c pass",
            bare,
        )


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
