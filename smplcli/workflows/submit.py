"""From predictions for a data set to a file for the 3DPW challenge, checked before it exists."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import smplcli
from smplcli.body.files import load_body
from smplcli.body.layer import Skeleton
from smplcli.datasets.shards import PreparedSplit, open_prepared, prepared_splits
from smplcli.errors import RefusedError, UnreadableFileError
from smplcli.evaluation.inference import KeypointSource
from smplcli.evaluation.predictions import (
    Predictions,
    SampleId,
    is_finite,
    match_predictions,
    sample_ids,
)
from smplcli.evaluation.protocols import ORIENTED_PARTS
from smplcli.files import atomic_write, sha256_of
from smplcli.submission.check import CheckReport, SequenceSize, check_threedpw
from smplcli.submission.layout import SequenceRows, as_ranges, sequences_of
from smplcli.submission.threedpw import SequenceResult, write_threedpw
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.targets import (
    body_label,
    is_predictions,
    open_predictor,
    prediction_notes,
    refuse_existing,
)

FORMAT = "3dpw-challenge"
SPLITS = ("train", "validation", "test")
DEMO_PREFIX = "DEMO-"
OFFICIAL_SIZE = (60, 87)
"""Sequences and people of 3DPW; with fewer, the official evaluator writes an empty score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionReport:
    """What was written, and what is not in it."""

    path: Path
    sha256: str
    format: str
    is_demo: bool
    target: str
    data: Path
    splits: tuple[str, ...]
    body: str
    num_sequences: int
    num_tracks: int
    num_person_frames: int
    """Places in the file: every person in every frame up to the last that has a sample."""

    n_expected: int
    """Samples of the data set: the sum of the next three."""

    n_submitted: int
    n_failed: int
    """Samples whose prediction is not finite."""

    n_missing: int
    """Samples without a prediction."""

    gaps: tuple[str, ...]
    """One line for each person with failed or missing predictions, naming the frames."""

    notes: tuple[str, ...]
    """Sentences that whoever uploads the file should read."""

    @property
    def is_complete(self) -> bool:
        """Whether every sample of the data set has a result in the file."""
        return self.n_submitted == self.n_expected

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {
            "smplcli": smplcli.__version__,
            **asdict(self),
            "path": str(self.path),
            "data": str(self.data),
        }


class _Split(NamedTuple):
    """Samples of a split, and where they belong."""

    samples: PreparedSplit
    ids: list[SampleId]
    sequences: list[SequenceRows]


class _SplitResults(NamedTuple):
    """Sequences of a split and the predictions for its samples."""

    split: str
    sequences: list[SequenceRows]
    predictions: Predictions


