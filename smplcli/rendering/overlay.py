"""Bodies drawn over the photo in which they were found."""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smplcli.rendering.rasteriser import (
    CHUNK,
    EMPTY,
    NEAR,
    REACH,
    find_visible,
    interpolate,
    slopes,
)
from smplcli.rendering.shading import shade, vertex_normals
from smplcli.rendering.views import SIDE, Draw, Lens, draw_view
from smplcli.types import Floats, Ints, Pixels

PALETTE = (
    (119, 170, 221),
    (238, 136, 102),
    (68, 187, 153),
    (255, 170, 187),
    (238, 221, 136),
    (153, 221, 255),
    (187, 204, 51),
    (170, 170, 0),
)
"""RGB that people with any colour vision tell apart (Paul Tol, Colour schemes, scheme "light")."""

SUPERSAMPLING = 2
"""Samples per pixel along each axis, where there is an edge."""

EDGE_DEPTH = 0.02
"""Metres of depth between pixels side by side that make an edge between them, at least."""

EDGE_SLOPE = 3.0
"""The same over the width of what a pixel shows, so that small bodies are not all edge."""

BAND_PIXELS = 1 << 19
"""Pixels drawn at once, which bounds the memory."""


TIP = 2
"""Faces at most so many pixels wide and high are looked for where no pixel centre shows any."""

SLIVER = 0.01
"""Pixels squared. Faces smaller than half of it may yet turn out to be seen from the front."""


class _Mesh(NamedTuple):
    points: Tensor  # (V, 3) x, y, pixels of the region drawn, and depth, metres
    faces: Tensor  # (F, 3) int64
    boxes: Tensor  # (4, F) int64 left, top, right and bottom (both exclusive), pixels
    light: Tensor  # (V, 3) RGB in 0..255
    focal_length: float  # pixels

    def part(self, chosen: Tensor) -> "_Mesh":
        """Only the faces chosen (N,)."""
        faces, boxes = self.faces.index_select(0, chosen), self.boxes.index_select(1, chosen)
        return self._replace(faces=faces, boxes=boxes)

    def rows(self, start: int, stop: int) -> "_Mesh":
        """What meets some rows, with the first of them as row 0."""
        shift = self.points.new_tensor([0.0, start, 0.0])
        shown = (self.boxes[1] < stop) & (self.boxes[3] > start)
        part = self.part(shown.nonzero().squeeze(1))
        part.boxes[1::2] = part.boxes[1::2].sub(start).clamp(0, stop - start)
        return part._replace(points=self.points - shift)


def person_colours(count: int) -> Pixels:
    """One colour for each person, (P, 3) RGB, the same at every call."""
    return colours_of(range(count))


def colours_of(numbers: Iterable[int]) -> Pixels:
    """The colours (P, 3) RGB of people by their numbers."""
    return np.array([PALETTE[i % len(PALETTE)] for i in numbers], np.uint8).reshape(-1, 3)


