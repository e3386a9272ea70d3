"""The heads of the ladder alone, on features of a backbone that already knows people.

``python -m tests.benchmarks.ladder_heads DATA OUT [STEPS]``: the person detector's trunk looks at
every picture once, unaugmented; its last features are kept, and each head learns from them.
That takes a fraction of the time of training whole networks, so heads see more people.
DATA is a prepared synthetic data set; what is in OUT is not computed again. The whole networks
are kept there, for ``smplcli evaluate``.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.datasets.samples import Sample, SampleSet
from smplcli.datasets.shards import PreparedSplit, open_prepared
from smplcli.evaluation.inference import index_batches
from smplcli.evaluation.predictions import Predictions
from smplcli.evaluation.scoring import neutral_posers, score_predictions, truth_of
from smplcli.files import read_json, write_json
from smplcli.models.backbones import MOVENET, Backbone
from smplcli.models.config import ModelConfig
from smplcli.models.network import Network, NetworkOutput, build_network
from smplcli.models.pretrained import pretrained_file
from smplcli.models.weights import save_network
from smplcli.training.batches import StepBatches
from smplcli.training.config import LossConfig, ScheduleConfig
from smplcli.training.losses import Losses
from smplcli.training.schedule import learning_rate
from smplcli.workflows.train import mean_pose
from smplcli.workflows.validation import VALIDATION
from tests.benchmarks.ladder import BASELINE, FULL, MODEL, ONE_PERCEPTRON, beside

STEPS, BATCH = 1000, 32
SIZE, PARTS = 160, 40
METRICS = ("mpjpe", "pa_mpjpe")

RUNGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "baseline": (BASELINE, {}),
    "shallow head, one perceptron": ({"upsamplings": 2, **ONE_PERCEPTRON}, {}),
    FULL: ({}, {}),
    "full head, one perceptron": (ONE_PERCEPTRON, {}),
    f"{FULL}, parts unsupervised": ({}, {"parts": 0.0}),
}
"""Changes of network and losses."""


class Seen(NamedTuple):
    """All samples of a split, as the backbone left them."""

    features: Tensor
    """(N, 480, 5, 5) half precision."""

    labels: dict[str, Tensor]
    """Fields of `Sample` but the picture."""


def main(data: Path, out: Path, steps: int = STEPS) -> None:
    """Compute features, train and measure every head, and print the table."""
    train, test = (_see(open_prepared(data, split), out / split) for split in ("train", "test"))
    split = open_prepared(data, "test")
    start = mean_pose(open_prepared(data, "train"))
    for number, (model, losses) in enumerate(RUNGS.values()):
        result = out / f"{number}.json"
        if not result.is_file():
            config = MODEL | {"backbone": MOVENET, "input_size": SIZE} | model
            network = build_network(ModelConfig(**config), backbone_weights="detector")
            network.mean_rot6d.copy_(start)
            _train(network, train, LossConfig(**losses), steps)
            save_network(out / f"{number}.safetensors", network, {"steps": steps})
            write_json(result, _measure(network.eval(), test, split))
    results = {name: read_json(out / f"{number}.json") for number, name in enumerate(RUNGS)}
    for name, errors in results.items():
        means = " / ".join(f"{np.mean(errors[metric]):.1f}" for metric in METRICS)
        print(f"| {name} | {means} | {beside(errors, results[FULL])} |")


@torch.inference_mode()
def _see(split: PreparedSplit, path: Path) -> Seen:
    file = path.with_suffix(".safetensors")
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        backbone = Backbone(MOVENET).eval()
        backbone.load_pretrained(pretrained_file(MOVENET, "detector"))
        samples = SampleSet(split, size=SIZE, part_size=PARTS)
        features, labels = [], []
        for rows in index_batches(len(split), 64):
            batch = samples[[(0, int(row)) for row in rows]]
            features.append(backbone(batch.image.float() / 255)[-1].half())
            labels.append(batch._replace(image=batch.image[:0]))
        stacked = {
            name: torch.cat([getattr(batch, name) for batch in labels])
            for name in Sample._fields
            if name != "image"
        }
        save_file({"features": torch.cat(features).contiguous(), **stacked}, file)
    tensors = load_file(file)
    return Seen(tensors.pop("features"), tensors)


def _answer(network: Network, features: Tensor) -> NetworkOutput:
    return network.answer(network.head.look([features.float()]))


def _train(network: Network, seen: Seen, losses: LossConfig, steps: int) -> None:
    schedule = ScheduleConfig(steps=steps, warmup=50, flat=0.4, learning_rate=1e-3)
    loss = Losses(losses, JointsLayer(load_body()))
    optimizer = torch.optim.Adam(network.head.parameters())
    coarser = PARTS // network.config.part_size if network.config.head != "baseline" else 1
    batches = StepBatches(count=len(seen.features), batch_size=BATCH, seed=0, steps=range(steps))
    network.train()
    for step, keys in enumerate(batches):
        rows = torch.tensor([index for _, index in keys])
        labels = {name: value[rows] for name, value in seen.labels.items()}
        labels["part_map"] = labels["part_map"][:, ::coarser, ::coarser]
        batch = Sample(image=torch.empty(1).expand(BATCH, 3, SIZE, SIZE), **labels)
        terms = loss(_answer(network, seen.features[rows]), batch, supervise_parts=True)
        optimizer.param_groups[0]["lr"] = learning_rate(schedule, step)
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.head.parameters(), schedule.clip)
        optimizer.step()


@torch.inference_mode()
def _measure(network: Network, seen: Seen, split: PreparedSplit) -> dict[str, list[float]]:
    batches = index_batches(len(split), 64)
    outputs = [_answer(network, seen.features[torch.from_numpy(rows)]) for rows in batches]
    predictions = Predictions(
        torch.cat([output.rotmat for output in outputs]).numpy(),
        torch.cat([output.betas for output in outputs]).numpy(),
        is_missing=np.zeros(len(split), dtype=bool),
    )
    posers = neutral_posers(load_body(), VALIDATION)
    scores = score_predictions(VALIDATION, posers, predictions, truth_of(split), batches)
    return {name: scores.errors[name].tolist() for name in METRICS}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *map(int, sys.argv[3:]))
