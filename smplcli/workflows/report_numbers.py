"""The part of a report that is numbers: what was measured, how it is spread, and where it is."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np

from smplcli.conventions import SMPL_JOINTS
from smplcli.evaluation.charts import bar_rows, histogram, skeleton, spoken
from smplcli.evaluation.markup import Html, element, figure, join, table
from smplcli.evaluation.scoring import OK, SampleErrors
from smplcli.evaluation.summaries import Breakdown, Measurement
from smplcli.workflows.evaluation_report import EvaluationReport

NUM_TILES = 4
COLUMNS = ("metric", "value", "95 % interval", "mean over", "aligned by", "people")
DIFFERENCE_COLUMNS = ("metric", "here", "there", "difference", "95 % interval", "people")


def main_number(report: EvaluationReport) -> Measurement | None:
    """The number that people are ordered and sequences compared by: the first one measured."""
    return next((n for n in report.measurements if n.value is not None), None)


def said(number: Measurement) -> str:
    """What a number is, for captions: joint set, root, split and count."""
    return (
        f"{number.label} ({number.unit}) over {number.joint_set}, aligned by {number.root};"
        f" {number.split} split, {people(number.count)}; protocol {number.protocol}."
    )


def people(count: int) -> str:
    """A number of people in words."""
    return f"{count:,} {'person' if count == 1 else 'people'}"


def sentence(note: str) -> str:
    """A note with a capital and a full stop."""
    return f"{note[:1].upper()}{note[1:]}."


def tiles(report: EvaluationReport) -> Html:
    """The first numbers, large."""
    shown = [n for n in report.measurements if n.value is not None][:NUM_TILES]
    return element(
        "div",
        *(
            element(
                "div",
                element("span", number.label),
                element("b", f"{number.value:.1f} ", element("small", number.unit)),
                element("span", _interval(number.low, number.high, "95 %: ")),
                class_="tile",
            )
            for number in shown
        ),
        class_="tiles",
    )


def measured(report: EvaluationReport) -> Html:
    """Every number, by protocol, and what could not be measured."""
    parts = [
        join(
            [
                element("h3", element("code", name)),
                element("p", sentence(report.protocols[name]), class_="soft"),
                table(COLUMNS, map(_row, same)),
                element("p", f"Labels posed with: {same[0].truth}.", class_="soft"),
            ]
        )
        for name, numbers in groupby(report.measurements, lambda number: number.protocol)
        for same in (list(numbers),)
    ]
    parts += [
        element(
            "p",
            element("code", refused.protocol),
            f" not evaluated: {refused.reason}. {refused.remedy}",
        )
        for refused in report.not_evaluated
    ]
    interval = report.interval
    drawn = f"{interval.resamples:,} resamples of {interval.num_units:,} {interval.unit}s"
    parts.append(element("p", f"Intervals: {interval.level} % bootstrap, {drawn}.", class_="soft"))
    return join(parts)


def differences(report: EvaluationReport) -> Html | None:
    """Differences from another evaluation, if there is one."""
    if not report.differences:
        return None
    return join(
        join(
            [
                element("h3", element("code", name)),
                table(
                    DIFFERENCE_COLUMNS,
                    (
                        (
                            number.label,
                            f"{number.here:.1f}",
                            f"{number.there:.1f}",
                            f"{number.difference:+z.1f} {number.difference_unit}",
                            _interval(number.low, number.high),
                            f"{number.count:,}",
                        )
                        for number in numbers
                    ),
                ),
            ]
        )
        for name, numbers in groupby(report.differences, lambda number: number.protocol)
    )


def spread(report: EvaluationReport, samples: Mapping[str, SampleErrors]) -> Html | None:
    """Histograms of the first two errors in millimetres, if there are any."""
    shown = []
    for number in report.measurements:
        errors = samples[number.protocol]
        values = errors.errors[number.metric][errors.states == OK]
        values = values[np.isfinite(values)]
        if number.unit == "mm" and values.size:
            chart = histogram(
                values,
                x_label=f"{number.label}, {number.unit}",
                description=f"histogram of {number.label}",
            )
            shown.append(figure(chart, said(number)))
    return element("div", *shown[:2], class_="pair") if shown else None


def by_joint(report: EvaluationReport) -> Html | None:
    """A figure and a table of the main number's joints, if it is of joints."""
    number = main_number(report)
    errors = {} if number is None else _parts(report.breakdowns, number, "joint")
    if number is None or not errors:
        return None
    bars = figure(_bars(errors, number, "joint", map(spoken, errors)), said(number))
    values = {name: part.value for name, part in errors.items()}
    if tuple(values) != SMPL_JOINTS:
        return bars
    drawn = skeleton(values, unit=number.unit, description=f"{number.label} of each joint")
    caption = f"{number.label} of each joint, {number.unit}; the person faces you."
    return element("div", figure(drawn, caption), bars, class_="pair")


def by_group(report: EvaluationReport) -> Html | None:
    """Bars of groups and of sequences, the worst first, if there are any."""
    number = main_number(report)
    if number is None:
        return None
    parts = []
    for kind in ("group", "sequence"):
        errors = _parts(report.breakdowns, number, kind)
        if errors:
            ordered = dict(
                sorted(
                    errors.items(),
                    key=lambda item: item[1].value,
                    reverse=not number.higher_is_better,
                )
            )
            parts.append(figure(_bars(ordered, number, kind, ordered), said(number)))
    return join(parts) if parts else None


def _parts(breakdowns: Iterable[Breakdown], number: Measurement, by: str) -> dict[str, Breakdown]:
    return {
        part.name: part
        for part in breakdowns
        if (part.protocol, part.metric, part.by) == (number.protocol, number.metric, by)
    }


def _bars(
    errors: Mapping[str, Breakdown], number: Measurement, kind: str, names: Iterable[str]
) -> Html:
    values = {name: part.value for name, part in errors.items()}
    rows = zip(names, bar_rows(values, max(values.values())), errors.values(), strict=True)
    return table(
        (kind, "", number.unit, "people"),
        ((name, bar, f"{part.value:.1f}", f"{part.count:,}") for name, bar, part in rows),
        class_="bars",
    )


def _row(number: Measurement) -> Sequence[str]:
    return (
        f"{number.label}{' (more is better)' if number.higher_is_better else ''}",
        "-" if number.value is None else f"{number.value:.1f} {number.unit}",
        _interval(number.low, number.high),
        number.joint_set,
        number.root,
        f"{number.count:,}",
    )


def _interval(low: float | None, high: float | None, prefix: str = "") -> str:
    return "-" if low is None or high is None else f"{prefix}{low:z.1f} to {high:z.1f}"
