"""The page of predictions: what is in it, and what a browser makes of it."""

import base64
import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from smplcli.body.files import load_body
from smplcli.errors import (
    ConfigError,
    HostileFileError,
    MissingFileError,
    OutputExistsError,
    UnreadableFileError,
)
from smplcli.files import write_npz
from smplcli.workflows import view as view_module
from smplcli.workflows.view import view
from tests.chromium import needs_chromium, open_browser
from tests.clips import bright_frame, number_of, write_clip
from tests.predicted import FOCAL, HEIGHT, WIDTH, people_arrays, upright

HOSTILE = "</script><img src=x onerror=alert(1)>.png"


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (WIDTH, HEIGHT), (0, 90, 0)).save(tmp_path / "a.png")
    return tmp_path


def page_of(folder, names, **changes):
    write_npz(folder / "preds.npz", people_arrays(names, **changes))
    report = view(folder / "preds.npz", folder / "view.html", overwrite=True)
    page = (folder / "view.html").read_text("utf-8")
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    return report, page, json.loads(data[1])


def test_a_page_holds_photo_people_and_joints(folder):
    report, _, data = page_of(folder, ["a.png", "a.png"])

    (picture,) = data["pictures"]
    assert (report.num_images, report.num_people, report.notes) == (1, 2, ())
    assert picture["photo"].startswith("/9j/")
    assert [person["id"] for person in picture["people"]] == [0, 1]
    assert len(picture["people"][0]["joints3d"]) == len(data["joints"]) == 24


def test_vertices_survive_to_a_tenth_of_a_millimetre(folder):
    _, _, data = page_of(folder, ["a.png"])
    person = data["pictures"][0]["people"][0]
    steps = np.frombuffer(base64.b64decode(person["vertices"]), "<u2").reshape(-1, 3)

    vertices = np.array(person["low"]) + np.array(person["step"]) * steps
    expected = upright(load_body().v_template) + [-0.5, 0, 4]
    assert vertices == pytest.approx(expected, abs=1e-4)


def test_nothing_in_a_page_names_another_file(folder):
    _, page, _ = page_of(folder, ["a.png"])

    assert not re.search(r"""https?://|(src|href)=["'](?!data:)|@import|url\(""", page)
    assert "default-src 'none'" in page


def test_names_cannot_become_markup(folder):
    report, page, data = page_of(folder, [HOSTILE])

    assert data["pictures"][0]["name"] == HOSTILE
    assert page.count("</script>") == 2
    assert "<img" not in page
    assert HOSTILE in report.notes[0]


def test_people_of_a_lost_or_replaced_picture_are_shown_without_it(folder):
    Image.new("RGB", (9, 9)).save(folder / "b.png")

    report, _, data = page_of(folder, ["lost.png", "b.png", "x" * 5000, "\0"])

    assert [picture["photo"] for picture in data["pictures"]] == [None] * 4
    assert [len(picture["people"]) for picture in data["pictures"]] == [1] * 4
    assert "not found" in report.notes[0]
    assert "not the one" in report.notes[1]


def test_pictures_without_people_are_shown_and_unreadable_ones_counted(folder):
    statuses = {"a.png": "no person", "broken.png": "unreadable"}

    report, _, data = page_of(folder, [], statuses=statuses)

    assert [(x["name"], x["people"]) for x in data["pictures"]] == [("a.png", [])]
    assert report.notes == ("pictures that could not be looked at: 1",)


def test_a_page_says_what_it_leaves_out(folder, monkeypatch):
    monkeypatch.setattr(view_module, "MAX_PICTURES", 2)
    monkeypatch.setattr(view_module, "MAX_PEOPLE", 3)

    report, page, data = page_of(folder, ["a.png"] * 2 + ["b.png"] * 2 + ["c.png"])

    assert [len(picture["people"]) for picture in data["pictures"]] == [2, 1]
    assert report.notes[:2] == ("the first 2 of 3 pictures", "the first 3 of 5 people")
    assert "the first 3 of 5 people" in page


