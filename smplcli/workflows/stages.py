"""Where the time of a piece of work goes, though several threads do it at once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from time import perf_counter


class StageClock:
    """Seconds that threads have spent in the stages of a piece of work, added up."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block for a stage."""
        start = perf_counter()
        try:
            yield
        finally:
            elapsed = perf_counter() - start
            with self._lock:
                self._seconds[name] = self._seconds.get(name, 0.0) + elapsed

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by stage, in the order in which the stages came up first."""
        with self._lock:
            return dict(self._seconds)

    def slowest(self) -> str:
        """The stage that took most of the time so far, and its share: ``detect 61 %``."""
        seconds = self.seconds
        total = sum(seconds.values())
        if not total:
            return ""
        name = max(seconds, key=lambda stage: seconds[stage])
        return f"{name} {100 * seconds[name] / total:.0f} %"
