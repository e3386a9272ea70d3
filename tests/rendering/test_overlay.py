import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.rendering import overlay
from smplcli.rendering.overlay import (
    PALETTE,
    draw_people,
    draw_side_view,
    mesh_drawer,
    person_colours,
)
from smplcli.rendering.views import PAPER, Lens, add_views

FACES = load_body().faces
RED, GREEN, BLUE = np.eye(3, dtype=np.uint8) * 200
LENS = Lens(150.0, np.array([79.5, 59.5]))
VIEW = {"focal_length": 150.0, "principal_point": np.array([79.5, 59.5])}


def person(x=0.0, y=0.3, z=4.0, *, turn=0.0):
    """The demo body upright at some place, facing the camera unless turned."""
    upright = load_body().v_template * [1, -1, -1]
    cosine, sine = np.cos(turn), np.sin(turn)
    turned = upright @ np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
    return (turned + [x, y, z]).astype(np.float32)


def grey(height=120, width=160):
    return np.full((height, width, 3), 90, np.uint8)


def viewed(photo, vertices):
    return add_views(photo, vertices, LENS, mesh_drawer(FACES))


def shows(picture, channel):
    """Where a picture shows the person in that colour."""
    others = np.delete(picture, channel, axis=-1).max(-1)
    return picture[..., channel].astype(int) > others.astype(int) + 25


def test_body_covers_the_place_where_its_vertices_fall():
    vertices = person(x=0.4)
    picture = draw_people(grey(), vertices[None], FACES, **VIEW)

    rows, columns = np.nonzero((picture != grey()).any(-1))
    pixels = VIEW["focal_length"] * vertices[:, :2] / vertices[:, 2:] + VIEW["principal_point"]
    assert [columns.min(), rows.min()] == pytest.approx(pixels.min(0), abs=1)
    assert [columns.max(), rows.max()] == pytest.approx(pixels.max(0), abs=1)


def test_photo_stays_as_it_is_without_people():
    photo = grey()

    assert (draw_people(photo, np.empty((0, len(FACES), 3)), FACES, **VIEW) == photo).all()


def test_given_photo_is_not_drawn_on():
    photo = grey()
    draw_people(photo, person()[None], FACES, **VIEW)

    assert (photo == grey()).all()


@pytest.mark.parametrize("place", [{"z": -4.0}, {"x": 40.0}, {"y": 40.0}, {"y": -40.0}])
def test_people_out_of_the_picture_are_not_drawn(place):
    picture = draw_people(grey(), person(**place)[None], FACES, **VIEW)

    assert (picture == grey()).all()


def test_body_without_a_place_leaves_the_others_as_they_are():
    people = np.stack([person(), np.full_like(person(), np.nan)])

    picture = viewed(grey(), people)

    assert (picture == viewed(grey(), people[:1])).all()


def test_body_with_a_lost_vertex_is_drawn_around_it():
    vertices = person()
    vertices[0] = np.nan

    picture = viewed(grey(), vertices[None])

    whole = viewed(grey(), person()[None])
    assert (picture != whole).any(-1).mean() < 0.003


@pytest.mark.parametrize("nearer", [0, 1])
def test_nearer_person_hides_the_farther_one(nearer):
    people = np.stack([person(z=4.0), person(z=4.0)])
    people[nearer, :, 2] -= 1
    colours = np.stack([RED, GREEN])

    picture = draw_people(grey(), people, FACES, colours=colours, **VIEW)

    chest = picture[50, 80]
    assert chest.argmax() == nearer


def test_outline_is_a_mixture_of_person_and_photo():
    picture = draw_people(grey(), person()[None], FACES, colours=np.array([RED]), **VIEW)

    green = picture[..., 1]
    assert ((green > 0) & (green < 90) & (green % 45 != 0)).sum() > 50


def test_drawing_in_bands_gives_the_same(monkeypatch):
    people = np.stack([person(), person(x=0.7, z=3.0)])
    whole = draw_people(grey(), people, FACES, **VIEW)

    monkeypatch.setattr(overlay, "BAND_PIXELS", 1000)

    assert (draw_people(grey(), people, FACES, **VIEW) == whole).all()


def test_one_photo_gives_one_colour_per_person_and_repeats_them():
    colours = person_colours(len(PALETTE) + 1)

    assert len(np.unique(colours, axis=0)) == len(PALETTE)
    assert colours[-1].tolist() == list(PALETTE[0])
    assert person_colours(0).shape == (0, 3)


def test_side_view_shows_people_who_face_the_camera_from_their_left():
    view = draw_side_view((200, 200), person()[None], FACES, colours=np.array([RED]))

    rows, columns = np.nonzero(shows(view, 0))
    ankle = columns[rows == rows.max() - 12]
    foot = columns[rows > rows.max() - 4]
    assert ankle.mean() - foot.min() > foot.max() - ankle.mean(), "toes do not point to the left"
    assert rows.min() == pytest.approx(12, abs=2), "not upright or not filling the view"


def test_side_view_puts_what_is_near_in_the_photo_to_the_left():
    people = np.stack([person(z=5.0), person(z=3.0)])

    view = draw_side_view((200, 200), people, FACES, colours=np.stack([RED, GREEN]))

    assert np.nonzero(shows(view, 1))[1].max() < np.nonzero(shows(view, 0))[1].min()


def test_side_view_puts_the_right_of_the_photo_in_front():
    people = np.stack([person(x=-1.5), person(x=1.5)])

    view = draw_side_view((200, 200), people, FACES, colours=np.stack([RED, GREEN]))

    assert shows(view, 1).sum() > 2 * shows(view, 0).sum()


@pytest.mark.parametrize("height", [90, 240])
def test_side_view_stands_beside_the_photo_at_the_same_height(height):
    photo = grey(height, 160)

    picture = viewed(photo, person()[None])

    assert picture.shape == (height, 160 + min(height, 160), 3)
    assert picture.dtype == np.uint8
    assert (picture[:, :160] == draw_people(photo, person()[None], FACES, **VIEW)).all()


def test_side_view_of_nobody_is_paper():
    picture = viewed(grey(), np.empty((0, len(FACES), 3)))

    line = np.round(0.6 * 120).astype(int)
    assert (np.delete(picture[:, 160:], line, axis=0) == PAPER).all()
