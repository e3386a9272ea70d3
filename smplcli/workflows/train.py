"""Training a network on prepared data."""

import platform
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import smplcli
from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.body.model import BodyModel
from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.samples import SampleSet
from smplcli.datasets.schema import MANIFEST_FILE
from smplcli.datasets.shards import PreparedSplit, open_prepared, prepared_splits
from smplcli.errors import ConfigError
from smplcli.files import sha256_of
from smplcli.models.network import Network, build_network, upright_pose
from smplcli.models.weights import load_network, save_network
from smplcli.paths import make_folder, takes_texts
from smplcli.rotations import aa_to_rotmat, rotmat_to_rot6d
from smplcli.training.checkpoints import read_checkpoint
from smplcli.training.config import Precision, Recipe, read_recipe
from smplcli.training.distributed import Ranks, check_shares, trained_together
from smplcli.training.events import Events
from smplcli.training.lock import locked
from smplcli.training.loop import run_training
from smplcli.training.preflight import preflight
from smplcli.training.resume import changes_since, is_measured, run_facts
from smplcli.training.run import Run
from smplcli.workflows.devices import choose_device
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.project import BEST_FILE
from smplcli.workflows.run_folder import claim
from smplcli.workflows.run_record import behind_latest, point_to_latest, record_start
from smplcli.workflows.training_pictures import picture_maker
from smplcli.workflows.validation import validator

VALIDATION = "validation"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What a training run came to."""

    run_dir: Path
    checkpoint: Path
    """Weights that did best on the validation split."""

    resumed_at: int
    """Step at which an earlier, unfinished run went on; 0 for a new run, ``steps`` if there was
    nothing left to do."""

    reached: int
    """Steps that have been taken; fewer than ``steps`` if the time was over."""

    steps: int
    samples: int
    best: dict[str, Any]
    """Validation errors of the checkpoint, mm: 24 SMPL joints, pelvis root; its ``step``, and
    which ``weights`` it has: ``raw`` ones of the step, or their average ``ema`` or ``swa``."""

    validation_samples: int

    is_finished: bool
    """Whether all steps have been taken, and the last one measured."""

    is_trial: bool = False
    """Whether this was one batch of everything, of which nothing was kept."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {**asdict(self), "run_dir": str(self.run_dir), "checkpoint": str(self.checkpoint)}


