"""Several prepared splits as one, for training on all of them."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from smplcli.datasets.shards import PreparedSample, PreparedSplit


class JoinedSplits:
    """The samples of some splits, one split after the other.

    Args:
        splits: At least one.
    """

    def __init__(self, splits: Sequence[PreparedSplit]) -> None:
        self.splits = tuple(splits)
        self.name = splits[0].name
        self._starts = np.cumsum([0, *map(len, splits)]).tolist()

    @property
    def counts(self) -> tuple[int, ...]:
        """Samples of each split."""
        return tuple(map(len, self.splits))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def find(self, index: int) -> tuple[PreparedSplit, int]:
        """The split of a sample, and its place there."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self._starts, index) - 1
        return self.splits[number], index - self._starts[number]

    def __getitem__(self, index: int) -> PreparedSample:
        split, row = self.find(index)
        return split[row]

    def field(self, name: str) -> np.ndarray:
        """One field of all samples, (N, ...)."""
        return np.concatenate([split.field(name) for split in self.splits])
