"""How an evaluation is done."""

from dataclasses import dataclass
from pathlib import Path

from smplcli.errors import ConfigError
from smplcli.evaluation.inference import KeypointSource
from smplcli.evaluation.summaries import MissingRule
from smplcli.workflows.occlusion import OcclusionSettings
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.targets import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """How an evaluation is done, where it is not done as usual."""

    protocols: tuple[str, ...] = ()
    """Names; those that suit the source of the data without any."""

    joint_regressors: tuple[Path, ...] = ()
    """Files beside those that lie beside the body, told apart by their names."""

    missing: MissingRule = "exclude"
    """What people without a usable prediction count as: nothing, or the worst evaluated."""

    weights: Weights = "averaged"
    """Which, where a checkpoint holds two sets."""

    flip_test: bool = False
    """Whether a network sees every person a second time in a mirror, and answers the mean."""

    compare_with: Path | None = None
    """The metrics.json of an earlier evaluation."""

    limits: tuple[str, ...] = ()
    """``metric=number`` or ``protocol/metric=number`` that must not be exceeded."""

    occlusion: OcclusionSettings | None = None
    """How to measure a network behind a patch as well; ``None`` for not at all."""

    command: str = ""
    """How the evaluation was started, for the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How samples are predicted and measured."""

    keypoints: KeypointSource = "detected"
    batch_size: int = 64
    options: EvaluationOptions = EvaluationOptions()
    progress: Progress = no_progress

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be positive, got {self.batch_size}")
