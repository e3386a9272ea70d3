"""Values as colours."""

import numpy as np
import pytest

from smplcli.evaluation.heat_maps import HEAT, contact_sheet, heat_colours, lay_over


def test_colours_run_from_cold_to_hot_and_are_cut_off():
    colours = heat_colours(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))

    assert colours.tolist() == [list(HEAT[i]) for i in (0, 0, 2, 4, 4)]


def test_the_hot_place_of_a_map_is_hot_in_the_picture():
    values = np.zeros((4, 4))
    values[0, 3] = 1.0

    drawn = lay_over(np.full((80, 80, 3), 100, np.uint8), values)

    brightness = drawn.sum(axis=2)
    row, column = np.unravel_index(brightness.argmax(), brightness.shape)
    assert (row, column) == (pytest.approx(5, abs=8), pytest.approx(75, abs=8))
    assert brightness[70, 10] < 300


def test_a_map_of_one_value_covers_the_picture():
    drawn = lay_over(np.zeros((20, 20, 3), np.uint8), np.ones((1, 1)))

    assert (drawn == drawn[0, 0]).all()


def test_a_sheet_holds_every_panel():
    panels = [(f"panel {i}", np.full((30, 30, 3), i, np.uint8)) for i in range(5)]

    sheet = contact_sheet(panels, columns=2)

    assert all((sheet == i).all(axis=2).sum() >= 900 for i in range(5))
