"""Measuring a network, or predictions of any origin, on a prepared data set."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import smplcli
from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import NUM_BETAS
from smplcli.datasets.schema import MANIFEST_FILE
from smplcli.datasets.shards import PreparedSplit, open_prepared, read_manifest
from smplcli.errors import ConfigError
from smplcli.evaluation.inference import KeypointSource, index_batches, predict_samples
from smplcli.evaluation.predictions import Predictions, match_predictions, sample_ids
from smplcli.evaluation.protocols import SMPL24
from smplcli.evaluation.reports import write_per_sample_csv
from smplcli.evaluation.scoring import (
    FAILED,
    MISSING,
    OK,
    UNLABELLED,
    Measurement,
    SampleErrors,
    score_predictions,
    summarise,
    truth_of,
)
from smplcli.files import sha256_of, write_json
from smplcli.models.network import Network, build_network
from smplcli.models.weights import load_network
from smplcli.rotations import rot6d_to_rotmat
from smplcli.workflows.devices import choose_device
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.targets import (
    body_label,
    is_predictions,
    open_predictor,
    prediction_notes,
    refuse_existing,
)

METRICS_FILE = "metrics.json"
PER_SAMPLE_FILE = "per_sample.csv"
UNTRAINED_SEED = 0
GENDERED = ("m", "f", "male", "female")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """What was measured, on what, and what could not be."""

    measurements: tuple[Measurement, ...]
    """Every number with its protocol, joint set, root, split, body and count."""

    target: str
    """The checkpoint or predictions, or the name of a control."""

    target_sha256: str
    data: Path
    data_sha256: str
    """Hash of the data set's manifest, which holds those of its shards."""

    split: str
    keypoints: str
    """What the network was given beside the picture; ``given`` for predictions from a file."""

    body: str
    body_sha256: str
    is_comparable: bool
    """False where synthetic people or the demo body stand in: published numbers are of others."""

    n_expected: int
    """Labelled samples of the split: the sum of the next three."""

    n_evaluated: int
    n_failed: int
    """Samples whose prediction is not finite."""

    n_missing: int
    """Samples without a prediction."""

    n_unlabelled: int
    """Samples of the split that have no pose and shape to compare with."""

    notes: tuple[str, ...]
    """Sentences that belong beside the numbers."""

    written: tuple[Path, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every labelled sample was evaluated."""
        return self.n_evaluated == self.n_expected

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {
            "smplcli": smplcli.__version__,
            **asdict(self),
            "data": str(self.data),
            "written": [str(path) for path in self.written],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What everything of one evaluation is measured on."""

    data: Path
    samples: PreparedSplit
    body: BodyModel
    batch_size: int
    progress: Progress


def evaluate(
    target: Path,
    data: Path,
    *,
    split: str = "test",
    keypoints: KeypointSource = "detected",
    body: Path | None = None,
    device: str = "auto",
    batch_size: int = 64,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> EvaluationReport:
    """Measure MPJPE, PA-MPJPE, PVE and MPJAE on a split of a prepared data set.

    Args:
        target: A checkpoint, or a ``preds.npz``, whose rows are matched by image name and person.
        data: Prepared data set.
        split: Which part of it.
        keypoints: Whether the network is given what the detector found, or the picture alone.
        body: SMPL file for predictions and truth; the demo body without one.
        device: ``auto``, ``cpu``, or a CUDA device.
        batch_size: Samples computed at a time.
        out: Folder for ``metrics.json`` and ``per_sample.csv``; ``None`` writes nothing.
        overwrite: Whether results that are there may be replaced.
        progress: Shows the batches.

    Raises:
        MissingFileError: Target, data, split or body are not there.
        UnreadableFileError: One of them is not what it should be, or no prediction is of the data.
        OutputExistsError: ``out`` holds results and ``overwrite`` is false.
    """
    written = () if out is None else (out / METRICS_FILE, out / PER_SAMPLE_FILE)
    refuse_existing(*written, overwrite=overwrite)
    ground = _open_ground(data, split, body, batch_size, progress)
    if is_predictions(target):
        predictions, source = match_predictions(target, _ids(ground.samples)), "given"
    else:
        predict = open_predictor(
            target,
            keypoints=keypoints,
            device=device,
            batch_size=batch_size,
            progress=progress,
        )
        predictions, source = predict(ground.samples), keypoints
    errors = _score(predictions, ground, choose_device(device))
    report = _report(
        errors,
        ground,
        target=str(target),
        target_sha256=sha256_of(target),
        keypoints=source,
        notes=prediction_notes(predictions),
        written=written,
    )
    if written:
        metrics_file, per_sample_file = written
        ids = _ids(ground.samples)
        write_per_sample_csv(per_sample_file, SMPL24, ids, errors, overwrite=overwrite)
        write_json(metrics_file, report.to_dict(), overwrite=overwrite)
    return report


def evaluate_controls(
    checkpoint: Path,
    data: Path,
    *,
    split: str = "test",
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
    ground = _open_ground(data, split, body, batch_size, progress)
    where = choose_device(device)
    trained = load_network(checkpoint)
    torch.manual_seed(UNTRAINED_SEED)
    untrained = build_network(trained.network.config).eval()
    untrained.mean_rot6d.copy_(trained.network.mean_rot6d)
    batches = progress(index_batches(len(ground.samples), batch_size), "predict")
    controls = {
        "mean pose": _mean_pose(trained.network, len(ground.samples)),
        "untrained network": predict_samples(
            untrained.to(where), ground.samples, batches, keypoints=keypoints
        ),
    }
    return {
        name: _report(
            _score(predictions, ground, where),
            ground,
            target=name,
            target_sha256=trained.sha256,
            keypoints="none" if name == "mean pose" else keypoints,
        )
        for name, predictions in controls.items()
    }


def _open_ground(
    data: Path, split: str, body: Path | None, batch_size: int, progress: Progress
) -> _Ground:
    if batch_size < 1:
        raise ConfigError(f"batch_size must be positive, got {batch_size}")
    return _Ground(
        data=data,
        samples=open_prepared(data, split),
        body=load_body(body),
        batch_size=batch_size,
        progress=progress,
    )


def _ids(samples: PreparedSplit) -> list[tuple[str, int]]:
    return sample_ids(samples.field("imgname"), samples.field("person_id"))


def _mean_pose(network: Network, count: int) -> Predictions:
    rotmat = rot6d_to_rotmat(network.mean_rot6d).cpu().numpy()
    return Predictions(
        full_pose=np.repeat(rotmat[None], count, axis=0),
        betas=np.zeros((count, NUM_BETAS), dtype=np.float32),
        is_missing=np.zeros(count, dtype=bool),
    )


def _score(predictions: Predictions, ground: _Ground, device: torch.device) -> SampleErrors:
    batches = ground.progress(index_batches(len(ground.samples), ground.batch_size), "score")
    layer = BodyLayer(ground.body).to(device)
    return score_predictions(SMPL24, layer, predictions, truth_of(ground.samples), batches)


def _report(
    errors: SampleErrors,
    ground: _Ground,
    *,
    target: str,
    target_sha256: str,
    keypoints: str,
    notes: tuple[str, ...] = (),
    written: tuple[Path, ...] = (),
) -> EvaluationReport:
    counts = {
        state: int((errors.states == state).sum()) for state in (OK, FAILED, MISSING, UNLABELLED)
    }
    split, body = ground.samples.name, body_label(ground.body)
    return EvaluationReport(
        measurements=summarise(SMPL24, errors, split=split, body=body),
        target=target,
        target_sha256=target_sha256,
        data=ground.data,
        data_sha256=sha256_of(ground.data / MANIFEST_FILE),
        split=split,
        keypoints=keypoints,
        body=body,
        body_sha256=ground.body.sha256,
        is_comparable=not (ground.samples.is_synthetic or ground.body.is_demo),
        n_expected=counts[OK] + counts[FAILED] + counts[MISSING],
        n_evaluated=counts[OK],
        n_failed=counts[FAILED],
        n_missing=counts[MISSING],
        n_unlabelled=counts[UNLABELLED],
        notes=(*notes, *_state_notes(counts), *_ground_notes(ground)),
        written=written,
    )


def _state_notes(counts: Mapping[str, int]) -> tuple[str, ...]:
    notes = {
        MISSING: "samples in no mean, for want of a prediction",
        FAILED: "samples in no mean, because their prediction is not finite",
        UNLABELLED: "samples in no mean, for want of a label",
    }
    return tuple(f"{note}: {counts[state]}" for state, note in notes.items() if counts[state])


def _ground_notes(ground: _Ground) -> tuple[str, ...]:
    notes = []
    if ground.samples.is_synthetic or ground.body.is_demo:
        notes.append("synthetic people or the demo body: not comparable with published numbers")
    if np.isin(ground.samples.field("gender"), GENDERED).any():
        notes.append(
            f"the labels are of gendered bodies, posed here with: {body_label(ground.body)}"
        )
    labelled = read_manifest(ground.data).get("body")
    if labelled and labelled["sha256"] != ground.body.sha256:
        notes.append(f"the labels were made with another body: {labelled['name']}")
    return tuple(notes)
