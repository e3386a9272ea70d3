"""Who is shown, and how."""

import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.conventions import NUM_PARTS
from smplcli.evaluation.portraits import (
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    attention_of,
    draw_portrait,
    part_colours,
    subject_of,
    worst_median_best,
)
from smplcli.evaluation.posing import Poser
from smplcli.evaluation.predictions import ImageCamera
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.rotations import aa_to_rotmat
from tests.evaluation.prepared import sample

COUNTS = {"worst": 2, "median": 1, "best": 2}


def chosen(errors, *, higher_is_better=False):
    rows = worst_median_best(np.array(errors), higher_is_better=higher_is_better, counts=COUNTS)
    return {name: picked.tolist() for name, picked in rows.items()}


def test_people_are_ordered_by_their_errors():
    errors = [50.0, np.nan, 10.0, 30.0, 20.0, 40.0, 60.0]

    assert chosen(errors) == {"worst": [6, 0], "median": [5], "best": [2, 4]}


def test_where_more_is_better_the_worst_have_least():
    assert chosen([50.0, 10.0, 30.0, 20.0, 40.0], higher_is_better=True)["worst"] == [1, 3]


def test_nobody_is_shown_twice():
    assert chosen([1.0, 2.0]) == {"worst": [1, 0], "median": [], "best": []}
    assert chosen([np.nan]) == {"worst": [], "median": [], "best": []}


@pytest.fixture(scope="module")
def poser():
    return Poser(load_body(), {}, with_vertices=True, device=torch.device("cpu"))


def posed(poser, person):
    rotmat = aa_to_rotmat(torch.from_numpy(person.pose).view(1, 24, 3)).numpy()
    return poser(rotmat, person.shape[None])


def has_colour(picture, colour):
    """Whether a good part of a picture is of this hue, whatever the light."""
    hue = np.array(colour) / np.linalg.norm(colour)
    shown = picture / np.maximum(np.linalg.norm(picture.astype(float), axis=2, keepdims=True), 1)
    return (shown @ hue > 0.99).mean() > 0.02


def plain(**changes):
    grey = np.full((256, 256, 3), 40, np.uint8)
    return sample("walk/0.jpg", 0, seed=0, **{"image": grey, **changes})


def test_label_and_prediction_are_drawn_over_the_picture_and_both_from_the_side(poser):
    person = plain()
    body = posed(poser, person)

    portrait = draw_portrait(subject_of(person, body, body, 0, None), load_body().faces)

    assert not has_colour(portrait.photo, TRUTH_COLOUR)
    assert has_colour(portrait.truth, TRUTH_COLOUR)
    assert has_colour(portrait.prediction, PREDICTION_COLOUR)
    assert {view.shape for view in portrait} == {(256, 256, 3)}


def test_without_a_label_the_prediction_stands_where_its_own_camera_has_it(poser):
    person = plain(has_smpl=0)
    body = posed(poser, person)
    camera = ImageCamera(np.array([[0.0, 0, 5]]), np.array([800.0]), np.array([[320.0, 240.0]]))

    portrait = draw_portrait(subject_of(person, body, body, 0, camera), load_body().faces)

    assert portrait.truth is None
    assert has_colour(portrait.prediction, PREDICTION_COLOUR)


def test_without_any_place_there_is_the_side_view_alone(poser):
    person = plain(transl=np.zeros(3))
    body = posed(poser, person)

    portrait = draw_portrait(subject_of(person, body, body, 0, None), load_body().faces)

    assert portrait.truth is None
    assert portrait.prediction is None
    assert has_colour(portrait.side, PREDICTION_COLOUR) or has_colour(portrait.side, TRUTH_COLOUR)


def test_attention_is_shown_of_networks_that_have_it():
    shape = {"backbone": "resnet18", "input_size": 64, "channels": 8, "hidden": 8}
    with_parts = build_network(ModelConfig(head="part-attention", **shape)).eval()
    without = build_network(ModelConfig(head="baseline", **shape)).eval()

    (shown,) = attention_of(with_parts, [plain()])

    assert shown.parts.shape == (64, 64, 3)
    assert {picture.shape for picture in shown.joints.values()} == {(64, 64, 3)}
    assert attention_of(without, [plain()]) == []
    assert attention_of(with_parts, []) == []


def test_parts_have_colours_of_their_own():
    assert len({tuple(colour) for colour in part_colours().tolist()}) == NUM_PARTS
