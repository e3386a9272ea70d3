"""HTML that is escaped whatever it is made of."""

import base64
import hashlib
import re
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest

from smplcli.evaluation.markup import Html, element, escape, join, page, picture, table


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '" onload="alert(1)', "a & b", "'"])
def test_text_stays_text_wherever_it_stands(name):
    made = element("p", name, title=name)

    parsed = ET.fromstring(made)
    assert (parsed.text, parsed.get("title"), len(parsed)) == (name, name, 0)


def test_markup_is_not_escaped_again():
    inner = element("b", "1 < 2")

    assert join([inner, "&"]) == "<b>1 &lt; 2</b>&amp;"
    assert escape(inner) is inner
    assert not isinstance(inner + "<", Html)


def test_control_characters_are_spelled_out():
    assert escape("red \x1b[31m and \x00 null") == "red \\x1b[31m and \\x00 null"


def test_attributes_are_named_and_rounded_for_svg():
    made = element("line", x1=1.23456789, stroke_width=2, class_="grid", hidden=None, open=False)

    assert made == '<line x1="1.2346" stroke-width="2" class="grid"/>'


def test_a_table_has_a_head_only_if_its_columns_have_names():
    assert "<thead>" in table(["a", "b"], [("1", "2")])
    assert "<thead>" not in table([], [("1", "2")])


def test_a_picture_is_part_of_the_page():
    image = np.zeros((20, 30, 3), np.uint8)
    image[..., 0] = 200

    parsed = ET.fromstring(picture(image, "somebody"))

    kind, data = parsed.get("src").split(",")
    assert kind == "data:image/webp;base64"
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert shown.shape == image.shape
    assert shown[10, 10] == pytest.approx([200, 0, 0], abs=12)
    assert (parsed.get("width"), parsed.get("height"), parsed.get("alt")) == (
        "30",
        "20",
        "somebody",
    )


def test_a_page_allows_its_own_style_and_nothing_else():
    made = page("<b>", element("p", "x")).decode()

    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', made)[1]
    style = re.search(r"<style>(.*)</style>", made, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    assert "<title>&lt;b&gt;</title>" in made


def test_names_that_are_no_text_can_be_written():
    assert b"name?" in page("name\udcff", Html(""))
