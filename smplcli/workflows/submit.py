"""From predictions to a file that a leaderboard takes, checked before it exists."""

from collections.abc import Sequence
from pathlib import Path

from smplcli.datasets.sequences import data_source
from smplcli.errors import ConfigError
from smplcli.evaluation.inference import KeypointSource
from smplcli.paths import takes_texts
from smplcli.submission.filling import Fill
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.submission_report import FormatName, SubmissionReport
from smplcli.workflows.submit_pictures import submit_pictures
from smplcli.workflows.submit_splits import SplitOptions, submit_splits

SOURCE_FORMATS: dict[str, FormatName] = {
    "3dpw": "3dpw-challenge",
    "synthetic": "3dpw-challenge",
    "eth": "eth-mp",
}
"""What data is submitted as when nobody says."""

PICTURE_FORMATS = ("emdb", "agora")
"""Formats that predictions alone make, without a prepared data set."""


@takes_texts
def submit(
    target: Path,
    data: Path | None,
    out: Path,
    *,
    format: FormatName | None = None,  # noqa: A002 - what the option is called
    splits: Sequence[str] | None = None,
    fill: Fill = "none",
    joint_regressor: Path | None = None,
    keypoints: KeypointSource = "detected",
    body: Path | None = None,
    device: str = "auto",
    batch_size: int = 64,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> SubmissionReport:
    """Write what a leaderboard takes, and check it before it is kept.

    Args:
        target: A checkpoint, which predicts first, or a ``preds.npz``, matched by image name and
            person.
        data: Prepared data set; ``None`` for emdb and agora.
        out: The zip, csv or folder. Synthetic people or the demo body put ``DEMO-`` before its
            name.
        format: The leaderboard; ``None`` takes that of the data.
        splits: Parts of the data set; ``None`` takes all that the leaderboard wants.
        fill: What stands in for people without a prediction.
        joint_regressor: J_regressor_extra.npy, which eth-mp needs; beside the body without one.
        keypoints: What a network is given beside the picture.
        body: SMPL file that gives the predictions their joints, or a folder that holds one; the
            demo body without one.
        device: ``auto``, ``cpu``, or a CUDA device.
        batch_size: People computed at a time.
        overwrite: Whether a file that is there may be replaced.
        progress: Shows batches and sequences.

    Raises:
        ConfigError: The format does not fit the data or the target, or has no such split or fill.
        MissingFileError: Target, data, body or joint_regressor are not there.
        UnreadableFileError: One of them is not what it should be, or image names tell no place.
        OutputExistsError: The file is there and ``overwrite`` is false.
        RefusedError: People have no result and the format has no place for that, or the checker
            found the file wrong; it is not kept.
    """
    chosen = choose_format(format, data)
    if chosen in PICTURE_FORMATS:
        if splits:
            raise ConfigError(f"{chosen} takes no --splits: it submits what was predicted")
        return submit_pictures(target, out, chosen, fill=fill, overwrite=overwrite)
    if data is None:
        raise ConfigError(f"{chosen} needs a prepared data set", hint="Name it by --data.")
    options = SplitOptions(
        format=chosen,
        splits=splits,
        fill=fill,
        joint_regressor=joint_regressor,
        keypoints=keypoints,
        body=body,
        device=device,
        batch_size=batch_size,
        overwrite=overwrite,
    )
    return submit_splits(target, data, out, options, progress=progress)


def choose_format(given: FormatName | None, data: Path | None) -> FormatName:
    """The format asked for, else that of the data.

    Raises:
        ConfigError: Nobody asks for one and the data has none.
        MissingFileError: The data set is not there.
        UnreadableFileError: It is damaged.
    """
    if given is not None:
        return given
    source = data_source(data) if data else "no data"
    if source not in SOURCE_FORMATS:
        raise ConfigError(
            f"no leaderboard for data of source: {source}",
            hint="Pass --format to say what file is wanted.",
        )
    return SOURCE_FORMATS[source]
