"""Checkpoints: hashed folders of weights and optimizer state. The newest sound one wins."""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import Optimizer

from smplcli.errors import (
    ConfigError,
    IntegrityError,
    ResourceError,
    SmplCliError,
    UnstableTrainingError,
)
from smplcli.files import TEMPORARY_PREFIX, atomic_write, read_json, write_json
from smplcli.training.averaging import AVERAGES, weights_of
from smplcli.training.run import TrainingState

log = logging.getLogger(__name__)

CHECKPOINTS_DIR = "checkpoints"
STATE_FILE = "state.json"
LAST_FILE = "last"
"""Names the newest checkpoint of a run."""

MODEL_FILE, AVERAGED_FILE = "model.safetensors", "averaged.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
TENSOR_FILES = (MODEL_FILE, AVERAGED_FILE, OPTIMIZER_FILE)
BEGUN_WITH_FILE = "begun_with"
"""Hash of the checkpoint of another run with which a run began."""

KEPT = 3
"""Newest checkpoints that stay."""

DAMAGED_SUFFIX = ".damaged"

OWN_HASH = "state_sha256"
"""Hash of all else that a checkpoint says."""

UNSTABLE_HINT = (
    "Lower the learning rate. The same command goes on from the last checkpoint, if there is one."
)


def save_checkpoint(
    run_dir: Path,
    step: int,
    state: TrainingState,
    facts: dict[str, Any],
    *,
    best: int | None = None,
    keep_every: int | None = None,
) -> None:
    """Write a checkpoint, whole or not at all, and let go of old ones.

    Args:
        run_dir: The run.
        step: Optimizer steps taken.
        state: What to keep.
        facts: JSON-like values to find again on resuming.
        best: Step whose checkpoint stays.
        keep_every: Checkpoints of multiples of this step stay as well.

    Raises:
        UnstableTrainingError: A weight is not finite; nothing is written.
        ResourceError: The disk is full, or may not be written; earlier checkpoints stay.
    """
    tensors = _tensors(state)
    refuse_non_finite(tensors.values(), step)
    folder = checkpoint_dir(run_dir, step)
    with _whole_folder(folder) as temporary:
        hashes = {}
        for name, values in tensors.items():
            data = save(values)
            with atomic_write(temporary / name) as file:
                file.write(data)
            hashes[name] = hashlib.sha256(data).hexdigest()
        content = {"step": step, "sha256": hashes, **facts}
        write_json(temporary / STATE_FILE, {**content, OWN_HASH: _hash_of(content)})
    _point_to_last(run_dir, step)
    for old in checkpoints(run_dir)[KEPT:]:
        number = _step_of(old)
        if number != best and not (keep_every and number % keep_every == 0):
            shutil.rmtree(old)


def sound_checkpoint(run_dir: Path) -> Path | None:
    """The newest checkpoint that is whole; damaged ones after it are set aside loudly.

    Returns:
        Its folder; ``None`` if there is no checkpoint at all.

    Raises:
        IntegrityError: There are checkpoints, and all are damaged.
    """
    folders = checkpoints(run_dir)
    for folder in folders:
        try:
            read_checkpoint(folder)
        except (SmplCliError, OSError) as error:
            log.warning("checkpoint is damaged, the one before is used: %s: %s", folder, error)
            continue
        for damaged in folders[: folders.index(folder)]:
            place = damaged.with_name(damaged.name + DAMAGED_SUFFIX)
            shutil.rmtree(place, ignore_errors=True)
            damaged.rename(place)
        return folder
    if folders:
        raise IntegrityError(
            f"no sound checkpoint in {run_dir}", hint="Start again in another run folder."
        )
    return None


def newest_facts(run_dir: Path) -> dict[str, Any] | None:
    """What the newest checkpoint that can be read says of its run; ``None`` without any."""
    for folder in checkpoints(run_dir):
        try:
            return read_facts(folder)
        except SmplCliError:
            continue
    return None