def submit(
    target: Path,
    data: Path,
    out: Path,
    *,
    keypoints: KeypointSource = "detected",
    body: Path | None = None,
    device: str = "auto",
    batch_size: int = 64,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> SubmissionReport:
    """Write the zip that the 3DPW challenge takes, for all sequences of a prepared data set.

    Where there is no result, the file holds NaN: the report names these places, and a leaderboard
    that scores them gives NaN.

    Args:
        target: A checkpoint, which predicts first, or a ``preds.npz``, matched by image name and
            person.
        data: Prepared data set; its splits ``train``, ``validation`` and ``test`` are submitted.
        out: The zip. Synthetic people or the demo body put ``DEMO-`` before its name.
        keypoints: What a network is given beside the picture.
        body: SMPL file that gives the predictions their joints; the demo body without one.
        device: ``auto``, ``cpu``, or a CUDA device.
        batch_size: Samples computed at a time.
        overwrite: Whether a file that is there may be replaced.
        progress: Shows batches and sequences.

    Raises:
        MissingFileError: Target, data or body are not there.
        UnreadableFileError: One of them is not what it should be, or image names tell no sequence.
        OutputExistsError: The zip is there and ``overwrite`` is false.
        RefusedError: The checker found the file wrong; it is not kept.
    """
    splits = _open_splits(data)
    model = load_body(body)
    is_demo = model.is_demo or any(split.samples.is_synthetic for split in splits)
    path = out.with_name(DEMO_PREFIX + out.name) if is_demo else out
    refuse_existing(path, overwrite=overwrite)
    if is_predictions(target):
        predictions, notes = _match(target, splits)
    else:
        predict = open_predictor(
            target, keypoints=keypoints, device=device, batch_size=batch_size, progress=progress
        )
        predictions = [predict(split.samples) for split in splits]
        notes = (
            f"predicted {sum(len(split.ids) for split in splits)} samples first, with {target}",
        )
    results = [
        _SplitResults(split.samples.name, split.sequences, part)
        for split, part in zip(splits, predictions, strict=True)
    ]
    skeleton = Skeleton(model)
    with atomic_write(path, overwrite=overwrite) as file:
        posed = (_pose_sequence(skeleton, *place) for place in progress(_places(results), "write"))
        write_threedpw(file, posed, is_demo=is_demo)
        check = check_threedpw(file, _sizes(results))
        _refuse(check)
    return _report(path, check, results, notes, target=target, data=data, body=body_label(model))


def _open_splits(data: Path) -> list[_Split]:
    """Splits of the data set that the challenge knows, in its order.

    Raises:
        UnreadableFileError: There is none, or image names tell no sequence.
    """
    names = [name for name in SPLITS if name in prepared_splits(data)]
    if not names:
        raise UnreadableFileError(f"data set has none of {', '.join(SPLITS)}: {data}")
    splits = []
    for name in names:
        samples = open_prepared(data, name)
        ids = sample_ids(samples.field("imgname"), samples.field("person_id"))
        splits.append(_Split(samples, ids, sequences_of(ids)))
    return splits


def _match(target: Path, splits: Sequence[_Split]) -> tuple[list[Predictions], tuple[str, ...]]:
    """Rows of one file for the samples of all splits, and what of it was not used."""
    matched = match_predictions(target, [identity for split in splits for identity in split.ids])
    ends = np.cumsum([len(split.ids) for split in splits])[:-1]
    fields = (matched.full_pose, matched.betas, matched.is_missing)
    parts = zip(*(np.split(field, ends) for field in fields), strict=True)
    return [Predictions(*part) for part in parts], prediction_notes(matched)


def _places(results: Sequence[_SplitResults]) -> list[tuple[str, SequenceRows, Predictions]]:
    return [
        (part.split, sequence, part.predictions) for part in results for sequence in part.sequences
    ]


def _sizes(results: Sequence[_SplitResults]) -> dict[str, SequenceSize]:
    """What the checker must find, by member."""
    return {
        f"{split}/{sequence.name}.pkl": SequenceSize(sequence.num_people, sequence.num_frames)
        for split, sequence, _ in _places(results)
    }


def _refuse(check: CheckReport) -> None:
    if check.problems:
        more = f" (and {len(check.problems) - 1} more)" if len(check.problems) > 1 else ""
        raise RefusedError(f"submission refused by its checker: {check.problems[0]}{more}")


def _pose_sequence(
    skeleton: Skeleton, split: str, sequence: SequenceRows, predictions: Predictions
) -> SequenceResult:
    """Joints and orientations of a sequence, NaN where there is no finite prediction."""
    size = (sequence.num_people, sequence.num_frames)
    joints3d = np.full((*size, 24, 3), np.nan)
    orientations = np.full((*size, len(ORIENTED_PARTS), 3, 3), np.nan)
    is_usable = is_finite(predictions)[sequence.rows]
    rows = sequence.rows[is_usable]
    place = (sequence.person[is_usable], sequence.frame[is_usable])
    with torch.inference_mode():
        motion = skeleton(
            torch.from_numpy(predictions.full_pose[rows]),
            torch.from_numpy(predictions.betas[rows]),
        )
    joints3d[place] = motion.joints.numpy()
    orientations[place] = motion.rotation[:, list(ORIENTED_PARTS)].numpy()
    return SequenceResult(
        split=split, name=sequence.name, joints3d=joints3d, orientations=orientations
    )


def _report(
    path: Path,
    check: CheckReport,
    results: Sequence[_SplitResults],
    notes: tuple[str, ...],
    *,
    target: Path,
    data: Path,
    body: str,
) -> SubmissionReport:
    missing = np.concatenate([part.predictions.is_missing for part in results])
    usable = np.concatenate([is_finite(part.predictions) for part in results])
    return SubmissionReport(
        path=path,
        sha256=sha256_of(path),
        format=FORMAT,
        is_demo=check.is_demo,
        target=str(target),
        data=data,
        splits=tuple(part.split for part in results),
        body=body,
        num_sequences=check.num_sequences,
        num_tracks=check.num_tracks,
        num_person_frames=check.num_person_frames,
        n_expected=len(missing),
        n_submitted=int(usable.sum()),
        n_failed=int((~usable & ~missing).sum()),
        n_missing=int(missing.sum()),
        gaps=tuple(line for part in results for line in _gaps(part)),
        notes=(*notes, *_notes(check, len(missing))),
    )


def _gaps(part: _SplitResults) -> Iterator[str]:
    usable = is_finite(part.predictions)
    for sequence in part.sequences:
        lacking = ~usable[sequence.rows]
        for person in np.unique(sequence.person[lacking]).tolist():
            frames = sequence.frame[lacking & (sequence.person == person)]
            yield (
                f"{part.split}/{sequence.name}: no result for person {person} in frames"
                f" {as_ranges(frames.tolist())}"
            )


def _notes(check: CheckReport, count: int) -> Iterator[str]:
    if check.is_demo:
        yield "synthetic people or the demo body: marked DEMO inside and outside, not a result"
    elif (check.num_sequences, check.num_tracks) != OFFICIAL_SIZE:
        yield (
            f"{check.num_sequences} sequences with {check.num_tracks} people; the official"
            " evaluator writes an empty score for anything but {} and {}".format(*OFFICIAL_SIZE)
        )
    if check.num_person_frames > count:
        yield (
            "places of the file that hold NaN, for want of a sample in the data:"
            f" {check.num_person_frames - count}"
        )
