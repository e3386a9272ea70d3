"""Parts of a run of `predict` that any number of machines can work on."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from smplcli.errors import ConfigError


class Shard(NamedTuple):
    """One of the parts that the pictures of a run are dealt out to."""

    number: int
    """From 1."""

    size: int
    """How many there are."""

    def __str__(self) -> str:
        return f"{self.number}/{self.size}"

    def choose(self, num_pictures: int, block: int) -> Sequence[int]:
        """Numbers of its pictures: every so many blocks one block, so that all have as much to do.

        Args:
            num_pictures: Of the whole run.
            block: Pictures that stay together.
        """
        return [
            index
            for start in range((self.number - 1) * block, num_pictures, self.size * block)
            for index in range(start, min(start + block, num_pictures))
        ]


def parse_shard(text: str) -> Shard:
    """A shard from text such as ``2/8``.

    Raises:
        ConfigError: The text is none.
    """
    match = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"shard must be 1/N to N/N, got {text}")
    return Shard(int(match[1]), int(match[2]))
