"""How much memory there is, and how much a run takes."""

import contextlib
import ctypes
import resource
import sys
from pathlib import Path

import torch

GIGABYTE = 1 << 30
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
"""Limits of the container that this process is in, if it is in one (Linux, version 2)."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of ``malloc.h``: free bytes, and bytes of one block, from which memory is given back."""


def keep_freed_memory() -> None:
    """Have glibc keep what this process frees; elsewhere, nothing happens.

    Every step of training takes the memory that the one before gave back, page after page: a
    fifth of the time of `lite` on a processor.
    """
    with contextlib.suppress(AttributeError, OSError):  # no glibc
        libc = ctypes.CDLL(None)
        for threshold in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            libc.mallopt(threshold, (1 << 31) - 1)


def peak_memory(device: torch.device) -> int:
    """Most bytes that this process has held: of a GPU since the last call, else of memory."""
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return peak
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def available_memory(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int | None:
    """Bytes of the machine, or of its container, that are free; ``None`` where nobody says."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) << 10)
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
        limit = int((cgroup / "memory.max").read_text())
        found.append(max(0, limit - _held(cgroup)))
    return min(found, default=None)


def _held(cgroup: Path) -> int:
    """Bytes that the container holds and would not give back."""
    held = int((cgroup / "memory.current").read_text())
    stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    return held - int(stat.get("inactive_file", 0))
