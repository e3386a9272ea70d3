"""Charts: what stands where."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from smplcli.conventions import SMPL_JOINTS
from smplcli.evaluation.charts import (
    Series,
    bar_rows,
    histogram,
    line_chart,
    nice_step,
    skeleton,
)


def drawn(markup):
    return ET.fromstring(f"<div>{markup}</div>")


@pytest.mark.parametrize(("span", "step"), [(10, 2), (7, 2), (0.9, 0.2), (300, 100), (1500, 500)])
def test_marks_are_at_round_numbers(span, step):
    assert nice_step(span) == pytest.approx(step)


def test_a_histogram_counts_everybody_once():
    values = np.array([0.0, 1.0, 1.0, 5.0, 9.0, 300.0])

    bars = [
        rect.find("title").text
        for rect in drawn(histogram(values, x_label="mm", description="")).iter("rect")
    ]

    assert sum(int(text.split(": ")[1]) for text in bars) == len(values)


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [1e-9], [5.0] * 3, [1e6, 1.0]])
def test_a_histogram_of_few_or_equal_errors_can_be_drawn(values):
    svg = drawn(histogram(np.array(values), x_label="mm", description="spread"))

    assert len(list(svg.iter("rect"))) >= 1
    assert "nan" not in ET.tostring(svg, encoding="unicode")


def test_higher_values_stand_higher_and_zero_is_in_view():
    line = Series("loss", np.array([1.0, 2.0, 3.0]), np.array([5.0, -1.0, 2.0]))

    svg = drawn(line_chart([line], x_label="x", y_label="y", description=""))

    y = [float(circle.get("cy")) for circle in svg.iter("circle")]
    assert y[0] < y[2] < y[1]
    assert "0" in [text.text for text in svg.iter("text")]


def test_several_lines_have_a_legend_and_one_has_none():
    lines = [Series(name, np.arange(3.0), np.arange(3.0)) for name in ("<a>", "b")]

    two = line_chart(lines, x_label="", y_label="", description="")
    one = line_chart(lines[:1], x_label="", y_label="", description="")

    assert "&lt;a&gt;" in two
    assert 'class="legend"' in two
    assert 'class="legend"' not in one


def test_a_line_of_one_point_can_be_drawn():
    line = Series("loss", np.array([20.0]), np.array([0.0]))

    assert "nan" not in line_chart([line], x_label="", y_label="", description="")


def test_bars_are_as_wide_as_their_values():
    bars = [drawn(bar).find("svg/rect") for bar in bar_rows({"a": 10.0, "b": 5.0}, 10.0)]

    assert [float(bar.get("width")) for bar in bars] == [100, 50]


def test_the_figure_shows_every_joint_and_its_left_is_at_the_readers_right():
    errors = {name: float(number) for number, name in enumerate(SMPL_JOINTS)}

    svg = drawn(skeleton(errors, unit="mm", description="joints"))

    places = {
        group.find("title").text.split(":")[0]: float(group.find("circle").get("cx"))
        for group in svg.iter("g")
        if group.find("circle") is not None
    }
    assert len(places) == len(SMPL_JOINTS)
    assert places["right hand"] < places["pelvis"] < places["left hand"]


def test_a_figure_without_errors_can_be_drawn():
    assert "nan" not in skeleton(dict.fromkeys(SMPL_JOINTS, 0.0), unit="mm", description="")
