"""What stands between the camera and synthetic people."""

from collections.abc import Callable

import cv2
import numpy as np

from smplcli.datasets.backgrounds import PhotoLibrary, draw_background
from smplcli.datasets.colouring import draw_dye
from smplcli.datasets.photography import SQUARE_END
from smplcli.datasets.sceneries import draw_box, draw_material
from smplcli.types import Floats


def draw_occluders(
    rng: np.random.Generator, image: Floats, mask: Floats, photos: PhotoLibrary | None
) -> None:
    """Put one or two things before everything, mostly before the person.

    Args:
        rng: Source of chance.
        image: (S, S, 3), drawn into.
        mask: (S, S) 1 on the person.
        photos: Textures besides made-up ones.
    """
    size = len(image)
    person = np.argwhere(mask > 0)
    for _ in range(rng.choice([1, 1, 2])):
        places = person if len(person) else rng.integers(size, size=(1, 2))
        y, x = places[rng.integers(len(places))].tolist()
        cover = np.zeros((size, size), np.float32)
        texture = _OCCLUDERS[rng.integers(len(_OCCLUDERS))](rng, cover, (x, y))
        if texture is None:
            texture = _draw_texture(rng, size, photos)
        soft = np.asarray(cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.4, 1.5)), np.float32)
        image += (texture - image) * soft[..., None]


def hide_below(rng: np.random.Generator, image: Floats, photos: PhotoLibrary | None) -> None:
    """Put a table or a wall before everything in the picture (S, S, 3) but its upper part.

    It begins about where a person's square ends.
    """
    size = len(image)
    edge = int(rng.uniform(*SQUARE_END) * size)
    image[edge:] = _draw_texture(rng, size, photos)[edge:]
    thickness = int(rng.integers(1, 8))
    rim = (draw_dye(rng) * rng.uniform(0.3, 1)).tolist()
    cv2.line(image, (0, edge), (size, edge + int(rng.normal(0, 4))), rim, thickness, cv2.LINE_AA)


def _draw_texture(rng: np.random.Generator, size: int, photos: PhotoLibrary | None) -> Floats:
    is_place = rng.random() < 0.5
    texture = draw_background(rng, photos, size) if is_place else draw_material(rng, size)
    return texture * np.float32(rng.uniform(0.5, 1.1))


def _panel(rng: np.random.Generator, cover: Floats, at: tuple[int, int]) -> None:
    """A rectangle or an ellipse of any texture."""
    width, height = (int(value) for value in rng.uniform(0.06, 0.28, 2) * len(cover))
    angle = rng.normal(0, 15)
    if rng.random() < 0.6:
        corners = cv2.boxPoints((at, (width, height), angle))
        cv2.fillConvexPoly(cover, corners.astype(np.int32), 1.0, cv2.LINE_AA)
    else:
        cv2.ellipse(cover, at, (width // 2, height // 2), angle, 0, 360, 1.0, -1, cv2.LINE_AA)


def _table(rng: np.random.Generator, cover: Floats, at: tuple[int, int]) -> None:
    """Everything below some height: a table, a wall, the back of a seat."""
    size = len(cover)
    edge = max(at[1], int(rng.uniform(0.45, 0.8) * size))
    left, right = (0, size) if rng.random() < 0.6 else sorted(rng.integers(0, size, 2).tolist())
    cv2.rectangle(cover, (left, edge), (right, size), 1.0, -1)


def _post(rng: np.random.Generator, cover: Floats, at: tuple[int, int]) -> None:
    """A post, a rail or a branch that crosses the picture."""
    size = len(cover)
    angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.2)
    reach = 2 * size * np.array([np.cos(angle), np.sin(angle)])
    first, last = (at + reach).astype(int).tolist(), (at - reach).astype(int).tolist()
    cv2.line(cover, first, last, 1.0, int(rng.uniform(0.01, 0.07) * size) + 1, cv2.LINE_AA)


def _foliage(rng: np.random.Generator, cover: Floats, at: tuple[int, int]) -> Floats:
    """Leaves: where noise is high near a point."""
    size = len(cover)
    cells = int(rng.integers(15, 50))
    noise = cv2.resize(rng.standard_normal((cells, cells), dtype=np.float32), (size, size))
    rows, columns = np.mgrid[:size, :size]
    away = np.hypot(columns - at[0], rows - at[1]) / (rng.uniform(0.06, 0.2) * size)
    cover[0.6 * noise - away > -0.9] = 1
    green = rng.uniform([10, 30, 10], [110, 140, 80])
    return np.asarray(green * (1 + 0.3 * noise[..., None]), dtype=np.float32)


def _block(rng: np.random.Generator, cover: Floats, at: tuple[int, int]) -> Floats:
    """A box that stands before the person."""
    size = len(cover)
    width, height = (int(value) for value in rng.uniform(0.08, 0.3, 2) * size)
    drawn = np.full((size, size, 3), -1, np.float32)
    draw_box(rng, drawn, (at[0] - width // 2, at[1]), (width, height))
    cover[drawn[..., 0] >= 0] = 1
    return np.where(drawn < 0, draw_dye(rng).astype(np.float32), drawn)


_OCCLUDERS: tuple[Callable[[np.random.Generator, Floats, tuple[int, int]], Floats | None], ...] = (
    _panel,
    _panel,
    _table,
    _post,
    _foliage,
    _block,
)
