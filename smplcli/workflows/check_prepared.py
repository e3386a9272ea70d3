"""Look for damage in a prepared data set."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smplcli.datasets.schema import FIELDS, JPEG_BYTES, JPEG_OFFSETS, RAW_CROPS
from smplcli.datasets.shards import (
    check_shapes,
    read_arrays,
    read_crop,
    read_manifest,
    store_of,
)
from smplcli.errors import HostileFileError, IntegrityError, UnreadableFileError
from smplcli.files import sha256_of
from smplcli.workflows.progress import Progress, no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was looked at, and what is wrong with it."""

    data: Path
    counts: dict[str, int]
    """Samples by split."""

    faults: tuple[str, ...]
    """One for each damaged shard, the first that was found in it."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {**asdict(self), "data": str(self.data)}


def check_prepared(data: Path, *, progress: Progress = no_progress) -> CheckReport:
    """Compare every shard with its hash, and look at every label and crop in it.

    Args:
        data: Folder of the data set.
        progress: Shows the shards.

    Raises:
        MissingFileError: The folder holds no prepared data set.
        IntegrityError: Its manifest is damaged, or a shard is not there.
    """
    try:
        manifest = read_manifest(data)
    except UnreadableFileError as error:
        raise IntegrityError(error.message, hint=error.hint) from error
    counts, faults = Counter[str](), []
    for shard in progress(manifest["shards"], "check"):
        counts[shard["split"]] += shard["count"]
        fault = next(_faults(data / shard["name"], shard, manifest), None)
        if fault is not None:
            faults.append(f"{shard['name']}: {fault}")
    return CheckReport(data=data, counts=dict(counts), faults=tuple(faults))


def _faults(path: Path, shard: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    if sha256_of(path) != shard.get("sha256"):
        yield "its bytes are not those that were written"
    crops = (RAW_CROPS,) if store_of(manifest) == "raw" else (JPEG_BYTES, JPEG_OFFSETS)
    try:
        arrays = read_arrays(path, crops)
        check_shapes(path, arrays)
    except (UnreadableFileError, HostileFileError) as error:
        yield error.message
        return
    if len(arrays["pose"]) != shard["count"]:
        yield f"it holds {len(arrays['pose'])} samples, not {shard['count']}"
    for name in FIELDS:
        if arrays[name].dtype.kind == "f" and not np.isfinite(arrays[name]).all():
            yield f"{name} holds values that are not finite"
    sides = set()
    for row in range(len(arrays["pose"])):
        try:
            sides.add(read_crop(arrays, row)[0].shape)
        except UnreadableFileError as error:
            yield error.message
    if len(sides) > 1:
        yield "its crops are not of one size"
