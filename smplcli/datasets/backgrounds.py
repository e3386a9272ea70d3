"""What synthetic people stand in front of: photographs, or generated textures, with clutter."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from smplcli.datasets.colouring import draw_dye
from smplcli.datasets.sceneries import draw_box, draw_scenery
from smplcli.errors import MissingFileError, SmplCliError
from smplcli.images import list_images, read_image
from smplcli.types import Floats, Ints, Pixels

LONGEST_SIDE = 768
"""Photographs are kept at this size, pixels."""

MAX_PHOTOS = 2000
"""More of a folder are not read; they would take long and add little."""

JPEG_QUALITY = 92

GENERATED_SHARE = 0.45
"""Share of made-up places where there are photographs."""


@dataclass(frozen=True, slots=True)
class PhotoLibrary:
    """Photographs as JPEG in one piece of memory, which processes can share."""

    coded: Pixels
    """(bytes,)."""

    starts: Ints
    """(N + 1,) where each of the N photographs begins, and the end."""

    def draw(self, rng: np.random.Generator) -> Pixels:
        """One of the photographs, (H, W, 3), RGB."""
        number = rng.integers(len(self.starts) - 1)
        coded = self.coded[self.starts[number] : self.starts[number + 1]]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def load_photos(folder: Path) -> PhotoLibrary:
    """Photographs of a folder, reduced; files that are no picture are passed over.

    Raises:
        MissingFileError: The folder holds no readable picture.
    """
    coded = []
    for path in list_images(folder)[:MAX_PHOTOS]:
        try:
            coded.append(_to_jpeg(read_image(path, orientation="displayed")))
        except SmplCliError:
            continue
    if not coded:
        raise MissingFileError(f"no readable picture in folder: {folder}")
    return PhotoLibrary(np.concatenate(coded), np.cumsum([0, *map(len, coded)]))


def _to_jpeg(image: Pixels) -> Pixels:
    ratio = min(1.0, LONGEST_SIDE / max(image.shape[:2]))
    size = [max(1, round(side * ratio)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(coded, dtype=np.uint8)


def draw_background(rng: np.random.Generator, photos: PhotoLibrary | None, size: int) -> Floats:
    """A background (size, size, 3), RGB in 0..255, float32."""
    if photos and rng.random() > GENERATED_SHARE:
        image = _photo_region(rng, photos.draw(rng), size)
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
