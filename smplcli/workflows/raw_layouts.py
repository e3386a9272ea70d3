"""Raw data sets to try the readers with: rendered people in the layouts of 3DPW and MPII."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from smplcli.datasets.backgrounds import load_photos
from smplcli.datasets.mpii_layout import write_mpii_layout
from smplcli.datasets.poses import clips_of_split, load_poses
from smplcli.datasets.threedpw_layout import PLANS, write_3dpw_layout
from smplcli.errors import MissingFileError
from smplcli.workflows.sources import find_bodies

Layout = Literal["3dpw", "mpii"]
DEFAULT_COUNT = 100
"""Few enough to wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutReport:
    """What was written."""

    layout: Layout
    out: Path

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {**asdict(self), "out": str(self.out)}


def write_layout(
    layout: Layout,
    out: Path,
    *,
    count: int | None = None,
    seed: int = 0,
    poses: Path | None = None,
    backgrounds: Path | None = None,
    body: Path | None = None,
) -> LayoutReport:
    """Render people and write them as the owners of a raw data set distribute theirs.

    Args:
        layout: Whose.
        out: Folder to write to, which is then the root of a raw data set.
        count: About how many people to train on (3DPW), or pictures (MPII).
        seed: The same seed renders the same people.
        poses: Pose file or folder of them; made-up poses without one.
        backgrounds: Folder of photographs, for MPII; generated backgrounds without one.
        body: SMPL file, or folder with one per gender; the demo body without one.

    Raises:
        MissingFileError: Poses, backgrounds or body are not there.
        OutputExistsError: ``out`` holds such a data set.
        ResourceError: The folder cannot be written or the disk is full.
    """
    for path in (poses, backgrounds, body):
        if path is not None and not path.exists():
            raise MissingFileError(f"not found: {path}")
    bodies = find_bodies(body)
    clips = clips_of_split(load_poses(poses), "train").clips if poses else []
    count = count or DEFAULT_COUNT
    if layout == "3dpw":
        in_train = sum(
            plan.num_people * plan.num_frames for plan in PLANS if plan.split == "train"
        )
        plans = [
            plan._replace(num_frames=max(1, round(plan.num_frames * count / in_train)))
            for plan in PLANS
        ]
        gendered = {gender: bodies[gender] for gender in "mf" if gender in bodies}
        write_3dpw_layout(out, plans=plans, seed=seed, bodies=gendered, clips=clips)
    else:
        photos = load_photos(backgrounds) if backgrounds else None
        body_of_all = bodies.get("n") or next(iter(bodies.values()))
        write_mpii_layout(
            out, count=count, seed=seed, body=body_of_all, clips=clips, photos=photos
        )
    return LayoutReport(layout=layout, out=out)
