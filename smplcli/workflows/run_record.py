"""What a run ran with: versions, machine and sources, in one file of its folder."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import smplcli
from smplcli.errors import SmplCliError
from smplcli.files import atomic_write, read_json, write_json
from smplcli.training.memory import GIGABYTE

RECORD_FILE = "run.json"
LATEST = "latest"
"""In the folder of all runs: leads to the newest."""

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "safetensors",
)
GIT_SECONDS = 5
CPU_FACTS = Path("/proc/cpuinfo")
DRIVER_FACTS = Path("/proc/driver/nvidia/version")


def record_start(
    run_dir: Path, *, data: Mapping[str, str], body: Mapping[str, str], processes: int
) -> None:
    """Add to a run's record that it begins or goes on here and now.

    Args:
        run_dir: The run.
        data: Hashes of the manifests of its data sets, by folder.
        body: Name and hash of the body.
        processes: How many train together.
    """
    start = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "processes": processes,
        "versions": versions(),
        "hardware": hardware(),
        "git": git_state(Path.cwd()),
    }
    file = run_dir / RECORD_FILE
    write_json(file, {"data": dict(data), "body": dict(body), "starts": [*_starts(file), start]})


def point_to_latest(run_dir: Path) -> None:
    """Let ``latest`` beside a run lead to it: a link, or a file with its name where links fail."""
    link = run_dir.parent / LATEST
    if link.is_dir() and not link.is_symlink():
        return  # somebody's run of that name
    temporary = run_dir.parent / f".{LATEST}"
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(run_dir.name, target_is_directory=True)
        temporary.replace(link)
    except OSError:
        link.unlink(missing_ok=True)
        with atomic_write(link) as file:
            file.write(f"{run_dir.name}\n".encode())


def behind_latest(run_dir: Path) -> Path:
    """The run itself where it is named by the link, which another run may move meanwhile."""
    is_link = run_dir.name == LATEST and run_dir.is_symlink()
    return run_dir.parent / run_dir.readlink() if is_link else run_dir


def versions() -> dict[str, str]:
    """Versions of Python, of this package, and of what decides about its numbers."""
    found = {"smplcli": smplcli.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def hardware() -> dict[str, Any]:
    """The machine, its processor, memory and GPUs."""
    gpus = [
        torch.cuda.get_device_properties(index)
        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    return {
        "system": platform.platform(),
        "processor": _line_of(CPU_FACTS, "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIGABYTE, 1),
        "gpus": [f"{gpu.name}, {gpu.total_memory / GIGABYTE:.0f} GB" for gpu in gpus],
        "cuda": torch.version.cuda,
        "driver": _line_of(DRIVER_FACTS, "NVRM version"),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the repository that a folder is in, and whether it was changed since.

    Returns:
        ``None`` where there is no repository, no commit, or no git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD"),
        "is_changed": None if changes is None else bool(changes),
    }


def _git(folder: Path, *words: str) -> str | None:
    # No programs that the repository names, and no locks that are in the way of others.
    safe = ("-c", "core.fsmonitor=false", "--no-optional-locks")
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *safe, *words],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def _line_of(file: Path, name: str) -> str | None:
    """What follows a name and a colon in a file of the system."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(values, None)


def _starts(file: Path) -> list[Any]:
    """Earlier starts; a record that cannot be read is begun anew."""
    try:
        starts = read_json(file)["starts"]
    except (SmplCliError, KeyError, TypeError):
        return []
    return starts if isinstance(starts, list) else []
