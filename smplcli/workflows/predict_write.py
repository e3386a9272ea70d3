"""From rows on disk to the files of a run, or of a shard of one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smplcli.body.model import BodyModel
from smplcli.files import map_npz, write_npz
from smplcli.workflows.over_time import OverTime, over_time
from smplcli.workflows.people import (
    NO_PERSON,
    OK,
    ROWS_AT_ONCE,
    STATUS_FIELDS,
    Status,
    people_in_parts,
)
from smplcli.workflows.spool import STATUSES, Spool
from smplcli.workflows.tables import write_table

SHARD = "shard"
"""Where the ``meta`` of a shard says what its merger has to know."""


class Finish(NamedTuple):
    """What is done when all pictures are done."""

    meta: dict[str, Any]
    sequences: dict[str, dict[str, Any]]
    """Facts about them, by their names."""

    smooth: bool
    body: BodyModel
    files: Sequence[Path]
    """npz, and a table beside it if one is wanted."""

    overwrite: bool

    def whole(
        self, spool: Spool, names: Sequence[str]
    ) -> tuple[dict[str, NDArray[Any]], OverTime]:
        """Link the people of sequences, and write the files of a whole run.

        Args:
            spool: Its rows.
            names: Of its pictures.

        Returns:
            What is written, and what sequences have to do with it.
        """
        arrays = spool.arrays(names)
        motion = over_time(arrays, self.body, self.sequences, smooth=self.smooth)
        arrays |= motion.arrays
        return self._write(arrays, self.meta | motion.meta), motion

    def shard(
        self, spool: Spool, names: Sequence[str], facts: Mapping[str, Any]
    ) -> tuple[dict[str, NDArray[Any]], OverTime]:
        """Write the file of a shard, with what only the whole run can do left to its merger.

        Args:
            spool: Its rows.
            names: Of its pictures.
            facts: What identifies it, JSON-like.
        """
        own = {**facts, "sequences": self.sequences, "smooth": self.smooth}
        return self._write(spool.arrays(names), self.meta | {SHARD: own}), OverTime({}, {}, 0, {})

    def _write(
        self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
    ) -> dict[str, NDArray[Any]]:
        everything = {**arrays, "meta": np.array(json.dumps(meta))}
        if not self.files:
            return {name: np.array(array) for name, array in everything.items()}
        for path in self.files[1:]:
            write_table(people_in_parts(everything), path, overwrite=self.overwrite)
        write_npz(self.files[0], everything, overwrite=self.overwrite)
        return {name: map_npz(self.files[0], name) for name in everything}


def counted(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """What became of the pictures of a predictions file, as a report says it."""
    status = arrays["status"]
    failed: list[Status] = []
    for start in range(0, len(status), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        # Some boxes of a picture may be bad though others are good.
        is_bad = ~np.isin(status[some], (OK, NO_PERSON)) | (arrays["status_detail"][some] != "")
        failed += [
            Status(*(str(arrays[name][row]) for name in STATUS_FIELDS))
            for row in (start + np.flatnonzero(is_bad)).tolist()
        ]
    counts = {name: int(np.count_nonzero(status == name)) for name in STATUSES}
    return {
        "num_images": len(status),
        "num_people": len(arrays["imgname"]),
        "counts": {name: count for name, count in counts.items() if count},
        "failed": tuple(failed),
    }
