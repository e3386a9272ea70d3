"""From a raw data set to a prepared one: crops and labels in shards, and a manifest."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import numpy as np

from smplcli.datasets.annotations import Dropped, Picture
from smplcli.datasets.cutting import CutOut, best_reduction, cut_out
from smplcli.datasets.part_maps import PartPainter
from smplcli.datasets.placing import BodyPlacer
from smplcli.datasets.shards import COMPRESSED, code_crop, join_crops, pack_labels
from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.files import write_npz
from smplcli.images import read_reduced
from smplcli.paths import takes_texts
from smplcli.types import Pixels
from smplcli.workflows.parallel import Backend, run_tasks
from smplcli.workflows.prepare_report import (
    DROPPED,
    NO_PICTURE,
    PrepareReport,
    describe_plan,
    finish_set,
    hash_labels,
    look_only,
)
from smplcli.workflows.prepared_folder import claim
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.sources import PrepareOptions, Source, choose, find_bodies, read_raw

SHARD_SIZE = 500
"""People per shard, or a few more where a picture holds several: the unit of work, and of what a
killed run keeps."""

BAD_PICTURE = "picture unreadable"


class _Shard(NamedTuple):
    split: str
    number: int
    pictures: tuple[Picture, ...]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}.npz"


class _Listed(NamedTuple):
    split: str
    num_pictures: int
    labels: str
    """Hash of them."""


@takes_texts
def prepare(
    source: Source,
    root: Path,
    out: Path,
    *,
    options: PrepareOptions | None = None,
    body: Path | None = None,
    jobs: int | None = None,
    backend: Backend = "loky",
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> PrepareReport:
    """Prepare a raw data set, or go on where an earlier run stopped.

    Args:
        source: Which data set it is.
        root: The folder that holds it.
        out: Folder of the prepared data set.
        options: How it is read and cut.
        body: SMPL file, or folder with one per gender; the demo body stands in without one.
        jobs: Processes; as many as there are cores if not said.
        backend: What runs them.
        overwrite: Replace a data set that is there.
        dry_run: Count people and look for pictures, and write nothing.
        progress: Shows the shards.

    Returns:
        What was prepared. If it is not complete, there is no manifest: the shards without
        failures are kept, and the same call does the others again.

    Raises:
        ConfigError: ``out`` holds the beginning of another data set, or an option is unknown.
        MissingFileError: ``root`` does not hold the data set, or the body is not there.
        UnreadableFileError: Its labels are damaged.
        HostileFileError: A file of it asks for anything but data.
        OutputExistsError: ``out`` holds a data set, and ``overwrite`` is false.
        ResourceError: The disk is full, or a process died or hangs.
    """
    options = options or PrepareOptions()
    bodies = find_bodies(body) if body or options.parts else {}
    raw = choose(read_raw(source, root, options, bodies, body), options)
    if dry_run:
        return look_only(raw, out, options)
    shards = _list_shards(raw.pictures)
    labels = {name: shard.labels for name, shard in shards.items()}
    plan = describe_plan(raw, options, bodies, labels)
    work = partial(_prepare_shard, out, options, body)
    with claim(out, plan, overwrite=overwrite):
        missing = {name for name in shards if not (out / name).exists()}
        start = monotonic()
        tasks = (shard for shard in _split_up(raw.pictures) if shard.name in missing)
        for _ in run_tasks(
            work,
            tasks,
            count=len(missing),
            jobs=jobs,
            backend=backend,
            progress=progress,
            label=source,
        ):
            pass
        seconds = monotonic() - start
        num_read = sum(shards[name].num_pictures for name in missing)
        return finish_set(
            raw,
            out,
            options,
            plan,
            bodies=bodies,
            shards={name: shard.split for name, shard in shards.items()},
            resumed_shards=len(shards) - len(missing),
            images_per_second=num_read / seconds if num_read else None,
        )


def _list_shards(pictures: Iterable[Picture]) -> dict[str, _Listed]:
    """Shards by name, in the order of the first pictures of their splits."""
    splits = list(dict.fromkeys(picture.split for picture in pictures))
    listed = {
        shard.name: _Listed(shard.split, len(shard.pictures), hash_labels(shard.pictures))
        for shard in _split_up(pictures)
    }
    return dict(sorted(listed.items(), key=lambda item: splits.index(item[1].split)))


def _split_up(pictures: Iterable[Picture]) -> Iterator[_Shard]:
    """Pictures in their order, as few per shard as hold its people."""
    some = defaultdict[str, list[Picture]](list)
    numbers, sizes = Counter[str](), Counter[str]()
    for picture in pictures:
        split = picture.split
        some[split].append(picture)
        sizes[split] += len(picture.people)
        if sizes[split] >= SHARD_SIZE:
            yield _Shard(split, numbers[split], tuple(some.pop(split)))
            numbers[split] += 1
            sizes[split] = 0
    for split, last in some.items():
        yield _Shard(split, numbers[split], tuple(last))


def _prepare_shard(out: Path, options: PrepareOptions, body: Path | None, shard: _Shard) -> None:
    results: list[tuple[CutOut, list[np.ndarray]]] = [(CutOut((), ()), [])] * len(shard.pictures)
    for place, found in _cut_all(shard.pictures, options.crop_size):
        coded = [code_crop(sample.image, options.store) for sample in found.samples]
        bare = tuple(sample._replace(image=_NO_IMAGE) for sample in found.samples)
        results[place] = found._replace(samples=bare), coded
    samples = [sample for found, _ in results for sample in found.samples]
    if options.parts:
        placer, painter = _renderers(body)
        samples = placer.place(samples)
        maps = painter.paint(samples)
        samples = [
            sample._replace(part_map=part_map)
            for sample, part_map in zip(samples, maps, strict=True)
        ]
    crops = [crop for _, coded in results for crop in coded]
    dropped = [who for found, _ in results for who in found.dropped]
    arrays = {**pack_labels(samples), **join_crops(crops, options.store, options.crop_size)}
    arrays[DROPPED] = np.array(json.dumps(dropped))
    write_npz(out / shard.name, arrays, compressed=COMPRESSED)


_NO_IMAGE: Pixels = np.empty((0, 0, 3), np.uint8)


def _cut_all(pictures: Sequence[Picture], crop_size: int) -> Iterator[tuple[int, CutOut]]:
    """Places of pictures and who was cut out of them; each file is read once."""
    places: dict[Path, list[int]] = {}
    for place, picture in enumerate(pictures):
        places.setdefault(picture.path, []).append(place)
    for path, same in places.items():
        reduction = min(best_reduction(pictures[place], crop_size) for place in same)
        try:
            image = read_reduced(path, reduction=reduction)
        except (MissingFileError, UnreadableFileError) as error:
            reason = NO_PICTURE if isinstance(error, MissingFileError) else BAD_PICTURE
            yield from ((place, _drop_all(pictures[place], reason)) for place in same)
        else:
            yield from ((place, cut_out(pictures[place], image, crop_size)) for place in same)


def _drop_all(picture: Picture, reason: str) -> CutOut:
    return CutOut(
        (),
        tuple(
            Dropped(picture.split, picture.imgname, person.person_id, reason, is_failure=True)
            for person in picture.people
        ),
    )


@lru_cache(maxsize=1)
def _renderers(body: Path | None) -> tuple[BodyPlacer, PartPainter]:
    """Those of each process: reading bodies takes longer than a shard."""
    bodies = find_bodies(body)
    return BodyPlacer(bodies), PartPainter(bodies)
