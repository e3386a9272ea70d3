"""What a run of `predict` wrote that is to go on, but was finished before."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smplcli.errors import OutputExistsError, UnreadableFileError
from smplcli.files import asset, map_npz, npz_names, read_npz
from smplcli.workflows.bodies import BodyEstimator
from smplcli.workflows.people import OK, PERSON_FIELDS, STATUS_FIELDS
from smplcli.workflows.predict_report import PredictReport
from smplcli.workflows.predict_run import (
    SHIPPED_NETWORK,
    chosen_pictures,
    drawn_now,
    meta_of,
    open_estimator,
    sequence_facts,
)
from smplcli.workflows.predict_task import Task
from smplcli.workflows.predict_write import SHARD, counted
from smplcli.workflows.sequences import SEQUENCES
from smplcli.workflows.unfinished import names_digest, plan_differences

logger = logging.getLogger(__name__)


def finished_report(task: Task) -> PredictReport:
    """What the finished file of a task says, if it is that of this task.

    Raises:
        OutputExistsError: It is another's, or lacks what was to be made beside it.
        UnreadableFileError: It is damaged.
    """
    out, estimator = task.outputs.files[0], open_estimator(task.settings, task.clock)
    chosen, _ = chosen_pictures(task)
    arrays = _arrays(out)
    _check_task(task, chosen, arrays, estimator)
    with_people = [chosen[at] for at in np.flatnonzero(arrays["status"] == OK).tolist()]
    drawn, meshes = (
        drawn_now(each, with_people) for each in (task.outputs.drawings, task.outputs.meshes)
    )
    for path in (*task.outputs.files, *drawn, *meshes):
        if not path.exists():
            raise _kept(out, f"is there, but not: {path}")
    logger.info("nothing is left to do: %s is finished", out)
    return PredictReport(
        arrays=arrays,
        out=task.out,
        num_placed_by_keypoints=None,
        network=str(task.settings.network or asset(SHIPPED_NETWORK)),
        network_sha256=estimator.loaded.sha256,
        body=estimator.body.label,
        body_sha256=estimator.body.sha256,
        overlays=drawn,
        meshes=meshes,
        num_tracks=int(arrays["track_id"].max(initial=-1)) + 1 if "track_id" in arrays else 0,
        jitter={},
        num_unused_boxes=task.num_unused_boxes,
        num_resumed=len(chosen),
        seconds=0.0,
        stages=task.clock.seconds,
        threads=0,
        **counted(arrays),
    )


def _check_task(
    task: Task,
    chosen: Sequence[int],
    arrays: Mapping[str, NDArray[Any]],
    estimator: BodyEstimator,
) -> None:
    out, settings = task.outputs.files[0], task.settings
    facts = {SEQUENCES: sequence_facts(task.pictures, settings) or None}
    # As the file has it: without tuples.
    wanted = json.loads(json.dumps(meta_of(estimator, settings) | facts)) | {
        "pictures": names_digest(task.pictures.names[index] for index in chosen),
        "smoothed": settings.smooth,
        SHARD: settings.shard and str(settings.shard),
    }
    differences = plan_differences(_found(out, arrays, wanted), wanted)
    if differences:
        raise _kept(out, f"is another run's: {'; '.join(differences)}")


def _kept(out: Path, reason: str) -> OutputExistsError:
    return OutputExistsError(
        f"output {reason}: {out}",
        hint="Repeat its settings, or pass --overwrite without --resume to predict again.",
    )


def _arrays(out: Path) -> dict[str, NDArray[Any]]:
    names = npz_names(out)
    lacking = sorted({*PERSON_FIELDS, *STATUS_FIELDS, "meta"} - names)
    if lacking:
        raise UnreadableFileError(f"is no file of predictions, lacks {lacking[0]}: {out}")
    return {name: map_npz(out, name) for name in names}


def _found(
    out: Path, arrays: Mapping[str, NDArray[Any]], wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """What a file says about itself, as far as it is wanted."""
    try:
        meta = json.loads(str(read_npz(out, keys=("meta",))["meta"]))
        found = {name: meta.get(name) for name in wanted}
        shard = meta.get(SHARD)
        return found | {
            "pictures": names_digest(map(str, arrays["status_imgname"])),
            SEQUENCES: (shard or meta).get(SEQUENCES) or None,
            "smoothed": bool(shard["smooth"] if shard else meta.get("smoothed")),
            SHARD: shard and f"{shard['number']}/{shard['count']}",
        }
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise UnreadableFileError(f"not a file of predictions of this tool: {out}") from error
