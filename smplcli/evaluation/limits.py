"""Limits that numbers must keep, for those who let a machine watch over them."""

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

from smplcli.config import did_you_mean
from smplcli.errors import ConfigError
from smplcli.evaluation.protocols import PROTOCOLS
from smplcli.evaluation.summaries import Measurement


class Limit(NamedTuple):
    """A number that a metric must not exceed."""

    protocol: str | None
    """``None`` for the first protocol that measures the metric."""

    metric: str
    limit: float

    def __str__(self) -> str:
        """As the user wrote it."""
        return f"{self.protocol}/{self.metric}" if self.protocol else self.metric


def read_limits(texts: Sequence[str]) -> tuple[Limit, ...]:
    """Read ``metric=number`` or ``protocol/metric=number``; ``-`` and ``_`` are the same.

    Raises:
        ConfigError: There is no such metric or protocol, more of it is better, or it is no number.
    """
    return tuple(_read(text) for text in texts)


def exceeded(limits: Sequence[Limit], numbers: Sequence[Measurement]) -> tuple[str, ...]:
    """Limits that are not kept, in sentences; what was not measured keeps none."""
    sentences = []
    for limit in limits:
        number = next((n for n in numbers if _is_of(limit, n)), None)
        if number is None or number.value is None:
            sentences.append(f"{limit} was not measured, limit {limit.limit:g}")
        elif number.value > limit.limit:
            sentences.append(f"{limit} is {number.value:.2f} {number.unit}, limit {limit.limit:g}")
    return tuple(sentences)


def _is_of(limit: Limit, number: Measurement) -> bool:
    return number.metric == limit.metric and limit.protocol in (None, number.protocol)


def _read(text: str) -> Limit:
    name, equals, value = text.partition("=")
    protocol, slash, metric = name.strip().lower().rpartition("/")
    metric = metric.replace("-", "_")
    if slash and protocol not in PROTOCOLS:
        raise ConfigError(
            f"no such protocol: {protocol}: {did_you_mean(protocol, list(PROTOCOLS))}"
        )
    known = {
        name: kind
        for one in PROTOCOLS.values()
        if one.name == protocol or not slash
        for name, kind in one.metrics.items()
    }
    if metric not in known:
        raise ConfigError(f"no such metric: {metric}: {did_you_mean(metric, list(known))}")
    if known[metric].higher_is_better:
        raise ConfigError(f"more is better, so it can have no upper limit: {metric}")
    try:
        limit = float(value)
    except ValueError:
        limit = float("nan")
    if not (equals and isfinite(limit)):
        raise ConfigError(
            f"no limit: {text}", hint="Write it like pa-mpjpe=60 or lsp14/pa-mpjpe=60."
        )
    return Limit(protocol or None, metric, limit)
