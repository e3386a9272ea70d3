"""The network on samples of a prepared data set."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from smplcli.camera import crop_camera_to_transl, default_focal_length
from smplcli.conventions import NUM_BETAS, NUM_JOINTS, SCALE_PIXELS
from smplcli.crops import compose_affine, crop_matrix, extract_crop, transform_points
from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.shards import PreparedSample, PreparedSplit
from smplcli.evaluation.predictions import ImageCamera, Predictions
from smplcli.models.averaging import mean_answer
from smplcli.models.inference import prepare_network
from smplcli.models.network import Network
from smplcli.models.preprocess import to_network_input
from smplcli.types import Camera, Crop, Floats, Ints, Pixels

KeypointSource = Literal["detected", "none"]
"""What the network is given beside the picture."""


def index_batches(count: int, batch_size: int) -> list[Ints]:
    """Indices 0..count-1 in runs of at most ``batch_size``."""
    return [
        np.arange(start, min(start + batch_size, count)) for start in range(0, count, batch_size)
    ]


def predict_samples(
    network: Network,
    samples: PreparedSplit | JoinedSplits,
    batches: Iterable[Ints],
    *,
    keypoints: KeypointSource = "detected",
    flip_test: bool = False,
) -> Predictions:
    """Predict samples of a split.

    Args:
        network: The network, on the device that computes.
        samples: The split.
        batches: Indices of samples, each at most once; the others stay NaN.
        keypoints: ``detected`` gives the network what the detector found in the pictures.
        flip_test: Whether it sees every person a second time in a mirror, and answers the mean.
    """
    full_pose = np.full((len(samples), NUM_JOINTS, 3, 3), np.nan, dtype=np.float32)
    betas = np.full((len(samples), NUM_BETAS), np.nan, dtype=np.float32)
    camera = ImageCamera(
        *(np.full((len(samples), *shape), np.nan, dtype=np.float32) for shape in ((3,), (), (2,)))
    )
    device = network.mean_rot6d.device
    network = prepare_network(network)
    for rows in batches:
        people = [samples[row] for row in rows]
        crops, points = network_crops(people, network.config.input_size)
        image, unit_points = to_network_input(crops, points if keypoints == "detected" else None)
        unit_points = None if unit_points is None else unit_points.to(device)
        with torch.inference_mode():
            output = mean_answer([network], image.to(device), unit_points, flip_test=flip_test)
        full_pose[rows] = output.rotmat.cpu().numpy()
        betas[rows] = output.betas.cpu().numpy()
        for field, values in zip(camera, _image_camera(people, output.pred_cam), strict=True):
            field[rows] = values
    return Predictions(
        full_pose, betas, is_missing=np.zeros(len(samples), dtype=bool), camera=camera
    )


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


def _image_camera(people: Sequence[PreparedSample], pred_cam: Tensor) -> ImageCamera:
    """Places of bodies in the pictures, by the pictures' own cameras where these are known."""
    size = torch.tensor(np.stack([person.image_size for person in people])).float()
    intrinsics = torch.from_numpy(np.stack([person.cam_int for person in people])).float()
    is_known = intrinsics[:, 0, 0] > 0
    focal = torch.where(is_known, intrinsics[:, 0, 0], default_focal_length(size))
    centre = torch.where(is_known[:, None], intrinsics[:, :2, 2], (size - 1) / 2)
    crop = Crop(
        torch.tensor(np.stack([person.center for person in people])).float(),
        SCALE_PIXELS * torch.tensor([float(person.scale) for person in people]),
    )
    transl = crop_camera_to_transl(pred_cam.cpu().float(), crop, Camera(focal, centre, size))
    return ImageCamera(transl.numpy(), focal.numpy(), centre.numpy())
