"""What `smplcli predict` says it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import smplcli
from smplcli.workflows.over_time import Jitter
from smplcli.workflows.people import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictReport:
    """What was found, and in which pictures nothing could be looked for."""

    arrays: Mapping[str, NDArray[Any]] = field(compare=False, repr=False)
    """Everything in the file, by name; not part of the JSON-like form.

    Where there is a file, they stay on disk until they are looked at.
    """

    out: Path | None
    num_images: int
    num_people: int
    num_placed_by_keypoints: int | None
    """People whose place keypoints gave; the network's own camera gave that of the others.

    ``None`` if the run had been finished before, as its file does not say.
    """

    counts: dict[str, int]
    """Pictures by status."""

    failed: tuple[Status, ...]
    """Pictures that could not be used."""

    network: str
    network_sha256: str
    body: str
    body_sha256: str
    overlays: tuple[Path, ...]
    """Pictures drawn: those with people."""

    meshes: tuple[Path, ...]
    """Mesh files written, of the same pictures."""

    motions: tuple[Path, ...] = ()
    """BVH files written, of tracks and of the people in single pictures."""

    num_tracks: int
    """People followed over frames."""

    jitter: Mapping[str, Jitter]
    """Of the tracks, ``before`` and ``after`` smoothing; only ``before`` where none was asked."""

    num_unused_boxes: int
    """Given boxes that are of no input."""

    num_resumed: int
    """Pictures that an earlier, interrupted run had done."""

    seconds: float
    """From the first picture to the written file."""

    stages: Mapping[str, float]
    """Seconds that all threads together spent in each stage."""

    threads: int

    @property
    def is_complete(self) -> bool:
        """Whether every picture could be looked at, and every box of it."""
        return not self.failed

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {
            "smplcli": smplcli.__version__,
            "out": self.out and str(self.out),
            "num_images": self.num_images,
            "num_people": self.num_people,
            "num_placed_by_keypoints": self.num_placed_by_keypoints,
            "counts": self.counts,
            "failed": [status._asdict() for status in self.failed],
            "network": self.network,
            "network_sha256": self.network_sha256,
            "body": self.body,
            "body_sha256": self.body_sha256,
            "overlays": [str(path) for path in self.overlays],
            "meshes": [str(path) for path in self.meshes],
            "motions": [str(path) for path in self.motions],
            "num_tracks": self.num_tracks,
            "jitter": {when: jitter._asdict() for when, jitter in self.jitter.items()},
            "num_unused_boxes": self.num_unused_boxes,
            "num_resumed": self.num_resumed,
            "profile": {
                "seconds": self.seconds,
                "threads": self.threads,
                "stages": dict(self.stages),
            },
            "is_complete": self.is_complete,
        }
