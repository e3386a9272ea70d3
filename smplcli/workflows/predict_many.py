"""One run of `predict` in several processes, each of which does a shard of it."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, repeat
from math import ceil
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from smplcli.body.files import load_body
from smplcli.errors import ResourceError
from smplcli.evaluation.ranks import Rank, joined
from smplcli.files import map_npz
from smplcli.workflows.merge import put_together, read_shard, shard_report
from smplcli.workflows.people import OK
from smplcli.workflows.pictures import PictureInputs
from smplcli.workflows.predict_finished import finished_report
from smplcli.workflows.predict_outputs import (
    Conduct,
    Outputs,
    part_folder,
    refuse_unfinished,
)
from smplcli.workflows.predict_pipeline import block_size
from smplcli.workflows.predict_report import PredictReport
from smplcli.workflows.predict_run import chosen_pictures, drawn_now, run
from smplcli.workflows.predict_settings import PredictSettings
from smplcli.workflows.predict_task import Task, open_task, shared_file
from smplcli.workflows.progress import Progress, Remarked, no_progress
from smplcli.workflows.shards import Shard
from smplcli.workflows.spool import PICTURE, PICTURES_FILE
from smplcli.workflows.unfinished import claim_part

T = TypeVar("T")

IDLE_SECONDS = 60
"""After which a process ends that has nothing to do."""

STOP_FILE = "stop"
"""Where it is, the processes stop."""

STOP_SECONDS = 3
"""Until those are killed that have not stopped; what they have done is kept all the same."""

POLL_SECONDS = 0.2
"""Between two looks at how far the processes are."""


class Team(NamedTuple):
    """Processes that share a run."""

    inputs: PictureInputs
    outputs: Outputs
    settings: PredictSettings
    folder: Path
    """Where the shards are until they are merged."""

    size: int
    num_pictures: int

    def num_done(self, number: int) -> int:
        """Pictures that a shard is done with."""
        try:
            if self.shard_file(number).exists():
                return len(map_npz(self.shard_file(number), "status"))
            spooled = part_folder(self.shard_file(number)) / PICTURES_FILE
            return spooled.stat().st_size // PICTURE.itemsize
        except FileNotFoundError:
            return 0  # it has not begun, or is just being finished

    def shard_file(self, number: int) -> Path:
        """What the shard of a number from 1 is written to."""
        return self.folder / f"{number}.npz"

    @contextmanager
    def alone(self, conduct: Conduct) -> Iterator[None]:
        """Keep others out of the folder, which goes when the block has ended.

        Raises:
            ConfigError: An interrupted run had another number of processes.
            OutputExistsError: There is one, and nobody said what is to become of it.
                ResourceError: Others are in the folder.
        """
        refuse_unfinished(
            self.outputs.files[0], resume=conduct.resume, overwrite=conduct.overwrite
        )
        plan = {"processes": self.size}
        with claim_part(self.outputs.files[0], plan, resume=conduct.resume):
            (self.folder / STOP_FILE).unlink(missing_ok=True)
            yield
            shutil.rmtree(self.folder, ignore_errors=True)

    def work(self, number: int, progress: Progress) -> PredictReport:
        """Do a shard, unless an interrupted run has done it."""
        done = self.shard_file(number)
        if done.exists():
            return shard_report(read_shard(done), load_body(self.settings.body))
        settings = replace(
            self.settings,
            shard=Shard(number, self.size),
            device=_device(self.settings.device, number),
            table_format=None,
        )
        conduct = Conduct(resume=True, overwrite=True, progress=progress)
        return run(open_task(self.inputs, done, settings, conduct))

    def end(self, reports: Sequence[PredictReport], progress: Progress) -> PredictReport:
        """Merge all shards."""
        merged = put_together(
            [self.shard_file(number + 1) for number in range(self.size)],
            self.outputs.files,
            body=self.settings.body,
            overwrite=True,
            progress=progress,
        )
        stages: dict[str, float] = {}
        for name, seconds in chain(*(report.stages.items() for report in reports)):
            stages[name] = stages.get(name, 0.0) + seconds
        with_people = np.flatnonzero(merged.arrays["status"] == OK).tolist()
        return replace(
            merged,
            stages=stages,
            seconds=merged.seconds + max(report.seconds for report in reports),
            threads=sum(report.threads for report in reports),
            num_resumed=sum(report.num_resumed for report in reports),
            overlays=drawn_now(self.outputs.drawings, with_people),
            meshes=drawn_now(self.outputs.meshes, with_people),
        )


def run_task(task: Task, *, nproc: int) -> PredictReport:
    """Do a task in this process, or share it among several, unless it has been done."""
    if task.is_finished:
        return finished_report(task)
    pictures, batch_size = chosen_pictures(task)
    nproc = min(nproc, ceil(len(pictures) / block_size(batch_size)))  # others would have nothing
    if nproc > 1:
        return run_in_processes(task, nproc=nproc)
    with joined() as rank:
        return run_as_rank(task, rank) if rank.size > 1 else run(task)


def run_in_processes(task: Task, *, nproc: int) -> PredictReport:
    """Share a run among new processes of this machine, and its GPUs if there are some.

    Raises:
        ConfigError: What is to be done cannot be shared.
        ResourceError: A process died.
    """
    team, conduct = _team(task, nproc), task.conduct
    threads = max(1, torch.get_num_threads() // nproc)
    with team.alone(conduct):
        executor = get_reusable_executor(max_workers=nproc, timeout=IDLE_SECONDS, reuse=False)
        futures = [
            executor.submit(_child, team, number + 1, threads, os.getpid())
            for number in range(nproc)
        ]
        try:
            done = Remarked(_follow(team, futures), team.num_pictures, str)
            for _ in conduct.progress(done, "predict"):
                pass
            reports = [future.result() for future in futures]
        except TerminatedWorkerError as error:
            raise ResourceError(
                "a working process was ended",
                hint="Free memory or pass a smaller --nproc, and run again with --resume.",
            ) from error
        finally:
            (team.folder / STOP_FILE).touch()  # those that are still at it see it
            wait(futures, STOP_SECONDS)
            executor.shutdown(kill_workers=True)
        return team.end(reports, no_progress)


def _child(team: Team, number: int, threads: int, parent: int) -> PredictReport:
    """What one of the processes does."""
    torch.set_num_threads(threads)
    stop = team.folder / STOP_FILE

    def until_stopped(items: Iterable[T], _: str, /) -> Iterator[T]:
        for item in items:
            if stop.exists() or os.getppid() != parent:
                raise KeyboardInterrupt
            yield item

    return replace(team.work(number, until_stopped), arrays={})


def _follow(team: Team, futures: Sequence[Future[PredictReport]]) -> Iterator[None]:
    """One item for each picture that any of the processes is done with."""
    seen = 0
    while True:
        is_over = bool(wait(futures, POLL_SECONDS, FIRST_EXCEPTION).not_done) is False
        now = sum(team.num_done(number + 1) for number in range(team.size))
        yield from repeat(None, now - seen)
        seen = now
        for future in futures:
            if future.done() and future.exception():
                future.result()
        if is_over:
            return


def run_as_rank(task: Task, rank: Rank) -> PredictReport:
    """Share a run with the processes that torchrun started, the first of which merges.

    Returns:
        What the first has merged; on the others, what they did themselves.

    Raises:
        ConfigError: What is to be done cannot be shared.
    """
    team, conduct = _team(task, rank.size), task.conduct
    if not rank.is_first:
        torch.distributed.barrier()
        return team.work(rank.number + 1, conduct.progress)
    with team.alone(conduct):
        torch.distributed.barrier()
        report = team.work(1, conduct.progress)
        # torchrun ends this process where another dies, so that the wait has an end.
        while not all(team.shard_file(number + 1).exists() for number in range(rank.size)):
            time.sleep(POLL_SECONDS)
        return team.end([report], no_progress)


def _team(task: Task, size: int) -> Team:
    out = shared_file(task, size)
    num_pictures = len(task.pictures.names)
    return Team(task.inputs, task.outputs, task.settings, part_folder(out), size, num_pictures)


def _device(name: str, number: int) -> str:
    """The device of a process: a GPU for each, as long as there are some."""
    count = torch.cuda.device_count()
    return f"cuda:{(number - 1) % count}" if name in ("auto", "cuda") and count else name
