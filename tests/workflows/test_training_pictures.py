import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.evaluation.heat_maps import GAP, LABEL_HEIGHT
from smplcli.evaluation.portraits import SIDE
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.workflows.training_pictures import VIEWS, picture_maker
from tests.people import few_people

TINY = ModelConfig(
    backbone="test_efficientnet", input_size=64, channels=8, upsamplings=1, hidden=8
)


@pytest.fixture(scope="module")
def draw():
    return picture_maker(few_people(2), load_body())


def network(**changes):
    torch.manual_seed(0)
    return build_network(TINY.model_copy(update=changes)).eval()


def panels(sheet):
    """Pictures of a sheet by row and view."""
    rows = range(GAP + LABEL_HEIGHT, len(sheet), SIDE + GAP + LABEL_HEIGHT)
    columns = range(GAP, sheet.shape[1], SIDE + GAP)
    return [[sheet[y : y + SIDE, x : x + SIDE] for x in columns] for y in rows]


def test_people_are_shown_with_label_and_prediction_over_them(draw):
    pictures = draw(network())

    rows = panels(pictures["people"])
    assert pictures["people"].dtype == np.uint8
    assert len(rows) == 2
    for photo, label, prediction, side in rows:
        # Elsewhere the picture is as it was.
        assert 0.02 < (label != photo).any(-1).mean() < 0.9
        assert 0.02 < (prediction != photo).any(-1).mean() < 0.9
        assert (label != prediction).any()
        assert side.shape == photo.shape
    assert len(rows[0]) == len(VIEWS)


def test_attention_is_shown_where_there_is_any(draw):
    assert draw(network())["attention"].any()
    assert set(draw(network(head="baseline"))) == {"people"}


def test_the_same_people_are_drawn_for_every_network(draw):
    first, second = draw(network()), draw(network())

    assert np.array_equal(first["people"], second["people"])
