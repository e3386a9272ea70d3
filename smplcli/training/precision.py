"""What the network computes with: bfloat16 or float32, as it is or compiled."""

from collections.abc import Callable
from math import ceil
from typing import Any, TypeVar, cast

import torch

from smplcli.errors import RefusedError
from smplcli.models.inference import has_fast_bf16
from smplcli.training.config import ComputeConfig, Precision, Recipe

F = TypeVar("F", bound=Callable[..., Any])


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Context in which a network computes with a precision."""
    is_half = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=is_half)


def frozen_dtype(device: torch.device) -> torch.dtype:
    """What parts that learn nothing compute in: 16 bits are fast, and nothing learns rounding."""
    return torch.bfloat16 if has_fast_bf16(device) else torch.float32


def compiled(function: F, config: ComputeConfig) -> F:
    """A function as torch compiles it at its first call, if that is asked for."""
    return cast("F", torch.compile(function)) if config.compile else function


def part_size(recipe: Recipe, processes: int) -> int:
    """Pictures that pass the network at once, in each of some processes."""
    own = ceil(recipe.schedule.batch_size / processes)
    return ceil(own / recipe.compute.accumulate)


def compile_failure(error: Exception) -> RefusedError | None:
    """What to tell if an error came from compiling; ``None`` if it did not."""
    if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return None
    reason = " ".join(str(error).split("\n")[:2])
    return RefusedError(
        f"torch cannot compile the network here: {reason}",
        hint="Leave [compute] compile out, or install what it names.",
    )
