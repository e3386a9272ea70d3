"""What is looked at before the first step, so that a run does not fail after its first hours."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import torch
from torch import Tensor, nn

from smplcli.conventions import COCO17_JOINTS
from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.shards import PreparedSplit
from smplcli.errors import ResourceError, SmplCliError, UnreadableFileError
from smplcli.models.network import Network
from smplcli.training.averaging import set_training
from smplcli.training.checkpoints import KEPT
from smplcli.training.config import Recipe
from smplcli.training.memory import GIGABYTE, available_memory
from smplcli.training.precision import autocast, part_size
from smplcli.training.run import Run

SAMPLES_PER_SHARD = 3
MOST_NAMED = 8
"""Unreadable samples that a message names."""

FOLDERS_AT_ONCE = KEPT + 2
"""The newest checkpoints, the best one, and the one that is being written."""

BACKWARD = 1.5
"""Memory of a step over what it keeps for its backward pass; 1.1 to 1.4 measured (ResNet-18 and
ResNet-50 at 128 px, EfficientNet-Lite0)."""

TRIAL_SAMPLES = 2
"""Samples whose passage through the network tells what each more would need."""


def preflight(run: Run, validation: PreparedSplit | JoinedSplits) -> None:
    """Look at what a run needs; its network is on its device afterwards, and else as before.

    Raises:
        UnreadableFileError: Some samples cannot be read.
        ResourceError: Disk or memory is not enough.
    """
    for split in (run.samples.split, validation):
        check_samples(split)
    network = run.network.to(run.device)
    check_disk(run.run_dir, network, run.recipe)
    check_memory(network, run.recipe, run.device, processes=run.ranks.size)


def check_samples(split: PreparedSplit | JoinedSplits) -> None:
    """Decode a few samples of every shard.

    Raises:
        UnreadableFileError: Some cannot be read; they are named.
    """
    failures = []
    for part in split.splits if isinstance(split, JoinedSplits) else (split,):
        for path, rows in part.shard_rows():
            spread = torch.linspace(0, len(rows) - 1, min(len(rows), SAMPLES_PER_SHARD))
            for row in spread.round().int().tolist():
                try:
                    part[rows[row]]
                except SmplCliError as error:
                    failures.append(error.message)
                except (ValueError, OSError) as error:
                    failures.append(f"{path}, sample {row}: {error}")
    if failures:
        shown = failures[:MOST_NAMED]
        if len(failures) > len(shown):
            shown.append(f"and {len(failures) - len(shown)} more")
        raise UnreadableFileError(
            "\n  ".join([f"{len(failures)} of the samples looked at cannot be read:", *shown]),
            hint="Run 'smplcli prepare' again for this data set.",
        )


def check_disk(run_dir: Path, network: nn.Module, recipe: Recipe) -> None:
    """Make sure that the checkpoints of a whole run have room.

    Raises:
        ResourceError: They have not.
    """
    keep_every, steps = recipe.conduct.keep_every, recipe.schedule.steps
    folders = FOLDERS_AT_ONCE + (steps // keep_every if keep_every else 0)
    needed = folders * state_bytes(network, recipe) + _bytes(network.state_dict().values())
    there = sum(file.stat().st_size for file in run_dir.rglob("*.safetensors"))
    free = shutil.disk_usage(run_dir).free
    if needed - there > free:
        raise ResourceError(
            f"no room for {folders} checkpoints: {run_dir}: they need "
            f"{_gigabytes(needed - there)}, {_gigabytes(free)} are free",
            hint="Free space, choose another disk with --out, or raise [conduct] keep_every.",
        )


def state_bytes(network: nn.Module, recipe: Recipe) -> int:
    """Bytes of one checkpoint: weights, their averages, and Adam's two moments."""
    whole = _bytes(network.state_dict().values())
    weights = _bytes(network.parameters())
    moments = 2 * _bytes(p for p in network.parameters() if p.requires_grad)
    averages = whole * (recipe.schedule.average > 0)
    if recipe.schedule.swa_start is not None:
        averages += whole + weights  # sums are in float64
    return whole + averages + moments


