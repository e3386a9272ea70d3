"""What a run of `predict` has done until it is finished, and going on with it after a kill."""

import hashlib
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from smplcli.errors import ConfigError, SmplCliError
from smplcli.files import read_json, write_json
from smplcli.workflows.predict_outputs import part_folder
from smplcli.workflows.prepared_folder import locked
from smplcli.workflows.spool import Spool, disk_errors

PLAN_FILE = "plan.json"

logger = logging.getLogger(__name__)


@contextmanager
def open_spool(
    out: Path | None,
    plan: Mapping[str, Any],
    record: np.dtype[Any],
    *,
    resume: bool,
    draws: bool = False,
) -> Iterator[Spool]:
    """Rows on disk, beside the file that they are for, which go when the block has ended.

    They stay if the block fails after something was done, for another run to go on with.

    Args:
        out: The file; ``None`` if there is to be none.
        plan: Everything that the rows depend on, JSON-like.
        record: Of a person.
        resume: Whether to go on where an interrupted run stopped; without one, begin.
        draws: Whether files are written elsewhere too, which may be there before any rows.

    Raises:
        ConfigError: The interrupted run had another plan.
        ResourceError: The disk is full.
    """
    if out is None:
        with TemporaryDirectory(prefix="smplcli-") as temporary:
            yield Spool(Path(temporary), record)
        return
    with claim_part(out, plan, resume=resume) as folder:
        spool = Spool(folder, record)
        try:
            yield spool
        except BaseException:
            if not (spool.num_pictures or draws):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def claim_part(out: Path, plan: Mapping[str, Any], *, resume: bool) -> Iterator[Path]:
    """The folder of what is done of a file, for this process alone: empty but for the plan.

    Args:
        out: The file.
        plan: Everything that what is done depends on, JSON-like.
        resume: Whether to leave there what an interrupted run has left.

    Raises:
        ConfigError: The interrupted run had another plan.
        ResourceError: Another process is at it, or the disk is full.
    """
    folder = part_folder(out)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        if not (resume and is_planned(folder, plan)):
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            write_json(folder / PLAN_FILE, plan)
        try:
            yield folder
        except BaseException:
            if folder.exists():
                logger.info(
                    "what is done is kept in %s: the same command with --resume goes on", folder
                )
            raise


def is_planned(folder: Path, plan: Mapping[str, Any]) -> bool:
    """Whether there is an interrupted run, which then must have had the same plan.

    Raises:
        ConfigError: It had another.
    """
    try:
        found = read_json(folder / PLAN_FILE)
    except SmplCliError:
        return False  # it was killed before it had begun
    differences = plan_differences(found, plan)
    if differences:
        raise ConfigError(
            f"the interrupted run was another one: {'; '.join(differences)}: {folder}",
            hint="Repeat its settings, or pass --overwrite without --resume to begin again.",
        )
    return True


def plan_differences(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two JSON-like plans, in words."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return [
            difference
            for key in dict.fromkeys([*before, *now])
            for difference in plan_differences(
                before.get(key), now.get(key), f"{name} {key}".strip()
            )
        ]
    return [] if before == now else [f"{name} was {_short(before)}, is {_short(now)}"]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 64 else f"{text[:12]}..."


def names_digest(names: Iterable[str]) -> str:
    """Hash of the names of pictures, in their order."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()
