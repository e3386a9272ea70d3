"""Look for what makes a sound program fail: in the installation, the machine and the folder."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from smplcli.errors import MissingFileError, SmplCliError
from smplcli.files import asset
from smplcli.workflows.project import Project, data_sets, find_project, finished_runs

MIN_PYTHON = (3, 11)
LOW_SHARED_MEMORY = 1 << 30
"""Bytes; a container has 64 MB unless told otherwise, and training passes batches through it."""

LOW_DISK = 5 << 30
"""Bytes; a prepared data set and a run with its checkpoints."""

CV2_WHEELS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
"""Distributions that all install the same module `cv2`, over one another."""

IMPORT_SECONDS = 120
TORCH_PROBE = """
import json, torch, torchvision
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
gpus = [torch.cuda.get_device_properties(index) for index in range(count)]
print(json.dumps({
    "torch": torch.__version__,
    "torchvision": torchvision.__version__,
    "cuda": torch.version.cuda,
    "gpus": [f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GB" for gpu in gpus],
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""
    """What to do about it, as one imperative sentence; empty if all is well."""

    exit_code: int = MissingFileError.exit_code
    """Of `smplcli doctor`, if the check fails."""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Everything looked at."""

    checks: tuple[Check, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether everything that is needed works."""
        return all(check.status != "fail" for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0 if all is well, else that of the gravest fault."""
        return max((x.exit_code for x in self.checks if x.status == "fail"), default=0)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {"healthy": self.is_healthy, "checks": [asdict(check) for check in self.checks]}


def doctor(body: Path | None = None) -> DoctorReport:
    """Check the installation, the machine and the current directory.

    Args:
        body: SMPL file or folder that the user named; without it, that of the settings.
    """
    project, settings = _check_settings()
    if project is not None and body is None:
        body = project.settings.body.path
    torch = _check_torch()
    checks = [
        _check_python(),
        *torch,
        _check_cv2(),
        _check_assets(),
        _check_shared_memory(Path("/dev/shm")),  # noqa: S108
        _check_disk(Path.cwd()),
        settings,
    ]
    if torch[0].status == "ok":
        checks.append(_check_body(body))
    if project is not None:
        checks.append(_check_data(project))
    return DoctorReport(tuple(checks))


def _check_python() -> Check:
    is_old = sys.version_info < MIN_PYTHON
    return Check(
        name="python",
        status="fail" if is_old else "ok",
        found=f"{platform.python_version()} ({sys.executable})",
        remedy="Install Python 3.11 or later." if is_old else "",
    )


def _check_torch() -> list[Check]:
    output, failure = _run_python(TORCH_PROBE)
    if failure:
        remedy = "Install both from one index: pip install --force-reinstall torch torchvision."
        versions = f"torch {_version('torch')}, torchvision {_version('torchvision')}"
        return [Check(name="torch", status="fail", found=f"{versions}: {failure}", remedy=remedy)]
    facts = json.loads(output)
    pair = f"torch {facts['torch']}, torchvision {facts['torchvision']}"
    return [Check(name="torch", status="ok", found=pair), _check_gpu(facts)]


def _check_gpu(facts: dict[str, Any]) -> Check:
    if facts["gpus"]:
        return Check(name="gpu", status="ok", found="; ".join(facts["gpus"]))
    if Path("/dev/nvidia0").exists():
        reason = "is built for CPU" if facts["cuda"] is None else "cannot use it"
        return Check(
            name="gpu",
            status="warn",
            found=f"an NVIDIA card, but this torch {reason}",
            remedy="Install the torch and torchvision that fit your driver.",
        )
    return Check(name="gpu", status="ok", found="none, the CPU computes")


def _check_cv2() -> Check:
    wheels = [name for name in CV2_WHEELS if _version(name) != "missing"]
    check = _check_import("cv2", "opencv-python-headless")
    if len(wheels) < 2 or check.status == "fail":
        return check
    return Check(
        name="cv2",
        status="warn",
        found=f"installed {len(wheels)} times, over one another: {', '.join(wheels)}",
        remedy=f"pip uninstall -y {' '.join(wheels)} && pip install opencv-python-headless",
    )


def _check_import(module: str, distribution: str) -> Check:
    _, failure = _run_python(f"import {module}")
    if failure:
        remedy = f"pip install --force-reinstall {distribution}"
        return Check(name=module, status="fail", found=failure, remedy=remedy)
    return Check(name=module, status="ok", found=f"{distribution} {_version(distribution)}")


def _check_assets() -> Check:
    try:
        files = [asset(name) for name in ("body.npz", "detector.onnx", "network.safetensors")]
    except SmplCliError as error:
        return _failed("shipped files", error)
    return Check(name="shipped files", status="ok", found=str(files[0].parent))


def _check_shared_memory(folder: Path) -> Check:
    if not folder.is_dir():
        return Check(name="shared memory", status="ok", found="not limited on this system")
    free = shutil.disk_usage(folder).free
    is_low = free < LOW_SHARED_MEMORY
    return Check(
        name="shared memory",
        status="warn" if is_low else "ok",
        found=f"{_gigabytes(free)} free in {folder}",
        remedy="Start the container with --shm-size=8g, or train without workers."
        if is_low
        else "",
    )


def _check_disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        remedy = "Go to a folder of your own, or name outputs elsewhere."
        return Check(name="disk", status="warn", found=f"read-only: {folder}", remedy=remedy)
    is_low = free < LOW_DISK
    return Check(
        name="disk",
        status="warn" if is_low else "ok",
        found=f"{_gigabytes(free)} free in {folder}",
        remedy="Make room before preparing data or training." if is_low else "",
    )


def _check_settings() -> tuple[Project | None, Check]:
    try:
        project = find_project()
    except SmplCliError as error:
        return None, _failed("settings", error)
    return project, Check(name="settings", status="ok", found=project.notice)


def _check_body(path: Path | None) -> Check:
    # Imports torch, which may be what is broken.
    from smplcli.body.files import load_body  # noqa: PLC0415

    try:
        body = load_body(path)
    except SmplCliError as error:
        return _failed("body", error)
    return Check(name="body", status="ok", found=f"{body.name}, {body.gender}")


def _check_data(project: Project) -> Check:
    paths = project.settings.paths
    sets, runs = len(data_sets(paths.data)), len(finished_runs(paths.runs))
    found = f"{sets} prepared data sets in {paths.data}, {runs} runs in {paths.runs}"
    return Check(name="data", status="ok", found=found)


def _failed(name: str, error: SmplCliError) -> Check:
    return Check(
        name=name,
        status="fail",
        found=error.message,
        remedy=error.hint or "",
        exit_code=error.exit_code,
    )


@cache
def _run_python(code: str) -> tuple[str, str]:
    """Output and failure of a piece of Python in a process of its own, which may even crash."""
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"not imported within {IMPORT_SECONDS} s"
    if done.returncode == 0:
        return done.stdout, ""
    last_lines = done.stderr.strip().splitlines()[-1:]
    return "", "".join(last_lines) or f"crashed with code {done.returncode}"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GB"
