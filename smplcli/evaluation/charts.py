"""Small charts as SVG: text and shapes, which any screen draws sharply."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from smplcli.conventions import SMPL_JOINTS, SMPL_PARENTS
from smplcli.evaluation.markup import Html, element, join
from smplcli.types import Floats

WIDTH, HEIGHT = 420.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 20.0, 16.0, 36.0
MARK_ROW = 13.0
"""Height of the name of a mark."""

NUM_BINS = 30
MAX_DOTS = 60
"""Points of a line that are still drawn one by one."""


RAMP = ((78, 152, 214), (232, 191, 74), (209, 62, 76))
"""RGB of errors from none to the largest: tells them apart on light and dark pages."""

CROWDED = ("_hip", "_collar")
"""Joints beside which there is no room for a number."""

_PLACES = {
    "pelvis": (0, 150),
    "left_hip": (15, 163),
    "spine1": (0, 133),
    "left_knee": (20, 214),
    "spine2": (0, 116),
    "left_ankle": (22, 264),
    "spine3": (0, 99),
    "left_foot": (33, 279),
    "neck": (0, 72),
    "left_collar": (13, 84),
    "head": (0, 46),
    "left_shoulder": (34, 86),
    "left_elbow": (54, 126),
    "left_wrist": (70, 164),
    "left_hand": (76, 184),
}
"""Where the figure's joints are: from the middle to its left, and from the top."""


class Series(NamedTuple):
    """A line of a chart."""

    label: str
    x: Floats
    y: Floats


class _Axes(NamedTuple):
    """The values along the edges of a chart, and their names."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    x_label: str
    y_label: str

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def nice_step(span: float, count: int = 5) -> float:
    """A round distance of about ``count`` marks over a span: 1, 2 or 5 times a power of ten."""
    rough = max(span, 1e-9) / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if rough <= power * factor * 1.0001)


def histogram(values: Floats, *, x_label: str, description: str) -> Html:
    """How often errors occur, with lines at their median and 90th percentile.

    Args:
        values: (N,) finite and not negative; the tail beyond the 99.5th percentile is drawn in
            the last bar.
        x_label: What the values are, with their unit.
        description: For those who do not see it.
    """
    high = float(np.percentile(values, 99.5)) or 1.0
    step = nice_step(high, NUM_BINS)
    edges = step * np.arange(math.ceil(high / step) + 1)
    counts, _ = np.histogram(np.clip(values, 0, edges[-1]), edges)
    axes = _Axes(0.0, float(edges[-1]), 0.0, 1.2 * float(counts.max()), x_label, "people")
    bars = [
        element(
            "rect",
            element("title", f"{low:g} to {low + step:g}: {count}"),
            x=axes.x(low) + 0.5,
            y=axes.y(count),
            width=axes.x(low + step) - axes.x(low) - 1,
            height=HEIGHT - BOTTOM - axes.y(count),
            class_="c1 area",
        )
        for low, count in zip(edges[:-1].tolist(), counts.tolist(), strict=True)
    ]
    marks = [
        _mark(axes, float(np.percentile(values, percent)), name, row=row)
        for row, (percent, name) in enumerate(((50, "median"), (90, "90 % below")))
    ]
    return _chart(axes, [*bars, *marks], description)


def line_chart(series: Sequence[Series], *, x_label: str, y_label: str, description: str) -> Html:
    """Lines over numbers; zero is always in view, and a legend tells several lines apart."""
    x = np.concatenate([line.x for line in series])
    y = np.concatenate([line.y for line in series])
    x_high = float(x.max()) if x.max() > x.min() else float(x.min()) + 1
    y_low, y_high = 1.1 * min(float(y.min()), 0.0), 1.1 * max(float(y.max()), 1e-9)
    axes = _Axes(float(x.min()), x_high, y_low, y_high, x_label, y_label)
    drawn = [_line(axes, line, number) for number, line in enumerate(series, 1)]
    svg = _chart(axes, drawn, description)
    if len(series) == 1:
        return svg
    keys = (
        element("span", element("i", class_=f"key c{number % 6}"), line.label)
        for number, line in enumerate(series, 1)
    )
    return join([svg, element("p", *keys, class_="legend")])


def bar_rows(values: Mapping[str, float], high: float) -> list[Html]:
    """A bar for each value, as wide as its share of ``high`` of whatever holds it."""
    return [
        element(
            "svg",
            element("rect", width=100 * value / max(high, 1e-9), height=8, rx=1, class_="c1"),
            viewBox="0 0 100 8",
            preserveAspectRatio="none",
            class_="bar",
            aria_hidden="true",
        )
        for value in values.values()
    ]


def skeleton(errors: Mapping[str, float], *, unit: str, description: str) -> Html:
    """A figure that faces the reader, its joints coloured by their errors.

    Args:
        errors: By the names of SMPL's 24 joints.
        unit: Of the errors.
        description: For those who do not see it.
    """
    high = max(*errors.values(), 1e-9)
    bones = [
        element("line", x1=x1, y1=y1, x2=x2, y2=y2)
        for joint, parent in enumerate(SMPL_PARENTS)
        if parent >= 0
        for (x1, y1), (x2, y2) in ((_place(SMPL_JOINTS[joint]), _place(SMPL_JOINTS[parent])),)
    ]
    joints = [_joint(name, value, high, unit) for name, value in errors.items()]
    return element(
        "svg",
        element("g", *bones, class_="bones"),
        *joints,
        element("text", "right", x=60, y=32, class_="side"),
        element("text", "left", x=160, y=32, class_="side"),
        *_ramp_legend(high, unit),
        viewBox="0 0 220 330",
        role="img",
        aria_label=description,
        class_="skeleton",
    )


def _joint(name: str, value: float, high: float, unit: str) -> Html:
    x, y = _place(name)
    colour = _ramp_colour(value / high)
    dot = element("circle", cx=x, cy=y, r=5.5, fill=colour)
    side = {"left": 1, "right": -1}.get(name.partition("_")[0], 0)
    label = None
    if (side and not name.endswith(CROWDED)) or name == "head":
        label = element(
            "text",
            f"{value:.0f}",
            x=x + 9 * (side or 1),
            y=y + 3.5,
            text_anchor="end" if side < 0 else "start",
        )
    return element("g", element("title", f"{spoken(name)}: {value:.1f} {unit}"), dot, label)


def spoken(name: str) -> str:
    """A joint's name in words."""
    return name.replace("_", " ")


