"""What synthetic people stand in front of: photographs, or generated textures, with clutter."""

from pathlib import Path

import cv2
import numpy as np

from smplcli.errors import MissingFileError, SmplCliError
from smplcli.images import list_images, read_image
from smplcli.types import Floats, Pixels

LONGEST_SIDE = 1024
"""Photographs are kept at this size, pixels."""

MAX_PHOTOS = 1000
"""More of a folder are not read; they would not fit into memory."""

GENERATED_SHARE = 0.12
"""Share of generated textures where there are photographs."""


def load_photos(folder: Path) -> list[Pixels]:
    """Photographs of a folder, reduced; files that are no picture are passed over.

    Raises:
        MissingFileError: The folder holds no readable picture.
    """
    photos = []
    for path in list_images(folder)[:MAX_PHOTOS]:
        try:
            photos.append(_reduced(read_image(path, orientation="displayed")))
        except SmplCliError:
            continue
    if not photos:
        raise MissingFileError(f"no readable picture in folder: {folder}")
    return photos


def _reduced(image: Pixels) -> Pixels:
    ratio = LONGEST_SIDE / max(image.shape[:2])
    if ratio >= 1:
        return image
    small = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def draw_background(rng: np.random.Generator, photos: list[Pixels], size: int) -> Floats:
    """A background (size, size, 3), RGB in 0..255, float32."""
    if photos and rng.random() > GENERATED_SHARE:
        image = _photo_region(rng, photos[rng.integers(len(photos))], size)
    else:
        image = _texture(rng, size)
    if rng.random() < 0.35:
        horizon = int(rng.uniform(0.35, 0.95) * size)
        image[horizon:] = 0.35 * image[horizon:] + 0.65 * rng.uniform(30, 220, 3)
    for _ in range(rng.integers(0, 6)):
        _draw_clutter(rng, image)
    return np.clip(image, 0, 255)


def _photo_region(rng: np.random.Generator, photo: Pixels, size: int) -> Floats:
    height, width = photo.shape[:2]
    side = max(1, int(min(height, width) * rng.uniform(0.3, 1)))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    region = photo[top : top + side, left : left + side]
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    image = cv2.resize(region, (size, size), interpolation=method).astype(np.float32)
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
    image = image * rng.uniform(0.6, 1.25, 3).astype(np.float32) + np.float32(rng.uniform(-30, 30))
    if rng.random() < 0.5:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 4)), np.float32)
    return image


def _texture(rng: np.random.Generator, size: int) -> Floats:
    """Noise in octaves, or a gradient between two colours."""
    if rng.random() < 0.3:
        ramp = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
        ends = rng.uniform(0, 255, (2, 3)).astype(np.float32)
        return np.repeat(ends[0] * (1 - ramp) + ends[1] * ramp, size, axis=1)
    image = np.zeros((size, size, 3), np.float32)
    for cells in (2, 4, 8, 16, 32, 64):
        grid = rng.normal(size=(cells, cells, 3)).astype(np.float32)
        octave = cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
        image += octave * np.float32(2 * rng.uniform(0, 1) / np.sqrt(cells))
    return np.asarray(rng.uniform(30, 220, 3) + image * rng.uniform(20, 70), dtype=np.float32)


def _draw_clutter(rng: np.random.Generator, image: Floats) -> None:
    """A box, a bar or an ellipse of one colour, drawn into the picture."""
    size = len(image)
    colour = rng.uniform(0, 255, 3).tolist()
    x, y, u, v = (int(value) for value in rng.integers(0, size, 4))
    width, height = (int(value) for value in rng.integers(5, size // 2, 2))
    kind = rng.random()
    if kind < 0.45:
        cv2.rectangle(image, (x, y), (x + width, y + height), colour, -1)
    elif kind < 0.75:
        cv2.line(image, (x, y), (u, v), colour, int(rng.integers(1, 18)))
    else:
        axes = (width // 2 + 1, height // 2 + 1)
        cv2.ellipse(image, (x, y), axes, rng.uniform(0, 180), 0, 360, colour, -1)
