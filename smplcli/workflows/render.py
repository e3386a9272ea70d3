"""A prepared data set of people that we render."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import smplcli
from smplcli.body.files import load_body
from smplcli.body.model import BodyModel
from smplcli.conventions import COCO17_JOINTS, SMPL_JOINTS
from smplcli.datasets.backgrounds import PhotoLibrary, load_photos
from smplcli.datasets.poses import PoseLibrary, clips_of_split, load_poses
from smplcli.datasets.scenes import Studio
from smplcli.datasets.schema import CONTEXT, CROP_SIZE, PART_SIZE, SHARD_SIZE
from smplcli.datasets.shards import FORMAT, write_shard
from smplcli.errors import MissingFileError
from smplcli.files import read_npz, sha256_of
from smplcli.paths import takes_texts
from smplcli.workflows.parallel import run_tasks
from smplcli.workflows.prepared_folder import claim, finish, size_of
from smplcli.workflows.progress import Progress, no_progress

SPLITS = ("train", "validation", "test")
HELD_OUT_SHARE, MAX_HELD_OUT = 0.2, 500
"""People of each held-out split, over those to train on, and at most."""

SEQUENCE_LENGTH = 100
"""Pictures per sequence; leaderboards of video data group by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderReport:
    """What was rendered."""

    out: Path
    counts: dict[str, int]
    """Samples per split."""

    num_bytes: int
    found_by_detector: int
    """People that the detector finds in their pictures."""

    resumed_shards: int
    """Shards that an earlier, unfinished run had left."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {**asdict(self), "out": str(self.out)}


class _Shard(NamedTuple):
    split: str
    number: int
    first: int
    size: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Supplies:
    """What pictures are made of, read once and shared by all processes."""

    model: BodyModel
    poses: dict[str, PoseLibrary]
    """By split; empty for made-up poses only."""

    photos: PhotoLibrary | None
    plan: dict[str, Any]
    """Everything that decides what the data set holds."""


@takes_texts
def render(
    out: Path,
    *,
    count: int,
    seed: int = 0,
    poses: Path | None = None,
    backgrounds: Path | None = None,
    body: Path | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> RenderReport:
    """Render a data set of synthetic people, or go on where an earlier run stopped.

    Args:
        out: Folder of the data set.
        count: People to train on; a fifth as many, at most 500, are held out for each of
            validation and test, in poses of other clips.
        seed: The same seed renders the same people, whatever ``jobs`` is.
        poses: Pose file or folder of them; made-up poses without one.
        backgrounds: Folder of photographs; generated backgrounds without one.
        body: SMPL file; the demo body without one.
        jobs: Processes that render; as many as there are cores if not said.
        overwrite: Replace a data set that is there.
        progress: Shows the shards.

    Raises:
        ConfigError: ``out`` holds the beginning of another data set.
        ResourceError: A process died, mostly for want of memory.
        OutputExistsError: ``out`` holds a data set, and ``overwrite`` is false.
        MissingFileError: Poses, backgrounds or body are not there.
        UnreadableFileError: One of them is not what it should be.
    """
    supplies = _gather(count=count, seed=seed, poses=poses, backgrounds=backgrounds, body=body)
    shards = list(_shards(count))
    with claim(out, supplies.plan, overwrite=overwrite):
        missing = [shard for shard in shards if not (out / shard.name).exists()]
        _draw(out, supplies, missing, jobs=jobs, progress=progress)
        found = _write_manifest(out, supplies, shards)
    counts = Counter[str]()
    for shard in shards:
        counts[shard.split] += shard.size
    return RenderReport(
        out=out,
        counts=dict(counts),
        num_bytes=size_of(out),
        found_by_detector=found,
        resumed_shards=len(shards) - len(missing),
    )


def _gather(
    *, count: int, seed: int, poses: Path | None, backgrounds: Path | None, body: Path | None
) -> _Supplies:
    for path in (poses, backgrounds, body):
        if path is not None and not path.exists():
            raise MissingFileError(f"not found: {path}")
    model = load_body(body)
    library = load_poses(poses) if poses else None
    photos = load_photos(backgrounds) if backgrounds else None
    plan = {
        "smplcli": smplcli.__version__,
        "count": count,
        "seed": seed,
        "poses": _describe(poses, library.poses if library else None),
        "backgrounds": _describe(backgrounds, photos.coded if photos else None),
        "body": {"name": model.name, "sha256": model.sha256},
    }
    by_split = {split: clips_of_split(library, split) for split in SPLITS} if library else {}
    return _Supplies(model=model, poses=by_split, photos=photos, plan=plan)


def _describe(path: Path | None, content: np.ndarray | None) -> dict[str, str] | None:
    if path is None or content is None:
        return None
    return {"name": path.name, "sha256": hashlib.sha256(content.tobytes()).hexdigest()}


def _shards(count: int) -> Iterator[_Shard]:
    held_out = max(1, min(MAX_HELD_OUT, int(count * HELD_OUT_SHARE)))
    for split, total in zip(SPLITS, (count, held_out, held_out), strict=True):
        for number, first in enumerate(range(0, total, SHARD_SIZE)):
            yield _Shard(split, number, first, min(SHARD_SIZE, total - first))


def _draw(
    out: Path,
    supplies: _Supplies,
    shards: list[_Shard],
    *,
    jobs: int | None,
    progress: Progress,
) -> None:
    draw = partial(_render_shard, out, supplies)
    for _ in run_tasks(
        draw, shards, count=len(shards), jobs=jobs, progress=progress, label="render"
    ):
        pass


_STUDIOS: dict[tuple[str, str], Studio] = {}
"""The studio of each process and split: setting one up takes longer than a picture."""


def _render_shard(out: Path, supplies: _Supplies, shard: _Shard) -> None:
    key = (json.dumps(supplies.plan), shard.split)
    if key not in _STUDIOS:
        _STUDIOS.clear()
        clips = supplies.poses[shard.split].clips if supplies.poses else []
        _STUDIOS[key] = Studio(supplies.model, clips, supplies.photos)
    samples = []
    for index in range(shard.first, shard.first + shard.size):
        stream = [supplies.plan["seed"], (SPLITS.index(shard.split) << 32) + index]
        rng = np.random.Generator(np.random.Philox(key=stream))
        samples.append(_STUDIOS[key].take_picture(rng, _imgname(shard.split, index)))
    write_shard(out / shard.name, samples)


def _imgname(split: str, index: int) -> str:
    sequence, picture = divmod(index, SEQUENCE_LENGTH)
    return f"synthetic_{split}_{sequence:03d}/image_{picture:05d}.jpg"


def _write_manifest(out: Path, supplies: _Supplies, shards: list[_Shard]) -> int:
    """Write the manifest; returns how many people the detector found."""
    found = 0
    entries = []
    for shard in shards:
        path = out / shard.name
        detected = read_npz(path, keys=["detected"])["detected"]
        found += int(detected[..., 2].any(axis=1).sum())
        entries.append(
            {
                "name": shard.name,
                "split": shard.split,
                "count": shard.size,
                "sha256": sha256_of(path),
            }
        )
    plan = supplies.plan
    finish(
        out,
        {
            "format": FORMAT,
            "source": "synthetic",
            "smplcli": plan["smplcli"],
            "options": {name: plan[name] for name in ("count", "seed", "poses", "backgrounds")},
            "body": plan["body"],
            "joint_sets": {"pose": SMPL_JOINTS, "keypoints": COCO17_JOINTS},
            "crop": {"size": CROP_SIZE, "context": CONTEXT, "part_size": PART_SIZE},
            "found_by_detector": found,
            "shards": entries,
        },
    )
    return found
