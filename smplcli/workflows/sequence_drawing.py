"""The people of a sequence drawn over its pictures, in the same views and colours all the time."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smplcli.body.layer import BodyLayer
from smplcli.conventions import PELVIS
from smplcli.rendering.overlay import colours_of, mesh_drawer
from smplcli.rendering.skeletons import skeleton_drawer
from smplcli.rendering.views import Lens, OverlayStyle, add_views
from smplcli.types import Floats, Ints, Pixels
from smplcli.workflows.people import PERSON_FIELDS, People, posed_vertices

AROUND = 1.0
"""Metres around the pelvis that the views from the side and above show."""

OUTLIERS = (2.0, 98.0)
"""Percentiles of places between which the views show everybody."""


class Drawer(NamedTuple):
    """Draws the people of a sequence over its pictures, in the same views all the time."""

    arrays: Mapping[str, NDArray[Any]]
    layer: BodyLayer
    faces: Ints
    style: OverlayStyle
    colours: Mapping[int, int]
    """Numbers of the tracks' colours."""

    framing: Floats
    """(8, 3) corners of what the views show."""

    def draw(self, picture: Pixels, rows: Ints) -> Pixels:
        """A picture with the people of some rows, which may be none, from three sides."""
        rows = rows[np.isfinite(self.arrays["joints3d"][rows]).all(axis=(1, 2))]
        tracks, people = (self.arrays[x][rows].tolist() for x in ("track_id", "person_id"))
        numbers = zip(tracks, people, strict=True)
        colours = colours_of(self.colours.get(track, person) for track, person in numbers)
        lens = Lens(1.0, np.zeros(2))  # of nobody
        if len(rows):
            focal_length = float(self.arrays["focal_length"][rows[0]])
            lens = Lens(focal_length, np.array(self.arrays["principal_point"][rows[0]]))
        if self.style == "skeleton":
            joints = self.arrays["joints3d"][rows] + self.arrays["cam_t"][rows][:, None]
            draw = skeleton_drawer(colours)
            return add_views(picture, joints, lens, draw, framing=self.framing)
        bodies = People({x: self.arrays[x][rows] for x in PERSON_FIELDS}, 0, (), {})
        vertices = posed_vertices(bodies, list(range(len(rows))), self.layer)
        draw = mesh_drawer(self.faces, colours)
        return add_views(picture, vertices, lens, draw, framing=self.framing)


def framing_of(arrays: Mapping[str, NDArray[Any]], rows: Ints) -> Floats:
    """Corners (8, 3) of a box around where people are most of the time, metres, camera axes."""
    pelvis = arrays["joints3d"][rows][:, PELVIS] + arrays["cam_t"][rows]
    pelvis = pelvis[np.isfinite(pelvis).all(axis=1)]
    if not len(pelvis):
        return np.zeros((0, 3))
    low, high = np.percentile(pelvis, OUTLIERS, axis=0)
    corners = np.array(np.meshgrid(*zip(low - AROUND, high + AROUND, strict=True)))
    return corners.reshape(3, -1).T
