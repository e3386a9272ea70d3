import cv2
import numpy as np
import pytest
import torch

from smplcli.conventions import COCO17_JOINTS
from smplcli.detection import movenet
from smplcli.detection.movenet import PersonDetector
from smplcli.detection.people import CONFIDENT_KEYPOINT, Detection, box_overlap
from smplcli.files import asset
from smplcli.images import read_image

NOSE, WRIST = COCO17_JOINTS.index("nose"), COCO17_JOINTS.index("right_wrist")
NOSES = {"astronaut.png": (224, 126), "camera.png": (250, 165)}
"""Where the noses are, pixels, read off the enlarged pictures by eye."""


def exact(**options):
    """A detector that finds the same on every processor."""
    return PersonDetector(precision="fp32", **options)


@pytest.fixture(scope="module")
def detector():
    return exact()


def photo(name):
    return read_image(asset("photos") / name, orientation="displayed")


@pytest.mark.parametrize("name", NOSES)
def test_the_person_is_found_once_with_the_nose_in_its_place(detector, name):
    found = detector.detect(photo(name))

    assert len(found) == 1
    assert np.linalg.norm(found[0].keypoints[NOSE, :2] - NOSES[name]) < 12


@pytest.mark.parametrize("scale", [(2, 1), (1, 2), (3, 3)])
def test_findings_follow_the_picture_when_it_grows(detector, scale):
    image = photo("astronaut.png")[::2, ::2]
    large = image.repeat(scale[0], axis=0).repeat(scale[1], axis=1)

    found = detector.detect(large)[0].keypoints[NOSE, :2]

    expected = (np.array(NOSES["astronaut.png"]) / 2 + 0.5) * [scale[1], scale[0]] - 0.5
    assert (np.abs(found - expected) < 12 * np.array([scale[1], scale[0]])).all()


def test_findings_follow_the_person_to_the_side(detector):
    image = photo("astronaut.png")
    shifted = np.pad(image, ((0, 0), (300, 0), (0, 0)), mode="edge")

    found = detector.detect(shifted)[0].keypoints[NOSE, :2]

    assert np.linalg.norm(found - np.array(NOSES["astronaut.png"]) - [300, 0]) < 20


def test_two_people_are_two(detector):
    image = photo("astronaut.png")

    assert len(detector.detect(np.hstack([image, image]))) == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (64, 48)])
def test_nobody_is_found_where_nobody_is(detector, shape):
    assert detector.detect(np.full((*shape, 3), 128, np.uint8)) == []


def test_boxes_hold_the_keypoints(detector):
    found = detector.detect(photo("camera.png"))[0]
    seen = found.keypoints[found.keypoints[:, 2] > 0.3, :2]

    inside = (seen > found.bbox[:2] - 20) & (seen < found.bbox[2:] + 20)

    assert inside.all(axis=1).mean() > 0.8


# Of onnxruntime 1.32 running all of assets/detector.onnx on street.jpg: scores, boxes in pixels
# and right wrists of the four people.
RELEASE = [
    (0.7811, [36.9, 161.3, 305.2, 537.5], [57.1, 314.6]),
    (0.7357, [765.4, 141.6, 1016.8, 585.0], [804.1, 291.4]),
    (0.6092, [604.5, 245.7, 730.7, 532.3], [689.5, 372.1]),
    (0.736, [203.5, 169.1, 493.3, 563.5], [245.0, 193.1]),
]


def test_one_pass_finds_what_the_release_does(detector):
    found = detector._pass(photo("street.jpg"), 512, movenet.MIN_SCORE)

    assert len(found) == len(RELEASE)
    for person, (score, bbox, wrist) in zip(found, RELEASE, strict=True):
        assert person.score == pytest.approx(score, abs=1e-3)
        np.testing.assert_allclose(person.bbox, bbox, atol=0.05)
        np.testing.assert_allclose(person.keypoints[WRIST, :2], wrist, atol=0.05)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_bf16_finds_the_same_people_within_a_few_pixels(detector, device):
    image = photo("street.jpg")
    exactly = detector.detect(image)

    found = PersonDetector(precision="bf16", device=torch.device(device)).detect(image)

    assert len(found) == len(exactly)
    for expected in exactly:
        person = max(found, key=lambda x: box_overlap(x.bbox, expected.bbox))
        seen = expected.keypoints[:, 2] > CONFIDENT_KEYPOINT
        off = np.linalg.norm((person.keypoints - expected.keypoints)[seen, :2], axis=1)
        assert person.score == pytest.approx(expected.score, abs=0.1)
        assert np.median(off) < 2


def test_one_pass_finds_more_people_than_the_release():
    assert len(exact(longest_sides=(512,))._pass(crowd(), 512, movenet.MIN_SCORE)) > 6


def test_a_higher_bar_finds_fewer():
    assert exact(min_score=1.0).detect(photo("camera.png")) == []


