"""What `smplcli predict` can be told beside what to look at and where to write."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smplcli.errors import ConfigError
from smplcli.files import sha256_of
from smplcli.models.inference import Precision
from smplcli.rendering.views import OverlayStyle
from smplcli.videos import DEFAULT_FPS, MAX_FPS
from smplcli.workflows.finders import MOVENET
from smplcli.workflows.meshes import MeshFormat
from smplcli.workflows.shards import Shard
from smplcli.workflows.tables import TableFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictSettings:
    """Options of `predict`, which says what they mean."""

    boxes: Path | None = None
    whole_image: bool = False
    network: Path | None = None
    average: tuple[Path, ...] = ()
    flip_test: bool = False
    refine: bool = False
    body: Path | None = None
    overlay_dir: Path | None = None
    overlay_style: OverlayStyle = "mesh"
    mesh_dir: Path | None = None
    mesh_format: MeshFormat = "glb"
    bvh_dir: Path | None = None
    table_format: TableFormat | None = None
    vertices: bool = False
    device: str = "auto"
    precision: Precision = "auto"
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
