import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.datasets.appearance import JOINT, Region, find_landmarks
from smplcli.datasets.garments import draw_garments

KINDS = (Region.SKIRT, Region.HAIR, Region.HAT, Region.BAG)


@pytest.fixture(scope="module")
def marks():
    return find_landmarks(load_body())


def _draw(kind, marks, seed):
    (garment,) = draw_garments(np.random.default_rng(seed), marks, {kind})
    return garment


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_every_point_moves_with_the_body_as_a_whole(kind, seed, marks):
    weights = _draw(kind, marks, seed).weights

    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_of_cloth_are_faces(kind, marks):
    garment = _draw(kind, marks, 0)
    outer, inner = np.split(garment.faces, 2)

    corners = garment.points[outer]

    np.testing.assert_array_equal(corners, garment.points[inner[:, ::-1]])


@pytest.mark.parametrize("seed", range(8))
def test_the_outer_side_of_a_skirt_looks_away_from_the_body(seed, marks):
    garment = _draw(Region.SKIRT, marks, seed)
    a, b, c = garment.points[np.split(garment.faces, 2)[0]].transpose(1, 0, 2)

    outwards = np.cross(b - a, c - a) * (a + b + c)

    assert (outwards[:, 0] + outwards[:, 2] > 0).mean() > 0.99


@pytest.mark.parametrize("seed", range(8))
def test_hair_hats_and_hands_keep_their_places(seed, marks):
    chin = marks.joints[JOINT["neck"], 1]
    face = marks.nose

    hat, hair = _draw(Region.HAT, marks, seed), _draw(Region.HAIR, marks, seed)

    assert hat.points[:, 1].min() > chin
    in_front = (np.abs(hair.points[:, 0]) < 0.04) & (hair.points[:, 2] > face[2] - 0.02)
    assert not in_front.any()


def test_only_what_is_asked_for_is_made(marks):
    made = draw_garments(np.random.default_rng(0), marks, {Region.BAG, Region.HAT})

    assert {garment.region for garment in made} == {Region.BAG, Region.HAT}
