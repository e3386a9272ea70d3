"""Bodies drawn over the photo in which they were found."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from smplcli.rendering.rasteriser import NEAR, Visible, find_visible, resolve
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
"""Samples per pixel along each axis."""

EDGE_DEPTH = 0.02
"""Metres between the samples of a pixel that make an edge of it."""

BAND_PIXELS = 1 << 19
"""Pixels drawn at once, which bounds the memory."""


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
    for row in range(top, bottom, rows):
        band = drawn[row : min(row + rows, bottom), left:right]
        shifted = torch.cat([pixels - pixels.new_tensor([left, row]), depth], dim=1)
        _draw_mesh(band, shifted, everyone, light)
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


def _draw_mesh(picture: Pixels, points: Tensor, faces: Tensor, light: Tensor) -> None:
    """Draw a mesh with a colour (V, 3) in 0..255 at each vertex over a picture, in place.

    Pixels with an edge in them take the mean of all samples; one sample is enough for the others.
    """
    height, width = (SUPERSAMPLING * side for side in picture.shape[:2])
    samples = points.clone()
    samples[:, :2] = (samples[:, :2] + 0.5) * SUPERSAMPLING - 0.5
    visible = find_visible(samples[None], faces, (height, width))
    depth = visible.depth()
    quads = depth.view(height // SUPERSAMPLING, SUPERSAMPLING, -1, SUPERSAMPLING)
    nearest, farthest = quads.amin(1).amin(-1), quads.amax(1).amax(-1)
    is_smooth = farthest - nearest < EDGE_DEPTH  # the background gives NaN, which is not less
    has_edge = nearest.isfinite() & ~is_smooth
    canvas = torch.from_numpy(picture)

    row, column = is_smooth.nonzero().unbind(1)
    first_sample = (row * width + column) * SUPERSAMPLING
    canvas[row, column] = _colours(visible, first_sample, faces, light).round().byte()

    row, column = has_edge.nonzero().unbind(1)
    steps = torch.arange(SUPERSAMPLING)
    first_sample = (row * width + column) * SUPERSAMPLING
    sample = first_sample[:, None] + (steps[:, None] * width + steps).flatten()
    covered = depth[sample].isfinite()
    layer = light.new_zeros((*sample.shape, 3))
    layer[covered] = _colours(visible, sample[covered], faces, light)
    transmitted = 1 - covered.float().mean(1, keepdim=True)
    canvas[row, column] = (canvas[row, column] * transmitted + layer.mean(1)).round().byte()


def _colours(visible: Visible, samples: Tensor, faces: Tensor, light: Tensor) -> Tensor:
    """Colours (N, 3) that samples show, spread from those of the vertices."""
    face, weights = resolve(visible, samples)
    colours = light.new_zeros(len(samples), 3)
    for weight, corner in zip(weights, faces.index_select(0, face).T, strict=True):
        colours.addcmul_(weight[:, None], light.index_select(0, corner))
    return colours
