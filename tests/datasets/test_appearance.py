from dataclasses import replace

import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.datasets.appearance import (
    FEET,
    HEAD,
    JOINT,
    LOOSEST,
    Region,
    draw_look,
    find_landmarks,
)
from smplcli.datasets.colouring import draw_colours
from smplcli.errors import UnreadableFileError
from smplcli.rendering.parts import vertex_parts


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def part(body):
    return vertex_parts(body.weights)


def _look(body, seed, **changes):
    return replace(draw_look(np.random.default_rng(seed), find_landmarks(body)), **changes)


def test_longer_sleeves_cover_more_of_the_arms(body, part):
    covered = [
        (
            _look(body, 1, sleeve=sleeve, jacket=-1).regions(body.v_template, part) == Region.SHIRT
        ).sum()
        for sleeve in (0, 1, 2)
    ]

    assert covered == sorted(set(covered))


def test_faces_and_hands_are_never_clothed(body, part):
    hands = np.isin(part, [JOINT["left_hand"], JOINT["right_hand"]])
    face = np.linalg.norm(body.v_template - find_landmarks(body).nose, axis=1) < 0.03
    for seed in range(10):
        region = _look(body, seed).regions(body.v_template, part)

        assert (region[hands | face] == Region.SKIN).all()


def test_cloth_stands_off_by_no_more_than_the_loosest(body, part):
    for seed in range(10):
        drape = _look(body, seed).drape(body.v_template, part)

        assert drape.min() >= 0
        assert drape.max() <= 1.1 * max(LOOSEST.values())


def test_an_open_jacket_shows_the_shirt_below_it(body, part):
    region = _look(body, 0, jacket=0.15, one_piece=False).regions(body.v_template, part)

    front = body.v_template[:, 2] > 0.1
    assert (region[front & (np.abs(body.v_template[:, 0]) < 0.05)] != Region.JACKET).all()
    assert (region == Region.JACKET).sum() > 200


def test_the_front_of_a_head_differs_from_its_back(body, part):
    head = part == HEAD
    rest = body.v_template[head].astype(np.float64)
    marks = find_landmarks(body)
    is_face = np.linalg.norm(rest - marks.nose, axis=1) < 0.06
    is_back = rest[:, 2] < marks.joints[JOINT["head"], 2] - 0.05
    different = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        look = draw_look(rng, marks)
        region = look.regions(rest, part[head])

        colours = draw_colours(rng, look, rest, part[head], region)

        gap = colours[is_face].mean(axis=0) - colours[is_back].mean(axis=0)
        different += np.abs(gap).max() > 20
    assert different >= 15


def test_shoes_are_on_feet_only(body, part):
    region = _look(body, 0, shoe=0.2).regions(body.v_template, part)

    assert np.isin(part[region == Region.SHOES], FEET).all()


def test_a_body_that_does_not_name_its_face_is_refused(body):
    with pytest.raises(UnreadableFileError, match="does not name its face"):
        find_landmarks(replace(body, vertex_ids={}))
