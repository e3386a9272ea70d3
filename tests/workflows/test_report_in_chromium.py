"""The page of an evaluation in a real browser."""

import numpy as np
import pytest

from smplcli.workflows.evaluate import evaluate
from tests.chromium import needs_chromium, open_browser
from tests.evaluation.prepared import write_prepared, write_truth

pytestmark = [needs_chromium, pytest.mark.slow]

LOAD_ALL = "document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })"
MISSING = "[...document.images].filter((image) => !(image.complete && image.naturalWidth)).length"
LONG = "a_sequence_with_a_name_that_no_phone_is_wide_enough_for_" * 3


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    names = [f"{name}/image_00000.jpg" for name in (LONG, "<img src=x onerror=alert(1)>")]
    people = {"test": [(name, 0) for name in names]}
    data = write_prepared(folder / "set", people=people, source="3dpw")
    off = np.random.default_rng(0).normal(size=(2, 72)).astype(np.float32)
    evaluate(write_truth(folder / "p.npz", data, pose=off), data, split="test", out=folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.parametrize(("width", "is_phone"), [(1280, False), (390, True)])
def test_the_page_is_shown_whole_and_asks_for_nothing(report, browser, width, is_phone):
    browser.open(report, width=width, height=800, is_phone=is_phone)
    browser.evaluate(LOAD_ALL)
    browser.settle()

    assert browser.complaints == []
    assert {request.split(":")[0] for request in browser.requests} <= {"file", "data"}
    assert browser.evaluate("document.images.length") >= 8
    assert browser.evaluate(MISSING) == 0
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.scripts.length") == 0
    assert browser.evaluate("getComputedStyle(document.querySelector('.tile')).borderRadius") != ""


def test_the_page_obeys_a_dark_screen(report, browser):
    paper = "getComputedStyle(document.body).backgroundColor"
    shown = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.call("Emulation.setEmulatedMedia", features=[feature])
        browser.open(report)
        shown.append(browser.evaluate(paper))

    assert shown[0] == "rgb(255, 255, 255)"
    assert shown[1] != shown[0]
