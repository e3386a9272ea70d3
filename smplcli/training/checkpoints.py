"""Checkpoints: hashed folders of weights and optimizer state. The newest sound one wins."""

import logging
import shutil
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from smplcli.errors import IntegrityError, SmplCliError
from smplcli.files import atomic_write, read_json, sha256_of, write_json

log = logging.getLogger(__name__)

STATE_FILE = "state.json"
MODEL_FILE, AVERAGED_FILE = "model.safetensors", "averaged.safetensors"
KEPT = 3


class TrainingState(NamedTuple):
    """Everything of a run that changes from step to step."""

    network: nn.Module
    averaged: AveragedModel
    """Same network, weights averaged over the steps so far."""

    optimizer: Optimizer


def save_checkpoint(
    run_dir: Path, step: int, state: TrainingState, facts: dict[str, object]
) -> None:
    """Write a checkpoint and let go of all but the newest few.

    Args:
        run_dir: The run.
        step: Optimizer steps taken.
        state: What to keep.
        facts: JSON-like values to find again on resuming.
    """
    folder = run_dir / "checkpoints" / f"step_{step:08d}"
    hashes = {}
    for name, tensors in _tensors(state).items():
        with atomic_write(folder / name) as file:
            file.write(save(tensors))
        hashes[name] = sha256_of(folder / name)
    # Written last: a folder without it is a checkpoint that was never finished.
    write_json(folder / STATE_FILE, {"step": step, "sha256": hashes, **facts})
    for old in _folders(run_dir)[KEPT:]:
        shutil.rmtree(old)


def load_newest_checkpoint(run_dir: Path, state: TrainingState) -> dict[str, object] | None:
    """Restore the newest checkpoint that is whole; damaged ones are passed over loudly.

    Returns:
        The facts that were stored with it, ``step`` among them; ``None`` without any checkpoint.

    Raises:
        IntegrityError: There are checkpoints, and all are damaged.
    """
    folders = _folders(run_dir)
    for folder in folders:
        try:
            return _load(folder, state)
        except (SmplCliError, OSError, ValueError, KeyError, RuntimeError) as error:
            log.warning("checkpoint is damaged and passed over: %s: %s", folder, error)
    if folders:
        raise IntegrityError(
            f"no sound checkpoint in {run_dir}", hint="Start again in another run folder."
        )
    return None


def load_weights(folder: Path, *, averaged: bool) -> dict[str, Tensor]:
    """Weights of one checkpoint, under the names that the network gives them.

    Args:
        folder: A checkpoint of a run.
        averaged: Whether those averaged over the steps are wanted, or those of the last step.

    Raises:
        IntegrityError: The file is not there, or not as it was written.
    """
    file = folder / (AVERAGED_FILE if averaged else MODEL_FILE)
    hashes = read_json(folder / STATE_FILE).get("sha256", {})
    if not file.is_file() or sha256_of(file) != hashes.get(file.name):
        raise IntegrityError(f"checkpoint file is damaged: {file}")
    prefix = "module." if averaged else ""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in load_file(file).items()
        if name.startswith(prefix)
    }


def _load(folder: Path, state: TrainingState) -> dict[str, object]:
    facts: dict[str, object] = read_json(folder / STATE_FILE)
    hashes = facts["sha256"]
    if not isinstance(hashes, dict):
        raise IntegrityError(f"checkpoint has no hashes: {folder}")
    for name, digest in hashes.items():
        if sha256_of(folder / name) != digest:
            raise IntegrityError(f"checkpoint file is damaged: {folder / name}")
    files = {name: load_file(folder / name) for name in _tensors(state)}
    state.network.load_state_dict(files[MODEL_FILE])
    state.averaged.load_state_dict(files[AVERAGED_FILE])
    _restore_optimizer(state.optimizer, files["optimizer.safetensors"])
    return facts


def _folders(run_dir: Path) -> list[Path]:
    """Finished checkpoints, the newest first."""
    states = (run_dir / "checkpoints").glob(f"step_*/{STATE_FILE}")
    return sorted((path.parent for path in states), reverse=True)


def _tensors(state: TrainingState) -> dict[str, dict[str, Tensor]]:
    return {
        MODEL_FILE: _contiguous(state.network.state_dict()),
        AVERAGED_FILE: _contiguous(state.averaged.state_dict()),
        "optimizer.safetensors": _contiguous(
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