def test_people_who_are_not_finite_are_left_out_and_counted(folder):
    arrays = people_arrays(["a.png", "a.png"])
    arrays["betas"][0, 3] = np.nan

    report, _, data = page_of(folder, ["a.png", "a.png"], betas=arrays["betas"])

    assert [person["id"] for person in data["pictures"][0]["people"]] == [1]
    assert report.notes == ("people left out, whose numbers are not finite: 1",)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pose": np.zeros((1, 69), np.float32)}, UnreadableFileError, "pose must be"),
        ({"imgname": np.array("a.png")}, UnreadableFileError, "imgname must be"),
        ({"status": np.zeros((), "U2")}, UnreadableFileError, "status must be"),
        ({"meta": np.array("{")}, UnreadableFileError, "meta is no JSON"),
        ({"meta": np.array('{"body": {"sha256": "other"}}')}, ConfigError, "made with body"),
    ],
)
def test_files_that_are_no_predictions_are_refused(folder, changes, error, message):
    with pytest.raises(error, match=message):
        page_of(folder, ["a.png"], **changes)
    assert not (folder / "view.html").exists()


def test_pickled_objects_are_refused(folder):
    np.savez(folder / "preds.npz", **people_arrays([], meta=np.array({}, dtype=object)))

    with pytest.raises(HostileFileError):
        view(folder / "preds.npz", folder / "view.html")


@pytest.mark.parametrize(
    ("out", "error"), [("view.npz", ConfigError), ("view.html", OutputExistsError)]
)
def test_outputs_are_checked_before_the_work(folder, out, error):
    (folder / out).write_text("precious")

    with pytest.raises(error):
        view(folder / "none.npz", folder / out)
    assert (folder / out).read_text() == "precious"


def test_missing_predictions_are_named(folder):
    with pytest.raises(MissingFileError, match=r"none\.npz"):
        view(folder / "none.npz", folder / "view.html")


@pytest.mark.slow
@needs_chromium
def test_a_browser_shows_bodies_and_selects_the_one_that_is_clicked(folder, tmp_path_factory):
    page_of(folder, ["a.png", "a.png", "lost.png"])

    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        page.open(folder / "view.html", width=1000, height=700)
        at_start = page.screenshot()
        page.click(page.evaluate("toScreen(view(), people[1].joints3d[3]).slice(0, 2)"))
        chosen = page.evaluate("document.querySelector('[aria-pressed=true]').dataset.person")
        rows = page.evaluate("document.querySelectorAll('#joints tr').length")
        page.drag((100, 100), (250, 120))
        turned = page.screenshot()
        page.evaluate(
            "element('frame').value = 1; element('frame').oninput({target: element('frame')})"
        )
        message = page.evaluate("element('message').textContent")

    assert page.complaints == []
    assert all(url.startswith(("file:", "data:")) for url in page.requests)
    assert (chosen, rows) == ("1", 24)
    assert "not found" in message
    assert colours_of(at_start) >= {"photo", "first", "second"}
    assert np.mean(np.array(turned) != np.array(at_start)) > 0.05


@pytest.mark.slow
@needs_chromium
def test_two_fingers_zoom_and_a_tap_selects(folder, tmp_path_factory):
    page_of(folder, ["a.png", "a.png"])

    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        page.open(folder / "view.html", width=390, height=800, is_phone=True)
        page.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
        page.touch([(150, 250)], [(150, 250), (240, 250)], [(100, 250), (290, 250)], [])
        zoom, yaw = page.evaluate("[state.zoom, state.yaw]")
        at = page.evaluate("toScreen(view(), people[0].joints3d[3]).slice(0, 2)")
        page.touch([at], [])
        chosen = page.evaluate("state.selected.id")

    assert page.complaints == []
    assert (zoom, yaw, chosen) == (pytest.approx(190 / 90), 0, 0)


@pytest.mark.slow
@needs_chromium
def test_bodies_lie_where_the_camera_of_the_photo_sees_them(folder, tmp_path_factory):
    page_of(folder, ["a.png"])

    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        page.open(folder / "view.html", width=390, height=800, is_phone=True)
        now = page.evaluate("(({scale, shift}) => [scale, ...shift])(view())")
        picture = np.array(page.screenshot()).astype(int)

    is_body = picture[..., 2] > picture[..., 1] + 25
    vertices = upright(load_body().v_template) + [-0.5, 0, 4]
    pixels = FOCAL * vertices[:, :2] / vertices[:, 2:] + [(WIDTH - 1) / 2, (HEIGHT - 1) / 2]
    expected = 2 * (now[0] * pixels + now[1:])
    left, top, _, _ = cv2.boundingRect(is_body[: int(0.55 * len(picture))].astype(np.uint8))
    assert page.complaints == []
    assert left == pytest.approx(max(0, expected[:, 0].min()), abs=4)
    assert top == pytest.approx(expected[:, 1].min(), abs=4)


