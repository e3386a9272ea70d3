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

import sys
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

_FACE_BITS = 32
_DEPTH_WORD = 1 if sys.byteorder == "little" else 0
_FACE_MASK = (1 << _FACE_BITS) - 1

EMPTY = (0x7F800000 << _FACE_BITS) | _FACE_MASK  # 0x7F800000 are the bits of infinity
"""The key of a pixel where no face is seen."""


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
    """The faces that can cover a pixel, all images together, in order of face and image."""

    x: Tensor  # (3, N) float64, whole subpixels
    y: Tensor  # (3, N) float64, whole subpixels
    inverse_depth: Tensor  # (3, N) float64
    area: Tensor  # (N,) float64, twice the area, positive
    first_row: Tensor  # (N,) int64, inside the image
    num_rows: Tensor  # (N,) int64
    num_columns: Tensor  # (N,) int64
    image: Tensor  # (N,) int64
    face: Tensor  # (N,) int64


class Visible(NamedTuple):
    """The nearest face of every pixel, with the details not worked out yet."""

    keys: Tensor
    """(B * H * W,) int64: the bits of the depth, which is positive, so that they are ordered like
    it, above the position of the face in ``triangles``."""

    triangles: _Triangles
    """The faces in view."""

    size: tuple[int, int]
    """Height and width, pixels."""

    def depth(self) -> Tensor:
        """Depth at each pixel centre, (B * H * W,), metres, infinite in the background."""
        return self.keys.view(torch.int32)[_DEPTH_WORD::2].contiguous().view(torch.float32)


def rasterise(points: Tensor, faces: Tensor, size: tuple[int, int]) -> Fragments:
    """Find the nearest face at the centre of every pixel, and the place on it.

    Args:
        points: Projected vertices, (B, V, 3), as for ``find_visible``.
        faces: Corners of the triangles, (F, 3), int64, as for ``find_visible``.
        size: Height and width of the images, pixels.

    Returns:
        Face, depth and barycentric weights of each pixel, on the device of ``points``.

    Raises:
        ShapeError: ``points`` is not (B, V, 3) or ``faces`` not (F, 3).
    """
    visible = find_visible(points, faces, size)
    depth = visible.depth()
    face_index = torch.full(depth.shape, BACKGROUND, device=depth.device)
    barycentrics = torch.zeros((len(depth), 3), device=depth.device)
    for pixels in torch.split(depth.isfinite().nonzero().squeeze(1), CHUNK):
        face, weights = resolve(visible, pixels)
        face_index.index_copy_(0, pixels, face)
        barycentrics.index_copy_(0, pixels, weights.T)
    shape = (len(points), *size)
    return Fragments(face_index.view(shape), depth.view(shape), barycentrics.view(*shape, 3))


@torch.no_grad()
def find_visible(points: Tensor, faces: Tensor, size: tuple[int, int]) -> Visible:
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
        What ``resolve`` needs, on the device of ``points``.

    Raises:
        ShapeError: ``points`` is not (B, V, 3) or ``faces`` not (F, 3).
    """
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ShapeError(f"points must be (B, V, 3), got {tuple(points.shape)}")
    if faces.ndim != 2 or faces.shape[-1] != 3:
        raise ShapeError(f"faces must be (F, 3), got {tuple(faces.shape)}")
    triangles = _triangles_in_view(points, faces, size)
    keys = torch.full((len(points) * size[0] * size[1],), EMPTY, device=points.device)
    for start, chunk in _chunks(triangles):
        _draw(keys, chunk, start, size)
    return Visible(keys, triangles, size)


def resolve(visible: Visible, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Work out which place of the mesh some pixels show.

    Args:
        visible: The nearest faces.
        pixels: (N,) int64 positions in the flattened (B, H, W) images, none in the background.

    Returns:
        Faces (N,), int64, and perspective-correct weights of their three corners, (3, N), float32.
    """
    height, width = visible.size
    triangles = visible.triangles
    winner = _take(visible.keys, pixels) & _FACE_MASK
    x = _take(triangles.x, winner) - pixels % width * SUBPIXELS
    y = _take(triangles.y, winner) - pixels // width % height * SUBPIXELS
    weights = _edge_functions(x, y)[2] * _take(triangles.inverse_depth, winner)
    return _take(triangles.face, winner), (weights / weights.sum(0)).float()


def slopes(visible: Visible, faces: Tensor, values: Tensor) -> Tensor:
    """Prepare values of vertices for ``interpolate``.

    Args:
        visible: The nearest faces, of a single image.
        faces: (F, 3) int64, as they were drawn.
        values: (V, C) float32.

    Returns:
        (N, 3 C + 2) float32 for the faces in view: the values at the first corner and their
        change for a pixel to the right and for one down, all over the depth, in which they are
        linear, then x and y of that corner, pixels.
    """
    triangles = visible.triangles
    corners = _take(faces.T, triangles.face)
    slope_x, slope_y, _ = _edge_functions(triangles.x, triangles.y)
    weight = triangles.inverse_depth / triangles.area * SUBPIXELS
    spread = values.index_select(0, corners.flatten()).view(3, -1, values.shape[1])
    steps = [
        torch.linalg.vecdot((slope * weight).float()[..., None], spread, dim=0)
        for slope in (slope_x, slope_y)
    ]
    start = spread[0] * triangles.inverse_depth[0, :, None].float()
    corner = torch.stack([triangles.x[0], triangles.y[0]], dim=1) / SUBPIXELS
    return torch.cat([start, *steps, corner.float()], dim=1)


