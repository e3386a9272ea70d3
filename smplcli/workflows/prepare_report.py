"""What became of the people of a raw data set: counted, listed and written down."""

import hashlib
import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import smplcli
from smplcli.body.model import BodyModel
from smplcli.conventions import COCO17_JOINTS, OPENPOSE25_JOINTS, SMPL_JOINTS, SPIN24_JOINTS
from smplcli.datasets.annotations import Dropped, Picture, RawSet
from smplcli.datasets.cutting import CUT_CONTEXT, find_problem
from smplcli.datasets.label_checks import REFUSED
from smplcli.datasets.part_maps import PART_CONTEXT
from smplcli.datasets.schema import PART_SIZE, UNKNOWN_PART
from smplcli.datasets.shards import FORMAT
from smplcli.files import atomic_write, read_npz, sha256_of
from smplcli.workflows.prepared_folder import ERRORS_FILE, SHARDS, finish, size_of
from smplcli.workflows.sources import GENDERS, PrepareOptions

DROPPED = "dropped"
"""Whom a shard has left out: a JSON list in its file, so that a run that goes on knows them."""

NO_PICTURE = "picture not found"

JOINT_SETS = {
    "pose": SMPL_JOINTS,
    "part": SPIN24_JOINTS,
    "S": SPIN24_JOINTS,
    "openpose": OPENPOSE25_JOINTS,
    "keypoints": COCO17_JOINTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCounts:
    """What became of the people of a split."""

    kept: int
    frames: int
    """Pictures that they are in."""

    dropped: dict[str, int]
    """Those left out, by reason."""

    failed: int
    """How many of them were left out because something is wrong with the data."""

    published: int | None
    """People that a full copy gives, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareReport:
    """What was prepared."""

    source: str
    out: Path
    counts: dict[str, SplitCounts]
    """By split."""

    notes: tuple[str, ...]
    """What a user should know about how the data was read."""

    max_failures: float
    """Share of people that may fail."""

    is_dry_run: bool = False
    num_bytes: int = 0
    """Of all files."""

    images_per_second: float | None = None
    """Pictures prepared by this run over its seconds, without reading the labels."""

    resumed_shards: int = 0
    """Shards that an earlier, unfinished run had left."""

    @property
    def num_kept(self) -> int:
        """People of all splits."""
        return sum(split.kept for split in self.counts.values())

    @property
    def num_failed(self) -> int:
        """People and pictures that something is wrong with."""
        return sum(split.failed for split in self.counts.values())

    @property
    def num_refused(self) -> int:
        """People of files that asked for code to be run, or are so damaged that they seem to."""
        return sum(split.dropped.get(REFUSED, 0) for split in self.counts.values())

    @property
    def is_complete(self) -> bool:
        """Whether anybody is left and so few failed that the data set is of use."""
        total = self.num_kept + self.num_failed
        return self.num_kept > 0 and self.num_failed <= self.max_failures * total

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {**asdict(self), "out": str(self.out), "num_failed": self.num_failed}


def look_only(raw: RawSet, out: Path, options: PrepareOptions) -> PrepareReport:
    """Count people whose labels are sound and whose pictures exist, without reading any."""
    tally = _Tally(raw)
    for picture in raw.pictures:
        problem = None if picture.path.is_file() else NO_PICTURE
        kept = 0
        for person in picture.people:
            found = problem or find_problem(person, picture.cam_int, None)
            if found is None:
                kept += 1
            else:
                who = picture.split, picture.imgname, person.person_id
                tally.drop([Dropped(*who, found, is_failure=True)])
        tally.keep(picture.split, [picture.imgname] * kept)
    return _report(raw, out, options, tally, is_dry_run=True)


def describe_plan(
    raw: RawSet,
    options: PrepareOptions,
    bodies: Mapping[str, BodyModel],
    shards: Mapping[str, str],
) -> dict[str, Any]:
    """Everything that decides what a prepared data set holds.

    Args:
        raw: What was read.
        options: How it was read and is cut.
        bodies: By gender.
        shards: What ``hash_labels`` gives for each shard, by its file name.
    """
    chosen = asdict(options)
    # Who may fail does not change what is prepared, nor does where pictures lie.
    del chosen["max_failures"], chosen["images"]
    chosen["val_list"] = options.val_list and options.val_list.name
    by_gender = {
        gender: {"name": body.name, "sha256": body.sha256} for gender, body in bodies.items()
    }
    return {
        "smplcli": smplcli.__version__,
        "source": raw.source,
        "options": {**chosen, "splits": list(options.splits)},
        "bodies": by_gender,
        SHARDS: dict(shards),
    }


def hash_labels(pictures: Iterable[Picture]) -> str:
    """Hash of everything about pictures but where they lie."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.split}\0{picture.imgname}\0".encode())
        for value in (picture.cam_int, *(label for who in picture.people for label in who)):
            digest.update(
                value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
            )
    return digest.hexdigest()


