"""How a workflow tells whoever called it that work goes on, without printing anything itself."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Hands out the items it was given, one by one, and may show how far along they are."""

    def __call__(self, items: Iterable[T], label: str, /) -> Iterable[T]:
        """Pass ``items`` through, reported under ``label``, one or two words such as "detect"."""
        ...


def no_progress(items: Iterable[T], label: str, /) -> Iterable[T]:  # noqa: ARG001
    """Pass the items through in silence: the default of every workflow."""
    return items