def interpolate(visible: Visible, pixels: Tensor, planes: Tensor) -> Tensor:
    """Values at some pixels, cheaper than by ``resolve`` and exact enough for colours.

    Args:
        visible: The nearest faces, of a single image.
        pixels: (N,) int64 positions in the flattened image, none in the background.
        planes: (M, 3 C + 2) from ``slopes``.

    Returns:
        (N, C) float32, perspective-correct.
    """
    keys = _take(visible.keys, pixels)
    depth = keys.view(torch.int32)[_DEPTH_WORD::2].contiguous().view(torch.float32)
    plane = planes.index_select(0, keys & _FACE_MASK)
    count = planes.shape[1] // 3
    row = torch.div(pixels, visible.size[1], rounding_mode="floor")
    across = (pixels - row * visible.size[1]).float() - plane[:, -2]
    values = plane[:, :count].addcmul(plane[:, count : 2 * count], across[:, None])
    values.addcmul_(plane[:, 2 * count : 3 * count], (row.float() - plane[:, -1])[:, None])
    return values.mul_(depth[:, None])


def _triangles_in_view(points: Tensor, faces: Tensor, size: tuple[int, int]) -> _Triangles:
    """Keep the front faces whose bounding boxes hold a pixel centre of the image."""
    height, width = size
    count = len(points)
    x, y, depth = points.permute(2, 1, 0).contiguous()  # a row per vertex is read at one go
    x, y = (x * SUBPIXELS).round_(), (y * SUBPIXELS).round_()
    is_near_axis = torch.maximum(x.abs(), y.abs()) <= REACH * SUBPIXELS
    hidden = ~(is_near_axis & (depth > NEAR) & depth.isfinite())
    x.masked_fill_(hidden, torch.nan)  # which no comparison below lets through

    left, right = _pixel_range(x, faces, width)
    top, bottom = _pixel_range(y, faces, height)
    kept = ((right >= left) & (bottom >= top)).view(-1).nonzero().squeeze(1)
    corners = _take(faces.T, kept // count) * count + kept % count
    corner_x, corner_y = _take(x.view(-1), corners).double(), _take(y.view(-1), corners).double()
    (x_0, x_1, x_2), (y_0, y_1, y_2) = corner_x, corner_y
    area = (y_1 - y_0) * (x_2 - x_0) - (x_1 - x_0) * (y_2 - y_0)
    front = (area > 0).nonzero().squeeze(1)
    kept, corners = _take(kept, front), _take(corners, front)
    left, right, top, bottom = (
        _take(side.view(-1), kept).long() for side in (left, right, top, bottom)
    )
    return _Triangles(
        x=_take(corner_x, front),
        y=_take(corner_y, front),
        inverse_depth=_take(depth.view(-1), corners).double().reciprocal_(),
        area=_take(area, front),
        first_row=top,
        num_rows=bottom - top + 1,
        num_columns=right - left + 1,
        image=kept % count,
        face=kept // count,
    )


def _pixel_range(positions: Tensor, faces: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """First and last pixel centre inside the image between the extremes of faces, (F, B) each."""
    first, second, third = (positions.index_select(0, corner) for corner in faces.T)
    low = torch.minimum(torch.minimum(first, second), third).div_(SUBPIXELS)
    high = torch.maximum(torch.maximum(first, second), third).div_(SUBPIXELS)
    return low.ceil_().clamp_(min=0), high.floor_().clamp_(max=limit - 1)


def _take(values: Tensor, index: Tensor) -> Tensor:
    """``values[..., index]``, several times faster than torch's general indexing."""
    taken = values.index_select(-1, index.reshape(-1))
    return taken.view(*values.shape[:-1], *index.shape)


def _chunks(triangles: _Triangles) -> Iterator[tuple[int, _Triangles]]:
    """Split the faces so that the bounding boxes of each part hold about ``CHUNK`` pixels."""
    pixels = (triangles.num_rows * triangles.num_columns).cumsum(0)
    _, counts = torch.unique_consecutive(pixels // CHUNK, return_counts=True)
    start = 0
    for count in counts.tolist():
        yield start, _Triangles(*(field[..., start : start + count] for field in triangles))
        start += count


def _draw(keys: Tensor, triangles: _Triangles, start: int, size: tuple[int, int]) -> None:
    """Lower the keys of the pixels that these faces, numbered from ``start``, cover."""
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
