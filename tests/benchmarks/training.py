"""Steps of training `pare` beside torchvision's ResNet-50 in the plainest of loops.

On a GPU if there is one. A step is timed with pictures that lie there, and with those that workers
decode and augment; the ratio of the times is that of images a second.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from torch.nn.functional import cross_entropy

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.datasets.samples import Sample, SampleSet
from smplcli.datasets.shards import PreparedSplit, open_prepared
from smplcli.models.network import build_network
from smplcli.training.config import Precision, Recipe, read_recipe
from smplcli.training.loading import pictures
from smplcli.training.precision import autocast
from smplcli.training.run import Run, begin_state
from smplcli.training.step import Stepper, moved
from smplcli.workflows.render import render
from tests.benchmarks.duel import Duel

REACH = 0.5
ENDLESS = 1_000_000
"""Steps that no benchmark takes."""

CLASSES = 1000


class Setting(NamedTuple):
    """How steps are computed."""

    batch_size: int
    precision: Precision
    compile: bool = False


SETTINGS = {
    "cuda": (
        Setting(64, "fp32"),
        Setting(64, "bf16"),
        Setting(64, "bf16", compile=True),
        Setting(256, "bf16"),
    ),
    "cpu": (Setting(4, "fp32"),),
}
WORKERS = {"cuda": 8, "cpu": 0}


def duels() -> Iterator[Duel]:
    """Each setting without the loader and with it."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smplcli-bench-")))
        render(folder / "data", count=16, jobs=1)
        split = open_prepared(folder / "data", "train")
        for setting in SETTINGS[device.type]:
            compiled = ", compiled" * setting.compile
            job = f"pare step, batch {setting.batch_size}, {setting.precision}{compiled}"
            run = _run(folder, split, setting, device)
            batches, stepper = pictures(run, 0), Stepper(run, begin_state(run))
            still = moved(next(batches), device)
            plain = _plain_step(still, setting, device)
            yield Duel(job, _step(stepper, lambda batch=still: batch), "ResNet-50", plain, REACH)
            ours = _step(stepper, lambda source=batches: next(source))
            yield Duel(f"{job}, {run.workers} workers", ours, "ResNet-50", plain, REACH)


def _step(stepper: Stepper, batch: Callable[[], Sample]) -> Callable[[], object]:
    return lambda: stepper.take(0, batch())


def _run(folder: Path, split: PreparedSplit, setting: Setting, device: torch.device) -> Run:
    recipe = read_recipe("pare")
    schedule = {"epochs": None, "steps": ENDLESS, "batch_size": setting.batch_size}
    compute = {"precision": setting.precision, "compile": setting.compile}
    recipe = Recipe(
        **{
            **dict(recipe),
            "schedule": recipe.schedule.model_copy(update=schedule),
            "compute": recipe.compute.model_copy(update=compute),
        }
    )
    samples = SampleSet(
        split,
        size=recipe.model.input_size,
        part_size=recipe.model.part_size,
        augmentation=recipe.augmentation,
        seed=recipe.seed,
    )
    return Run(
        recipe=recipe,
        run_dir=folder,
        network=build_network(recipe.model),
        samples=samples,
        joints=JointsLayer(load_body()),
        validate=lambda *_: {},
        on_best=lambda *_: None,
        has_best=lambda: False,
        facts={},
        device=device,
        workers=WORKERS[device.type],
    )


def _plain_step(batch: Sample, setting: Setting, device: torch.device) -> Callable[[], object]:
    """One step of a classifier on the same pictures, which are on the device already."""
    network = torchvision.models.resnet50().to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-4)
    image = batch.image.to(memory_format=torch.channels_last).float() / 255
    labels = torch.arange(len(image), device=device) % CLASSES

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(setting.precision, device):
            scores = network(image)
        loss = cross_entropy(scores.float(), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return step
