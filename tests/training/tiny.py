"""Runs so small that a step takes milliseconds, and processes that a test may kill."""

import os
import signal
import sys
import time
import traceback
from functools import cache

import torch
from safetensors.torch import load_file

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.datasets.samples import SampleSet
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.training.checkpoints import checkpoint_dir
from smplcli.training.config import Recipe, ScheduleConfig
from smplcli.training.loop import run_training
from smplcli.training.run import Run
from tests.people import few_people

STEPS = 6
RECIPE = Recipe(
    model=ModelConfig(
        backbone="test_efficientnet",
        input_size=64,
        channels=8,
        upsamplings=1,
        hidden=8,
        keypoints=8,
    ),
    schedule=ScheduleConfig(
        steps=STEPS,
        batch_size=2,
        lifting_batch=4,
        warmup=0,
        validate_every=2,
        frozen=("conv_stem",),
    ),
)


@cache
def joints():
    return JointsLayer(load_body())


def shape_of_head(network, through):
    """A validation that costs nothing: the size of some weights."""
    for _ in through(range(2), "validate"):
        pass
    return {"pa_mpjpe": network.head.pool.weight.abs().sum().item()}


def tiny_run(run_dir, *, samples=None, recipe=RECIPE, validate=shape_of_head, **changes):
    """A run that can begin, or go on, in a folder."""
    run_dir.mkdir(exist_ok=True)
    torch.manual_seed(0)
    return Run(
        recipe=recipe,
        run_dir=run_dir,
        network=build_network(recipe.model),
        samples=SampleSet(
            few_people() if samples is None else samples,
            size=recipe.model.input_size,
            part_size=4,
            augmentation=recipe.augmentation,
        ),
        joints=joints(),
        validate=validate,
        on_best=lambda *_: None,
        has_best=lambda: True,
        facts={},
        device=torch.device("cpu"),
        **changes,
    )


def with_schedule(recipe=RECIPE, **changes):
    schedule = recipe.schedule.model_copy(update=changes)
    return recipe.model_copy(update={"schedule": schedule})


def whole(items, _label):
    return items


def train_whole(run):
    return run_training(run, whole)


def raising(number, at):
    """Progress that sends this process a signal before a step."""

    def progress(items, _label):
        for item in items:
            if item == at:
                os.kill(os.getpid(), number)
            yield item

    return progress


def weights(run_dir, step=STEPS, name="model.safetensors"):
    return (checkpoint_dir(run_dir, step) / name).read_bytes()


def tensors(run_dir, step=STEPS):
    return load_file(checkpoint_dir(run_dir, step) / "model.safetensors")


def forked(function, *args):
    """Start a process that calls a function, with everything that is imported here."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        function(*args)
        code = 0
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001 - a child must never go on as the test
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(code)


def ended(process, within=60.0):
    """Exit code of a process, minus the signal that killed it, and the seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < within:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - began
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    raise TimeoutError(f"process did not end within {within} s")
