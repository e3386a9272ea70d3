"""Checks of the repository: ``pip install nox && nox``.

``types``, ``tests`` and ``bench`` run in the environment that ``environment`` builds once: torch
and what it needs take gigabytes, and one copy is enough.
"""

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"  # the first with requires=
nox.options.envdir = os.environ.get("NOX_ENVDIR", ".nox")
nox.options.reuse_venv = "yes"

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""The tests are many small tensors: threads that wait for each other make them far slower."""

PYPROJECT = nox.project.load_toml("pyproject.toml")


def group(name: str) -> list[str]:
    """Requirements of a dependency group of pyproject.toml."""
    return nox.project.dependency_groups(PYPROJECT, name)


def run_shared(session: nox.Session, *command: str) -> None:
    """Run a Python module in the shared environment."""
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = Path(session.cache_dir).parent / "environment" / scripts / "python"
    session.run(str(python), "-m", *command, external=True, env=ONE_THREAD)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(default=False)
def environment(session: nox.Session) -> None:
    """Install the package and the tools that import it."""
    session.install("--editable", ".", *group("types"), *group("test"))


@nox.session(venv_backend="none", requires=["environment"])
def types(session: nox.Session) -> None:
    """Check the types."""
    run_shared(session, "mypy")


@nox.session(venv_backend="none", requires=["environment"])
def tests(session: nox.Session) -> None:
    """Run the tests, two files at a time."""
    run_shared(session, "pytest", "-n", "2", "--dist", "loadfile", *session.posargs)


@nox.session(venv_backend="none", requires=["environment"], default=False)
def bench(session: nox.Session) -> None:
    """Time the hot paths beside the packages they replace."""
    run_shared(session, "tests.benchmarks", *session.posargs)


@nox.session(venv_backend="uv", default=False)
def minimums(session: nox.Session) -> None:
    """Run the tests with the oldest versions that pyproject.toml allows."""
    session.install("--editable", ".", "--resolution=lowest-direct", *group("test"))
    session.run("pytest", *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Build the wheel and the source archive in dist/ and check their metadata."""
    session.install(*group("build"))
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))
