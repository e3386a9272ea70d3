"""People from the side, from above, and as skeletons."""

import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.rendering.overlay import colours_of, mesh_drawer
from smplcli.rendering.skeletons import draw_skeletons
from smplcli.rendering.views import PAPER, SIDE, TOP, Lens, add_views, draw_view

BODY = load_body()
RED, GREEN = np.eye(3, dtype=np.uint8)[:2] * 200
WIDE = Lens(600.0, np.array([319.5, 239.5]))


def person(x=0.0, y=0.3, z=4.0):
    return (BODY.v_template * [1, -1, -1] + [x, y, z]).astype(np.float32)


def skeleton(x=0.0, y=0.3, z=4.0):
    return BODY.joint_regressor @ BODY.v_template * [1, -1, -1] + [x, y, z]


def middle(view, channel):
    """Mean x, y of the pixels in a colour."""
    others = np.delete(view, channel, axis=-1).max(-1).astype(int)
    rows, columns = np.nonzero(view[..., channel].astype(int) > others + 25)
    return columns.mean(), rows.mean()


def test_the_view_from_above_shows_right_as_right_and_far_as_up():
    people = np.stack([person(x=-1.0, z=5.0), person(x=1.0, z=3.0)])
    draw = mesh_drawer(BODY.faces, np.stack([RED, GREEN]))

    view = draw_view((200, 200), people, TOP, draw, framing=people.reshape(-1, 3))

    (left, far), (right, near) = middle(view, 0), middle(view, 1)
    assert left < right
    assert far < near


def test_the_view_from_above_shows_heads_not_feet():
    body = person()
    is_head = body[:, 1] < body[:, 1].min() + 0.2
    colour = mesh_drawer(BODY.faces, np.array([RED]))

    view = draw_view((200, 200), body[None], TOP, colour, framing=body)

    head = body[is_head].mean(axis=0)
    raised = np.where(is_head[:, None], body - [0, 0.5, 0], body)
    taller = draw_view((200, 200), raised[None].astype(np.float32), TOP, colour, framing=body)
    changed = np.nonzero((view != taller).any(-1))[1].mean()
    expected = np.interp(head[0], [body[:, 0].min(), body[:, 0].max()], [12, 188])
    assert changed == pytest.approx(expected, abs=15)


def test_one_framing_gives_every_frame_the_same_view():
    framing = np.array([[-3.0, -1.0, 2.0], [3.0, 1.0, 8.0]])
    draw = mesh_drawer(BODY.faces, np.array([RED]))

    views = [
        draw_view((200, 200), person(x=-1, z=z)[None], SIDE, draw, framing=framing)
        for z in (4.0, 4.5)
    ]

    (first, _), (second, _) = (middle(view, 0) for view in views)
    assert second - first == pytest.approx(0.5 * 0.88 * 200 / 6.9, rel=0.15)


def test_a_far_onlooker_does_not_shrink_the_group():
    group = [person(x=-1.0), person(x=1.0, z=5.0)]
    colours = np.stack([RED, RED, GREEN])
    photo = np.zeros((200, 200, 3), np.uint8)

    views = [
        add_views(photo, np.stack(people), WIDE, mesh_drawer(BODY.faces, colours[: len(people)]))
        for people in (group, [*group, person(x=3.0, z=16.0)])
    ]

    alone, watched = (view[:, 200:] for view in views)
    np.testing.assert_allclose(middle(watched, 0), middle(alone, 0), atol=2)


def test_framing_of_nobody_is_paper():
    view = draw_view(
        (20, 30), np.zeros((0, 5, 3)), SIDE, mesh_drawer(BODY.faces), framing=np.zeros((0, 3))
    )

    assert (view == PAPER).all()


def test_bones_lie_between_their_joints():
    joints = skeleton()[None]
    photo = np.full((480, 640, 3), 90, np.uint8)

    drawn = draw_skeletons(photo, joints, WIDE, colours=np.array([RED]))

    pixels = 600 * joints[0, :, :2] / joints[0, :, 2:] + WIDE.principal_point
    shin = np.rint((pixels[4] + pixels[7]) / 2).astype(int)
    assert drawn[shin[1], shin[0]].tolist() == RED.tolist()
    assert (photo == 90).all()


def test_the_nearer_skeleton_is_drawn_over_the_farther():
    photo = np.full((480, 640, 3), 90, np.uint8)
    both = np.stack([skeleton(z=4.0), skeleton(z=4.001)])

    pictures = [
        draw_skeletons(photo, both[order], WIDE, colours=np.stack([RED, GREEN])[order])
        for order in ([0, 1], [1, 0])
    ]

    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] == RED).all(-1).sum() > 2 * (pictures[0] == GREEN).all(-1).sum()


@pytest.mark.parametrize("place", [{"z": -4.0}, {"x": 1e9}, {"x": np.nan}, {"z": 0.0}])
def test_bones_that_no_camera_sees_are_left_out(place):
    photo = np.full((480, 640, 3), 90, np.uint8)

    drawn = draw_skeletons(photo, skeleton(**place)[None], WIDE, colours=np.array([RED]))

    if place != {"z": 0.0}:
        assert (drawn == photo).all()


def test_skeletons_stand_in_all_views():
    photo = np.full((480, 640, 3), 90, np.uint8)

    def draw(image, joints, lens):
        return draw_skeletons(image, joints, lens, colours=colours_of([3]))

    picture = add_views(photo, skeleton()[None], WIDE, draw)

    ink = (picture == colours_of([3])).all(-1)
    assert ink[:, :640].sum() > 50
    assert ink[:288, 640:].sum() > 50
    assert ink[288:, 640:].sum() > 50
