"""Training a network on prepared data."""

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

import smplcli
from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.body.model import BodyModel
from smplcli.datasets.samples import SampleSet
from smplcli.datasets.schema import MANIFEST_FILE
from smplcli.datasets.shards import PreparedSplit, open_prepared
from smplcli.errors import ConfigError
from smplcli.evaluation.inference import index_batches, predict_samples
from smplcli.evaluation.protocols import SMPL24
from smplcli.evaluation.scoring import neutral_posers, score_predictions, truth_of
from smplcli.evaluation.summaries import summarise
from smplcli.files import atomic_write, sha256_of
from smplcli.models.network import Network, build_network, upright_pose
from smplcli.models.weights import load_network, save_network
from smplcli.rotations import aa_to_rotmat, rotmat_to_rot6d
from smplcli.training.config import Recipe, read_recipe, recipe_to_toml
from smplcli.training.loop import Run, run_training
from smplcli.workflows.devices import choose_device
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.project import BEST_FILE

CONFIG_FILE = "config.toml"
VALIDATION_BATCH = 64
VALIDATION = replace(
    SMPL24, metrics={name: SMPL24.metrics[name] for name in ("mpjpe", "pa_mpjpe", "pve", "mpjae")}
)
"""What is measured while training: what tells which step is best, and little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What a training run came to."""

    run_dir: Path
    checkpoint: Path
    """Averaged weights of the step that did best on the validation split."""

    resumed_at: int
    """Step at which an earlier, unfinished run went on; 0 for a new run."""

    steps: int
    samples: int
    best: dict[str, float]
    """Validation errors of the checkpoint, mm: 24 SMPL joints, pelvis root."""

    validation_samples: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {**asdict(self), "run_dir": str(self.run_dir), "checkpoint": str(self.checkpoint)}


def train(
    data: Path,
    run_dir: Path,
    *,
    recipe: str = "lite",
    body: Path | None = None,
    device: str = "auto",
    workers: int = 0,
    progress: Progress = no_progress,
) -> TrainReport:
    """Train a network, or go on with a run that was interrupted.

    Args:
        data: Prepared data set with the splits ``train`` and ``validation``.
        run_dir: Where checkpoints, log and the best weights go.
        recipe: Name of a shipped recipe, or a TOML file.
        body: SMPL file; the demo body without one.
        device: ``auto``, ``cpu``, or a CUDA device.
        workers: Processes that decode and augment; 0 does it between the steps.
        progress: Shows the steps.

    Raises:
        ConfigError: The recipe has mistakes, or ``run_dir`` holds a run of another one or on
            other data.
        MissingFileError: Data, body or backbone weights are not there.
        UnreadableFileError: One of them is not what it should be.
        UnstableTrainingError: A loss is not finite.
    """
    model = load_body(body)
    samples, validation = open_prepared(data, "train"), open_prepared(data, "validation")
    settings = read_recipe(recipe).for_samples(len(samples))
    _claim(run_dir, settings)
    torch.manual_seed(settings.seed)
    network = _first_network(settings, samples)
    best = run_dir / BEST_FILE
    provenance = _provenance(settings, data, model)
    run = Run(
        recipe=settings,
        run_dir=run_dir,
        network=network,
        samples=_sample_set(samples, settings),
        joints=JointsLayer(model),
        body=BodyLayer(model) if settings.losses.vertices else None,
        validate=_validator(validation, model),
        on_best=partial(_save_best, best, provenance),
        data_sha256=sha256_of(data / MANIFEST_FILE),
        device=choose_device(device),
        workers=workers,
    )
    resumed_at = run_training(run, progress)
    errors = min(run.history, key=lambda entry: entry["pa_mpjpe"])
    return TrainReport(
        run_dir=run_dir,
        checkpoint=best,
        resumed_at=resumed_at,
        steps=settings.schedule.steps,
        samples=len(samples),
        best=errors,
        validation_samples=len(validation),
    )


def _first_network(recipe: Recipe, samples: PreparedSplit) -> Network:
    """The network before the first step."""
    network = build_network(recipe.model, backbone_weights=recipe.backbone_weights)
    network.mean_rot6d.copy_(mean_pose(samples))
    if recipe.start_from is not None:
        trained = load_network(recipe.start_from).network
        if trained.config != recipe.model:
            raise ConfigError(f"network is not the recipe's: {recipe.start_from}")
        network.load_state_dict(trained.state_dict())
    return network


def mean_pose(samples: PreparedSplit) -> torch.Tensor:
    """Mean of the data's poses (24, 6), the root facing the camera: where a network starts."""
    pose = torch.from_numpy(samples.field("pose")[samples.field("has_smpl") > 0])
    if not len(pose):
        return upright_pose()
    mean = aa_to_rotmat(pose.view(-1, 24, 3).double()).mean(0)
    u, _, vt = torch.linalg.svd(mean)
    # The nearest rotation; the last axis turns over where the nearest would be a mirror image.
    sign = torch.ones_like(u[:, 0])
    sign[:, 2] = torch.linalg.det(u @ vt).sign()
    rotmat = u * sign[:, None] @ vt
    rotmat[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    return rotmat_to_rot6d(rotmat).float()


def _sample_set(samples: PreparedSplit, recipe: Recipe) -> SampleSet:
    return SampleSet(
        samples,
        size=recipe.model.input_size,
        part_size=recipe.model.part_size,
        augmentation=recipe.augmentation,
        seed=recipe.seed,
    )


def _claim(run_dir: Path, recipe: Recipe) -> None:
    """Write the recipe into a new run; a run that is there must have the same."""
    file, text = run_dir / CONFIG_FILE, recipe_to_toml(recipe)
    if not file.exists():
        with atomic_write(file) as stream:
            stream.write(text.encode())
    elif file.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"run folder holds a run of another recipe: {run_dir}",
            hint="Choose another folder with --out.",
        )


def _provenance(recipe: Recipe, data: Path, body: BodyModel) -> dict[str, Any]:
    """Facts about a run that may be published: files by their names, not by their places."""
    files = {
        name: path.name
        for name in ("backbone_weights", "start_from")
        if isinstance(path := getattr(recipe, name), Path)
    }
    return {
        "smplcli": smplcli.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "data_sha256": sha256_of(data / MANIFEST_FILE),
        "body": body.name,
        "body_sha256": body.sha256,
        "recipe": {**recipe.model_dump(mode="json"), **files},
    }


def _save_best(
    path: Path, provenance: dict[str, Any], network: Network, step: int, errors: dict[str, float]
) -> None:
    save_network(path, network, {**provenance, "step": step, "validation": errors})


def _validator(split: PreparedSplit, model: BodyModel) -> Callable[[Network], dict[str, float]]:
    posers, truth = neutral_posers(model, VALIDATION), truth_of(split)
    batches = index_batches(len(split), VALIDATION_BATCH)

    def validate(network: Network) -> dict[str, float]:
        predictions = predict_samples(network, split, batches)
        scores = score_predictions(VALIDATION, posers, predictions, truth, batches)
        measured = summarise(VALIDATION, scores, split=split.name, body=model.name)
        return {m.metric: float("nan") if m.value is None else m.value for m in measured}

    return validate
