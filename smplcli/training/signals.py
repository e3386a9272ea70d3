"""Ctrl-C and termination requests, held back until the step in progress is complete."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

DEFERRED = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Deferred:
    """Which signal has come, if any."""

    received: signal.Signals | None = None


@contextmanager
def defer_signals() -> Iterator[Deferred]:
    """Note the first signal instead of obeying it, and obey it when the block ends.

    A second signal is obeyed at once. Outside the main thread nothing changes.
    """
    deferred = Deferred()
    if threading.current_thread() is not threading.main_thread():
        yield deferred
        return

    def note(number: int, _frame: FrameType | None) -> None:
        deferred.received = signal.Signals(number)
        for name, handler in before.items():
            signal.signal(name, handler)

    before = {name: signal.signal(name, note) for name in DEFERRED}
    try:
        yield deferred
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    if deferred.received is not None:
        signal.raise_signal(deferred.received)