def colours_of(picture):
    """Which of the photo's and the first two people's colours a screenshot has plenty of."""
    pixels = np.array(picture).reshape(-1, 3).astype(int)
    red, green, blue = pixels.T
    found = {
        "photo": (red < 10) & (abs(green - 90) < 10) & (blue < 10),
        "first": (blue > red + 40) & (blue > green),
        "second": (red > blue + 40) & (red > green + 20),
    }
    return {name for name, mask in found.items() if mask.sum() > 1000}


@pytest.fixture
def film(tmp_path):
    """Somebody walks through twelve frames of a video, and is missed in one; then a photo."""
    write_clip(tmp_path / "v.mp4", [bright_frame(i, (WIDTH, HEIGHT)) for i in range(12)],
               size=(WIDTH, HEIGHT))  # fmt: skip
    Image.new("RGB", (WIDTH, HEIGHT), (0, 90, 0)).save(tmp_path / "a.png")
    names = [f"v.mp4/{frame:06d}" for frame in range(12) if frame != 5]
    arrays = people_arrays([*names, "a.png"])
    arrays["cam_t"][:11, 0] = np.linspace(-0.8, 0.8, 11)
    arrays["track_id"][:11] = 3
    meta = json.loads(str(arrays["meta"])) | {"sequences": {"v.mp4": {"fps": 25.0, "every": 1}}}
    statuses = {f"v.mp4/{frame:06d}": "ok" for frame in range(12)} | {"a.png": "ok"}
    statuses["v.mp4/000005"] = "no person"
    changes = {x: arrays[x] for x in ("cam_t", "track_id")}
    return (
        tmp_path,
        [*names, "a.png"],
        {
            "statuses": statuses,
            "meta": np.array(json.dumps(meta)),
            **changes,
        },
    )


def test_frames_of_a_video_are_shown_with_their_times_and_tracks(film):
    folder, names, changes = film

    report, _, data = page_of(folder, names, **changes)

    frames = [x for x in data["pictures"] if x["sequence"] == "v.mp4"]
    assert report.notes == ()
    assert [x["time"] for x in frames] == pytest.approx([i / 25 for i in range(12)])
    assert [len(x["people"]) for x in frames] == [1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    assert {person["track"] for x in frames for person in x["people"]} == {3}
    assert {str(person["colour"]) for x in frames for person in x["people"]} == {"[119, 170, 221]"}
    assert [number_of_jpeg(x["photo"]) for x in frames] == list(range(12))
    assert data["pictures"][-1]["sequence"] is None


def number_of_jpeg(text):
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
    return number_of(pixels)


def test_a_long_video_is_thinned_rather_than_cut_off(film, monkeypatch):
    folder, names, changes = film
    monkeypatch.setattr(view_module, "MAX_FRAMES", 5)

    report, _, data = page_of(folder, names, **changes)

    assert [x["name"] for x in data["pictures"]] == [
        *(f"v.mp4/{frame:06d}" for frame in (0, 3, 6, 9)),
        "a.png",
    ]
    assert report.notes == ("one frame in 3 of videos and numbered pictures",)


@pytest.mark.slow
@needs_chromium
def test_a_browser_plays_and_pauses_and_keeps_who_is_selected(film, tmp_path_factory):
    folder, names, changes = film
    page_of(folder, names, **changes)

    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        page.open(folder / "view.html", width=390, height=800, is_phone=True)
        page.evaluate("select(people[0])")
        page.drag((100, 150), (180, 160))
        first = page.screenshot()
        page.evaluate("element('play').click()")
        for _ in range(3):
            page.settle()
        page.evaluate("element('play').click()")
        page.evaluate("show(9)")
        page.settle()
        later = page.screenshot()
        kept = page.evaluate("[state.selected.track, state.yaw !== 0, playing === null]")
        page.evaluate("show(12)")
        photo = page.evaluate("[state.selected, state.yaw, element('play').hidden]")
        passed = page.evaluate("images.size")

    assert page.complaints == []
    assert kept == [3, True, True]
    assert photo == [None, 0, True]
    assert passed > 3
    assert np.mean(np.array(first) != np.array(later)) > 0.02
