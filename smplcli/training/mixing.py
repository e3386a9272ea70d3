"""Batches from several data sets by ratio: a function of seed and step, like those from one."""

from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.shards import PreparedSplit
from smplcli.errors import ConfigError
from smplcli.training.batches import StepBatches, epoch_order
from smplcli.training.config import Recipe
from smplcli.types import Ints

PARTS = 1_000_000
"""Ratios are counted in millionths: whole numbers keep long runs exact."""


class MixedBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) keys from a given step on, data sets one after the other in index.

    Every data set is visited in epochs of its own, each sample once before any comes again, and
    after any number of samples each has had its ratio of them, to within one per data set.

    Args:
        counts: Samples of each data set.
        ratios: Weight of each; only their proportions matter.
        batch_size: Samples per step.
        seed: Of all orders.
        steps: Which steps.
    """

    def __init__(
        self,
        *,
        counts: Sequence[int],
        ratios: Sequence[float],
        batch_size: int,
        seed: int,
        steps: range,
    ) -> None:
        self.counts = counts
        self.parts = [round(PARTS * ratio / sum(ratios)) for ratio in ratios]
        self.batch_size = batch_size
        self.seed = seed
        self.steps = steps

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        orders: dict[int, tuple[int, Ints]] = {}
        starts = [sum(self.counts[:number]) for number in range(len(self.counts))]
        for step in self.steps:
            batch = []
            for position in range(step * self.batch_size, (step + 1) * self.batch_size):
                number, turn = self._turn(position)
                epoch, place = divmod(turn, self.counts[number])
                if number not in orders or orders[number][0] != epoch:
                    order = epoch_order(self.counts[number], seed=self.seed, epoch=epoch)
                    orders[number] = epoch, order
                batch.append((epoch, starts[number] + int(orders[number][1][place])))
            yield batch

    def _turn(self, position: int) -> tuple[int, int]:
        """Which data set has the sample at a position, and how many samples it had before."""
        left = sum(self.parts)
        for number, part in enumerate(self.parts[:-1]):
            before = position * part // left
            if (position + 1) * part // left > before:
                return number, before
            position -= before
            left -= part
        return len(self.parts) - 1, position


def recipe_batches(
    recipe: Recipe, split: PreparedSplit | JoinedSplits, steps: range
) -> StepBatches | MixedBatches:
    """The batches of a recipe's steps, from one data set or from several by its ``mix``.

    Raises:
        ConfigError: ``mix`` does not have as many shares as there are data sets.
    """
    counts = split.counts if isinstance(split, JoinedSplits) else (len(split),)
    size, seed = recipe.schedule.batch_size, recipe.seed
    if not recipe.mix:
        return StepBatches(count=len(split), batch_size=size, seed=seed, steps=steps)
    if len(recipe.mix) != len(counts):
        raise ConfigError(
            f"mix has {len(recipe.mix)} shares for {len(counts)} data sets",
            hint="Give a share per --data, in the same order, or leave mix out.",
        )
    return MixedBatches(counts=counts, ratios=recipe.mix, batch_size=size, seed=seed, steps=steps)
