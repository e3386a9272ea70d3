"""Print the table of docs/network.md: ``python -m tests.benchmarks.shipped_network DATA``.

DATA is a prepared synthetic data set. Errors are over 24 SMPL joints of its test split, whose
poses are of clips that no training picture shows.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from smplcli.body.files import load_body
from smplcli.conventions import SMPL_JOINTS
from smplcli.datasets.keypoint_noise import corrupt_keypoints
from smplcli.datasets.shards import PreparedSample, PreparedSplit, open_prepared
from smplcli.evaluation.inference import index_batches, predict_samples
from smplcli.evaluation.predictions import Predictions
from smplcli.evaluation.protocols import SMPL24
from smplcli.evaluation.scoring import neutral_posers, score_predictions, truth_of
from smplcli.files import asset
from smplcli.models.weights import load_network
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Floats
from smplcli.workflows.evaluation_controls import evaluate_controls

BATCH = 64
METRICS = ("mpjpe", "pa_mpjpe", "pve")
UPRIGHT = 0.8
"""Cosine of the angle between body and picture vertical from which a person is upright."""


class MadeUpDetections(PreparedSplit):
    """A split whose keypoints are the truth with a detector's usual mistakes."""

    def __init__(self, samples: PreparedSplit) -> None:
        self.__dict__.update(samples.__dict__)

    def __getitem__(self, index: int) -> PreparedSample:
        sample = super().__getitem__(index)
        rng = np.random.default_rng(index)
        return sample._replace(detected=corrupt_keypoints(sample.keypoints[None], rng)[0])


class Row(NamedTuple):
    """One line of the table."""

    name: str
    errors: dict[str, Floats]


def main(data: Path) -> None:
    """Measure the shipped network and its controls."""
    samples = open_prepared(data, "test")
    network = load_network(asset("network.safetensors")).network
    posers, batches = neutral_posers(load_body(), SMPL24), index_batches(len(samples), BATCH)

    def measure(name: str, predictions: Predictions) -> Row:
        scores = score_predictions(SMPL24, posers, predictions, truth_of(samples), batches)
        return Row(name, scores.errors)

    made_up = MadeUpDetections(samples)
    _print_table(
        samples,
        [
            measure("network, detector's keypoints", predict_samples(network, samples, batches)),
            measure("network, made-up keypoints", predict_samples(network, made_up, batches)),
            measure(
                "network, picture alone",
                predict_samples(network, samples, batches, keypoints="none"),
            ),
        ],
    )
    for name, report in evaluate_controls(
        asset("network.safetensors"), data, split="test"
    ).items():
        values = {m.metric: m.value for m in report.measurements}
        print(f"| {name} | " + " / ".join(f"{values[m]:.1f}" for m in METRICS) + " |")


def _print_table(samples: PreparedSplit, rows: list[Row]) -> None:
    groups = _groups(samples)
    cells = [f"{name} ({int(members.sum())})" for name, members in groups.items()]
    print("| MPJPE / PA-MPJPE / PVE, mm | " + " | ".join(cells) + " |")
    print("|---" * (len(cells) + 1) + "|")
    for row in rows:
        means = [
            " / ".join(f"{row.errors[metric][members].mean():.1f}" for metric in METRICS)
            for members in groups.values()
        ]
        print(f"| {row.name} | " + " | ".join(means) + " |")


def _groups(samples: PreparedSplit) -> dict[str, Floats]:
    pose = torch.from_numpy(samples.field("pose")).view(-1, len(SMPL_JOINTS), 3)
    down = aa_to_rotmat(pose[:, 0])[:, 1, 1].numpy()
    whole = (samples.field("keypoints")[..., 2] > 0).all(axis=1)
    return {
        "all": np.ones(len(samples), dtype=bool),
        "whole and upright": whole & (down < -UPRIGHT),
        "cut off": ~whole,
        "bent, lying or seen steeply": down >= -UPRIGHT,
        "found by the detector": samples.field("detected")[..., 2].any(axis=1),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