def read_facts(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of its run.

    Raises:
        MissingFileError: It is none.
        UnreadableFileError: What it says is no JSON.
        IntegrityError: It is not as it was written.
    """
    facts = read_json(folder / STATE_FILE)
    if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), dict):
        raise IntegrityError(f"checkpoint has no hashes: {folder}")
    rest = {name: value for name, value in facts.items() if name != OWN_HASH}
    if facts.get(OWN_HASH) != _hash_of(rest):
        raise IntegrityError(f"checkpoint file is damaged: {folder / STATE_FILE}")
    return facts


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """Facts and tensors of a checkpoint, by file.

    Raises:
        MissingFileError: It is none.
        UnreadableFileError: What it says of itself is no JSON.
        IntegrityError: A file is not as it was written.
    """
    facts = read_facts(folder)
    hashes = facts["sha256"]
    missing = set(TENSOR_FILES) - set(hashes)
    if missing:
        raise IntegrityError(f"checkpoint lacks {', '.join(sorted(missing))}: {folder}")
    return facts, {name: _read(folder / name, hashes[name]) for name in TENSOR_FILES}


def adopt(run_dir: Path, folder: Path) -> None:
    """Let a run begin with a checkpoint of another, unless it has done so already.

    Args:
        run_dir: The run.
        folder: The checkpoint, which stays where it is.

    Raises:
        ConfigError: The run has other checkpoints.
        UnreadableFileError: What the checkpoint says of itself is no JSON.
        IntegrityError: A file of it is not as it was written.
        ResourceError: The disk is full.
    """
    if checkpoints(run_dir):
        if not began_with(run_dir, folder):
            raise ConfigError(
                f"run was not begun with checkpoint {folder}: {run_dir}",
                hint="Choose another folder with --out, or go on with this run by leaving "
                "--resume out.",
            )
        return
    facts, _ = read_checkpoint(folder)
    step = facts.get("step")
    if not isinstance(step, int):
        raise IntegrityError(f"checkpoint does not say its step: {folder}")
    with atomic_write(run_dir / BEGUN_WITH_FILE) as file:
        file.write(facts[OWN_HASH].encode())
    with _whole_folder(checkpoint_dir(run_dir, step)) as temporary:
        for name in (*TENSOR_FILES, STATE_FILE):
            shutil.copyfile(folder / name, temporary / name)
    _point_to_last(run_dir, step)


def began_with(run_dir: Path, folder: Path) -> bool:
    """Whether a run began with this checkpoint of another.

    Raises:
        UnreadableFileError: What the checkpoint says of itself is no JSON.
        IntegrityError: It is damaged.
    """
    record = run_dir / BEGUN_WITH_FILE
    return record.is_file() and record.read_bytes() == read_facts(folder)[OWN_HASH].encode()


def load_weights(folder: Path, *, averaged: bool) -> dict[str, Tensor]:
    """Weights of one checkpoint, under the names that the network gives them.

    Args:
        folder: A checkpoint of a run.
        averaged: Whether those averaged over the steps are wanted, or those of the last step.

    Raises:
        ConfigError: The run averages none.
        MissingFileError: There is no such checkpoint.
        IntegrityError: The file is not there, or not as it was written.
    """
    name = AVERAGED_FILE if averaged else MODEL_FILE
    tensors = _read(folder / name, read_facts(folder)["sha256"].get(name))
    if not averaged:
        return tensors
    for kind in AVERAGES:
        if weights := weights_of(tensors, kind):
            return weights
    raise ConfigError(
        f"checkpoint holds no averaged weights: {folder}", hint="Take those of the last step."
    )


def restore(state: TrainingState, files: dict[str, dict[str, Tensor]], *, source: Path) -> None:
    """Put the tensors of a checkpoint in their places.

    Raises:
        ConfigError: They are of another network.
    """
    try:
        state.network.load_state_dict(files[MODEL_FILE])
        state.averages.load_state_dict(files[AVERAGED_FILE])
        _restore_optimizer(state.optimizer, files[OPTIMIZER_FILE])
    except (RuntimeError, ValueError, KeyError) as error:
        raise ConfigError(
            f"checkpoint is of another network: {source}",
            hint="Keep the recipe's [model], or begin a new run with --resume never.",
        ) from error


def refuse_non_finite(files: Iterable[Mapping[str, Tensor]], step: int) -> None:
    """Make sure that numbers of a run are finite.

    Raises:
        UnstableTrainingError: Some are not.
    """
    for tensors in files:
        for name, value in tensors.items():
            if value.is_floating_point() and not value.isfinite().all():
                raise UnstableTrainingError(
                    f"weights are not finite after step {step}: {name}", hint=UNSTABLE_HINT
                )


def checkpoint_dir(run_dir: Path, step: int) -> Path:
    """Folder of the checkpoint after some steps."""
    return run_dir / CHECKPOINTS_DIR / f"step_{step:08d}"


def checkpoints(run_dir: Path) -> list[Path]:
    """Finished checkpoints, the newest first."""
    states = (run_dir / CHECKPOINTS_DIR).glob(f"step_*/{STATE_FILE}")
    folders = (path.parent for path in states)
    return sorted((f for f in folders if re.fullmatch(r"step_\d+", f.name)), reverse=True)


def sweep(run_dir: Path) -> None:
    """Remove what a killed process was writing; nobody else may be at work on the run."""
    for folder in (run_dir, run_dir / CHECKPOINTS_DIR):
        for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``folder`` when the block ends without an exception."""
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(mkdtemp(dir=folder.parent, prefix=TEMPORARY_PREFIX))
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if folder.exists():  # the same step, come to again
            shutil.rmtree(folder)
        temporary.rename(folder)
        _sync(folder.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError(
                f"disk full: {folder}", hint="Free space and run again."
            ) from error
        raise
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _point_to_last(run_dir: Path, step: int) -> None:
    with atomic_write(run_dir / LAST_FILE) as file:
        file.write(f"{checkpoint_dir(run_dir, step).relative_to(run_dir)}\n".encode())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hash_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read(file: Path, digest: object) -> dict[str, Tensor]:
    """Tensors of a file whose bytes are those that were written."""
    if not file.is_file():
        raise IntegrityError(f"checkpoint file is missing: {file}")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise IntegrityError(f"checkpoint file is damaged: {file}")
    try:
        return load(data)
    except (SafetensorError, ValueError) as error:
        raise IntegrityError(f"checkpoint file is damaged: {file}") from error


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step_"))


def _tensors(state: TrainingState) -> dict[str, dict[str, Tensor]]:
    return {
        MODEL_FILE: _contiguous(state.network.state_dict()),
        AVERAGED_FILE: _contiguous(state.averages.state_dict()),
        OPTIMIZER_FILE: _contiguous(
            {
                f"{index}.{name}": torch.as_tensor(value)
                for index, values in state.optimizer.state_dict()["state"].items()
                for name, value in values.items()
            }
        ),
    }


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    content = optimizer.state_dict()
    content["state"] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        content["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(content)
