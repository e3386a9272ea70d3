"""What a trained network must beat."""

from pathlib import Path

import numpy as np
import torch

from smplcli.conventions import NUM_BETAS
from smplcli.evaluation.inference import KeypointSource, index_batches, predict_samples
from smplcli.evaluation.predictions import Predictions
from smplcli.evaluation.ranks import Rank
from smplcli.models.network import Network, build_network
from smplcli.models.weights import load_network
from smplcli.rotations import rot6d_to_rotmat
from smplcli.workflows.devices import choose_device
from smplcli.workflows.evaluate import judge, open_for
from smplcli.workflows.evaluation_report import EvaluationReport, Source
from smplcli.workflows.evaluation_settings import How
from smplcli.workflows.progress import Progress, no_progress

UNTRAINED_SEED = 0


def evaluate_controls(
    checkpoint: Path,
    data: Path,
    *,
    split: str = "validation",
    keypoints: KeypointSource = "detected",
    body: Path | None = None,
    device: str = "auto",
    batch_size: int = 64,
    progress: Progress = no_progress,
) -> dict[str, EvaluationReport]:
    """Measure what a trained network must beat: the mean pose, and the same network untrained.

    Args:
        checkpoint: Says which network, and which mean pose it starts from.
        data: Prepared data set.
        split: Which part of it.
        keypoints: What the untrained network is given beside the picture.
        body: SMPL file; the demo body without one.
        device: ``auto``, ``cpu``, or a CUDA device.
        batch_size: Samples computed at a time.
        progress: Shows the batches.

    Returns:
        Reports by name: ``mean pose`` and ``untrained network``.
    """
    how = How(keypoints=keypoints, batch_size=batch_size, progress=progress)
    ground = open_for(data, split, body, device, how.options)
    trained = load_network(checkpoint)
    torch.manual_seed(UNTRAINED_SEED)
    untrained = build_network(trained.network.config).eval()
    untrained.mean_rot6d.copy_(trained.network.mean_rot6d)
    batches = progress(index_batches(len(ground.samples), batch_size), "predict")
    controls = {
        "mean pose": predict_mean_pose(trained.network, len(ground.samples)),
        "untrained network": predict_samples(
            untrained.to(choose_device(device)), ground.samples, batches, keypoints=keypoints
        ),
    }
    given = {"mean pose": "none", "untrained network": keypoints}
    return {
        name: judge(
            ground, predictions, Source(name, trained.sha256, given[name]), how, Rank()
        ).report
        for name, predictions in controls.items()
    }


def predict_mean_pose(network: Network, count: int) -> Predictions:
    """The pose that a network starts from, for so many people."""
    rotmat = rot6d_to_rotmat(network.mean_rot6d).cpu().numpy()
    return Predictions(
        full_pose=np.repeat(rotmat[None], count, axis=0),
        betas=np.zeros((count, NUM_BETAS), dtype=np.float32),
        is_missing=np.zeros(count, dtype=bool),
    )