@takes_texts
def train(
    data: Path | Sequence[Path],
    run_dir: Path,
    *,
    recipe: str = "pare",
    body: Path | None = None,
    device: str = "auto",
    workers: int = 0,
    begin_with: Path | None = None,
    allow_change: Collection[str] = (),
    deadline: float | None = None,
    runs_dir: Path | None = None,
    precision: Precision | None = None,
    tensorboard: bool = False,
    fast_dev_run: bool = False,
    progress: Progress = no_progress,
) -> TrainReport:
    """Train a network, or go on with a run that was interrupted.

    Args:
        data: Prepared data set with the splits ``train`` and ``validation``, or several, whose
            shares in training the recipe's ``mix`` gives.
        run_dir: Where checkpoints, log and the best weights go.
        recipe: Name of a shipped recipe, or a TOML file.
        body: SMPL file; the demo body without one.
        device: ``auto``, ``cpu``, or a CUDA device.
        workers: Processes that decode and augment; 0 does it between the steps.
        begin_with: Checkpoint of another run from which a new one goes on.
        allow_change: Settings that may be others than those the run was begun with.
        deadline: When to stop at the latest, on the monotonic clock.
        runs_dir: Folder of all runs: if this is one of them, ``latest`` there leads to it.
        precision: What the network computes with, instead of what the recipe says.
        tensorboard: Whether to write TensorBoard events into the run folder.
        fast_dev_run: Do one batch of everything, in a place that is gone afterwards.
        progress: Shows the steps.

    Raises:
        ConfigError: The recipe has mistakes, or ``run_dir`` or ``begin_with`` is of another one
            or of other data.
        MissingFileError: Data, body or backbone weights are not there.
        UnreadableFileError: One of them is not what it should be.
        UnstableTrainingError: Losses are not finite, and not only now and then.
        ResourceError: The disk is full, or another process trains in ``run_dir``.
    """
    with ExitStack() as stack:
        ranks, own_device = stack.enter_context(trained_together(choose_device(device)))
        ground = _open(data, recipe, body, precision)
        if fast_dev_run:
            ground = replace(ground, recipe=ground.recipe.for_trial(), is_trial=True)
            run_dir = Path(stack.enter_context(TemporaryDirectory(prefix="smplcli-")))
            begin_with = None
        run_dir = behind_latest(run_dir)
        check_shares(ground.recipe, ranks)
        if begin_with is not None:
            ranks.agree(lambda: _check_first(begin_with, ground, allow_change))
        ranks.agree(lambda: stack.enter_context(locked(make_folder(run_dir))))
        ranks.agree(
            lambda: claim(
                run_dir,
                ground.recipe,
                ground.facts(),
                _provenance(ground),
                allowed=allow_change,
                begin_with=begin_with,
            )
        )
        run = _run(ground, run_dir, own_device, ranks, workers)
        preflight(run, ground.validation)
        if ranks.is_first:
            _keep_record(run, ground, runs_dir)
            if tensorboard:
                stack.enter_context(_shown_in_tensorboard(run, ground))
        done = run_training(run, progress, deadline=deadline)
    return TrainReport(
        run_dir=run_dir,
        checkpoint=run_dir / BEST_FILE,
        resumed_at=done.start,
        reached=done.stop,
        steps=ground.recipe.schedule.steps,
        samples=len(ground.samples),
        best=run.best or {},
        validation_samples=len(ground.validation),
        is_finished=is_measured(run.history, ground.recipe.schedule.steps),
        is_trial=fast_dev_run,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What a run stands on."""

    recipe: Recipe
    model: BodyModel
    samples: PreparedSplit | JoinedSplits
    validation: PreparedSplit | JoinedSplits
    data_sha256: dict[str, str]
    """Hashes of the manifests, by folder."""

    is_trial: bool = False
    """Whether one batch of everything is enough."""

    def facts(self) -> dict[str, Any]:
        """What checkpoints say of their run."""
        return run_facts(
            self.recipe, data=self.data_sha256, body=self.model.sha256, versions=_versions()
        )


def _open(
    data: Path | Sequence[Path], recipe: str, body: Path | None, precision: Precision | None
) -> _Ground:
    folders = [data] if isinstance(data, Path) else list(data)
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError(
            f"a data set is given twice: {', '.join(map(str, folders))}",
            hint="The recipe's mix says how much of each is seen.",
        )
    settings = read_recipe(recipe)
    if precision is not None:
        compute = settings.compute.model_copy(update={"precision": precision})
        settings = settings.model_copy(update={"compute": compute})
    samples = _joined([open_prepared(folder, "train") for folder in folders])
    return _Ground(
        recipe=settings.for_samples(len(samples)),
        model=load_body(body),
        samples=samples,
        validation=_validation(folders),
        data_sha256={str(folder): sha256_of(folder / MANIFEST_FILE) for folder in folders},
    )


def _validation(folders: Sequence[Path]) -> PreparedSplit | JoinedSplits:
    """Held-out people whose bodies are known, of all data sets that have any."""
    held_out = [
        open_prepared(at, VALIDATION) for at in folders if VALIDATION in prepared_splits(at)
    ]
    splits = [split for split in held_out if len(split) and split.field("has_smpl").any()]
    if not splits:
        known = "no body of the held-out people is known" if held_out else "nobody is held out"
        raise ConfigError(
            f"nobody to validate on, {known}: {', '.join(map(str, folders))}",
            hint="Add a data set with bodies and a validation split, as 3DPW's or one of "
            "'smplcli prepare synthetic', with another --data; MPII alone has no bodies.",
        )
    return _joined(splits)


def _joined(splits: Sequence[PreparedSplit]) -> PreparedSplit | JoinedSplits:
    return splits[0] if len(splits) == 1 else JoinedSplits(splits)


def _run(ground: _Ground, run_dir: Path, device: torch.device, ranks: Ranks, workers: int) -> Run:
    recipe, model = ground.recipe, ground.model
    torch.manual_seed(recipe.seed)
    best = run_dir / BEST_FILE
    return Run(
        recipe=recipe,
        run_dir=run_dir,
        network=_first_network(recipe, ground.samples),
        samples=_sample_set(ground.samples, recipe),
        joints=JointsLayer(model),
        body=BodyLayer(model) if recipe.losses.vertices else None,
        validate=validator(
            ground.validation, model, ranks, most_batches=1 if ground.is_trial else None
        ),
        on_best=partial(_save_best, best, _provenance(ground)),
        has_best=best.is_file,
        facts=ground.facts(),
        device=device,
        workers=workers,
        ranks=ranks,
    )


def _first_network(recipe: Recipe, samples: PreparedSplit | JoinedSplits) -> Network:
    """The network before the first step."""
    network = build_network(recipe.model, backbone_weights=recipe.backbone_weights)
    network.mean_rot6d.copy_(mean_pose(samples))
    if recipe.start_from is not None:
        trained = load_network(recipe.start_from).network
        if trained.config != recipe.model:
            raise ConfigError(f"network is not the recipe's: {recipe.start_from}")
        network.load_state_dict(trained.state_dict())
    return network


def mean_pose(samples: PreparedSplit | JoinedSplits) -> torch.Tensor:
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


def _sample_set(samples: PreparedSplit | JoinedSplits, recipe: Recipe) -> SampleSet:
    return SampleSet(
        samples,
        size=recipe.model.input_size,
        part_size=recipe.model.part_size,
        augmentation=recipe.augmentation,
        seed=recipe.seed,
    )


def _check_first(checkpoint: Path, ground: _Ground, allow_change: Collection[str]) -> None:
    """Find out whether a run can begin with a checkpoint, before anything is written."""
    before, _ = read_checkpoint(checkpoint)
    changes_since(before, ground.facts(), allow_change, place=checkpoint)


def _keep_record(run: Run, ground: _Ground, runs_dir: Path | None) -> None:
    """Write down what the run runs with, and let ``latest`` lead to it."""
    body = {"name": ground.model.name, "sha256": ground.model.sha256}
    record_start(run.run_dir, data=ground.data_sha256, body=body, processes=run.ranks.size)
    if runs_dir is not None and run.run_dir.parent.resolve() == runs_dir.resolve():
        point_to_latest(run.run_dir)


@contextmanager
def _shown_in_tensorboard(run: Run, ground: _Ground) -> Iterator[None]:
    """Let TensorBoard hear of the log, and see some people after every validation.

    Raises:
        ConfigError: TensorBoard is not installed.
    """
    events, draw = Events(run.run_dir), picture_maker(ground.validation, ground.model)
    run.on_log = events.add_line
    run.on_judged = lambda network, step: events.add_pictures(draw(network), step)
    try:
        yield
    finally:
        events.close()


def _provenance(ground: _Ground) -> dict[str, Any]:
    """Facts about a run that may be published: files by their names, not by their places."""
    recipe, digests = ground.recipe, list(ground.data_sha256.values())
    files = {
        name: path.name
        for name in ("backbone_weights", "start_from")
        if isinstance(path := getattr(recipe, name), Path)
    }
    return {
        **_versions(),
        "data_sha256": digests[0] if len(digests) == 1 else digests,
        "body": ground.model.name,
        "body_sha256": ground.model.sha256,
        "recipe": {**recipe.model_dump(mode="json"), **files},
    }


def _versions() -> dict[str, str]:
    return {
        "smplcli": smplcli.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _save_best(
    path: Path, provenance: dict[str, Any], network: Network, facts: dict[str, Any]
) -> None:
    save_network(path, network, {**provenance, **facts})
