"""What `evaluate` and `submit` are given: a checkpoint that predicts, or predictions in a file."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch

from smplcli.datasets.shards import PreparedSplit
from smplcli.errors import ConfigError, IntegrityError
from smplcli.evaluation.inference import KeypointSource, index_batches, predict_samples
from smplcli.evaluation.predictions import ImageCamera, Predictions
from smplcli.evaluation.ranks import Rank
from smplcli.evaluation.romp_files import result_files
from smplcli.files import sha256_of
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import LoadedNetwork, load_network
from smplcli.training.checkpoints import (
    AVERAGED_FILE,
    MODEL_FILE,
    STATE_FILE,
    load_weights,
    read_facts,
)
from smplcli.types import Ints
from smplcli.workflows.devices import choose_device
from smplcli.workflows.progress import Progress

PREDICTIONS_SUFFIX = ".npz"

MATCHED = {
    "place": ("people were told apart by their place in the picture, not by numbers",),
    "row": ("predictions were taken row by row: the file does not say who is who",),
}
"""What to know about predictions whose people have no numbers, or others than the data's."""


Weights = Literal["averaged", "last"]
"""Weights of a checkpoint that holds two sets: averaged over the steps, or of the last step."""


def is_predictions(target: Path) -> bool:
    """Whether a target is a file, or a folder of files, of predictions and no checkpoint."""
    if target.is_dir():
        return not (target / STATE_FILE).is_file()
    return target.suffix == PREDICTIONS_SUFFIX


def predictions_sha256(target: Path) -> str:
    """Hash of a file of predictions, or of the names and contents of all in a folder."""
    if not target.is_dir():
        return sha256_of(target)
    digest = hashlib.sha256()
    for file in result_files(target):
        digest.update(f"{file.relative_to(target).as_posix()}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()


def open_predictor(
    checkpoint: Path,
    *,
    keypoints: KeypointSource,
    device: str,
    batch_size: int,
    weights: Weights = "averaged",
    flip_test: bool = False,
    rank: Rank | None = None,
    progress: Progress,
) -> Callable[[PreparedSplit], Predictions]:
    """Load a network and return what predicts the samples of a split with it.

    Args:
        checkpoint: A weights file, or the folder of one of a run's checkpoints.
        keypoints: What the network is given beside the picture.
        device: ``auto``, ``cpu``, or a CUDA device.
        batch_size: Samples computed at a time.
        weights: Which, where a checkpoint holds two sets.
        flip_test: Whether the network sees everybody a second time in a mirror.
        rank: Which of several processes this is, each of which predicts a share.
        progress: Shows the batches.

    Raises:
        ConfigError: The weights of the last step are wanted of a file that holds one set.
        MissingFileError: There is no such file.
        UnreadableFileError: It is no weights file.
        IntegrityError: The checkpoint is damaged.
    """
    network = load_checkpoint(checkpoint, weights, choose_device(device)).network

    def predict(samples: PreparedSplit) -> Predictions:
        batches = index_batches(len(samples), batch_size)
        own = progress(batches if rank is None else rank.share(batches), "predict")
        predictions = predict_samples(
            network, samples, own, keypoints=keypoints, flip_test=flip_test
        )
        return predictions if rank is None else gathered(predictions, rank, batches)

    return predict


def weights_file(checkpoint: Path, weights: Weights = "averaged") -> Path:
    """The file that holds the weights of a checkpoint.

    Raises:
        ConfigError: The weights of the last step are wanted of a file that holds one set.
    """
    if checkpoint.is_dir():
        return checkpoint / (AVERAGED_FILE if weights == "averaged" else MODEL_FILE)
    if weights == "last":
        raise ConfigError(
            f"holds one set of weights, the averaged: {checkpoint}",
            hint="Give the folder of a checkpoint, such as runs/<name>/checkpoints/step_00001000.",
        )
    return checkpoint


def load_checkpoint(
    checkpoint: Path, weights: Weights = "averaged", device: str | torch.device = "cpu"
) -> LoadedNetwork:
    """Load the network of a checkpoint.

    Args:
        checkpoint: A weights file, or the folder of one of a run's checkpoints.
        weights: Which, where a checkpoint holds two sets.
        device: Where it computes.

    Raises:
        ConfigError: The weights of the last step are wanted of a file that holds one set.
        MissingFileError: There is no such file.
        UnreadableFileError: It is no weights file.
        IntegrityError: The checkpoint is damaged.
    """
    file = weights_file(checkpoint, weights)
    if not checkpoint.is_dir():
        return load_network(file, device=device)
    tensors = load_weights(checkpoint, averaged=weights == "averaged")
    try:
        config = ModelConfig.model_validate(read_facts(checkpoint)["recipe"]["model"])
        network = build_network(config)
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise IntegrityError(
            f"checkpoint is not of the network that it names: {checkpoint}"
        ) from error
    return LoadedNetwork(network.eval().to(device), {}, sha256_of(file))


def gathered(predictions: Predictions, rank: Rank, batches: Sequence[Ints]) -> Predictions:
    """Predictions of all processes, on each of them."""
    camera = predictions.camera
    return predictions._replace(
        full_pose=rank.gather(predictions.full_pose, batches),
        betas=rank.gather(predictions.betas, batches),
        camera=camera and ImageCamera(*(rank.gather(field, batches) for field in camera)),
    )


def short_name(path: Path) -> str:
    """What reports call a file: its name and that of its folder."""
    return f"{path.absolute().parent.name}/{path.name}"


def prediction_notes(predictions: Predictions) -> tuple[str, ...]:
    """What of a file of predictions was not used, in sentences."""
    notes = {
        "predictions left out, of people who are not in the data": predictions.num_unmatched,
        "predictions left out, of people who had one already": predictions.num_duplicates,
    }
    counts = tuple(f"{note}: {count}" for note, count in notes.items() if count)
    return (*counts, *MATCHED.get(predictions.matched_by, ()))
