"""What synthetic people stand in front of: photographs, or generated textures, with clutter."""

from pathlib import Path

import cv2
import numpy as np

from smplcli.datasets.colouring import draw_dye
from smplcli.datasets.sceneries import draw_box, draw_scenery
from smplcli.errors import MissingFileError, SmplCliError
from smplcli.images import list_images, read_image
from smplcli.types import Floats, Pixels

LONGEST_SIDE = 1024
"""Photographs are kept at this size, pixels."""

MAX_PHOTOS = 1000
"""More of a folder are not read; they would not fit into memory."""

GENERATED_SHARE = 0.45
"""Share of made-up places where there are photographs."""


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
        image = draw_scenery(rng, size)
    for _ in range(rng.choice([0, 0, 0, 1, 2, 4])):
        _draw_clutter(rng, image)
    gain = rng.uniform(0.6, 1.2) * rng.uniform(0.9, 1.1, 3)
    image = image * gain.astype(np.float32) + np.float32(rng.uniform(-20, 20))
    if rng.random() < 0.5:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 4)), dtype=np.float32)
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
    return image


def _draw_clutter(rng: np.random.Generator, image: Floats) -> None:
    """A block, a bar or an ellipse, drawn into the picture."""
    size = len(image)
    colour = draw_dye(rng).tolist()
    x, y, u, v = (int(value) for value in rng.integers(0, size, 4))
    width, height = (int(value) for value in rng.integers(5, size // 2, 2))
    kind = rng.random()
    if kind < 0.5:
        draw_box(rng, image, (x, y), (width, height))
    elif kind < 0.75:
        cv2.line(image, (x, y), (u, v), colour, int(rng.integers(1, 14)), cv2.LINE_AA)
    else:
        axes = (width // 2 + 1, height // 2 + 1)
        angle = rng.uniform(0, 180)
        cv2.ellipse(image, (x, y), axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
