import cv2
import numpy as np
import pytest

from smplcli.datasets.backgrounds import draw_background, load_photos
from smplcli.datasets.occluders import draw_occluders, hide_below
from smplcli.datasets.photography import (
    Light,
    cast_shadow,
    cut_off,
    draw_light,
    find_openness,
    photograph,
    shade,
)
from smplcli.datasets.sceneries import draw_scenery
from smplcli.errors import MissingFileError

SIZE = 64
GREY = np.full((SIZE, SIZE, 3), 128, np.float32)


def _disc():
    mask = np.zeros((SIZE, SIZE), np.float32)
    cv2.circle(mask, (32, 32), 12, 1.0, -1)
    return mask


def test_what_faces_the_lamp_is_brightest():
    light = Light(np.array([0.0, 0.0, -1.0]), np.ones(3), np.full(3, 0.2), np.full(3, 0.2))
    normals = np.array([[0, 0, -1], [0.7, 0, -0.7], [1, 0, 0], [0, 0, 1]], dtype=float)

    shaded = shade(np.full((4, 3), 100.0), normals, np.ones(4), light)

    assert (np.diff(shaded[:, 0]) < 0).all()


def test_light_is_tinted_by_the_place():
    red = GREY * [1.5, 0.5, 0.5]

    lights = [draw_light(np.random.default_rng(seed), red) for seed in range(20)]

    assert np.mean([light.sky[0] / light.sky[2] for light in lights]) > 1.2


def test_what_lies_behind_its_surroundings_gets_less_light():
    mask = np.ones((SIZE, SIZE), np.float32)
    depth = np.full((SIZE, SIZE), 2.0, np.float32)
    depth[:, 32:] = 2.5

    openness = find_openness(depth, mask)

    assert openness[30, 5] == pytest.approx(1, abs=1e-4)
    assert openness[30, 33] < 0.9
    assert openness.min() >= 0.4


def test_shadows_only_darken():
    for seed in range(10):
        image = GREY.copy()

        cast_shadow(np.random.default_rng(seed), image, _disc())

        assert image.max() <= 128
        assert image.min() < 110


def test_keypoints_beyond_the_end_of_the_picture_are_reported_as_outside():
    keypoints = np.array([[32.0, 5.0], [32.0, 62.0]])
    image = GREY.copy()

    inside = cut_off(np.random.default_rng(0), image, keypoints, below=True)

    assert inside.tolist() == [True, False]
    assert (image[-1] == image[-1, 0]).all()


@pytest.mark.parametrize("seed", range(20))
def test_photographs_have_pixels_of_every_brightness_in_range(seed):
    picture = photograph(np.random.default_rng(seed), GREY)

    assert picture.shape == GREY.shape
    assert picture.dtype == np.uint8
    assert 40 < picture.mean() < 230


@pytest.mark.parametrize("seed", range(30))
def test_places_are_made_up_without_photographs(seed):
    scenery = draw_scenery(np.random.default_rng(seed), SIZE)

    assert scenery.shape == (SIZE, SIZE, 3)
    assert np.isfinite(scenery).all()


def test_photographs_in_a_folder_become_backgrounds(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 2000, 3), (0, 0, 250), np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")

    photos = load_photos(tmp_path)
    drawn = [draw_background(np.random.default_rng(seed), photos, SIZE) for seed in range(20)]

    assert photos.draw(np.random.default_rng(0)).shape[1] == 768
    assert sum(image[..., 0].mean() > 3 * image[..., 2].mean() + 20 for image in drawn) >= 4


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="no readable picture"):
        load_photos(tmp_path)


def test_occluders_hide_some_of_the_person_and_leave_most_of_the_picture():
    hidden = []
    for seed in range(40):
        image = GREY.copy()

        draw_occluders(np.random.default_rng(seed), image, _disc(), None)

        changed = (image != 128).any(axis=-1)
        hidden.append(changed[_disc() > 0].mean())
        assert np.isfinite(image).all()
    assert np.mean(np.array(hidden) > 0.05) > 0.9
    assert np.mean(hidden) < 0.7


def test_a_table_hides_the_lower_end_only():
    image = np.full((SIZE, SIZE, 3), -1, np.float32)

    hide_below(np.random.default_rng(0), image, None)

    assert (image[: SIZE // 2] == -1).all()
    assert (image[int(0.95 * SIZE) :] != -1).all()


def test_a_person_outside_the_picture_can_be_occluded():
    draw_occluders(np.random.default_rng(0), GREY.copy(), np.zeros((SIZE, SIZE), np.float32), None)
