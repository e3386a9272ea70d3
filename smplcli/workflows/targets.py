"""What `evaluate` and `submit` are given: a checkpoint that predicts, or predictions in a file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from smplcli.body.model import BodyModel
from smplcli.datasets.shards import PreparedSplit
from smplcli.errors import OutputExistsError
from smplcli.evaluation.inference import KeypointSource, index_batches, predict_samples
from smplcli.evaluation.predictions import ImageCamera, Predictions
from smplcli.evaluation.ranks import Rank
from smplcli.models.weights import load_network
from smplcli.types import Ints
from smplcli.workflows.devices import choose_device
from smplcli.workflows.progress import Progress

PREDICTIONS_SUFFIX = ".npz"

MATCHED = {
    "place": ("people were told apart by their place in the picture, not by numbers",),
    "row": ("predictions were taken row by row: the file does not say who is who",),
}
"""What to know about predictions whose people have no numbers, or others than the data's."""


def is_predictions(target: Path) -> bool:
    """Whether a target is a file of predictions rather than a checkpoint."""
    return target.suffix == PREDICTIONS_SUFFIX


def open_predictor(
    checkpoint: Path,
    *,
    keypoints: KeypointSource,
    device: str,
    batch_size: int,
    flip_test: bool = False,
    rank: Rank | None = None,
    progress: Progress,
) -> Callable[[PreparedSplit], Predictions]:
    """Load a network and return what predicts the samples of a split with it.

    Args:
        checkpoint: The weights file.
        keypoints: What the network is given beside the picture.
        device: ``auto``, ``cpu``, or a CUDA device.
        batch_size: Samples computed at a time.
        flip_test: Whether the network sees everybody a second time in a mirror.
        rank: Which of several processes this is, each of which predicts a share.
        progress: Shows the batches.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no weights file.
    """
    network = load_network(checkpoint, device=choose_device(device)).network

    def predict(samples: PreparedSplit) -> Predictions:
        batches = index_batches(len(samples), batch_size)
        own = progress(batches if rank is None else rank.share(batches), "predict")
        predictions = predict_samples(
            network, samples, own, keypoints=keypoints, flip_test=flip_test
        )
        return predictions if rank is None else _gathered(predictions, rank, batches)

    return predict


def _gathered(predictions: Predictions, rank: Rank, batches: Sequence[Ints]) -> Predictions:
    """Predictions of all processes, on each of them."""
    camera = predictions.camera
    return predictions._replace(
        full_pose=rank.gather(predictions.full_pose, batches),
        betas=rank.gather(predictions.betas, batches),
        camera=camera and ImageCamera(*(rank.gather(field, batches) for field in camera)),
    )


def body_label(body: BodyModel) -> str:
    """What reports call a body."""
    return f"{body.name} (demo)" if body.is_demo else body.name


def refuse_existing(*files: Path, overwrite: bool) -> None:
    """Stop before the work rather than after it.

    Raises:
        OutputExistsError: One of the files is there and ``overwrite`` is false.
    """
    for file in files:
        if file.exists() and not overwrite:
            raise OutputExistsError(
                f"output exists: {file}", hint="Choose another path or pass --overwrite."
            )


def prediction_notes(predictions: Predictions) -> tuple[str, ...]:
    """What of a file of predictions was not used, in sentences."""
    notes = {
        "predictions left out, of people who are not in the data": predictions.num_unmatched,
        "predictions left out, of people who had one already": predictions.num_duplicates,
    }
    counts = tuple(f"{note}: {count}" for note, count in notes.items() if count)
    return (*counts, *MATCHED.get(predictions.matched_by, ()))