def crowd():
    """The same three people many times, each a twelfth of the picture's height."""
    people = cv2.resize(photo("street.jpg"), None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    return np.tile(people, (3, 3, 1))


def test_who_is_hardly_seen_in_the_dark_is_found_as_both_sizes_agree(detector):
    dark = (photo("street.jpg") * 0.04).astype(np.uint8)

    alone = [exact(longest_sides=(side,)) for side in movenet.LONGEST_SIDES]

    assert len(detector.detect(dark)) == 1
    assert [each.detect(dark) for each in alone] == [[], []]


def test_a_higher_bar_changes_no_score(detector):
    image = photo("field.jpg")
    scores = [person.score for person in detector.detect(image)]

    sure = exact(min_score=0.57).detect(image)

    assert [person.score for person in sure] == [score for score in scores if score >= 0.57]
    assert 0 < len(sure) < len(scores)


def test_small_people_of_a_crowd_are_found_in_tiles(monkeypatch):
    detector = exact(longest_sides=(512,))
    image = crowd()

    found = detector.detect(image)
    monkeypatch.setattr(movenet, "_needs_tiles", lambda *_: False)
    in_one_pass = detector.detect(image)

    assert len(found) > 2 * len(in_one_pass)
    boxes = np.stack([person.bbox for person in found])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert (centres >= 0).all()
    assert (centres <= [image.shape[1], image.shape[0]]).all()


def test_people_in_tiles_are_where_they_are_in_the_picture(detector):
    image = crowd()
    height, width = image.shape[0] // 3, image.shape[1] // 3

    noses = np.array([person.keypoints[NOSE, :2] for person in detector.detect(image)])

    # Everybody stands at the same places in each of the nine pictures.
    places = {tuple(place) for place in (noses % [width, height] // 8).astype(int)}
    assert len(places) <= len(noses) / 2


def test_people_too_small_to_be_seen_are_found_in_large_pictures(detector, monkeypatch):
    people = cv2.resize(photo("street.jpg"), (320, 225), interpolation=cv2.INTER_AREA)
    image = np.tile(people, (4, 6, 1))

    assert len(detector.detect(image)) > 40  # of 96
    monkeypatch.setattr(movenet, "LARGE", np.inf)
    assert detector.detect(image) == []


def test_people_whom_a_tile_cuts_stay_whole(detector, monkeypatch):
    monkeypatch.setattr(movenet, "_needs_tiles", lambda *_: False)
    without = detector.detect(photo("field.jpg"))
    monkeypatch.setattr(movenet, "_needs_tiles", lambda *_: True)
    monkeypatch.setattr(movenet, "MAX_DEPTH", 1)
    found = detector.detect(photo("field.jpg"))
    monkeypatch.setattr(movenet, "CUT_MARGIN", -np.inf)
    naive = detector.detect(photo("field.jpg"))

    assert _worst_overlap(without, found) > 0.95
    assert _worst_overlap(without, naive) < 0.9


def test_parts_of_people_in_tiles_are_nobody_else(detector, monkeypatch):
    image = np.tile(
        cv2.resize(photo("street.jpg"), (960, 675), interpolation=cv2.INTER_AREA), (1, 2, 1)
    )

    assert len(detector.detect(image)) == 8
    monkeypatch.setattr(movenet, "PART", np.inf)
    assert len(detector.detect(image)) > 8


def _worst_overlap(people, others):
    return min(max(box_overlap(a.bbox, b.bbox) for b in others) for a in people)


@pytest.mark.parametrize("name", ["astronaut.png", "street.jpg"])
def test_pictures_of_few_large_people_are_not_looked_at_in_tiles(name, detector, monkeypatch):
    sizes = []
    run = PersonDetector._run
    monkeypatch.setattr(
        PersonDetector,
        "_run",
        lambda self, image, *how: sizes.append(image.shape) or run(self, image, *how),
    )

    detector.detect(photo(name))

    assert len(sizes) == len(movenet.LONGEST_SIDES)


def test_who_is_upside_down_is_found_in_the_turned_picture(detector):
    image = photo("astronaut.png")
    upside_down = np.ascontiguousarray(image[::-1, ::-1])
    x, y = NOSES["astronaut.png"]
    height, width = image.shape[:2]

    (found,) = detector.detect(upside_down)

    nose = np.array([width - 1 - x, height - 1 - y])
    assert np.linalg.norm(found.keypoints[NOSE, :2] - nose) < 12
    assert (found.bbox[:2] < nose).all()
    assert (found.bbox[2:] > nose).all()
    passes = [
        detector._pass(upside_down, side, movenet.MIN_SCORE) for side in movenet.LONGEST_SIDES
    ]
    assert passes == [[], []]


@pytest.mark.parametrize(
    ("left", "box", "is_cut"),
    [(0, [0, 20, 50, 80], False), (300, [0, 20, 50, 80], True), (0, [60, 20, 99, 80], True)],
)
def test_who_touches_an_edge_of_a_tile_is_cut_unless_the_picture_ends_there(left, box, is_cut):
    tile = movenet._Tile(left, 0, np.zeros((100, 100, 3), np.uint8), (400, 100))

    assert tile.cuts(Detection(np.array(box, float), 0.5, np.zeros((17, 3)))) == is_cut
