"""Requests to stop - Ctrl-C, termination, the end of the time - held back until all is saved."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)

LEAST_MARGIN = 1.0
"""Seconds before the end of the time at which a run stops at the latest."""


@dataclass(slots=True)
class StopRequest:
    """Whether work should stop, and why."""

    deadline: float | None = None
    """On the monotonic clock: when the work must be over."""

    received: signal.Signals | None = None

    def is_due(self, needed: float = 0.0) -> bool:
        """Whether to stop now.

        Args:
            needed: Seconds that the next step and saving after it may take.
        """
        return self.received is not None or self.is_out_of_time(needed)

    def is_out_of_time(self, needed: float = 0.0) -> bool:
        """Whether the deadline is nearer than ``needed`` seconds."""
        if self.deadline is None:
            return False
        return time.monotonic() + max(needed, LEAST_MARGIN) >= self.deadline


@contextmanager
def defer_signals(deadline: float | None = None) -> Iterator[StopRequest]:
    """Note the first signal instead of obeying it, and obey it when the block ends.

    A second signal is obeyed at once. Outside the main thread nothing changes.

    Args:
        deadline: When work must be over, on the monotonic clock; then it ends as by SIGTERM.
    """
    request = StopRequest(deadline)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, _frame: FrameType | None) -> None:
        request.received = signal.Signals(number)
        for name, handler in before.items():
            signal.signal(name, handler)

    before = {name: signal.signal(name, note) for name in STOPPING}
    try:
        yield request
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    if request.received is not None:
        signal.raise_signal(request.received)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Processes that start in the block get no stop signal until they decide about it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_signals(_worker: int = 0) -> None:
    """Leave stopping to the process that started this one."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
