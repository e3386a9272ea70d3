"""A recipe: everything that decides what a training run does."""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from smplcli.config import Section, parse_toml
from smplcli.datasets.augmentation import AugmentationConfig
from smplcli.errors import ConfigError, MissingFileError
from smplcli.models.config import ModelConfig
from smplcli.models.pretrained import Pretrained

Precision = Literal["auto", "bf16", "fp32"]
"""Numbers that the network computes with in training."""


class LossConfig(Section):
    """Weight of each loss."""

    pose: float = Field(default=1.0, ge=0)
    """Squared difference of rotation matrices, summed over entries, mean over joints."""

    betas: float = Field(default=0.03, ge=0)
    """Squared difference of betas."""

    joints3d: float = Field(default=10.0, ge=0)
    """Distance along each axis of 3D joints from the pelvis, metres."""

    keypoints2d: float = Field(default=3.0, ge=0)
    """Distance along each axis of reprojected joints, half crops."""

    distance: Literal["absolute", "squared"] = "absolute"
    """How these distances count."""

    vertices: float = Field(default=0.0, ge=0)
    """Distance along each axis of vertices from the pelvis, metres; costs time."""

    camera: float = Field(default=0.0, ge=0)
    """Square of exp(-10 s) for the camera's scale s, half crops per metre: nobody is tiny."""

    parts: float = Field(default=0.2, ge=0)
    """Cross entropy of the part map."""

    parts_until: float = Field(default=1.0, ge=0, le=1)
    """Share of the training after which the part map is no longer supervised (PARE, stage 2)."""

    found: float = Field(default=3.0, ge=0)
    """Distance along each axis, half crops, of the keypoints that the network finds itself, and a
    tenth of the cross entropy of whether they are inside the picture."""

    unaided: float = Field(default=0.5, ge=0)
    """All of these once more for what a network that takes keypoints answers without them."""

    lifting: float = Field(default=1.0, ge=0)
    """Pose and joints that the keypoint encoder guesses for poses without a picture."""


class ScheduleConfig(Section):
    """How long, how fast."""

    steps: int = Field(default=1000, gt=0)
    """Optimizer steps of the whole run."""

    epochs: int | None = Field(default=None, gt=0)
    """Passes over the data, instead of `steps`; known once the data is."""

    batch_size: int = Field(default=64, gt=0)
    """Pictures per step, over all processes."""

    lifting_batch: int = Field(default=256, gt=0)
    """Poses without a picture per step, for networks that take keypoints."""

    lifting_steps: int = Field(default=0, ge=0)
    """Steps at the beginning that see no pictures at all; for networks that take keypoints."""

    lifting_rate: float = Field(default=1e-3, gt=0)
    """Learning rate of those steps."""

    learning_rate: float = Field(default=3e-4, gt=0)
    """Highest learning rate of Adam."""

    warmup: int = Field(default=100, ge=0)
    """Steps over which the learning rate rises."""

    flat: float = Field(default=0.3, ge=0, le=1)
    """Share of the steps with pictures after which the learning rate falls, a cosine to zero."""

    clip: float = Field(default=5.0, gt=0)
    """Largest norm of the gradient."""

    average: float = Field(default=0.998, ge=0, lt=1)
    """Decay per step of the exponential average of the weights (EMA); 0 for none."""

    swa_from: float = Field(default=1.0, ge=0, le=1)
    """Share of the steps with pictures after which snapshots are averaged (SWA); 1 for none."""

    swa_every: int = Field(default=100, gt=0)
    """Steps between two snapshots; the last step is always one."""

    swa_rate: float | None = Field(default=None, gt=0)
    """Constant learning rate while snapshots are taken; without it, the schedule's goes on."""

    sync_norm: bool = False
    """Batch norms over the samples of all processes, on GPUs; without it each takes its own."""

    frozen: tuple[str, ...] = ()
    """Parts of the backbone that keep the weights they came with, by the start of their names."""

    validate_every: int = Field(default=500, gt=0)
    """Steps between two validations, each followed by a checkpoint."""

    @property
    def swa_start(self) -> int | None:
        """Steps taken before the time of snapshots; `None` if there is none."""
        if self.swa_from == 1:
            return None
        return self.lifting_steps + round(self.swa_from * (self.steps - self.lifting_steps))

    def is_snapshot(self, step: int) -> bool:
        """Whether the weights after `step` steps are one of the snapshots."""
        start = self.swa_start
        if start is None or step <= start:
            return False
        return (step - start) % self.swa_every == 0 or step == self.steps


