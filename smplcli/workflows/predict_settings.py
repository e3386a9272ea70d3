"""What `smplcli predict` can be told beside what to look at and where to write."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smplcli.errors import ConfigError
from smplcli.files import sha256_of
from smplcli.rendering.views import OverlayStyle
from smplcli.videos import DEFAULT_FPS, MAX_FPS
from smplcli.workflows.shards import Shard

if TYPE_CHECKING:  # they import torch, which takes seconds
    from smplcli.models.inference import Precision
    from smplcli.workflows.meshes import MeshFormat
    from smplcli.workflows.predict_outputs import TableFormat

MOVENET, TORCHVISION = "movenet", "torchvision:"
"""Detectors by name: the one that ships, and what the names of torchvision's begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictSettings:
    """Options of `predict`, which says what they mean."""

    boxes: Path | None = None
    whole_image: bool = False
    network: Path | None = None
    average: tuple[Path, ...] = ()
    flip_test: bool = False
    refine: bool | None = None
    body: Path | None = None
    overlay_dir: Path | None = None
    overlay_style: OverlayStyle = "mesh"
    mesh_dir: Path | None = None
    mesh_format: "MeshFormat" = "glb"
    bvh_dir: Path | None = None
    table_format: "TableFormat | None" = None
    vertices: bool = False
    device: str = "auto"
    precision: "Precision" = "auto"
    batch_size: int | None = None
    detector: str = MOVENET
    detector_weights: Path | None = None
    min_score: float | None = None
    max_people: int | None = None
    focal_length: float | None = None
    intrinsics: Path | None = None
    recursive: bool = False
    every: int = 1
    track: bool = False
    smooth: bool = False
    fps: float = DEFAULT_FPS
    shard: Shard | None = None

    def __post_init__(self) -> None:
        if self.focal_length is not None and not 0 < self.focal_length < float("inf"):
            raise ConfigError(f"focal_length must be a positive number, got {self.focal_length}")
        if self.batch_size is not None and self.batch_size < 1:
            raise ConfigError(f"batch_size must be positive, got {self.batch_size}")
        if self.every < 1:
            raise ConfigError(f"every must be positive, got {self.every}")
        if not 0 < self.fps <= MAX_FPS:
            raise ConfigError(f"fps must be in 0..{MAX_FPS:.0f}, got {self.fps}")
        if self.max_people is not None and self.max_people < 1:
            raise ConfigError(f"max_people must be positive, got {self.max_people}")
        if self.boxes is not None and self.whole_image:
            raise ConfigError("a box file and whole pictures exclude each other")
        check_detector(self.detector, self.detector_weights, self.min_score)

    def decisive(self) -> dict[str, Any]:
        """Those that rows depend on, beside network, body, device and batch size; JSON-like."""
        return {
            "boxes": self.boxes and sha256_of(self.boxes),
            "whole_image": self.whole_image,
            "detector": self.detector,
            "detector_weights": self.detector_weights and sha256_of(self.detector_weights),
            "min_score": self.min_score,
            "max_people": self.max_people,
            "focal_length": self.focal_length,
            "intrinsics": self.intrinsics and sha256_of(self.intrinsics),
            "vertices": self.vertices,
            "every": self.every,
        }

    def drawn(self) -> dict[str, Any]:
        """Those that say what is drawn of each picture; JSON-like."""
        return {
            "overlay_dir": self.overlay_dir and str(self.overlay_dir),
            "overlay_style": self.overlay_dir and self.overlay_style,
            "mesh_dir": self.mesh_dir and str(self.mesh_dir),
            "mesh_format": self.mesh_dir and self.mesh_format,
        }


def check_detector(name: str, weights: Path | None, min_score: float | None) -> None:
    """Find out whether there can be such a detector.

    Args:
        name: ``movenet``, or ``torchvision:`` and the name of one of torchvision's detectors.
        weights: Of a detector of torchvision.
        min_score: Least score of a finding, 0..1, if one is given.

    Raises:
        ConfigError: There is no such detector, or weights are missing or not wanted.
    """
    if min_score is not None and not 0 <= min_score <= 1:
        raise ConfigError(f"min_score must be in 0..1, got {min_score}")
    if name.startswith(TORCHVISION):
        if weights is None:
            raise ConfigError(
                f"detector needs a file of weights: {name}",
                hint="Name one with --detector-weights; nothing is downloaded.",
            )
    elif name != MOVENET:
        raise ConfigError(
            f"unknown detector: {name}", hint=f"Choose {MOVENET} or {TORCHVISION}NAME."
        )
    elif weights is not None:
        raise ConfigError(f"weights are for a detector of torchvision, not for {name}: {weights}")
