"""One run of `predict`: from settings to a written file, whatever interrupts it."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
from smplcli.errors import ConfigError, OutputExistsError
from smplcli.files import asset
from smplcli.workflows.bodies import BodyEstimator
from smplcli.workflows.devices import choose_device
from smplcli.workflows.finders import choose_finder, open_detector
from smplcli.workflows.lenses import Lenses
from smplcli.workflows.parallel import one_thread
from smplcli.workflows.people import CONVENTIONS, VERTICES_CONVENTION, Status
from smplcli.workflows.pictures import (
    Drawings,
    PictureInputs,
    Pictures,
    claim_outputs,
    open_pictures,
)
from smplcli.workflows.predict_pipeline import MAX_KEPT_BYTES, Pipeline, Room, block_size
from smplcli.workflows.predict_report import PredictReport
from smplcli.workflows.predict_settings import PredictSettings
from smplcli.workflows.predict_write import Finish, counted
from smplcli.workflows.progress import Progress, Remarked
from smplcli.workflows.sequences import numbered_sequences, sequence_names
from smplcli.workflows.shards import Shard
from smplcli.workflows.spool import Spool, person_record
from smplcli.workflows.stages import StageClock
from smplcli.workflows.tables import table_files
from smplcli.workflows.targets import body_label, refuse_existing
from smplcli.workflows.unfinished import names_digest, open_spool, refuse_unfinished

SHIPPED_NETWORK = "network.safetensors"

AUTO_BATCH = {"cpu": 8, "cuda": 64}
"""People estimated at once: a processor is fastest while few of them fit in its cache."""


class Outputs(NamedTuple):
    """Where results go."""

    files: list[Path]
    """npz, and a table beside it if one is wanted."""

    drawings: Drawings | None
    meshes: Drawings | None
    motions: Drawings | None
    """Names without the numbers of tracks and people, who are not known before."""

    def paths(self, chosen: Sequence[int] | None = None) -> Iterator[Path]:
        """All of them, of which there may be millions, or those of some pictures."""
        drawn = [each for each in (self.drawings, self.meshes) if each is not None]
        if chosen is None:
            return chain(self.files, *drawn)
        return chain(self.files, *((x[at] for at in chosen if x.is_now(at)) for x in drawn))


class Conduct(NamedTuple):
    """How a run behaves towards what is there, and towards who waits for it."""

    resume: bool
    overwrite: bool
    progress: Progress


def run(
    inputs: PictureInputs, out: Path | None, settings: PredictSettings, conduct: Conduct
) -> PredictReport:
    """Estimate the people in pictures: `predict` says what the arguments mean."""
    clock = StageClock()
    with clock.stage("list"):
        pictures = open_pictures(inputs, recursive=settings.recursive, every=settings.every)
    names, shard = pictures.names, settings.shard
    batch_size = settings.batch_size or AUTO_BATCH[choose_device(settings.device).type]
    chosen = shard.choose(len(names), block_size(batch_size)) if shard else range(len(names))
    outputs = name_outputs(names, out, settings)
    own = chosen if shard else None
    refuse_outputs(outputs, conduct, own)
    detector = open_detector(
        settings.detector,
        weights=settings.detector_weights,
        min_score=settings.min_score,
        device=choose_device(settings.device),
    )
    find, num_unused = choose_finder(
        names,
        boxes=settings.boxes,
        whole_image=settings.whole_image,
        detector=detector,
        max_people=settings.max_people,
    )
    lenses = Lenses(settings.focal_length, settings.intrinsics)
    estimator = open_estimator(settings, clock)
    claim_outputs(outputs.paths(own), [*names, *pictures.clips] if pictures.clips else names)
    pipeline = Pipeline(
        pictures=pictures,
        chosen=chosen,
        find=find,
        lenses=lenses,
        estimator=estimator,
        record=person_record(len(estimator.body.v_template) if settings.vertices else 0),
        batch_size=batch_size,
        drawings=outputs.drawings,
        meshes=outputs.meshes,
        style=settings.overlay_style,
        # What is there now is the interrupted run's.
        overwrite=conduct.overwrite or conduct.resume,
        clock=clock,
        room=Room(MAX_KEPT_BYTES),
    )
    return _run(pipeline, out, outputs, settings, conduct, num_unused=num_unused)


def _run(
    pipeline: Pipeline,
    out: Path | None,
    outputs: Outputs,
    settings: PredictSettings,
    conduct: Conduct,
    *,
    num_unused: int,
) -> PredictReport:
    start, clock, estimator = perf_counter(), pipeline.clock, pipeline.estimator
    all_names = pipeline.pictures.names
    names = [all_names[index] for index in pipeline.chosen] if settings.shard else all_names
    plan = plan_of(pipeline, settings)
    finish = _finish_of(pipeline, outputs, settings)
    job = plan | settings.drawn() | {"shard": settings.shard and str(settings.shard)}
    with open_spool(out, job, pipeline.record, resume=conduct.resume) as spool:
        num_resumed = spool.num_pictures
        threads = work(pipeline, spool, conduct.progress)
        num_placed = int(np.count_nonzero(spool.people()["is_placed"]))
        with clock.stage("write"):
            if settings.shard:
                facts = shard_facts(settings.shard, plan, num_placed, num_unused)
                arrays, motion = finish.shard(spool, names, facts)
            else:
                arrays, motion = finish.whole(spool, names)
        return PredictReport(
            arrays=arrays,
            out=out,
            num_placed_by_keypoints=num_placed,
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
            **counted(arrays),
            **written(pipeline, spool),
        )


def _finish_of(pipeline: Pipeline, outputs: Outputs, settings: PredictSettings) -> Finish:
    return Finish(
        meta=meta_of(pipeline.estimator, settings),
        sequences=sequence_facts(pipeline.pictures, settings),
        smooth=settings.smooth,
        body=pipeline.estimator.body,
        files=outputs.files,
        overwrite=pipeline.overwrite,
    )


def name_outputs(names: Sequence[str], out: Path | None, settings: PredictSettings) -> Outputs:
    """Name everything that is to be written.

    Raises:
        ConfigError: ``out`` has another suffix than it should, or is missing.
    """
    if out is None and settings.table_format:
        raise ConfigError(f"there is no file to write {settings.table_format} beside")
    files = table_files(out, settings.table_format) if out else []
    if not (settings.overlay_dir or settings.mesh_dir or settings.bvh_dir):
        return Outputs(files, None, None, None)
    sequences = sequence_names(names, numbered=settings.track)
    videos = [name for name, is_video in sequences.items() if is_video]

    def drawn(folder: Path | None, suffix: str, joined: Collection[str]) -> Drawings | None:
        if folder is None:
            return None
        last = ".mp4" if suffix == ".jpg" else suffix
        return Drawings(folder, names, suffix, later=sequences, joined=joined, joined_suffix=last)

    return Outputs(
        files,
        drawn(settings.overlay_dir, ".jpg", videos),
        drawn(
            settings.mesh_dir,
            f".{settings.mesh_format}",
            sequences if settings.mesh_format == "glb" else (),
        ),
        drawn(settings.bvh_dir, "", sequences),
    )


def refuse_outputs(
    outputs: Outputs, conduct: Conduct, chosen: Sequence[int] | None = None
) -> None:
    """Keep what is there, if nobody said that it may go.

    Args:
        outputs: What is to be written.
        conduct: Says what may go.
        chosen: Numbers of the pictures that are drawn, if they are not all.

    Raises:
        OutputExistsError: Something is there.
    """
    for path in outputs.files[:1]:
        if conduct.resume and not conduct.overwrite and os.path.lexists(path):
            raise OutputExistsError(
                f"nothing is left to do, output is finished: {path}",
                hint="Pass --overwrite to predict again.",
            )
        refuse_existing(path, overwrite=conduct.overwrite)
        refuse_unfinished(path, resume=conduct.resume, overwrite=conduct.overwrite)
    overwrite = conduct.overwrite or conduct.resume
    for path in outputs.paths(chosen):
        refuse_existing(path, overwrite=overwrite)
    if outputs.motions and outputs.motions.folder.is_dir():
        refuse_existing(*outputs.motions.folder.glob("*.bvh"), overwrite=overwrite)


def open_estimator(settings: PredictSettings, clock: StageClock) -> BodyEstimator:
    """Load network and body."""
    return BodyEstimator(
        settings.network or asset(SHIPPED_NETWORK),
        settings.body,
        choose_device(settings.device),
        average=settings.average,
        flip_test=settings.flip_test,
        refine=settings.refine,
        precision=settings.precision,
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
        "precision": estimator.precision,
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
    }


def shard_facts(
    shard: Shard, plan: Mapping[str, Any], num_placed: int, num_unused: int
) -> dict[str, Any]:
    """What the merger of shards has to know of one; JSON-like."""
    return {
        "number": shard.number,
        "count": shard.size,
        "num_placed_by_keypoints": num_placed,
        "num_unused_boxes": num_unused,
        "plan": plan,
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
    if settings.intrinsics is not None:
        meta["focal_length"] = f"pixels, given by {settings.intrinsics.name}"
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


def drawn_now(drawings: Drawings | None, indices: Iterable[int]) -> tuple[Path, ...]:
    """What was drawn of some pictures as soon as their people were known."""
    if drawings is None:
        return ()
    return tuple(drawings[index] for index in indices if drawings.is_now(index))


def written(pipeline: Pipeline, spool: Spool) -> dict[str, Any]:
    """What was drawn of the pictures with people."""
    with_people = np.flatnonzero(spool.pictures()["num_people"]).tolist()
    indices = [pipeline.chosen[position] for position in with_people]
    return {
        "overlays": drawn_now(pipeline.drawings, indices),
        "meshes": drawn_now(pipeline.meshes, indices),
    }
