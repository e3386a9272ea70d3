"""A z-buffer rasteriser for triangle meshes in plain torch: batched, on any device, no OpenGL.

Most faces of a body in a photograph are a few pixels large, so a loop over faces is hopeless and
a dense test of every face against every pixel wasteful. Here each face is cut into its pixel
rows, each row becomes the run of pixels between two edges, and the runs become pixels, each step
for all faces of all images at once. Only pixels that a face really covers are ever made.

Corners are snapped to a grid of ``SUBPIXELS`` per pixel. All coordinates are then whole numbers so
small that float64 edge functions are exact, and a pixel on an edge shared by two faces is covered
by both of them: closed meshes have no holes. Which face wins a pixel depends on depth and face
index only, so the result is the same on every run.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from smplcli.errors import ShapeError

SUBPIXELS = 1024
"""Positions per pixel that a corner may take along each axis."""

REACH = 16384.0
"""Faces with a corner farther than this from pixel (0, 0), in pixels, are not drawn: beyond it
float64 edge functions would stop being exact."""

NEAR = 0.01
"""Faces with a corner closer to the camera plane than this, in metres, are not drawn."""

CHUNK = 1 << 19
"""Pixels handled at once, which bounds the memory."""

BACKGROUND = -1
"""``face_index`` where no face is seen."""

_EMPTY = torch.iinfo(torch.int64).max
_FACE_BITS = 32


class Fragments(NamedTuple):
    """What each pixel of a batch of images shows."""

    face_index: Tensor
    """Nearest face, (B, H, W), int64, ``BACKGROUND`` where there is none."""

    depth: Tensor
    """Depth of the surface at the pixel centre, (B, H, W), float32, infinite in the background."""

    barycentrics: Tensor
    """Weights of the three corners, (B, H, W, 3), float32, perspective-correct, zero in the
    background."""


class _Triangles(NamedTuple):
    """The faces that can cover a pixel, all images together, in order of image and face."""

    x: Tensor  # (3, N) float64, whole subpixels
    y: Tensor  # (3, N) float64, whole subpixels
    inverse_depth: Tensor  # (3, N) float64
    area: Tensor  # (N,) float64, twice the area, positive
    first_row: Tensor  # (N,) int64, inside the image
    num_rows: Tensor  # (N,) int64
    num_columns: Tensor  # (N,) int64
    image: Tensor  # (N,) int64
    face: Tensor  # (N,) int64


@torch.no_grad()
def rasterise(points: Tensor, faces: Tensor, size: tuple[int, int]) -> Fragments:
    """Find the nearest face at the centre of every pixel.

    Faces seen from behind are not drawn, nor are faces with a corner at ``NEAR`` or behind it,
    or with a corner that is not finite.

    Args:
        points: Projected vertices, (B, V, 3): x and y in pixels with pixel centres at integers,
            depth in metres.
        faces: Corners of the triangles shared by the batch, (F, 3), int64, counter-clockwise seen
            from outside in right-handed axes, as in SMPL files.
        size: Height and width of the images, pixels.

    Returns:
        Face, depth and barycentric weights of each pixel, on the device of ``points``.

    Raises:
        ShapeError: ``points`` is not (B, V, 3) or ``faces`` not (F, 3).
    """
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ShapeError(f"points must be (B, V, 3), got {tuple(points.shape)}")
    if faces.ndim != 2 or faces.shape[-1] != 3:
        raise ShapeError(f"faces must be (F, 3), got {tuple(faces.shape)}")
    height, width = size
    triangles = _triangles_in_view(points, faces, size)
    keys = torch.full((len(points) * height * width,), _EMPTY, device=points.device)
    for start, chunk in _chunks(triangles):
        _draw(keys, chunk, start, size)
    return _resolve(keys, triangles, (len(points), height, width))


def interpolate(fragments: Fragments, faces: Tensor, values: Tensor) -> Tensor:
    """Spread values of the vertices over the pixels.

    Args:
        fragments: What the pixels show.
        faces: The faces that were rasterised, (F, 3), int64.
        values: One row of any quantity for each vertex, (B, V, C), floating.

    Returns:
        The quantity at each pixel, (B, H, W, C), zero in the background.
    """
    num_vertices, channels = values.shape[1:]
    height, width = fragments.face_index.shape[1:]
    shown = (fragments.face_index != BACKGROUND).view(-1).nonzero().squeeze(1)
    image = shown // (height * width)
    corners = faces[fragments.face_index.view(-1)[shown]] + (image * num_vertices)[:, None]
    weights = fragments.barycentrics.view(-1, 3)[shown].to(values.dtype)
    rows = values.reshape(-1, channels)[corners]
    pixels = values.new_zeros((fragments.face_index.numel(), channels))
    pixels[shown] = (weights[:, None] @ rows).squeeze(1)
    return pixels.view(*fragments.face_index.shape, channels)


def _triangles_in_view(points: Tensor, faces: Tensor, size: tuple[int, int]) -> _Triangles:
    """Keep the front faces whose bounding boxes hold a pixel centre of the image."""
    height, width = size
    x, y, depth = points.reshape(-1, 3).T.contiguous()
    x, y = (x.double() * SUBPIXELS).round_(), (y.double() * SUBPIXELS).round_()
    usable = (depth > NEAR) & (torch.maximum(x.abs(), y.abs()) <= REACH * SUBPIXELS)

    first_vertex = torch.arange(len(points), device=points.device) * points.shape[1]
    corners = (faces.T[:, None] + first_vertex[:, None]).reshape(3, -1)  # images one after another
    corner_x, corner_y = _take(x, corners), _take(y, corners)
    (x_0, x_1, x_2), (y_0, y_1, y_2) = corner_x, corner_y
    area = (y_1 - y_0) * (x_2 - x_0) - (x_1 - x_0) * (y_2 - y_0)
    left, right = _pixel_range(corner_x, width)
    top, bottom = _pixel_range(corner_y, height)
    seen = (area > 0) & (right >= left) & (bottom >= top) & _take(usable, corners).all(0)
    kept = seen.nonzero().squeeze(1)
    return _Triangles(
        x=_take(corner_x, kept),
        y=_take(corner_y, kept),
        inverse_depth=_take(depth.double().reciprocal_(), _take(corners, kept)),
        area=_take(area, kept),
        first_row=_take(top, kept).long(),
        num_rows=_take(bottom - top + 1, kept).long(),
        num_columns=_take(right - left + 1, kept).long(),
        image=kept // len(faces),
        face=kept % len(faces),
    )


def _take(values: Tensor, index: Tensor) -> Tensor:
    """``values[..., index]``, several times faster than torch's general indexing."""
    taken = values.index_select(-1, index.reshape(-1))
    return taken.view(*values.shape[:-1], *index.shape)