def check_memory(
    network: Network,
    recipe: Recipe,
    device: torch.device,
    *,
    processes: int = 1,
    free: int | None = None,
) -> None:
    """Make sure that the pictures of a step fit into memory: on a GPU by trying.

    The network is as before afterwards.

    Args:
        network: On the device.
        recipe: What is trained.
        device: Where.
        processes: How many share each batch, and the memory of the machine.
        free: Bytes to count on without a GPU; what the machine says if not given.

    Raises:
        ResourceError: They do not; the largest batch that does is named.
    """
    count = part_size(recipe, processes)
    with _unchanged(network):
        if device.type == "cuda":
            largest = _largest_on_gpu(network, recipe, device, count)
        else:
            free = available_memory() if free is None else free
            largest = count
            if free is not None:
                largest = _largest_on_cpu(network, recipe, count, free // processes)
    if largest < count:
        what = "GPU" if device.type == "cuda" else "machine"
        if not largest:
            message = f"not even one picture fits into the memory of the {what}"
            hint = "Choose a smaller network or input_size."
        else:
            message = (
                f"{count} pictures at once do not fit into the memory of the {what}: "
                f"at most {largest} do"
            )
            parts = ceil(recipe.schedule.batch_size / processes / largest)
            hint = (
                f"Set [compute] accumulate = {parts}, or [schedule] batch_size = "
                f"{largest * processes * recipe.compute.accumulate} or less."
            )
        raise ResourceError(message, hint=hint)


def _largest_on_gpu(network: Network, recipe: Recipe, device: torch.device, count: int) -> int:
    def fits(batch: int) -> bool:
        try:
            # What the optimizer and the averages will hold, which is not there yet.
            rest = torch.empty(state_bytes(network, recipe), dtype=torch.uint8, device=device)
            _answer(network, recipe, batch).backward()
            del rest
        except torch.OutOfMemoryError:
            return False
        finally:
            network.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
        return True

    return largest_that_fits(count, fits)


def _largest_on_cpu(network: Network, recipe: Recipe, count: int, free: int) -> int:
    few, more = (
        _kept_for_backward(network, recipe, size) for size in (TRIAL_SAMPLES, 2 * TRIAL_SAMPLES)
    )
    each = max(1.0, BACKWARD * (more - few) / TRIAL_SAMPLES)
    # Gradients come on top of what the optimizer and the averages will hold.
    free -= state_bytes(network, recipe) - _bytes(network.parameters())
    return min(count, int(max(0, free) / each))


def largest_that_fits(count: int, fits: Callable[[int], bool]) -> int:
    """Largest number up to ``count`` that fits, if all smaller ones fit then; 0 if none does."""
    if fits(count):
        return count
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _kept_for_backward(network: Network, recipe: Recipe, batch: int) -> int:
    """Bytes that the backward pass of a batch would find in memory, weights left out."""
    weights = {value.untyped_storage().data_ptr() for value in network.state_dict().values()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        # The answer is kept until all of it has been counted, so no storage is there twice.
        answer = _answer(network, recipe, batch)
        total = sum(kept.values())
    del answer
    return total


def _answer(network: Network, recipe: Recipe, batch: int) -> Tensor:
    """A number that depends on all that a step computes for a batch of grey pictures."""
    size, device = recipe.model.input_size, network.mean_rot6d.device
    image = torch.full((batch, 3, size, size), 0.5, device=device)
    image = image.to(memory_format=torch.channels_last)
    with autocast(recipe.compute.precision, device):
        seen = network.look(image)
    outputs = [network.answer(seen)]
    if recipe.model.keypoints:
        keypoints = torch.full((batch, len(COCO17_JOINTS), 3), 0.5, device=device)
        outputs.append(network.answer(seen, keypoints))
    values = [value for output in outputs for value in output if value is not None]
    return torch.stack([value.float().mean() for value in values]).sum()


@contextmanager
def _unchanged(network: Network) -> Iterator[None]:
    """Training mode, after which statistics of batch norms and all chance are as before."""
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    was_training = network.training
    set_training(network)
    devices = [network.mean_rot6d.device.index] if network.mean_rot6d.is_cuda else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for name, value in network.named_buffers():
            value.copy_(buffers[name])
        network.train(was_training)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in tensors)


def _gigabytes(size: int) -> str:
    return f"{size / GIGABYTE:.1f} GB" if size >= GIGABYTE else f"{size >> 20} MB"
