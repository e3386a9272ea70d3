"""The network on samples of a prepared data set."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch

from smplcli.conventions import NUM_BETAS, NUM_JOINTS, SCALE_PIXELS
from smplcli.crops import compose_affine, crop_matrix, extract_crop, transform_points
from smplcli.datasets.shards import PreparedSample, PreparedSplit
from smplcli.evaluation.predictions import Predictions
from smplcli.models.network import Network
from smplcli.models.preprocess import to_network_input
from smplcli.types import Floats, Ints, Pixels

KeypointSource = Literal["detected", "none"]
"""What the network is given beside the picture."""


def index_batches(count: int, batch_size: int) -> list[Ints]:
    """Indices 0..count-1 in runs of at most ``batch_size``."""
    return [
        np.arange(start, min(start + batch_size, count)) for start in range(0, count, batch_size)
    ]


def predict_samples(
    network: Network,
    samples: PreparedSplit,
    batches: Iterable[Ints],
    *,
    keypoints: KeypointSource = "detected",
) -> Predictions:
    """Predict every sample of a split.

    Args:
        network: The network, on the device that computes.
        samples: The split.
        batches: Indices of samples; together, each sample once.
        keypoints: ``detected`` gives the network what the detector found in the pictures.
    """
    full_pose = np.full((len(samples), NUM_JOINTS, 3, 3), np.nan, dtype=np.float32)
    betas = np.full((len(samples), NUM_BETAS), np.nan, dtype=np.float32)
    device = network.mean_rot6d.device
    for rows in batches:
        crops, points = network_crops([samples[row] for row in rows], network.config.input_size)
        image, unit_points = to_network_input(crops, points if keypoints == "detected" else None)
        with torch.inference_mode():
            output = network(
                image.to(device), None if unit_points is None else unit_points.to(device)
            )
        full_pose[rows] = output.rotmat.cpu().numpy()
        betas[rows] = output.betas.cpu().numpy()
    return Predictions(full_pose, betas, np.zeros(len(samples), dtype=bool))


def network_crops(samples: Sequence[PreparedSample], size: int) -> tuple[Pixels, Floats]:
    """What the network sees of samples: their squares, and the keypoints detected in them.

    Args:
        samples: B people.
        size: Side of the network's input, pixels.

    Returns:
        Crops (B, size, size, 3) RGB, and keypoints (B, 17, 3): x, y in pixels of the crop, and
        the detector's score.
    """
    crops, points = [], []
    for sample in samples:
        to_crop = crop_matrix(sample.center, SCALE_PIXELS * float(sample.scale), size)
        from_stored = compose_affine(to_crop, sample.crop_to_image)
        crops.append(extract_crop(sample.image, from_stored, size))
        detected = sample.detected.astype(np.float64)
        detected[:, :2] = transform_points(to_crop, detected[:, :2])
        points.append(detected)
    return np.stack(crops), np.stack(points)
