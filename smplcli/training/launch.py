"""Starting the processes that train together on this machine, by torch's elastic launcher."""

import logging
import os
import signal
import sys
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from smplcli.errors import LostProcessError

FAILURE = 1
"""Exit code of a Python process whose exception nobody caught."""


def launch(arguments: Sequence[str], *, processes: int, max_restarts: int) -> int:
    """Run ``smplcli`` in several processes until all have ended.

    Args:
        arguments: Of each of them.
        processes: How many.
        max_restarts: How often all are started again when one has died.

    Returns:
        The exit code of the first that refused to go on, which has said why; 0 if none did, and
        128 and the signal if this process was told to stop and passed it on.

    Raises:
        LostProcessError: One was killed.
    """
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=max_restarts,
        logs_specs=DefaultLogsSpecs(),
    )
    try:
        elastic_launch(config, sys.executable)("-m", "smplcli", *arguments)
    except SignalException as stopped:
        return 128 + stopped.sigval
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        killed = {rank: signal.Signals(-code).name for rank, code in codes.items() if code < 0}
        for rank, name in killed.items():
            raise LostProcessError(
                f"process {rank} of {processes} was killed: {name}",
                hint="The same command goes on from the last checkpoint, and --max-restarts does "
                "so by itself. SIGKILL often means that memory ran out.",
            ) from error
        return next((code for code in codes.values() if code != FAILURE), FAILURE)
    return 0
