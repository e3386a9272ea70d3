"""One run of `predict`: from settings to a written file, whatever interrupts it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from joblib import cpu_count
from numpy.typing import NDArray

import smplcli
from smplcli.files import asset
from smplcli.workflows.bodies import BodyEstimator
from smplcli.workflows.devices import choose_device
from smplcli.workflows.finders import choose_finder, detector_precision, open_detector
from smplcli.workflows.parallel import one_thread
from smplcli.workflows.people import CONVENTIONS, VERTICES_CONVENTION, Status
from smplcli.workflows.pictures import Drawings, Pictures, claim_outputs
from smplcli.workflows.predict_outputs import Outputs, refuse_outputs, refuse_unfinished
from smplcli.workflows.predict_pipeline import MAX_KEPT_BYTES, Pipeline, Room, block_size
from smplcli.workflows.predict_report import PredictReport
from smplcli.workflows.predict_settings import PredictSettings
from smplcli.workflows.predict_task import Task
from smplcli.workflows.predict_write import Finish, counted
from smplcli.workflows.progress import Progress, Remarked
from smplcli.workflows.sequences import numbered_sequences
from smplcli.workflows.shards import Shard
from smplcli.workflows.spool import Spool, person_record
from smplcli.workflows.stages import StageClock
from smplcli.workflows.unfinished import names_digest, open_spool

SHIPPED_NETWORK = "network.safetensors"

AUTO_BATCH = {"cpu": 8, "cuda": 64}
"""People estimated at once: a processor is fastest while few of them fit in its cache."""


def run(task: Task) -> PredictReport:
    """Estimate the people in pictures: `predict` says what the arguments mean."""
    settings, conduct, pictures = task.settings, task.conduct, task.pictures
    names, device = pictures.names, choose_device(settings.device)
    chosen, batch_size = chosen_pictures(task)
    own = chosen if settings.shard else None
    for file in task.outputs.files[:1]:
        refuse_unfinished(file, resume=conduct.resume, overwrite=conduct.overwrite)
    if settings.shard:
        refuse_outputs(task.outputs, conduct, chosen)
    detector = open_detector(
        settings.detector,
        weights=settings.detector_weights,
        min_score=settings.min_score,
        device=device,
        precision=settings.precision,
    )
    find = choose_finder(
        boxes=task.boxes,
        whole_image=settings.whole_image,
        detector=detector,
        max_people=settings.max_people,
    )
    estimator = open_estimator(settings, task.clock)
    sources = [*names, *pictures.clips] if pictures.clips else names
    folders = () if settings.shard else task.outputs.folders()
    claim_outputs(task.outputs.paths(own), sources, folders)
    pipeline = Pipeline(
        pictures=pictures,
        chosen=chosen,
        find=find,
        lenses=task.lenses,
        estimator=estimator,
        record=person_record(len(estimator.body.v_template) if settings.vertices else 0),
        batch_size=batch_size,
        drawings=task.outputs.drawings,
        meshes=task.outputs.meshes,
        style=settings.overlay_style,
        # What is there now is the interrupted run's.
        overwrite=conduct.overwrite or conduct.resume,
        clock=task.clock,
        room=Room(MAX_KEPT_BYTES),
    )
    return _run(pipeline, task)


def chosen_pictures(task: Task) -> tuple[Sequence[int], int]:
    """Numbers of the pictures of a task, and how many people are estimated at once."""
    settings, number = task.settings, len(task.pictures.names)
    batch_size = settings.batch_size or AUTO_BATCH[choose_device(settings.device).type]
    if settings.shard is None:
        return range(number), batch_size
    return settings.shard.choose(number, block_size(batch_size)), batch_size


def _run(pipeline: Pipeline, task: Task) -> PredictReport:
    settings, conduct = task.settings, task.conduct
    start, clock, estimator = perf_counter(), pipeline.clock, pipeline.estimator
    all_names = pipeline.pictures.names
    names = [all_names[index] for index in pipeline.chosen] if settings.shard else all_names
    plan = plan_of(pipeline, settings)
    finish = _finish_of(pipeline, task.outputs, settings)
    job = plan | settings.drawn() | {"shard": settings.shard and str(settings.shard)}
    draws = bool(task.outputs.drawings or task.outputs.meshes)
    with open_spool(task.out, job, pipeline.record, resume=conduct.resume, draws=draws) as spool:
        num_resumed = spool.num_pictures
        threads = work(pipeline, spool, conduct.progress)
        num_placed = int(np.count_nonzero(spool.people()["is_placed"]))
        with clock.stage("write"):
            if settings.shard:
                facts = shard_facts(settings.shard, plan, num_placed, task.num_unused_boxes)
                arrays, motion = finish.shard(spool, names, facts)
            else:
                arrays, motion = finish.whole(spool, names)
        return PredictReport(
            arrays=arrays,
            out=task.out,
            num_placed_by_keypoints=num_placed,
            network=str(settings.network or asset(SHIPPED_NETWORK)),
            network_sha256=estimator.loaded.sha256,
            body=estimator.body.label,
            body_sha256=estimator.body.sha256,
            num_unused_boxes=task.num_unused_boxes,
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


def open_estimator(settings: PredictSettings, clock: StageClock) -> BodyEstimator:
    """Load network and body."""
    is_shipped = settings.network is None and not settings.average
    refine = is_shipped if settings.refine is None else settings.refine
    return BodyEstimator(
        settings.network or asset(SHIPPED_NETWORK),
        settings.body,
        choose_device(settings.device),
        average=settings.average,
        flip_test=settings.flip_test,
        refine=refine,
        precision=settings.precision,
        clock=clock,
    )


def made_with(estimator: BodyEstimator, settings: PredictSettings) -> dict[str, Any]:
    """What computes the rows; JSON-like."""
    body = estimator.body
    detects_in = detector_precision(settings.detector, settings.precision, estimator.device)
    return {
        "smplcli": smplcli.__version__,
        "network": {"name": estimator.name, "sha256": estimator.loaded.sha256},
        "averaged_with": [loaded.sha256 for loaded in estimator.averaged],
        "flip_test": estimator.flip_test,
        "refined": estimator.refine,
        "precision": estimator.precision,
        "detector_precision": detects_in,
        "body": {"name": body.name, "sha256": body.sha256, "is_demo": body.is_demo},
    }


def plan_of(pipeline: Pipeline, settings: PredictSettings) -> dict[str, Any]:
    """Everything that the result depends on; JSON-like."""
    names = pipeline.pictures.names
    return {
        **made_with(pipeline.estimator, settings),
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
    meta = made_with(estimator, settings) | CONVENTIONS | {"settings": settings.decisive()}
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
