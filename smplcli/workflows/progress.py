"""How a workflow tells whoever called it that work goes on, without printing anything itself."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Hands out the items it was given, one by one, and may show how far along they are."""

    def __call__(self, items: Iterable[T], label: str, /) -> Iterable[T]:
        """Pass ``items`` through, reported under ``label``, one or two words such as "detect"."""
        ...


def no_progress(items: Iterable[T], label: str, /) -> Iterable[T]:  # noqa: ARG001
    """Pass the items through in silence: the default of every workflow."""
    return items


class Remarked(Generic[T]):
    """Items whose number is known, and a remark on the work that changes as it goes.

    Args:
        items: What is to be passed through.
        count: How many there are.
        remark: What to say beside the numbers at any time.
    """

    def __init__(self, items: Iterable[T], count: int, remark: Callable[[], str]) -> None:
        self._items, self._count = items, count
        self.remark = remark

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)
