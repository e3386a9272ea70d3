"""From predictions for a data set to a file for the 3DPW challenge, checked before it exists."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import smplcli
from smplcli.body.files import load_body
from smplcli.body.layer import Skeleton
from smplcli.datasets.shards import PreparedSplit, open_prepared, prepared_splits
from smplcli.errors import OutputExistsError, RefusedError, UnreadableFileError
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
from smplcli.workflows.evaluate import collect_predictions, is_predictions
from smplcli.workflows.progress import Progress, no_progress

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
    is_demo = model.is_demo or any(samples.is_synthetic for samples in splits)
    path = out.with_name(DEMO_PREFIX + out.name) if is_demo else out
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"output exists: {path}", hint="Choose another path or pass --overwrite."
        )
    ids = [sample_ids(samples.field("imgname"), samples.field("person_id")) for samples in splits]
    sequences = [sequences_of(split_ids) for split_ids in ids]
    if is_predictions(target):
        predictions = _match(target, ids)
    else:
        predict = partial(
            collect_predictions,
            target,
            keypoints=keypoints,
            device=device,
            batch_size=batch_size,
            progress=progress,
        )
        predictions = [predict(samples) for samples in splits]
    results = [
        _SplitResults(samples.name, *rest)
        for samples, *rest in zip(splits, sequences, predictions, strict=True)
    ]
    pose = partial(_pose_sequence, Skeleton(model))
    check = _write_checked(path, results, pose, is_demo, overwrite, progress)
    return _report(path, check, results, target=target, data=data, body=model.name)


def _open_splits(data: Path) -> list[PreparedSplit]:
    """Splits of the data set that the challenge knows, in its order.

    Raises:
        UnreadableFileError: There is none.
    """
    names = [name for name in SPLITS if name in prepared_splits(data)]
    if not names:
        raise UnreadableFileError(f"data set has none of {', '.join(SPLITS)}: {data}")
    return [open_prepared(data, name) for name in names]


def _match(target: Path, ids: Sequence[Sequence[SampleId]]) -> list[Predictions]:
    """Rows of one file for the samples of several splits."""
    matched = match_predictions(target, [identity for split in ids for identity in split])
    ends = np.cumsum([len(split) for split in ids])[:-1]
    fields = (matched.full_pose, matched.betas, matched.is_missing)
    parts = zip(*(np.split(field, ends) for field in fields), strict=True)
    return [Predictions(*part) for part in parts]


def _write_checked(
    path: Path,
    results: Sequence[_SplitResults],
    pose: Callable[[str, SequenceRows, Predictions], SequenceResult],
    is_demo: bool,
    overwrite: bool,
    progress: Progress,
) -> CheckReport:
    """Write the zip and keep it only if the checker has nothing to say."""
    places = [(part, sequence) for part in results for sequence in part.sequences]
    expected = {
        f"{part.split}/{sequence.name}.pkl": SequenceSize(sequence.num_people, sequence.num_frames)
        for part, sequence in places
    }
    with atomic_write(path, overwrite=overwrite) as file:
        posed = (
            pose(part.split, sequence, part.predictions)
            for part, sequence in progress(places, "write")
        )
        write_threedpw(file, posed, is_demo=is_demo)
        check = check_threedpw(file, expected)
        if check.problems:
            more = f" (and {len(check.problems) - 1} more)" if len(check.problems) > 1 else ""
            raise RefusedError(f"submission refused by its checker: {check.problems[0]}{more}")
    return check


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
        notes=tuple(_notes(check, results, target)),
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


def _notes(check: CheckReport, results: Sequence[_SplitResults], target: Path) -> Iterator[str]:
    count = sum(len(part.predictions.is_missing) for part in results)
    if not is_predictions(target):
        yield f"predicted {count} samples first, with {target}"
    if check.is_demo:
        yield "synthetic people or the demo body: marked DEMO inside and outside, not a result"
    elif (check.num_sequences, check.num_tracks) != OFFICIAL_SIZE:
        yield (
            f"{check.num_sequences} sequences with {check.num_tracks} people; the official"
            " evaluator writes an empty score for less than {} and {}".format(*OFFICIAL_SIZE)
        )
    if check.num_person_frames > count:
        yield (
            f"{check.num_person_frames - count} places of the file have no sample in the data set"
            " and hold NaN"
        )
