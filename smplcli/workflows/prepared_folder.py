"""The folder of a data set while it is being prepared: who may write to it, and what is done."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from smplcli.datasets.schema import MANIFEST_FILE
from smplcli.errors import ConfigError, OutputExistsError, ResourceError
from smplcli.files import TEMPORARY_PREFIX, read_json, write_json
from smplcli.paths import make_folder

PLAN_FILE = "plan.json"
"""What a set that is not finished yet will hold; it must not change until it is."""

ERRORS_FILE = "errors.jsonl"
"""What could not be prepared, a JSON object per line."""

SHARDS = "shards"
"""Part of a plan: hashes of the labels of each shard, by the name of its file."""


@contextmanager
def claim(out: Path, plan: Mapping[str, Any], *, overwrite: bool) -> Iterator[None]:
    """Make a folder ready for a plan, and keep other processes from it inside the block.

    The shards of an unfinished run of the same plan stay; of one that ended with failures, those
    whose labels are the same, as the data may have been mended.

    Args:
        out: The folder, which is made if it is not there.
        plan: Everything that decides what the data set holds.
        overwrite: Remove the data set that is there, finished or not.

    Raises:
        ConfigError: The folder holds the beginning of another data set.
        OutputExistsError: It holds a finished one.
        ResourceError: Another process is at work in it, or it cannot be written.
    """
    make_folder(out)
    with locked(out):
        if overwrite:
            names = (MANIFEST_FILE, PLAN_FILE, ERRORS_FILE)
            _remove([*(out / name for name in names), *_shards_in(out)])
        if (out / MANIFEST_FILE).exists():
            raise OutputExistsError(
                f"data set exists: {out}", hint="Choose another folder or pass --overwrite."
            )
        if (out / PLAN_FILE).exists():
            _remove(_outdated(out, plan))
        _remove(out.glob(f"{TEMPORARY_PREFIX}*"))
        write_json(out / PLAN_FILE, plan)
        yield


def _shards_in(out: Path) -> Iterable[Path]:
    return out.glob("*-[0-9]*.npz")


def _outdated(out: Path, plan: Mapping[str, Any]) -> list[Path]:
    """An unfinished run's shards that a plan has otherwise, whatever names its file has."""
    found = read_json(out / PLAN_FILE)
    if found == plan:
        return []
    is_plan = isinstance(found, dict) and isinstance(found.get(SHARDS), dict)
    is_mended = is_plan and (out / ERRORS_FILE).exists()
    if not is_mended or {**found, SHARDS: None} != {**plan, SHARDS: None}:
        raise ConfigError(
            f"folder holds the beginning of another data set: {out}",
            hint="Repeat its options, choose another folder or pass --overwrite.",
        )
    before, now = found[SHARDS], plan[SHARDS]
    return [path for path in _shards_in(out) if before.get(path.name) != now.get(path.name)]


def _remove(paths: Iterable[Path]) -> None:
    """Remove files that may not be there.

    Raises:
        ResourceError: The folder cannot be written.
    """
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ResourceError(
                f"cannot remove: {path}: {error.strerror}", hint="Choose another folder."
            ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder, as long as they ask in the same way.

    Raises:
        ResourceError: Another process is in it.
    """
    if os.name != "posix":  # nobody is kept out
        yield
        return
    fcntl = import_module("fcntl")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResourceError(
                f"another process is at work in: {folder}",
                hint="Wait until it has finished, or choose another folder.",
            ) from error
        yield
    finally:
        os.close(descriptor)  # which lets go of the folder as well


def finish(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, which makes the data set complete."""
    write_json(out / MANIFEST_FILE, manifest)
    (out / PLAN_FILE).unlink()


def size_of(out: Path) -> int:
    """Bytes of all files of a data set."""
    return sum(path.stat().st_size for path in out.iterdir())
