"""Memory that is freed and taken again."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from smplcli.training.memory import keep_freed_memory
{first}
for step in range(24):
    if step == 16:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64 << 20, dtype=torch.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(first):
    """Pages that the system hands out while 64 MB are taken and freed, once that is usual."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(first=first)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_freed_memory_is_taken_again_without_asking_the_system():
    assert faults("keep_freed_memory()") < 100 < faults("")