def finish_set(
    raw: RawSet,
    out: Path,
    options: PrepareOptions,
    plan: Mapping[str, Any],
    *,
    bodies: Mapping[str, BodyModel],
    shards: Mapping[str, str],
    resumed_shards: int,
    images_per_second: float | None,
) -> PrepareReport:
    """Count what the shards hold and write the manifest, unless too many people failed.

    Args:
        raw: What was read.
        out: Folder of the data set.
        options: How it was read and cut.
        plan: What ``describe_plan`` gave.
        bodies: By gender.
        shards: Split of each shard by its file name, in order.
        resumed_shards: For the report.
        images_per_second: For the report.
    """
    tally, entries, incomplete, unknown = _Tally(raw), [], [], 0
    for name, split in shards.items():
        arrays = read_npz(out / name, keys=["imgname", "part_map", DROPPED])
        dropped = _dropped_by(arrays)
        if any(who.is_failure for who in dropped):
            incomplete.append(out / name)
        tally.drop(dropped)
        names = arrays["imgname"].tolist()
        unknown += int((arrays["part_map"][:, 0, 0] == UNKNOWN_PART).sum())
        tally.keep(split, names)
        entries.append(_describe_shard(out / name, split, len(names)))
    lost = (who for path in incomplete for who in _dropped_by(read_npz(path, keys=[DROPPED])))
    _write_errors(out, (who for who in chain(raw.dropped, lost) if who.is_failure))
    if options.parts:
        notes = [*_part_notes(bodies, unknown, tally), *_place_notes(raw.pictures)]
        raw = replace(raw, notes=[*raw.notes, *notes])
    report = _report(raw, out, options, tally)
    if report.is_complete:
        finish(out, _manifest(raw, plan, report, entries))
    else:
        for path in incomplete:
            path.unlink()
    return replace(
        report,
        num_bytes=size_of(out),
        images_per_second=images_per_second,
        resumed_shards=resumed_shards,
    )


def _dropped_by(shard: Mapping[str, np.ndarray]) -> list[Dropped]:
    return [Dropped(*entry) for entry in json.loads(str(shard[DROPPED]))]


def _part_notes(bodies: Mapping[str, BodyModel], unknown: int, tally: "_Tally") -> Iterator[str]:
    if unknown < tally.kept.total():
        if any(body.is_demo for body in bodies.values()):
            yield "Part maps are those of the demo body, which fits people only roughly (--body)."
        elif any(body.gender != GENDERS[letter] for letter, body in bodies.items()):
            yield "Part maps of all genders are those of one body (--body takes a folder)."
    if unknown:
        yield f"{unknown} people have no part map: their body or its place is not known."


