"""Work that several threads share, with results in the order of the work."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[Result]:
    """Apply a function to items as they come, a bounded number of them ahead of who asks.

    Several of these may feed each other and share a pool: what a thread does never waits for
    another thread.

    Args:
        pool: Its threads do the work.
        function: What to do.
        items: What to do it with.
        ahead: Results that may be in the making, or made and not yet asked for.

    Yields:
        Results in the order of the items.
    """
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