class ComputeConfig(Section):
    """How a step is computed: the same training, but for rounding and speed."""

    precision: Precision = "auto"
    """`bf16` for the network, with weights and losses in `fp32`, or `fp32` throughout; `auto`
    takes `bf16` on a GPU, and for what is frozen of `movenet` on processors that have it."""

    compile: bool = False
    """Whether torch compiles the network, which takes minutes and then makes steps faster."""

    accumulate: int = Field(default=1, gt=0)
    """Parts that the pictures of a step pass the network in, one after the other, to save memory;
    batch norms see one part at a time."""


class ConductConfig(Section):
    """How a run is kept, and what it does when something goes wrong."""

    save_every: int | None = Field(default=None, gt=0)
    """Steps between two checkpoints; without it, as many as between two validations."""

    keep_every: int | None = Field(default=None, gt=0)
    """Checkpoints of multiples of this step stay, beside the newest three and the best."""

    non_finite: Literal["skip", "rollback", "stop"] = "skip"
    """When a loss or gradient is not finite: leave the step out, at most 10 of 1000; go back to
    the weights of the last checkpoint, at most 3 times; or stop."""


class Recipe(Section):
    """A training recipe."""

    model: ModelConfig = ModelConfig()
    """The network."""

    backbone_weights: Annotated[Pretrained | Path, Field(union_mode="left_to_right")] = "none"
    """`imagenet` or `dino`, which are downloaded, `detector` for `movenet`, a file, or `none` for
    random weights."""

    start_from: Path | None = None
    """Network file of the same shape whose weights to go on from."""

    mix: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Share of each data set, in the order in which they are given; by their sizes without it."""

    schedule: ScheduleConfig = ScheduleConfig()
    """How long, how fast."""

    losses: LossConfig = LossConfig()
    """What is minimised."""

    augmentation: AugmentationConfig = AugmentationConfig()
    """How samples are varied."""

    compute: ComputeConfig = ComputeConfig()
    """How steps are computed."""

    conduct: ConductConfig = ConductConfig()
    """How the run is kept. These may change when a run goes on."""

    seed: int = Field(default=0, ge=0, lt=1 << 31)
    """Source of all chance."""

    @property
    def save_every(self) -> int:
        """Steps between two checkpoints."""
        return self.conduct.save_every or self.schedule.validate_every

    def for_samples(self, count: int) -> Self:
        """This recipe with `schedule.epochs` turned into steps over ``count`` samples."""
        schedule = self.schedule
        if schedule.epochs is None:
            return self
        steps = -(-schedule.epochs * count // schedule.batch_size) + schedule.lifting_steps
        known = schedule.model_copy(update={"steps": steps, "epochs": None})
        return self.model_copy(update={"schedule": known})

    def for_trial(self) -> Self:
        """This recipe with one step that does all that any step does."""
        schedule = self.schedule.model_copy(
            update={
                "steps": 1,
                "lifting_steps": 0,
                "validate_every": 1,
                "swa_from": float(self.schedule.swa_from == 1),
            }
        )
        return self.model_copy(update={"schedule": schedule})

    @model_validator(mode="after")
    def _can_lift(self) -> Self:
        if self.schedule.lifting_steps and not self.model.keypoints:
            raise ValueError("lifting_steps needs a network that takes keypoints")
        return self


def shipped_recipes() -> dict[str, Path]:
    """Recipes that come with the package, by name."""
    folder = Path(__file__).parent.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_recipe(name_or_file: str) -> Recipe:
    """Recipe by the name of a shipped one, or from a TOML file.

    Raises:
        ConfigError: There is no recipe of this name, or it has mistakes; all are named.
        MissingFileError: There is no such file.
    """
    shipped = shipped_recipes()
    path = shipped.get(name_or_file, Path(name_or_file))
    if path.suffix != ".toml":
        raise ConfigError(
            f"unknown recipe: {name_or_file}", hint=f"Choose {', '.join(shipped)} or a TOML file."
        )
    if not path.is_file():
        raise MissingFileError(f"recipe not found: {path}")
    return parse_toml(Recipe, path.read_text(encoding="utf-8"), source=str(path))


def recipe_to_toml(recipe: Recipe) -> str:
    """TOML text that `read_recipe` turns into the same recipe."""
    values = recipe.model_dump(mode="json", exclude_none=True)
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [_line(name, value) for name, value in values.items() if name not in tables]
    for table, content in tables.items():
        lines += ["", f"[{table}]", *(_line(name, value) for name, value in content.items())]
    return "\n".join(lines) + "\n"


def _line(name: str, value: object) -> str:
    return f"{name} = {json.dumps(value)}"  # JSON's scalars and lists are TOML's too
