"""Many independent pieces of work in several processes, by any backend that joblib knows."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any, Generic, Literal, TypeVar

import cv2
import torch
from joblib import Parallel, cpu_count, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from smplcli.errors import ConfigError, ResourceError
from smplcli.workflows.progress import Progress

T = TypeVar("T")
Result = TypeVar("Result")
Backend = Literal["loky", "dask", "ray"]

TIMEOUT = 1800.0
"""Seconds without any result after which a process is held to hang."""


def run_tasks(
    function: Callable[[T], Result],
    tasks: Iterable[T],
    *,
    count: int,
    jobs: int | None = None,
    backend: Backend = "loky",
    progress: Progress,
    label: str,
) -> Iterator[Result]:
    """Apply a function to every task, as many at a time as there are jobs.

    Args:
        function: What to do; it must be found by its name from another process.
        tasks: What to do it with; each is made when its turn is near.
        count: How many there are.
        jobs: Processes; as many as there are cores if not said.
        backend: ``loky`` for processes of this machine, ``dask`` for the cluster that dask is set
            up for, or one of this machine, ``ray`` likewise.
        progress: Shows the tasks that are done.
        label: What is done, in a word.

    Yields:
        Results as they come, in any order.

    Raises:
        ConfigError: The backend is not installed.
        ResourceError: A process died, mostly for want of memory, or hangs.
    """
    num_jobs, faults, folder = jobs or cpu_count(), list[Exception](), Path.cwd()

    def calls() -> Iterator[Any]:
        try:
            for task in tasks:
                yield delayed(_alone)(function, task, folder, os.getpid())
        except Exception as error:  # noqa: BLE001 (joblib loses errors of the thread that asks)
            faults.append(error)

    with ExitStack() as stack:
        stack.enter_context(_backend(backend, num_jobs))
        # Ray's pool hands results out only when all of them are there.
        return_as = "list" if backend == "ray" else "generator_unordered"
        # One job runs in this process, which nothing can time out.
        timeout = TIMEOUT if num_jobs > 1 else None
        pool = Parallel(n_jobs=num_jobs, return_as=return_as, timeout=timeout)
        try:
            yield from progress(_Sized(pool(calls()), count), label)
        except (TimeoutError, multiprocessing.TimeoutError) as error:
            raise ResourceError(
                f"no process has got anything done for {TIMEOUT:.0f} s",
                hint="See whether the disk answers, and run the same command again to go on.",
            ) from error
        except Exception as error:
            if isinstance(error, TerminatedWorkerError) or type(error).__name__ in _DEATHS:
                raise ResourceError(
                    "a working process was ended",
                    hint="Free memory or pass a smaller --jobs, and run the same command again.",
                ) from error
            raise
    if faults:
        raise faults[0]


_DEATHS = ("KilledWorker", "WorkerCrashedError", "ActorDiedError", "RayActorError")
"""What dask and ray call it; neither needs to be installed."""


def _alone(function: Callable[[T], Result], task: T, folder: Path, asker: int) -> Result:
    _end_with(asker)
    # A process of an earlier call may still be where that one was made; one of another machine
    # may have no such folder, and need none.
    with suppress(OSError):
        os.chdir(folder)
    with one_thread():
        return function(task)


@cache
def _end_with(asker: int) -> None:
    """End this process soon after the one that began it, which may be killed and say nothing.

    A process that another one began, such as one of a cluster, is left alone.
    """

    def watch() -> None:
        while os.getppid() == asker:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    if os.getppid() == asker:
        Thread(target=watch, daemon=True).start()


@contextmanager
def one_thread() -> Iterator[None]:
    """Leave the other cores to the other processes or threads."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


@contextmanager
def _backend(name: Backend, jobs: int) -> Iterator[None]:
    if name == "loky":
        with parallel_config(backend="loky"):
            yield
        return
    with _cluster(name, jobs), parallel_config(backend=name):
        yield


def _cluster(name: Backend, jobs: int) -> AbstractContextManager[Any]:
    """What has to be there before joblib can use a backend."""
    try:
        if name == "dask":
            # Takes the scheduler that dask's settings name, else starts one here.
            client = import_module("distributed").Client
            is_remote = import_module("dask").config.get("scheduler-address", None)
            cluster = {} if is_remote else {"n_workers": jobs, "threads_per_worker": 1}
            running: AbstractContextManager[Any] = client(**cluster)
            return running
        import_module("ray.util.joblib").register_ray()
    except ImportError as error:
        raise ConfigError(
            f"backend is not installed: {name}",
            hint=f"Install it: pip install '.[{name}]' in smplcli's repository.",
        ) from error
    return ExitStack()


class _Sized(Generic[T]):
    """An iterator whose length is known, for the progress bar."""

    def __init__(self, items: Iterable[T], count: int) -> None:
        self._items, self._count = items, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)
