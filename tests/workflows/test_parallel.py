import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smplcli.workflows.parallel import run_tasks
from smplcli.workflows.progress import no_progress


def test_processes_of_an_earlier_call_follow_to_another_folder(tmp_path, monkeypatch):
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)

        found = run_tasks(
            Path.absolute, [Path("x")] * 4, count=4, jobs=2, progress=no_progress, label="x"
        )

        assert set(found) == {folder / "x"}


SLEEPERS = """
import os, sys, time
from pathlib import Path
from smplcli.workflows.parallel import run_tasks
from smplcli.workflows.progress import no_progress
from tests.workflows.test_parallel import sleep

list(run_tasks(sleep, sys.argv[1:], count=2, jobs=2, progress=no_progress, label="x"))
"""


def sleep(file):
    """Say who sleeps, and do it for longer than any test waits."""
    Path(file).with_suffix(".new").write_text(str(os.getpid()))
    Path(file).with_suffix(".new").rename(file)
    time.sleep(600)


def wait_until(is_so):
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_running(process):
    """Whether there is such a process, other than one that waits to be buried."""
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_processes_end_when_the_one_that_began_them_is_killed(tmp_path):
    names = [tmp_path / "one", tmp_path / "two"]
    asker = subprocess.Popen([sys.executable, "-c", SLEEPERS, *map(str, names)])
    wait_until(lambda: all(name.exists() for name in names))
    sleepers = [int(name.read_text()) for name in names]
    assert all(map(is_running, sleepers))

    os.kill(asker.pid, signal.SIGKILL)
    asker.wait()

    wait_until(lambda: not any(map(is_running, sleepers)))
