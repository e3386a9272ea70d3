"""Measuring a network in training on held-out samples, by all processes together."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from smplcli.body.model import BodyModel
from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.shards import PreparedSplit
from smplcli.evaluation.inference import index_batches, predict_samples
from smplcli.evaluation.protocols import SMPL24
from smplcli.evaluation.ranks import Rank
from smplcli.evaluation.scoring import neutral_posers, score_predictions, truth_of
from smplcli.evaluation.summaries import summarise
from smplcli.models.network import Network
from smplcli.training.distributed import Ranks
from smplcli.training.run import Through
from smplcli.workflows.targets import gathered

BATCH_SIZE = 64
VALIDATION = replace(
    SMPL24, metrics={name: SMPL24.metrics[name] for name in ("mpjpe", "pa_mpjpe", "pve", "mpjae")}
)
"""What is measured while training: what tells which step is best, and little more."""


def validator(
    split: PreparedSplit | JoinedSplits,
    model: BodyModel,
    ranks: Ranks,
    *,
    batch_size: int = BATCH_SIZE,
    most_batches: int | None = None,
) -> Callable[[Network, Through], dict[str, float]]:
    """What measures a network: to the last digit the same on any number of processes.

    Args:
        split: Held-out samples.
        model: The body.
        ranks: The processes, each of which predicts a share of the batches.
        batch_size: Samples at a time.
        most_batches: Leave the rest out.
    """
    posers, truth = neutral_posers(model, VALIDATION), truth_of(split)
    batches = index_batches(len(split), batch_size)[:most_batches]
    rank = Rank(ranks.number, ranks.size)
    rounds = -(-len(batches) // ranks.size)

    def validate(network: Network, through: Through) -> dict[str, float]:
        own = iter(rank.share(batches))
        # Every process goes through as many rounds, as some ask all whether to stop.
        mine = (rows for _ in through(range(rounds), "validate") for rows in islice(own, 1))
        predictions = gathered(predict_samples(network, split, mine), rank, batches)
        scores = score_predictions(VALIDATION, posers, predictions, truth, batches)
        measured = summarise(VALIDATION, scores, split=split.name, body=model.name)
        return {m.metric: float("nan") if m.value is None else m.value for m in measured}

    return validate
