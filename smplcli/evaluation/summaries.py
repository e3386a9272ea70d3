"""From the errors of samples to numbers that say what they are."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smplcli.evaluation.bootstrap import Units, mean_intervals
from smplcli.evaluation.measures import Metric
from smplcli.evaluation.protocols import Protocol
from smplcli.evaluation.scoring import FAILED, MISSING, OK, SampleErrors
from smplcli.types import Floats

MissingRule = Literal["exclude", "worst"]
"""What people without a usable prediction count as: nothing, or the worst person evaluated."""


class Counted(NamedTuple):
    """The numbers of one metric that a mean runs over."""

    values: Floats
    """(N,), NaN where nothing counts."""

    weights: Floats
    """(N,) 0 where nothing counts, 1, or the number of joints that are pooled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number with everything that it needs to mean something."""

    protocol: str
    metric: str
    label: str
    value: float | None
    """Mean over samples; ``None`` where there was none to measure."""

    unit: str
    joint_set: str
    root: str
    split: str
    body: str
    """The body of the predictions."""

    truth: str
    """The bodies of the labels."""

    count: int
    """Samples that the mean runs over."""

    higher_is_better: bool = False
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval; ``None`` where there is too little to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """A mean over a part of what a measurement runs over."""

    protocol: str
    metric: str
    by: Literal["joint", "sequence", "group"]
    name: str
    value: float
    count: int


def counted(metric: Metric, name: str, samples: SampleErrors, missing: MissingRule) -> Counted:
    """The numbers of a metric, and whether they count.

    Args:
        metric: The metric.
        name: Its name.
        samples: Errors under its protocol.
        missing: ``worst`` gives people who are missing or failed the worst number that anybody
            evaluated has. Metrics that samples may lack leave them out all the same.
    """
    values = np.where(samples.states == OK, samples.errors[name], np.nan)
    known = values[np.isfinite(values)]
    if missing == "worst" and not metric.is_partial and known.size:
        worst = known.min() if metric.higher_is_better else known.max()
        values = np.where(np.isin(samples.states, (MISSING, FAILED)), worst, values)
    points = samples.num_points.get(name)
    weights = np.isfinite(values) * (1.0 if points is None else points.astype(np.float64))
    return Counted(values, weights)


def exact_mean(numbers: Counted) -> float | None:
    """Mean that depends neither on the order nor on the grouping of the samples."""
    has = numbers.weights > 0
    total = math.fsum(numbers.weights[has])
    return math.fsum(numbers.values[has] * numbers.weights[has]) / total if total else None


def summarise(
    protocol: Protocol,
    samples: SampleErrors,
    *,
    split: str,
    body: str,
    truth: str = "",
    missing: MissingRule = "exclude",
    units: Units | None = None,
) -> tuple[Measurement, ...]:
    """Mean of every metric over the samples that could be evaluated.

    A metric that samples may lack, and all do, is left out.

    Args:
        protocol: What was measured.
        samples: The errors.
        split: Part of the data set.
        body: The body of the predictions.
        truth: The bodies of the labels; as ``body`` if empty.
        missing: What people without a usable prediction count as.
        units: What intervals are drawn from; without it there are none.
    """
    numbers = {
        name: values
        for name in samples.errors
        for metric in (protocol.metrics[name],)
        for values in (counted(metric, name, samples, missing),)
        if values.weights.any() or not metric.is_partial
    }
    means = tuple(
        Measurement(
            protocol=protocol.name,
            metric=name,
            label=protocol.metrics[name].label,
            value=_of_all(protocol.metrics[name], values, samples.by_joint.get(name)),
            unit=protocol.metrics[name].unit,
            joint_set=protocol.metrics[name].joint_set,
            root=protocol.metrics[name].root,
            split=split,
            body=body,
            truth=truth or body,
            count=int((values.weights > 0).sum()),
            higher_is_better=protocol.metrics[name].higher_is_better,
        )
        for name, values in numbers.items()
    )
    return means if units is None else _with_intervals(means, list(numbers.values()), units)


def break_down(
    protocol: Protocol,
    samples: SampleErrors,
    groups: Mapping[Literal["sequence", "group"], Sequence[tuple[str, NDArray[np.bool_]]]],
    *,
    missing: MissingRule = "exclude",
) -> Iterator[Breakdown]:
    """Means by joint or part, and over groups of samples.

    Args:
        protocol: What was measured.
        samples: The errors.
        groups: By kind, names and the samples (N,) that belong to them.
        missing: What people without a usable prediction count as; joints leave them out.
    """
    for name, metric in protocol.metrics.items():
        if name not in samples.errors:
            continue
        columns = samples.by_joint[name].T if metric.names else ()
        for joint, column in zip(metric.names, columns, strict=True):
            yield from _entry(protocol, name, "joint", joint, _known(column))
        values = counted(metric, name, samples, missing)
        for kind, members in groups.items():
            for label, is_member in members:
                part = Counted(values.values, values.weights * is_member)
                yield from _entry(protocol, name, kind, label, part)


def _entry(
    protocol: Protocol,
    metric: str,
    by: Literal["joint", "sequence", "group"],
    name: str,
    numbers: Counted,
) -> Iterator[Breakdown]:
    value = exact_mean(numbers)
    if value is not None:
        yield Breakdown(
            protocol=protocol.name,
            metric=metric,
            by=by,
            name=name,
            value=value,
            count=int((numbers.weights > 0).sum()),
        )


def _of_all(metric: Metric, numbers: Counted, by_joint: Floats | None) -> float | None:
    if metric.of_all is None or by_joint is None:
        return exact_mean(numbers)
    known = by_joint[np.isfinite(by_joint).all(axis=1)]
    has_others = len(known) < (numbers.weights > 0).sum()  # people who count as the worst
    return exact_mean(numbers) if has_others or not len(known) else metric.of_all(known)


def _known(values: Floats) -> Counted:
    return Counted(values, np.isfinite(values).astype(np.float64))


def _with_intervals(
    means: tuple[Measurement, ...], numbers: Sequence[Counted], units: Units
) -> tuple[Measurement, ...]:
    values, weights = (np.stack(columns, axis=1) for columns in zip(*numbers, strict=True))
    return tuple(
        replace(mean, low=_or_none(low), high=_or_none(high))
        for mean, (low, high) in zip(means, mean_intervals(values, weights, units), strict=True)
    )


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
