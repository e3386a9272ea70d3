"""One run of `predict`: from settings to a written file, whatever interrupts it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import cpu_count
from numpy.typing import NDArray

import smplcli
from smplcli.errors import ConfigError
from smplcli.files import asset, map_npz, write_npz
from smplcli.workflows.bodies import BodyEstimator
from smplcli.workflows.devices import choose_device
from smplcli.workflows.finders import choose_finder
from smplcli.workflows.over_time import over_time
from smplcli.workflows.parallel import one_thread
from smplcli.workflows.people import CONVENTIONS, VERTICES_CONVENTION, Status, people_in_parts
from smplcli.workflows.pictures import (
    Drawings,
    PictureInputs,
    Pictures,
    claim_outputs,
    open_pictures,
)
from smplcli.workflows.predict_pipeline import MAX_KEPT_BYTES, Pipeline, Room
from smplcli.workflows.predict_report import PredictReport
from smplcli.workflows.predict_settings import PredictSettings
from smplcli.workflows.progress import Progress, Remarked
from smplcli.workflows.sequences import numbered_sequences
from smplcli.workflows.spool import STATUSES, Spool, person_record
from smplcli.workflows.stages import StageClock
from smplcli.workflows.tables import write_table
from smplcli.workflows.targets import body_label, refuse_existing
from smplcli.workflows.unfinished import names_digest, open_spool, refuse_unfinished

SHIPPED_NETWORK = "network.safetensors"
OUT_SUFFIX = ".npz"

AUTO_BATCH = {"cpu": 8, "cuda": 64}
"""People estimated at once: a processor is fastest while few of them fit in its cache."""


class Outputs(NamedTuple):
    """Where results go."""

    files: list[Path]
    """npz, and a table beside it if one is wanted."""

    drawings: Drawings | None
    meshes: Drawings | None

    def paths(self) -> Iterator[Path]:
        """All of them, of which there may be millions."""
        return chain(self.files, self.drawings or (), self.meshes or ())


def run(
    inputs: PictureInputs,
    out: Path | None,
    settings: PredictSettings,
    *,
    resume: bool,
    overwrite: bool,
    progress: Progress,
) -> PredictReport:
    """Estimate the people in pictures: `predict` says what the arguments mean."""
    clock = StageClock()
    with clock.stage("list"):
        pictures = open_pictures(inputs, recursive=settings.recursive, every=settings.every)
    outputs = name_outputs(pictures.names, out, settings)
    refuse_outputs(outputs, resume=resume, overwrite=overwrite)
    overwrite = overwrite or resume  # what is there now is the interrupted run's
    find, num_unused = choose_finder(
        pictures.names,
        boxes=settings.boxes,
        whole_image=settings.whole_image,
        min_score=settings.min_score,
        max_people=settings.max_people,
    )
    estimator = open_estimator(settings, clock)
    claim_outputs(outputs.paths(), pictures.names)
    pipeline = Pipeline(
        pictures=pictures,
        chosen=range(len(pictures.names)),
        find=find,
        estimator=estimator,
        record=person_record(len(estimator.body.v_template) if settings.vertices else 0),
        batch_size=settings.batch_size or AUTO_BATCH[estimator.device.type],
        drawings=outputs.drawings,
        meshes=outputs.meshes,
        overwrite=overwrite,
        clock=clock,
        room=Room(MAX_KEPT_BYTES),
    )
    start = perf_counter()
    with open_spool(out, plan_of(pipeline, settings), pipeline.record, resume=resume) as spool:
        num_resumed = spool.num_pictures
        threads = work(pipeline, spool, progress)
        with clock.stage("write"):
            meta = meta_of(estimator, settings)
            arrays = spool.arrays(pictures.names)
            facts = sequence_facts(pictures, settings)
            motion = over_time(arrays, estimator.body, facts, smooth=settings.smooth)
            arrays |= motion.arrays | {"meta": np.array(json.dumps(meta | motion.meta))}
            arrays = write_arrays(arrays, outputs.files, overwrite=overwrite)
        return PredictReport(
            arrays=arrays,
            out=out,
            network=str(settings.network or asset(SHIPPED_NETWORK)),
            network_sha256=estimator.loaded.sha256,
            body=body_label(estimator.body),
            body_sha256=estimator.body.sha256,
            num_unused_boxes=num_unused,
            num_resumed=num_resumed,
            seconds=perf_counter() - start,
            stages=clock.seconds,
            threads=threads,
            num_tracks=motion.num_tracks,
            jitter=motion.jitter,
            **found(pipeline, spool),
        )


def name_outputs(names: Sequence[str], out: Path | None, settings: PredictSettings) -> Outputs:
    """Name everything that is to be written.

    Raises:
        ConfigError: ``out`` has another suffix than it should, or is missing.
    """
    files = [out] if out else []
    if out is None and settings.table_format:
        raise ConfigError(f"there is no file to write {settings.table_format} beside")
    if out and out.suffix.lower() != OUT_SUFFIX:
        raise ConfigError(f"predictions are written as {OUT_SUFFIX}, not: {out}")
    if out and settings.table_format:
        files.append(out.with_suffix(f".{settings.table_format}"))
    drawings, meshes = settings.overlay_dir, settings.mesh_dir
    return Outputs(
        files,
        Drawings(drawings, names) if drawings else None,
        Drawings(meshes, names, f".{settings.mesh_format}") if meshes else None,
    )


def refuse_outputs(outputs: Outputs, *, resume: bool, overwrite: bool) -> None:
    """Keep what is there, if nobody said that it may go.

    Raises:
        OutputExistsError: Something is there.
    """
    for path in outputs.files[:1]:
        refuse_existing(path, overwrite=overwrite)
        refuse_unfinished(path, resume=resume, overwrite=overwrite)
    for path in outputs.paths():
        refuse_existing(path, overwrite=overwrite or resume)


def open_estimator(settings: PredictSettings, clock: StageClock) -> BodyEstimator:
    """Load network and body."""
    return BodyEstimator(
        settings.network or asset(SHIPPED_NETWORK),
        settings.body,
        choose_device(settings.device),
        average=settings.average,
        flip_test=settings.flip_test,
        refine=settings.refine,
        focal_length=settings.focal_length,
        clock=clock,
    )


def made_with(estimator: BodyEstimator) -> dict[str, Any]:
    """What computes the rows; JSON-like."""
    body = estimator.body
    return {
        "smplcli": smplcli.__version__,
        "network": {"name": estimator.name, "sha256": estimator.loaded.sha256},
        "averaged_with": [loaded.sha256 for loaded in estimator.averaged],
        "flip_test": estimator.flip_test,
        "refined": estimator.refine,
        "body": {"name": body.name, "sha256": body.sha256, "is_demo": body.is_demo},
    }


def plan_of(pipeline: Pipeline, settings: PredictSettings) -> dict[str, Any]:
    """Everything that the result depends on; JSON-like."""
    names = pipeline.pictures.names
    return {
        **made_with(pipeline.estimator),
        "inputs": {"number": len(names), "sha256": names_digest(names)},
        **settings.decisive(),
        "device": pipeline.estimator.device.type,
        "batch_size": pipeline.batch_size,
        **settings.drawn(),
    }


def sequence_facts(pictures: Pictures, settings: PredictSettings) -> dict[str, dict[str, Any]]:
    """What is known of the sequences among the pictures, by their names."""
    facts = {name: clip.facts() for name, clip in pictures.clips.items() if clip.numbers}
    if settings.track:
        facts |= numbered_sequences(pictures.names, fps=settings.fps)
    return facts


def meta_of(estimator: BodyEstimator, settings: PredictSettings) -> dict[str, Any]:
    """What made the numbers and what they mean; JSON-like."""
    meta = made_with(estimator) | CONVENTIONS
    if settings.focal_length is not None:
        meta["focal_length"] = "pixels, given"
    if settings.vertices:
        meta["vertices"] = VERTICES_CONVENTION
    return meta


def work(pipeline: Pipeline, spool: Spool, progress: Progress) -> int:
    """Do what a spool lacks, in as many threads as torch would use, and say how many that were."""
    threads: int = max(1, min(torch.get_num_threads(), cpu_count()))
    statuses: list[Status] = []
    records: list[NDArray[Any]] = []
    with one_thread(), _pool(threads) as pool:
        done = pipeline.run(pool, threads, start=spool.num_pictures)
        left = len(pipeline.chosen) - spool.num_pictures
        for picture in progress(Remarked(done, left, pipeline.clock.slowest), "predict"):
            statuses.append(picture.status)
            records.append(picture.records)
            if picture.is_last:
                with pipeline.clock.stage("write"):
                    spool.append(statuses, np.concatenate(records))
                statuses, records = [], []
    return threads


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that do not start anything new when the block fails."""
    pool = ThreadPoolExecutor(threads, "predict", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def write_arrays(
    arrays: Mapping[str, NDArray[Any]], files: Sequence[Path], *, overwrite: bool
) -> dict[str, NDArray[Any]]:
    """Write the files of all predictions, the npz last, and return what is in it."""
    if not files:
        return {name: np.array(array) for name, array in arrays.items()}
    for path in files[1:]:
        write_table(people_in_parts(arrays), path, overwrite=overwrite)
    write_npz(files[0], arrays, overwrite=overwrite)
    return {name: map_npz(files[0], name) for name in arrays}


def found(pipeline: Pipeline, spool: Spool) -> dict[str, Any]:
    """What is in a spool, as a report says it."""
    pictures, names = spool.pictures(), pipeline.pictures.names
    chosen, details = pipeline.chosen, spool.details()
    counts = np.bincount(pictures["status"], minlength=len(STATUSES)).tolist()
    with_people = np.flatnonzero(pictures["num_people"]).tolist()
    drawings, meshes = pipeline.drawings, pipeline.meshes
    return {
        "num_images": len(pictures),
        "num_people": spool.num_people,
        "num_placed_by_keypoints": int(np.count_nonzero(spool.people()["is_placed"])),
        "counts": {name: count for name, count in zip(STATUSES, counts, strict=True) if count},
        "failed": tuple(
            Status(names[chosen[at]], STATUSES[pictures["status"][at]], details[at])
            for at in sorted(details)
        ),
        "overlays": tuple(drawings[chosen[at]] for at in with_people) if drawings else (),
        "meshes": tuple(meshes[chosen[at]] for at in with_people) if meshes else (),
    }
