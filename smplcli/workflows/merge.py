"""The files of all shards of a run of `predict` put together into the file of the whole run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smplcli.body.files import load_body
from smplcli.body.model import BodyModel
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.files import map_npz, npz_names
from smplcli.paths import refuse_existing
from smplcli.types import Ints
from smplcli.workflows.people import (
    OK,
    PERSON_FIELDS,
    STATUS_FIELDS,
    Status,
    check_arrays,
    check_made_with,
)
from smplcli.workflows.pictures import claim_outputs
from smplcli.workflows.predict_outputs import TableFormat, refuse_unfinished, table_files
from smplcli.workflows.predict_pipeline import block_size
from smplcli.workflows.predict_report import PredictReport
from smplcli.workflows.predict_write import SHARD, Finish, counted
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.shards import Shard
from smplcli.workflows.spool import STATUSES, Spool, person_record
from smplcli.workflows.unfinished import names_digest, plan_differences

FACTS = ("plan", "sequences", "smooth", "num_placed_by_keypoints", "num_unused_boxes")
"""What a shard says beside its number."""

MAX_NAMED = 8
"""Missing shards that an error names."""


class ShardFile(NamedTuple):
    """What a shard has written."""

    path: Path
    shard: Shard
    arrays: Mapping[str, NDArray[Any]]
    """Left on disk until they are looked at."""

    meta: dict[str, Any]
    """That of the whole run."""

    facts: dict[str, Any]
    """What only shards say: ``plan`` of the run, ``sequences``, and counts."""

    first_row: Ints
    """(M + 1,) of each picture's people, and how many rows there are."""

    @property
    def plan(self) -> dict[str, Any]:
        """Everything that all shards of a run have in common."""
        return {
            "number of shards": self.shard.size,
            **self.facts["plan"],
            "sequences": self.facts["sequences"],
            "smooth": self.facts["smooth"],
        }