def _pixel_range(corners: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """First and last pixel centre between the extremes of (3, ...) subpixels, inside the image."""
    low = torch.minimum(torch.minimum(corners[0], corners[1]), corners[2]) / SUBPIXELS
    high = torch.maximum(torch.maximum(corners[0], corners[1]), corners[2]) / SUBPIXELS
    return low.ceil_().clamp_(min=0), high.floor_().clamp_(max=limit - 1)


def _chunks(triangles: _Triangles) -> Iterator[tuple[int, _Triangles]]:
    """Split the faces so that the bounding boxes of each part hold about ``CHUNK`` pixels."""
    pixels = (triangles.num_rows * triangles.num_columns).cumsum(0)
    _, counts = torch.unique_consecutive(pixels // CHUNK, return_counts=True)
    start = 0
    for count in counts.tolist():
        yield start, _Triangles(*(field[..., start : start + count] for field in triangles))
        start += count


def _draw(keys: Tensor, triangles: _Triangles, start: int, size: tuple[int, int]) -> None:
    """Lower the key of every covered pixel to that of the nearest of these faces.

    A key holds the bits of the depth (ordered like the depth, which is positive) above the
    position of the face in the list of all faces, which is ``start`` for the first face here.
    """
    height, width = size
    face, nth = _repeat(triangles.num_rows)
    row = _take(triangles.first_row, face) + nth
    slope_x, slope_y, constant = _edge_functions(triangles.x, triangles.y)
    slope = _take(slope_x, face)
    intercept = _take(constant, face) + _take(slope_y, face) * (row * SUBPIXELS)
    # Exact: whole numbers below 2**53 whose quotient is not whole never round to a whole number.
    crossing = -intercept / (slope * SUBPIXELS)
    left = torch.where(slope > 0, crossing.ceil(), -torch.inf).amax(0).clamp_(min=0)
    right = torch.where(slope < 0, crossing.floor(), torch.inf).amin(0).clamp_(max=width - 1)

    inverse_depth = _take(triangles.inverse_depth / triangles.area, face)
    at_left = ((intercept + slope * left * SUBPIXELS) * inverse_depth).sum(0)
    per_pixel = (slope * inverse_depth).sum(0) * SUBPIXELS
    first_pixel = (_take(triangles.image, face) * height + row) * width + left.long()

    run, step = _repeat((right - left + 1).clamp_(min=0).long())
    depth = (_take(at_left, run) + _take(per_pixel, run) * step).reciprocal_().float()
    key = (depth.view(torch.int32).long() << _FACE_BITS) + _take(face + start, run)
    keys.scatter_reduce_(0, _take(first_pixel, run) + step, key, "amin")


def _repeat(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Index i ``counts[i]`` times for every i, and the running number of each repetition."""
    index = torch.repeat_interleave(counts)
    begin = counts.cumsum(0) - counts
    return index, torch.arange(len(index), device=counts.device) - _take(begin, index)


def _edge_functions(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Coefficients of x, y and 1 in the three edge functions of each triangle, (3, N) each.

    Function i is twice the area spanned by a point and the edge opposite to corner i: positive
    inside, and the barycentric weight of corner i when divided by the sum of the three.
    """
    x_next, x_last = x.roll(-1, 0), x.roll(-2, 0)
    y_next, y_last = y.roll(-1, 0), y.roll(-2, 0)
    return y_last - y_next, x_next - x_last, y_next * x_last - x_next * y_last


def _resolve(keys: Tensor, triangles: _Triangles, shape: tuple[int, int, int]) -> Fragments:
    """Turn the winning keys into faces, depths and barycentric weights."""
    face_index = torch.full(keys.shape, BACKGROUND, device=keys.device)
    depth = torch.full(keys.shape, torch.inf, device=keys.device)
    barycentrics = torch.zeros((len(keys), 3), device=keys.device)
    for pixel in torch.split((keys != _EMPTY).nonzero().squeeze(1), CHUNK):
        key = _take(keys, pixel)
        winner = key & ((1 << _FACE_BITS) - 1)
        row, column = pixel // shape[2] % shape[1], pixel % shape[2]
        x = _take(triangles.x, winner) - column * SUBPIXELS
        y = _take(triangles.y, winner) - row * SUBPIXELS
        weights = _edge_functions(x, y)[2] * _take(triangles.inverse_depth, winner)
        face_index[pixel] = _take(triangles.face, winner)
        depth[pixel] = (key >> _FACE_BITS).int().view(torch.float32)
        barycentrics[pixel] = (weights / weights.sum(0)).float().T
    return Fragments(face_index.view(shape), depth.view(shape), barycentrics.view(*shape, 3))
