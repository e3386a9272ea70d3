"""A photo with what was found in it, beside the same seen from the side and from above."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from smplcli.types import Floats, Pixels

OverlayStyle = Literal["mesh", "skeleton"]

SIDE = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""To the axes of a camera at the right edge of the photo: those who face the photographer are seen
from their left."""

TOP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""To the axes of a camera above: the photo's right is right, and what is far away is up."""

DISTANCE = 4.0
"""Distance of these cameras from the middle of the group, over the group's extent."""

FILL = 0.88
"""Share of a view's width or height that the group takes."""

PAPER = 247
"""Grey value behind the group."""

LINE = 200
"""Grey value between the views."""

FAR = 2.0
"""Who is so many times as far away as people mostly are does not make the views smaller."""

SIDE_SHARE = 0.6
"""Of the height, for the view from the side; the rest is for that from above."""


class Lens(NamedTuple):
    """How a camera maps points to pixels."""

    focal_length: float
    principal_point: Floats
    """(2,) x, y, pixels."""


Draw = Callable[[Pixels, Floats, Lens], Pixels]
"""Draws people (P, N, 3), metres, axes of a camera, over a picture, and returns a new one."""


def add_views(
    image: Pixels, points: Floats, lens: Lens, draw: Draw, *, framing: Floats | None = None
) -> Pixels:
    """Draw people over a photo, and beside it from the side and below that from above.

    Args:
        image: The photo, (H, W, 3), RGB.
        points: Placed people, (P, N, 3), metres, camera axes.
        lens: Of the photo.
        draw: Draws them.
        framing: (M, 3) points that the views have to show, metres, camera axes; without, those
            of the people who are not `FAR`. The same points give the same views in every frame
            of a video.

    Returns:
        (H, W + min(H, W), 3) RGB: photos of one size give pictures of one size.
    """
    height, width = image.shape[:2]
    framing = _near_people(points) if framing is None else framing
    side_height = max(1, round(SIDE_SHARE * height))
    heights = (side_height, max(1, height - side_height))
    views = [
        draw_view((rows, min(height, width)), points, turn, draw, framing=framing)
        for rows, turn in zip(heights, (SIDE, TOP), strict=True)
    ]
    views[1][0] = LINE
    column = np.concatenate(views)[:height]
    return np.concatenate([draw(image, points, lens), column], axis=1)


def _near_people(points: Floats) -> Floats:
    """Points (M, 3) of people (P, N, 3) who are not much farther away than most."""
    placed = points[np.isfinite(points[..., 2]).any(axis=1)]
    if not len(placed):
        return np.zeros((0, 3))
    depth: Floats = np.nanmean(placed[..., 2], axis=1)
    return placed[depth <= FAR * np.median(depth)].reshape(-1, 3)


def draw_view(
    size: tuple[int, int], points: Floats, turn: Floats, draw: Draw, *, framing: Floats
) -> Pixels:
    """Draw people as a camera sees them that is far enough away to show all of the framing.

    Args:
        size: Height and width of the view, pixels.
        points: Placed people, (P, N, 3), metres, axes of the photo's camera.
        turn: (3, 3) to the axes of the view's camera: `SIDE` or `TOP`.
        draw: Draws them.
        framing: (M, 3) points to show, metres, axes of the photo's camera.
    """
    paper = np.full((*size, 3), PAPER, np.uint8)
    framing = framing[np.isfinite(framing).all(axis=-1)] @ turn.T
    if not len(framing):
        return paper
    low, high = framing.min(axis=0), framing.max(axis=0)
    extent = float(max((high - low).max(), np.finfo(np.float32).tiny))
    shift = [0.0, 0.0, DISTANCE * extent] - (low + high) / 2
    rays = (framing + shift)[:, :2] / (framing + shift)[:, 2:]
    low, high = rays.min(axis=0), rays.max(axis=0)
    room = np.array([size[1], size[0]])
    focal_length = float((FILL * room / np.maximum(high - low, 1e-9)).min())
    centre = (room - 1) / 2 - focal_length * (low + high) / 2
    turned = (points @ turn.T + shift).astype(np.float32)
    return draw(paper, turned, Lens(focal_length, centre))