def merge_shards(
    shards: Sequence[Path],
    out: Path,
    *,
    body: Path | None = None,
    table_format: TableFormat | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> PredictReport:
    """Put the files of all shards of a run together: they give what one run would have.

    Args:
        shards: Files that `predict` wrote of shards, in any order.
        out: The ``.npz`` file to write.
        body: SMPL file that they were made with; the demo body without one.
        table_format: Also write the rows beside ``out``, as ``jsonl`` or ``csv``.
        overwrite: Whether results that are there may be replaced.
        progress: Shows the blocks of pictures.

    Raises:
        ConfigError: Shards are of different runs, or one is there twice.
        MissingFileError: A file is not there, or a shard is missing.
        UnreadableFileError: A file is no shard, or damaged.
        OutputExistsError: ``out`` is there and ``overwrite`` is false.
        ResourceError: ``out`` cannot be written.
    """
    files = table_files(out, table_format)
    for path in files:
        refuse_existing(path, overwrite=overwrite)
    refuse_unfinished(out, resume=False, overwrite=overwrite)
    claim_outputs(files, [str(path) for path in shards])
    return put_together(shards, files, body=body, overwrite=overwrite, progress=progress)


def put_together(
    shards: Sequence[Path],
    files: Sequence[Path],
    *,
    body: Path | None,
    overwrite: bool,
    progress: Progress,
) -> PredictReport:
    """Merge shards, as `merge_shards` does, into files that nothing is in the way of."""
    start = perf_counter()
    parts = complete([read_shard(path) for path in shards])
    first, model = parts[0], load_body(body)
    check_made_with(first.meta, model, first.path)
    meta, facts = first.meta, first.facts
    finish = Finish(meta, facts["sequences"], facts["smooth"], model, files, overwrite)
    with TemporaryDirectory(dir=files[0].parent, prefix=".merging-") as folder:
        spool = Spool(Path(folder), _record(first))
        names = _fill(spool, parts, progress)
        arrays, motion = finish.whole(spool, names)
    num_placed = sum(part.facts["num_placed_by_keypoints"] for part in parts)
    report = shard_report(first, model)
    return replace(
        report,
        arrays=arrays,
        out=files[0],
        num_placed_by_keypoints=num_placed,
        seconds=perf_counter() - start,
        num_resumed=0,
        num_tracks=motion.num_tracks,
        jitter=motion.jitter,
        **counted(arrays),
    )


def shard_report(part: ShardFile, body: BodyModel) -> PredictReport:
    """What the file of a shard says about itself, made in no time.

    Args:
        part: The shard.
        body: What it was made with.
    """
    return PredictReport(
        arrays=part.arrays,
        out=part.path,
        num_placed_by_keypoints=part.facts["num_placed_by_keypoints"],
        network=part.meta["network"]["name"],
        network_sha256=part.meta["network"]["sha256"],
        body=body.label,
        body_sha256=body.sha256,
        overlays=(),
        meshes=(),
        num_unused_boxes=part.facts["num_unused_boxes"],
        num_resumed=len(part.arrays["status"]),
        seconds=0.0,
        stages={},
        threads=0,
        num_tracks=0,
        jitter={},
        **counted(part.arrays),
    )


def read_shard(path: Path) -> ShardFile:
    """Open the file of a shard.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is none of a shard, or damaged.
    """
    names = npz_names(path)
    lacking = sorted({*PERSON_FIELDS, *STATUS_FIELDS, "meta"} - names)
    if lacking:
        raise UnreadableFileError(f"is no file of predictions, lacks {lacking[0]}: {path}")
    wanted = [*PERSON_FIELDS, *STATUS_FIELDS, "meta", *({"vertices"} & names)]
    arrays = {name: map_npz(path, name) for name in wanted}
    check_arrays(arrays, str(path))
    try:
        meta = json.loads(str(arrays["meta"]))
        facts = meta.pop(SHARD)
        shard = Shard(int(facts["number"]), int(facts["count"]))
        is_right = 1 <= shard.number <= shard.size
        is_right &= int(facts["plan"]["inputs"]["number"]) >= 0 < facts["plan"]["batch_size"]
        is_right &= set(FACTS) <= set(facts)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_shard(path) from error
    if not is_right:
        raise _no_shard(path)
    return ShardFile(path, shard, arrays, meta, facts, _first_rows(path, arrays))


def _no_shard(path: Path) -> UnreadableFileError:
    return UnreadableFileError(
        f"is not the file of a shard: {path}",
        hint="Shards are written by 'smplcli predict --shard I/N'.",
    )


def _first_rows(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Ints:
    """(M + 1,) first row of each picture's people, and how many rows there are."""
    imgname, with_people = arrays["imgname"], np.flatnonzero(arrays["status"] == OK)
    starts = np.flatnonzero(np.append(True, imgname[1:] != imgname[:-1])[: len(imgname)])
    is_right = len(starts) == len(with_people)
    is_right &= bool(np.isin(arrays["status"], STATUSES).all())
    if not (is_right and (imgname[starts] == arrays["status_imgname"][with_people]).all()):
        raise UnreadableFileError(f"people and pictures do not fit together: {path}")
    num_people = np.zeros(len(arrays["status"]), np.int64)
    num_people[with_people] = np.diff(np.append(starts, len(imgname)))
    return np.append(0, np.cumsum(num_people))


def complete(parts: Sequence[ShardFile]) -> list[ShardFile]:
    """All shards of one run in their order.

    Raises:
        ConfigError: They are of different runs, or one is there twice.
        MissingFileError: One is missing.
        UnreadableFileError: One has not the pictures that it should have.
    """
    if not parts:
        raise MissingFileError("there are no shards to merge")
    first, by_number = parts[0], dict[int, ShardFile]()
    for part in parts:
        differences = plan_differences(first.plan, part.plan)
        if differences:
            raise ConfigError(
                f"shards are of different runs: {'; '.join(differences)}: "
                f"{first.path}, {part.path}",
                hint="Run one of them again with the settings of the other.",
            )
        twin = by_number.setdefault(part.shard.number, part)
        if twin is not part:
            raise ConfigError(f"shard {part.shard} is there twice: {twin.path}, {part.path}")
        chosen = part.shard.choose(*_extent(part))
        if len(chosen) != len(part.arrays["status"]):
            raise UnreadableFileError(
                f"shard {part.shard} has {len(part.arrays['status'])} pictures, "
                f"not {len(chosen)}: {part.path}"
            )
    count = first.shard.size
    missing = [f"{number}/{count}" for number in range(1, count + 1) if number not in by_number]
    if missing:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise MissingFileError(
            f"shards are missing: {', '.join(missing[:MAX_NAMED])}{more}",
            hint="Run 'smplcli predict' with --shard for each of them.",
        )
    return [by_number[number] for number in range(1, count + 1)]


def _extent(part: ShardFile) -> tuple[int, int]:
    """Pictures of the whole run, and of a block."""
    plan = part.facts["plan"]
    return plan["inputs"]["number"], block_size(plan["batch_size"])


def _record(part: ShardFile) -> np.dtype[Any]:
    vertices = part.arrays.get("vertices")
    return person_record(0 if vertices is None else vertices.shape[1])


def _fill(spool: Spool, parts: Sequence[ShardFile], progress: Progress) -> list[str]:
    """Put the rows of all shards in the order of the pictures, and return their names.

    Raises:
        UnreadableFileError: The pictures are not those of the run.
    """
    num_pictures, block = _extent(parts[0])
    names: list[str] = []
    for number in progress(range(-(-num_pictures // block)), "merge"):
        part = parts[number % len(parts)]
        first = number // len(parts) * block
        some = slice(first, first + block)
        texts = zip(*(part.arrays[name][some].tolist() for name in STATUS_FIELDS), strict=True)
        statuses = [Status(*text) for text in texts]
        spool.append(statuses, _records(spool, part, first, len(statuses)))
        names += [status.imgname for status in statuses]
    if names_digest(names) != parts[0].facts["plan"]["inputs"]["sha256"]:
        raise UnreadableFileError(f"names of pictures are not those of the run: {parts[0].path}")
    return names


def _records(spool: Spool, part: ShardFile, first: int, count: int) -> NDArray[Any]:
    """Records of the people of some pictures of a shard."""
    edges = part.first_row[first : first + count + 1]
    rows = slice(int(edges[0]), int(edges[-1]))
    record = _record(part)
    records = np.zeros(rows.stop - rows.start, record)
    for name in (record.names or ())[2:]:
        records[name] = part.arrays[name][rows]
    records["picture"] = spool.num_pictures + np.repeat(np.arange(count), np.diff(edges))
    return records