def _place(name: str) -> tuple[float, float]:
    """The figure's left is at the reader's right."""
    side = -1 if name.startswith("right_") else 1
    x, y = _PLACES[name.replace("right_", "left_")]
    return 110.0 + side * x, float(y)


def _ramp_colour(share: float) -> str:
    place = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    channels = (np.interp(place, range(len(RAMP)), c) for c in zip(*RAMP, strict=True))
    return "#" + "".join(f"{round(float(channel)):02x}" for channel in channels)


def _ramp_legend(high: float, unit: str) -> list[Html]:
    steps = 24
    boxes = [
        element(
            "rect",
            x=50 + 120 * step / steps,
            y=300,
            width=120 / steps + 0.3,
            height=7,
            fill=_ramp_colour(step / (steps - 1)),
        )
        for step in range(steps)
    ]
    ends = [
        element("text", "0", x=50, y=319, text_anchor="middle"),
        element("text", f"{high:.0f} {unit}", x=170, y=319, text_anchor="middle"),
    ]
    return [*boxes, *ends]


def _line(axes: _Axes, line: Series, number: int) -> Html:
    order = np.argsort(line.x, kind="stable")
    points = [
        (axes.x(float(x)), axes.y(float(y)))
        for x, y in zip(line.x[order], line.y[order], strict=True)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [
        element(
            "circle",
            element("title", f"{line.label}: {value:.3g} at {place:g}"),
            cx=x,
            cy=y,
            r=2.5,
            class_=f"c{number % 6}",
        )
        for (x, y), place, value in zip(
            points, line.x[order].tolist(), line.y[order].tolist(), strict=True
        )
    ]
    return element(
        "g",
        element("polyline", points=path, class_=f"line c{number % 6}"),
        *(dots if len(dots) <= MAX_DOTS else ()),
    )


def _mark(axes: _Axes, value: float, name: str, *, row: int) -> Html:
    """A line with its name on the side that has room, in a row of its own."""
    x = axes.x(min(value, axes.x_high))
    is_right = x > WIDTH / 2
    return element(
        "g",
        element("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="mark"),
        element(
            "text",
            f"{name} {value:.0f}",
            x=x - 4 if is_right else x + 4,
            y=TOP + 8 + MARK_ROW * row,
            text_anchor="end" if is_right else "start",
        ),
    )


def _round_values(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``."""
    step = nice_step(high - low)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(step * number, 9) for number in range(first, last + 1)]


def _chart(axes: _Axes, content: Sequence[Html], description: str) -> Html:
    """Content in front of a grid, with marks and names along its edges."""
    parts = []
    for value in _round_values(axes.y_low, axes.y_high):
        y = axes.y(value)
        parts += [
            element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"),
            element("text", f"{value:g}", x=LEFT - 6, y=y + 4, text_anchor="end"),
        ]
    for value in _round_values(axes.x_low, axes.x_high):
        x = axes.x(value)
        parts.append(
            element("text", f"{value:g}", x=x, y=HEIGHT - BOTTOM + 15, text_anchor="middle")
        )
    names = [
        element("text", axes.x_label, x=WIDTH - RIGHT, y=HEIGHT - 4, text_anchor="end"),
        element("text", axes.y_label, x=2, y=TOP - 3),
    ]
    return element(
        "svg",
        *parts,
        *content,
        *names,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=description,
        class_="chart",
    )
