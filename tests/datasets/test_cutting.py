"""People cut out of pictures: where every label ends up, and who is left out."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smplcli.conventions import COCO17_JOINTS, OPENPOSE25_JOINTS, SPIN24_JOINTS
from smplcli.crops import crop_matrix, extract_crop, transform_points
from smplcli.datasets.annotations import Person, Picture
from smplcli.datasets.cutting import (
    CUT_CONTEXT,
    NO_SQUARE,
    NOT_FINITE,
    OUTSIDE,
    best_reduction,
    cut_out,
)
from smplcli.datasets.schema import UNKNOWN_PART
from smplcli.images import ReducedImage, read_reduced

LANDSCAPE, PORTRAIT = (640, 360), (360, 640)


def someone(center=(300.0, 200.0), scale=0.5, **labels):
    zeros = {"part": np.zeros((24, 3)), "openpose": np.zeros((25, 3))}
    return Person(0, "n", np.array(center), scale, **{**zeros, **labels})


def picture_of(*people, path=None):
    return Picture("train", "a/b.jpg", path, tuple(people))


def black(size):
    return ReducedImage(np.zeros((size[1], size[0], 3), np.uint8), size, 1)


def cut(person, size=LANDSCAPE, crop_size=192):
    return cut_out(picture_of(person), black(size), crop_size)


def dots(size, places):
    """A picture with soft white dots whose centres are known to a hundredth of a pixel."""
    y, x = np.mgrid[: size[1], : size[0]]
    glow = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 6**2)) for px, py in places)
    return (np.repeat(glow[..., None], 3, axis=2) * 255).round().astype(np.uint8)


def centroid(image, near, reach):
    x, y = (round(float(value)) for value in near)
    part = image[y - reach : y + reach + 1, x - reach : x + reach + 1, 0].astype(float)
    rows, columns = np.mgrid[y - reach : y + reach + 1, x - reach : x + reach + 1]
    return np.array([(part * columns).sum(), (part * rows).sum()]) / part.sum()


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
@pytest.mark.parametrize("scale", [0.35, 0.8, 1.7])
@pytest.mark.parametrize("reduction", [1, 2])
def test_what_the_crop_shows_lies_where_its_matrix_says(tmp_path, size, scale, reduction):
    places = np.array([[150.25, 140.5], [200.0, 180.75]])
    cv2.imwrite(str(tmp_path / "b.jpg"), dots(size, places), [cv2.IMWRITE_JPEG_QUALITY, 100])
    image = read_reduced(tmp_path / "b.jpg", reduction=reduction)

    person = someone((175.0, 160.0), scale)
    (sample,) = cut_out(picture_of(person), image, 384).samples

    to_image = sample.crop_to_image
    size_of_dot = int(24 / to_image[0, 0])
    for place in places:
        seen = transform_points(np.linalg.inv([*to_image, [0, 0, 1]])[:2], place[None])[0]
        found = centroid(sample.image, seen, size_of_dot)
        back = transform_points(to_image, found[None])[0]
        assert np.abs(back - place).max() < 0.05


def test_the_orientation_tag_is_not_obeyed_as_labels_count_stored_pixels(tmp_path):
    coded = cv2.imencode(".jpg", dots(LANDSCAPE, [[150.0, 140.0]]))[1].tobytes()
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned
    (tmp_path / "turned.jpg").write_bytes(coded[:2] + segment + coded[2:])

    image = read_reduced(tmp_path / "turned.jpg", reduction=2)

    assert image.size == LANDSCAPE
    assert image.pixels.shape == (180, 320, 3)
    assert image.pixels[70, 75].min() > 200


@given(
    x=st.floats(-200, 900), y=st.floats(-200, 600), scale=st.floats(0.05, 8), size=st.booleans()
)
def test_any_square_gives_a_crop_of_the_size_asked_for_or_a_reason(x, y, scale, size):
    found = cut(someone((x, y), scale), LANDSCAPE if size else PORTRAIT, 64)

    assert len(found.samples) + len(found.dropped) == 1
    assert all(sample.image.shape == (64, 64, 3) for sample in found.samples)
    assert all(who.reason == OUTSIDE and who.is_failure for who in found.dropped)


def test_the_crop_has_room_for_every_sample_that_training_may_ask_for():
    shown = np.full((360, 640, 3), 200, np.uint8)
    person = someone((320.0, 180.0), 0.6)
    (sample,) = cut_out(picture_of(person), ReducedImage(shown, LANDSCAPE, 1), 256).samples
    stored = np.full_like(sample.image, 255)

    for turn in (np.radians(45), -np.radians(45)):
        for shift in ((24, 24), (-24, 24), (24, -24)):
            matrix = crop_matrix(
                person.center + np.array(shift), 120 * 1.4, 224, rotation=float(turn)
            )
            to_image = np.vstack([sample.crop_to_image, [0, 0, 1]])
            seen = extract_crop(stored, (np.vstack([matrix, [0, 0, 1]]) @ to_image)[:2], 224)
            assert (seen == 255).all()


def test_small_people_are_cut_from_the_whole_picture_and_large_ones_from_a_reduced_one():
    assert best_reduction(picture_of(someone(scale=0.5)), 384) == 1
    assert best_reduction(picture_of(someone(scale=2.0)), 384) == 2
    assert best_reduction(picture_of(someone(scale=4.0)), 384) == 4
    assert best_reduction(picture_of(someone(scale=4.0), someone(scale=0.5)), 384) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", ["part", "openpose", "pose", "shape", "transl", "S"])
def test_labels_that_are_no_numbers_cost_the_person(label, bad):
    shapes = {
        "part": (24, 3),
        "openpose": (25, 3),
        "pose": 72,
        "shape": 10,
        "transl": 3,
        "S": (24, 4),
    }
    broken = np.zeros(shapes[label])
    broken.flat[-1] = bad

    found = cut(someone(**{label: broken}))

    assert [who.reason for who in found.dropped] == [NOT_FINITE]


@pytest.mark.parametrize("scale", [0.0, -1.0, 0.005])
def test_a_square_without_size_costs_the_person(scale):
    assert [who.reason for who in cut(someone(scale=scale)).dropped] == [NO_SQUARE]


def test_a_square_that_is_partly_outside_is_kept_and_black_there():
    white = ReducedImage(np.full((360, 640, 3), 255, np.uint8), LANDSCAPE, 1)

    (sample,) = cut_out(picture_of(someone((0.0, 180.0), 0.5)), white, 192).samples

    assert (sample.image[96, :90] == 0).all()
    assert (sample.image[96, 100:] > 250).all()


def test_a_square_around_far_more_than_the_picture_is_kept():
    found = cut_out(picture_of(someone((320.0, 180.0), 100.0)), black(LANDSCAPE), 64)

    assert len(found.samples) == 1


def test_a_square_that_is_outside_costs_nobody_else():
    people = someone((-400.0, 180.0)), someone()._replace(person_id=1)

    found = cut_out(picture_of(*people), black(LANDSCAPE), 64)

    assert [who.person_id for who in found.dropped] == [0]
    assert [sample.person_id for sample in found.samples] == [1]


def test_keypoints_are_found_by_name_in_either_set():
    part, openpose = np.zeros((24, 3)), np.zeros((25, 3))
    part[SPIN24_JOINTS.index("left_wrist")] = [10, 20, 0.5]
    openpose[OPENPOSE25_JOINTS.index("left_wrist")] = [11, 21, 0.9]
    openpose[OPENPOSE25_JOINTS.index("right_ear")] = [12, 22, 0.9]
    openpose[OPENPOSE25_JOINTS.index("nose")] = [-3, 22, 0.9]

    (sample,) = cut(someone(part=part, openpose=openpose)).samples

    known = {
        name: point
        for name, point in zip(COCO17_JOINTS, sample.keypoints, strict=True)
        if point[2]
    }
    assert {name: point.round(1).tolist() for name, point in known.items()} == {
        "left_wrist": [10.0, 20.0, 0.5],
        "right_ear": [12.0, 22.0, pytest.approx(0.9)],
    }


def test_what_is_not_known_is_zero_and_the_camera_is_assumed():
    (sample,) = cut(someone(), PORTRAIT).samples

    assert not any(np.any(value) for value in (sample.pose, sample.shape, sample.transl, sample.S))
    assert sample.has_smpl == 0
    assert (sample.part_map == UNKNOWN_PART).all()
    assert sample.cam_int[:2, 2].tolist() == [179.5, 319.5]
    assert sample.cam_int[0, 0] == pytest.approx(np.hypot(*PORTRAIT))
    assert sample.image_size.tolist() == list(PORTRAIT)


def test_the_persons_square_is_in_the_middle_of_the_crop():
    (sample,) = cut(someone((300.0, 200.0), 0.5), crop_size=240).samples

    corners = transform_points(sample.crop_to_image, np.array([[-0.5, -0.5], [239.5, 239.5]]))
    np.testing.assert_allclose(corners.mean(axis=0), [300, 200], atol=1e-6)
    np.testing.assert_allclose(np.ptp(corners, axis=0), 100 * CUT_CONTEXT)