def _place_notes(pictures: Iterable[Picture]) -> Iterator[str]:
    people = (person for picture in pictures for person in picture.people)
    count = sum(person.pose is not None and person.transl is None for person in people)
    if count:
        yield (
            f"{count} people have a pose and no place: they stand where their keypoints, or else "
            "their squares, fit best (transl)."
        )


def _describe_shard(path: Path, split: str, count: int) -> dict[str, Any]:
    return {
        "name": path.name,
        "split": split,
        "count": count,
        "sha256": sha256_of(path),
        "num_bytes": path.stat().st_size,
    }


def _manifest(
    raw: RawSet, plan: Mapping[str, Any], report: PrepareReport, shards: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    options = plan["options"]
    crop = {"size": options["crop_size"], "context": CUT_CONTEXT, "store": options["store"]}
    return {
        "format": FORMAT,
        "source": raw.source,
        "smplcli": plan["smplcli"],
        "options": options,
        "bodies": plan["bodies"],
        "labels": hashlib.sha256("".join(plan[SHARDS].values()).encode()).hexdigest(),
        "joint_sets": JOINT_SETS,
        "crop": {**crop, "part_size": PART_SIZE, "part_context": PART_CONTEXT},
        "counts": {split: asdict(counts) for split, counts in report.counts.items()},
        "sequences": {
            split: {name: size._asdict() for name, size in names.items()}
            for split, names in raw.sequences.items()
        },
        "notes": list(raw.notes),
        "num_bytes": sum(shard["num_bytes"] for shard in shards),
        "shards": list(shards),
    }


def _write_errors(out: Path, failed: Iterator[Dropped]) -> None:
    """List what failed, a JSON object per line; no file if nothing did."""
    first = next(failed, None)
    if first is None:
        (out / ERRORS_FILE).unlink(missing_ok=True)
        return
    with atomic_write(out / ERRORS_FILE) as file:
        for who in chain([first], failed):
            line = {key: value for key, value in who._asdict().items() if key != "is_failure"}
            file.write(json.dumps(line).encode() + b"\n")  # a name may hold bytes of no alphabet


class _Tally:
    """Counts people of splits; starts with those that the reader left out."""

    def __init__(self, raw: RawSet) -> None:
        self.dropped = Counter[tuple[str, str]]()
        """By split and reason."""

        self.failed = Counter[str]()
        self.kept = Counter[str]()
        self._frames: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))
        self.drop(raw.dropped)

    def keep(self, split: str, imgnames: Sequence[str]) -> None:
        """Count people that are kept, one for each name."""
        self.kept[split] += len(imgnames)
        # 64 bits of each name, by which a million of them differ, take a tenth of its memory.
        self._frames[split].extend({hash(imgname) for imgname in imgnames})

    def drop(self, dropped: Iterable[Dropped]) -> None:
        """Count people that are not."""
        for who in dropped:
            self.dropped[who.split, who.reason] += 1
            self.failed[who.split] += who.is_failure

    def num_frames(self, split: str) -> int:
        """Pictures that the people kept are in."""
        return len(np.unique(np.array(self._frames[split])))


def _report(
    raw: RawSet,
    out: Path,
    options: PrepareOptions,
    tally: _Tally,
    *,
    is_dry_run: bool = False,
) -> PrepareReport:
    splits = [*tally.kept, *(split for split, _ in tally.dropped)]
    return PrepareReport(
        source=raw.source,
        out=out,
        counts={split: _count(raw, tally, split) for split in dict.fromkeys(splits)},
        notes=tuple(raw.notes),
        max_failures=options.max_failures,
        is_dry_run=is_dry_run,
    )


def _count(raw: RawSet, tally: _Tally, split: str) -> SplitCounts:
    dropped = {reason: count for (of, reason), count in tally.dropped.items() if of == split}
    return SplitCounts(
        kept=tally.kept[split],
        frames=tally.num_frames(split),
        dropped=dict(sorted(dropped.items())),
        failed=tally.failed[split],
        published=raw.published.get(split),
    )
