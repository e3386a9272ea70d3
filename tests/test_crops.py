import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smplcli.crops import (
    box_to_crop,
    compose_affine,
    crop_matrix,
    extract_crop,
    extract_planes,
    invert_affine,
    transform_points,
)
from smplcli.errors import ShapeError

POSITIONS = st.floats(-2000, 2000)
SIZES = st.floats(2, 3000)


@given(x=POSITIONS, y=POSITIONS, size=SIZES, angle=st.floats(-3, 3), mirror=st.booleans())
def test_crop_and_its_inverse_bring_points_back(x, y, size, angle, mirror):
    matrix = crop_matrix(np.array([x, y]), size, 224, rotation=angle, mirror=mirror)
    points = np.array([[0.0, 0.0], [100.0, -50.0], [x, y]])

    back = transform_points(invert_affine(matrix), transform_points(matrix, points))

    np.testing.assert_allclose(back, points, atol=0.01)


def test_square_edges_fall_on_crop_edges():
    # Pixels have their centres at integers, so a square of side 100 reaches 50 to each side.
    matrix = crop_matrix(np.array([300.0, 200.0]), 100, 50)

    corners = transform_points(matrix, np.array([[250.0, 150.0], [350.0, 250.0]]))

    np.testing.assert_allclose(corners, [[-0.5, -0.5], [49.5, 49.5]])


def test_mirroring_exchanges_left_and_right_about_the_centre():
    plain = crop_matrix(np.array([10.0, 20.0]), 30, 64, rotation=0.4)
    mirrored = crop_matrix(np.array([10.0, 20.0]), 30, 64, rotation=0.4, mirror=True)
    point = np.array([[3.0, 17.0]])

    straight, flipped = transform_points(plain, point)[0], transform_points(mirrored, point)[0]

    np.testing.assert_allclose(flipped, [63 - straight[0], straight[1]])


def test_composition_applies_the_inner_map_first():
    inner = crop_matrix(np.array([5.0, 6.0]), 10, 20, rotation=0.3)
    outer = crop_matrix(np.array([1.0, 2.0]), 30, 40)
    points = np.array([[7.0, -3.0]])

    both = transform_points(compose_affine(outer, inner), points)

    np.testing.assert_allclose(both, transform_points(outer, transform_points(inner, points)))


def test_box_becomes_a_square_of_its_longer_side_with_padding():
    center, size = box_to_crop(np.array([10.0, 20.0, 50.0, 120.0]))

    np.testing.assert_allclose(center, [30, 70])
    assert size == pytest.approx(120)


@pytest.mark.parametrize("scale", [0.05, 0.31, 0.5, 1.0, 2.7])
def test_marked_place_is_found_where_the_matrix_says(scale):
    image = np.zeros((400, 600, 3), np.uint8)
    yy, xx = np.mgrid[:400, :600]
    image[..., 0] = 255 * np.exp(-((xx - 306.3) ** 2 + (yy - 204.6) ** 2) / (2 * 6.0**2))
    matrix = crop_matrix(np.array([300.0, 210.0]), 128 / scale, 128, rotation=0.2)

    crop = extract_crop(image, matrix, 128)[..., 0].astype(float)

    rows, columns = np.mgrid[:128, :128]
    expected = transform_points(matrix, np.array([[306.3, 204.6]]))[0]
    bright = crop * (np.hypot(columns - expected[0], rows - expected[1]) < 20 * scale + 2)
    found = np.array([(columns * bright).sum(), (rows * bright).sum()]) / bright.sum()
    np.testing.assert_allclose(found, expected, atol=0.15)


def test_strong_shrinking_averages_instead_of_aliasing():
    image = np.zeros((1000, 1000, 3), np.uint8)
    image[:, ::2] = 255
    matrix = crop_matrix(np.array([499.5, 499.5]), 1000, 50)

    crop = extract_crop(image, matrix, 50)

    assert crop[5:-5, 5:-5].std() < 5
    assert crop[5:-5, 5:-5].mean() == pytest.approx(127.5, abs=3)


def test_outside_of_the_picture_is_black():
    image = np.full((20, 20, 3), 200, np.uint8)

    crop = extract_crop(image, crop_matrix(np.array([-100.0, -100.0]), 40, 32), 32)

    assert crop.max() == 0


@settings(max_examples=60)
@given(x=POSITIONS, y=POSITIONS, size=SIZES, angle=st.floats(-3, 3))
def test_any_square_gives_a_crop_of_the_size_asked_for(x, y, size, angle):
    image = np.zeros((37, 53, 3), np.uint8)

    crop = extract_crop(image, crop_matrix(np.array([x, y]), size, 16, rotation=angle), 16)

    assert crop.shape == (16, 16, 3)


def test_a_matrix_without_inverse_is_refused():
    with pytest.raises(ShapeError, match="invertible"):
        extract_crop(np.zeros((8, 8, 3), np.uint8), np.zeros((2, 3)), 16)


@pytest.mark.parametrize("size", [300.0, 90.0])
def test_planes_are_the_crop_with_channels_first(size):
    image = np.random.default_rng(0).integers(0, 256, (200, 180, 3), dtype=np.uint8)
    matrix = crop_matrix(np.array([90.0, 95.0]), size, 64, rotation=0.3, mirror=True)

    planes = extract_planes(image, matrix, 64)

    assert (planes.transpose(1, 2, 0) == extract_crop(image, matrix, 64)).all()
