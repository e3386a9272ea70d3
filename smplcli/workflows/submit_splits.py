"""Submissions that are made from the splits of a prepared data set."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch

from smplcli.body.files import load_body
from smplcli.body.joint_sets import joint_set
from smplcli.body.layer import JointsLayer, Skeleton
from smplcli.body.model import BodyModel
from smplcli.conventions import NUM_JOINTS, SCALE_PIXELS
from smplcli.datasets.annotations import SequenceSize
from smplcli.datasets.sequences import num_dropped, sequence_sizes
from smplcli.datasets.shards import PreparedSplit, open_prepared, prepared_splits
from smplcli.errors import UnreadableFileError
from smplcli.evaluation.inference import KeypointSource
from smplcli.evaluation.matching import Places
from smplcli.evaluation.predictions import (
    Predictions,
    SampleId,
    is_finite,
    match_predictions,
    sample_ids,
)
from smplcli.evaluation.protocols import ORIENTED_PARTS
from smplcli.files import atomic_write, sha256_of
from smplcli.paths import check_folder, refuse_existing
from smplcli.submission.checks.report import CheckReport
from smplcli.submission.eth import write_eth
from smplcli.submission.filling import Fill, blend_frames, blend_poses
from smplcli.submission.layout import SequenceRows, as_ranges, sequences_of
from smplcli.submission.threedpw import SequenceResult, write_threedpw
from smplcli.submission.tracks import row_tracks
from smplcli.types import Floats
from smplcli.workflows.check_submission import check_submission, course_split, extra_regressor
from smplcli.workflows.progress import Progress
from smplcli.workflows.submission_report import (
    FormatName,
    SubmissionReport,
    common_notes,
    demo_path,
    refuse_gaps,
    refuse_problems,
)
from smplcli.workflows.targets import (
    is_predictions,
    open_predictor,
    prediction_notes,
)

CHALLENGE_SPLITS = ("train", "validation", "test")
BATCH = 2048
"""People whose joints are computed at a time."""


class SplitOptions(NamedTuple):
    """How to submit; see `workflows.submit.submit`."""

    format: FormatName
    splits: Sequence[str] | None
    fill: Fill
    joint_regressor: Path | None
    keypoints: KeypointSource
    body: Path | None
    device: str
    batch_size: int
    overwrite: bool


class _Split(NamedTuple):
    """People of a split and what was predicted for them."""

    samples: PreparedSplit
    ids: list[SampleId]
    sizes: dict[str, SequenceSize] | None
    predictions: Predictions
    is_usable: np.ndarray
    """(N,) whether there is a prediction without NaN or infinity."""


class _Work(NamedTuple):
    """Everything that a writer needs."""

    splits: list[_Split]
    model: BodyModel
    is_demo: bool
    options: SplitOptions
    progress: Progress


def submit_splits(
    target: Path, data: Path, out: Path, options: SplitOptions, *, progress: Progress
) -> SubmissionReport:
    """Write the zip of the 3DPW challenge or the csv of the course.

    Raises:
        SmplCliError: As `workflows.submit.submit` says.
    """
    names = _split_names(data, options)
    samples = [open_prepared(data, name) for name in names]
    model = load_body(options.body)
    is_demo = model.is_demo or any(split.is_synthetic for split in samples)
    path = demo_path(out, is_demo=is_demo)
    refuse_existing(path, overwrite=options.overwrite)
    check_folder(path.parent)
    splits, notes = _predict(target, data, samples, options, progress)
    work = _Work(splits, model, is_demo, options, progress)
    with atomic_write(path, overwrite=options.overwrite) as file:
        is_course = options.format == "eth-mp"
        num_filled = _write_course(file, work) if is_course else _write_challenge(file, work)
        file.flush()
        check = check_submission(
            Path(file.name),
            data,
            format=options.format,
            splits=names,
            body=options.body,
            joint_regressor=options.joint_regressor,
        )
        refuse_problems(check)
    notes += [] if is_course else _size_notes(splits, check)
    return _report(
        work, check, path=path, target=target, data=data, num_filled=num_filled, notes=notes
    )


def _report(
    work: _Work,
    check: CheckReport,
    *,
    path: Path,
    target: Path,
    data: Path,
    num_filled: int,
    notes: Sequence[str],
) -> SubmissionReport:
    missing = np.concatenate([split.predictions.is_missing for split in work.splits])
    usable = np.concatenate([split.is_usable for split in work.splits])
    return SubmissionReport(
        path=path,
        sha256=sha256_of(path),
        format=work.options.format,
        is_demo=work.is_demo,
        target=str(target),
        data=data,
        splits=tuple(split.samples.name for split in work.splits),
        body=work.model.label,
        fill=work.options.fill,
        counts=dict(check.counts),
        n_expected=len(missing),
        n_submitted=int(usable.sum()),
        n_failed=int((~usable & ~missing).sum()),
        n_missing=int(missing.sum()),
        n_filled=num_filled,
        gaps=tuple(line for split in work.splits for line in _gaps(split, ~split.is_usable)),
        notes=(*notes, *common_notes(check)),
        scores=check.scores,
    )


def _split_names(data: Path, options: SplitOptions) -> tuple[str, ...]:
    """Splits to submit.

    Raises:
        ConfigError: The course is to take several.
        UnreadableFileError: The data set lacks one that the challenge wants, or rows of the one
            that the course does.
    """
    if options.format == "eth-mp":
        split = course_split(options.splits)
        dropped = num_dropped(data, split)
        if dropped:
            raise UnreadableFileError(
                f"data set left {dropped} rows of {split} out, and the course wants all: {data}",
                hint="Mend the pictures that its errors.jsonl lists, and prepare it again.",
            )
        return (split,)
    if options.splits:
        return tuple(options.splits)
    there = prepared_splits(data)
    lacking = [name for name in CHALLENGE_SPLITS if name not in there]
    if lacking:
        here = [name for name in CHALLENGE_SPLITS if name in there]
        raise UnreadableFileError(
            f"data set lacks {', '.join(lacking)}, and the 3DPW challenge scores nothing that is"
            f" not whole: {data}",
            hint=f"Prepare all of 3DPW, or pass --splits {','.join(here) or 'test'} for a file"
            " that only smplcli scores.",
        )
    return CHALLENGE_SPLITS


def _predict(
    target: Path,
    data: Path,
    samples: Sequence[PreparedSplit],
    options: SplitOptions,
    progress: Progress,
) -> tuple[list[_Split], list[str]]:
    """Predictions for all splits, computed or read, and what is to be said of that."""
    ids = [sample_ids(split.field("imgname"), split.field("person_id")) for split in samples]
    stated = sequence_sizes(data)
    if is_predictions(target):
        wanted = [identity for own in ids for identity in own]
        matched = match_predictions(target, wanted, _places(samples))
        ends = np.cumsum([len(own) for own in ids])[:-1]
        fields = (matched.full_pose, matched.betas, matched.is_missing)
        pieces = zip(*(np.split(field, ends) for field in fields), strict=True)
        predictions = [Predictions(*piece) for piece in pieces]
        notes = [*prediction_notes(matched)]
    else:
        predict = open_predictor(
            target,
            keypoints=options.keypoints,
            device=options.device,
            batch_size=options.batch_size,
            progress=progress,
        )
        predictions = [predict(split) for split in samples]
        notes = [f"predicted {sum(map(len, ids))} samples first, with {target}"]
    sizes = [stated.get(split.name) for split in samples]
    usable = [is_finite(own) for own in predictions]
    parts = zip(samples, ids, sizes, predictions, usable, strict=True)
    return [_Split(*part) for part in parts], notes


def _places(samples: Sequence[PreparedSplit]) -> Places:
    """Where the people of all splits are in their pictures, as `evaluate` tells them apart."""
    center, scale, size = (
        np.concatenate([split.field(name) for split in samples]).astype(np.float64)
        for name in ("center", "scale", "image_size")
    )
    return Places(center, SCALE_PIXELS * scale, size)


def _write_challenge(file: BinaryIO, work: _Work) -> int:
    """Write the zip and count the people of the data set whom something stands in for."""
    skeleton, fill = Skeleton(work.model), work.options.fill
    places = [
        (split, sequence)
        for split in work.splits
        for sequence in sequences_of(split.ids, split.sizes)
    ]
    posed = (
        _pose_sequence(skeleton, split, sequence, fill)
        for split, sequence in work.progress(places, "write")
    )
    write_threedpw(file, posed, is_demo=work.is_demo)
    if fill == "none":
        return 0
    return sum(_count_filled(split, sequence) for split, sequence in places)


def _pose_sequence(
    skeleton: Skeleton, split: _Split, sequence: SequenceRows, fill: Fill
) -> SequenceResult:
    """Joints and orientations of a sequence, NaN where there is no finite prediction."""
    size = (sequence.size.num_people, sequence.size.num_frames)
    joints3d = np.full((*size, NUM_JOINTS, 3), np.nan)
    orientations = np.full((*size, len(ORIENTED_PARTS), 3, 3), np.nan)
    is_usable = split.is_usable[sequence.rows]
    for person in range(size[0]):
        own = np.flatnonzero(is_usable & (sequence.person == person))
        if not own.size:
            continue
        own = own[np.argsort(sequence.frame[own])]
        rows, known = sequence.rows[own], sequence.frame[own]
        frames = known if fill == "none" else np.arange(size[1])
        full_pose, betas = blend_poses(
            split.predictions.full_pose[rows],
            split.predictions.betas[rows],
            blend_frames(known, frames, fill),
        )
        with torch.inference_mode():
            motion = skeleton(torch.from_numpy(full_pose), torch.from_numpy(betas))
        joints3d[person, frames] = motion.joints.numpy()
        orientations[person, frames] = motion.rotation[:, list(ORIENTED_PARTS)].numpy()
    return SequenceResult(
        split=split.samples.name, name=sequence.name, joints3d=joints3d, orientations=orientations
    )


def _count_filled(split: _Split, sequence: SequenceRows) -> int:
    usable = split.is_usable[sequence.rows]
    tracks = np.unique(sequence.person[usable])
    return int((~usable & np.isin(sequence.person, tracks)).sum())


def _write_course(file: BinaryIO, work: _Work) -> int:
    """Write the csv and count the rows that something stands in for."""
    (split,), options = work.splits, work.options
    joint_regressor = extra_regressor(options.joint_regressor, options.body)
    layer = JointsLayer(work.model, [joint_set(work.model, "spin49", given=joint_regressor)])
    full_pose, betas = split.predictions.full_pose.copy(), split.predictions.betas.copy()
    usable = split.is_usable
    if options.fill != "none":
        for rows, frames in row_tracks(split.ids):
            own = np.flatnonzero(usable[rows])
            if own.size:
                blend = blend_frames(frames[own], frames, options.fill)
                full_pose[rows], betas[rows] = blend_poses(
                    full_pose[rows[own]], betas[rows[own]], blend
                )
    is_there = np.asarray(
        np.isfinite(betas).all(axis=1) & np.isfinite(full_pose).all(axis=(1, 2, 3))
    )
    refuse_gaps("eth-mp", [*_gaps(split, ~is_there)], int((~is_there).sum()))
    joints3d: list[Floats] = []
    with torch.inference_mode():
        for start in work.progress(range(0, len(betas), BATCH), "write"):
            batch = (torch.from_numpy(a[start : start + BATCH]) for a in (full_pose, betas))
            joints3d.append(layer(*batch)[:, NUM_JOINTS:].numpy())
    write_eth(file, np.concatenate(joints3d), is_demo=work.is_demo)
    return int((~usable).sum())


def _gaps(split: _Split, lacking: np.ndarray) -> Iterator[str]:
    """Whom there is nothing for, a line each; people of single pictures one by one."""
    where: dict[tuple[str, int], list[int]] = {}
    for sequence in sequences_of(split.ids):
        for row, person, frame in zip(
            sequence.rows.tolist(), sequence.person.tolist(), sequence.frame.tolist(), strict=True
        ):
            if lacking[row]:
                where.setdefault((sequence.name, person), []).append(frame)
    for (name, person), frames in where.items():
        yield (
            f"{split.samples.name}/{name}: no result for person {person} in frames"
            f" {as_ranges(frames)}"
        )


def _size_notes(splits: Sequence[_Split], check: CheckReport) -> Iterator[str]:
    if any(split.sizes is None for split in splits):
        yield (
            "the data set does not say how long its sequences are, so they end with the last frame"
            " that has a sample; the leaderboard wants all frames"
        )
    count = check.counts["person-frames without a result"]
    count -= sum(int((~split.is_usable).sum()) for split in splits)
    if count > 0:
        yield (
            f"places of the file that hold NaN, for want of a sample in the data: {count}; fine"
            " where the camera was not aligned or nobody was detected, but not for frames that"
            " were never prepared"
        )