def draw_people(
    image: Pixels,
    vertices: Floats,
    faces: Ints,
    *,
    focal_length: float,
    principal_point: Floats,
    colours: Pixels | None = None,
) -> Pixels:
    """Draw bodies over a photo, the nearer over the farther, with smooth edges.

    Args:
        image: The photo, (H, W, 3), RGB.
        vertices: Placed bodies, (P, V, 3), metres, camera axes. What is behind the camera or not
            finite is left out.
        faces: (F, 3) counter-clockwise seen from outside, as in SMPL files.
        focal_length: Pixels of the photo.
        principal_point: (2,) x, y, pixels of the photo.
        colours: (P, 3) RGB; by default ``person_colours``.

    Returns:
        A new picture of the same size.
    """
    people = torch.from_numpy(np.asarray(vertices, np.float32))
    triangles = torch.from_numpy(np.asarray(faces, np.int64))
    if colours is None:
        colours = person_colours(len(people))
    albedo = torch.from_numpy(colours).float()[:, None] / 255
    light = 255 * shade(vertex_normals(people, triangles), albedo).flatten(0, 1)

    points = people.flatten(0, 1)
    depth = points[:, 2:]
    centre = torch.as_tensor(principal_point, dtype=torch.float32)
    pixels = focal_length * points[:, :2] / depth + centre
    first_vertex = torch.arange(len(people)) * people.shape[1]
    everyone = (triangles + first_vertex[:, None, None]).flatten(0, 1)
    drawn = image.copy()
    in_front = (depth[:, 0] > NEAR) & pixels.isfinite().all(1)
    left, top, right, bottom = _rectangle(pixels[in_front], drawn.shape)
    rows = max(1, BAND_PIXELS // max(1, right - left))
    region = drawn[top:bottom, left:right]
    placed = torch.cat([pixels - pixels.new_tensor([left, top]), depth], dim=1)
    mesh = _front_of(placed, everyone, light, focal_length)
    for row in range(0, bottom - top, rows):
        _draw_mesh(region, slice(row, min(row + rows, bottom - top)), mesh)
    return drawn


def draw_side_view(
    size: tuple[int, int], vertices: Floats, faces: Ints, *, colours: Pixels | None = None
) -> Pixels:
    """Draw bodies as somebody at the right edge of the photo sees them.

    Args:
        size: Height and width of the view, pixels.
        vertices: Placed bodies, (P, V, 3), metres, camera axes of the photo.
        faces: (F, 3) counter-clockwise seen from outside, as in SMPL files.
        colours: (P, 3) RGB; by default ``person_colours``.

    Returns:
        (height, width, 3) RGB.
    """
    draw = mesh_drawer(faces, colours)
    return draw_view(size, vertices, SIDE, draw, framing=vertices.reshape(-1, 3))


def mesh_drawer(faces: Ints, colours: Pixels | None = None) -> Draw:
    """What draws bodies for `add_views`.

    Args:
        faces: (F, 3) counter-clockwise seen from outside, as in SMPL files.
        colours: (P, 3) RGB; by default ``person_colours``.
    """

    def draw(image: Pixels, vertices: Floats, lens: Lens) -> Pixels:
        return draw_people(image, vertices, faces, **lens._asdict(), colours=colours)

    return draw


def _rectangle(pixels: Tensor, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of the pixels that points (N, 2) can touch."""
    if len(pixels) == 0:
        return 0, 0, 0, 0
    limit = pixels.new_tensor([shape[1], shape[0]])
    low = torch.minimum(pixels.amin(0).round().clamp(min=0), limit)
    high = torch.minimum((pixels.amax(0).round() + 1).clamp(min=0), limit)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _front_of(points: Tensor, faces: Tensor, light: Tensor, focal_length: float) -> _Mesh:
    """The faces that may be seen from the front, in a picture that holds all their pixels."""
    corners = faces.T.contiguous()
    x, y = (
        axis.contiguous().index_select(0, corners.view(-1)).view(3, -1) for axis in points.T[:2]
    )
    area = (y[1] - y[0]) * (x[2] - x[0]) - (x[1] - x[0]) * (y[2] - y[0])
    front = (area > -SLIVER).nonzero().squeeze(1)
    x, y = x.index_select(1, front).round_(), y.index_select(1, front).round_()
    boxes = torch.stack([x.amin(0), y.amin(0), x.amax(0) + 1, y.amax(0) + 1])
    boxes = boxes.clamp_(-REACH, REACH).long()
    return _Mesh(points, faces.index_select(0, front), boxes, light, focal_length)


def _draw_mesh(picture: Pixels, rows: slice, mesh: _Mesh) -> None:
    """Draw a mesh over some rows of a picture (H, W, 3), in place.

    Pixels at an edge take the mean of their samples; the centre is enough for the others.
    """
    # One row above and one below are drawn too: edges are found by what is next to a pixel.
    above, below = max(0, rows.start - 1), min(len(picture), rows.stop + 1)
    mesh = mesh.rows(above, below)
    visible = find_visible(mesh.points[None], mesh.faces, (below - above, picture.shape[1]))
    depth = visible.depth().view(below - above, -1)
    has_edge = torch.from_numpy(_edges(depth.numpy(), mesh))
    is_smooth = depth.isfinite() & ~has_edge
    for mask in (has_edge, is_smooth):
        mask[: rows.start - above] = mask[rows.stop - above :] = False

    canvas = torch.from_numpy(picture[above:below].reshape(-1, 3))
    planes = slopes(visible, mesh.faces, mesh.light)
    for pixels in torch.split(is_smooth.view(-1).nonzero().squeeze(1), CHUNK):
        colours = interpolate(visible, pixels, planes)
        canvas.index_copy_(0, pixels, colours.clamp_(0, 255).round_().byte())
    _draw_edges(canvas, has_edge, mesh)
    picture[above:below] = canvas.numpy().reshape(below - above, -1, 3)


def _edges(depth: Floats, mesh: _Mesh) -> NDArray[np.bool_]:
    """Pixels (H, W) with a step in depth or an outline beside them, or a tip within."""
    height, width = depth.shape
    has_edge = np.zeros(depth.shape, np.bool_)
    slope = EDGE_SLOPE / mesh.focal_length
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        one, other = depth[here], depth[there]
        with np.errstate(invalid="ignore"):  # within the background
            is_step = np.abs(one - other) > np.maximum(EDGE_DEPTH, slope * np.minimum(one, other))
        has_edge[here] |= is_step
        has_edge[there] |= is_step
    # A finger thinner than a pixel may pass between all centres.
    left, top, right, bottom = mesh.boxes.numpy()
    is_small = (right - left <= TIP) & (bottom - top <= TIP)
    for x, y in ((left, top), (right - 1, bottom - 1)):
        inside = is_small & (x >= 0) & (y >= 0) & (x < width) & (y < height)
        tip = y[inside], x[inside]
        has_edge[tip] |= np.isinf(depth[tip])
    return has_edge


def _draw_edges(canvas: Tensor, has_edge: Tensor, mesh: _Mesh) -> None:
    """Draw the pixels (H, W) with an edge over a canvas (H * W, 3), in place, from samples."""
    height, width = (SUPERSAMPLING * side for side in has_edge.shape)
    faces = mesh.part(_touch(has_edge, mesh.boxes)).faces
    samples = mesh.points.clone()
    samples[:, :2] = (samples[:, :2] + 0.5) * SUPERSAMPLING - 0.5
    visible = find_visible(samples[None], faces, (height, width))
    row, column = has_edge.nonzero().unbind(1)
    pixels = row * has_edge.shape[1] + column
    steps = torch.arange(SUPERSAMPLING)
    first = (row * width + column) * SUPERSAMPLING
    sample = (first[:, None] + (steps[:, None] * width + steps).flatten()).flatten()
    covered = (visible.keys.index_select(0, sample) != EMPTY).nonzero().squeeze(1)
    colours = interpolate(visible, sample[covered], slopes(visible, faces, mesh.light))
    layer = torch.zeros((len(sample), 4)).index_copy_(
        0, covered, torch.cat([colours.clamp_(0, 255), torch.ones(len(covered), 1)], dim=1)
    )
    mean = layer.view(-1, SUPERSAMPLING**2, 4).mean(1)
    mixed = canvas.index_select(0, pixels) * (1 - mean[:, 3:]) + mean[:, :3]
    canvas.index_copy_(0, pixels, mixed.round_().byte())


def _touch(has_edge: Tensor, boxes: Tensor) -> Tensor:
    """Numbers of the boxes (4, F) that hold a pixel (H, W) with an edge."""
    height, width = has_edge.shape
    sums = torch.from_numpy(cv2.integral(has_edge.byte().numpy())).flatten()
    left, right = boxes[0::2].clamp(0, width)
    top, bottom = boxes[1::2].clamp(0, height) * (width + 1)
    above, below = (
        sums.index_select(0, y + right) - sums.index_select(0, y + left) for y in (top, bottom)
    )
    return (below > above).nonzero().squeeze(1)
