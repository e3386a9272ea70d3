"""Light on synthetic people, what stands before them, and the flaws of cameras."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from smplcli.datasets.backgrounds import draw_background
from smplcli.types import Floats, Pixels

WRAP = 0.15
"""How far light reaches around the terminator; skin and cloth are not hard."""


class Light(NamedTuple):
    """A lamp, usually above and on the camera's side, and light from everywhere."""

    towards: Floats
    """(3,) unit vector to the lamp, camera axes."""

    ambient: float
    diffuse: float
    colour: Floats
    """(3,) gain per channel."""


def draw_light(rng: np.random.Generator) -> Light:
    """Random light."""
    towards = rng.normal(size=3) + [0, -0.8, -0.6]
    return Light(
        towards=towards / np.linalg.norm(towards),
        ambient=rng.uniform(0.25, 0.8),
        diffuse=rng.uniform(0.2, 1.0),
        colour=rng.uniform(0.85, 1.12, 3),
    )


def shade(colours: Floats, normals: Floats, light: Light) -> Floats:
    """Colours (N, 3) of surfaces whose normals (N, 3) point out of the body, in that light."""
    lit = np.clip(normals @ light.towards * (1 - WRAP) + WRAP, 0, 1)
    facing = np.clip(-normals[:, 2], 0, 1)  # a little more where the camera looks straight on
    strength = light.ambient + light.diffuse * lit + 0.1 * facing
    return np.clip(colours * strength[:, None] * light.colour, 0, 255)


def cast_shadow(rng: np.random.Generator, image: Floats, mask: Floats) -> None:
    """Darken the ground under the lowest pixels of a person."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return
    bottom = int(rows[-1])
    columns = np.flatnonzero(mask[max(0, bottom - 3) : bottom + 1].any(axis=0))
    axes = (int(rng.uniform(20, 70)), int(rng.uniform(4, 14)))
    shadow = np.zeros(mask.shape, np.float32)
    cv2.ellipse(shadow, (int(columns.mean()), bottom), axes, 0, 0, 360, 1.0, -1)
    soft = np.asarray(cv2.GaussianBlur(shadow, (0, 0), 5), dtype=np.float32)
    image *= 1 - np.float32(rng.uniform(0.3, 0.8)) * soft[..., None]


def paste(rng: np.random.Generator, image: Floats, colours: Floats, mask: Floats) -> Floats:
    """The picture with a person in front, whose edge is mostly soft."""
    soft = cv2.GaussianBlur(mask, (3, 3), 0.6) if rng.random() < 0.8 else mask
    # Colours reach one pixel over the edge, or a soft edge would be dark.
    spread = cv2.dilate(colours, np.ones((3, 3), np.uint8))
    filled = np.where(mask[..., None] > 0, colours, spread)
    return np.asarray(image * (1 - soft[..., None]) + filled * soft[..., None])


def draw_occluders(rng: np.random.Generator, image: Floats, photos: list[Pixels]) -> None:
    """Put one to three boxes or ellipses, of one colour or textured, before everything."""
    size = len(image)
    for _ in range(rng.integers(1, 4)):
        mask = np.zeros((size, size), np.uint8)
        x, y = (int(value) for value in rng.integers(20, size - 20, 2))
        width, height = (int(value) for value in rng.integers(15, 80, 2))
        if rng.random() < 0.5:
            cv2.rectangle(mask, (x, y), (x + width, y + height), 1, -1)
        else:
            angle = rng.uniform(0, 180)
            cv2.ellipse(mask, (x, y), (width // 2, height // 2), angle, 0, 360, 1, -1)
        is_textured = rng.random() < 0.6
        cover = draw_background(rng, photos, size) if is_textured else rng.uniform(0, 255, 3)
        image[mask > 0] = cover[mask > 0] if is_textured else cover


def cut_off(
    rng: np.random.Generator, image: Floats, keypoints: Floats, *, below: bool
) -> NDArray[np.bool_]:
    """Let the picture end inside the crop: at the lower edge, or at any.

    Args:
        rng: Source of chance.
        image: (S, S, 3), of which one side is made plain, mostly black.
        keypoints: (N, 2), pixels.
        below: Cut at the lower edge, close to where the person's square ends.

    Returns:
        Which keypoints (N,) are still in the picture.
    """
    size = len(image)
    side = 0 if below else int(rng.integers(4))
    kept = int(size * (rng.uniform(0.8, 0.9) if below else rng.uniform(0.75, 0.95)))
    fill = 0.0 if rng.random() < 0.7 else rng.uniform(0, 255)
    axis, is_far = (1, 0, 1, 0)[side], side < 2
    rotated = image if axis == 1 else image.swapaxes(0, 1)
    position = keypoints[:, axis]
    if is_far:
        rotated[kept:] = fill
        return np.asarray(position < kept)
    rotated[: size - kept] = fill
    return np.asarray(position >= size - kept)


def photograph(rng: np.random.Generator, image: Floats) -> Pixels:
    """The picture as a camera would give it: blurred, noisy, toned, compressed."""
    image = image.astype(np.float32)
    if rng.random() < 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8)), np.float32)
    if rng.random() < 0.1:
        image = np.asarray(cv2.filter2D(image, -1, _motion(rng)), np.float32)
    gamma = rng.uniform(0.75, 1.3)
    gain = rng.uniform(0.75, 1.15) * rng.uniform(0.93, 1.07, 3)
    image = 255 * (np.clip(image, 0, 255) / 255) ** gamma * gain
    image = image + rng.normal(size=image.shape) * rng.uniform(0, 8)
    if rng.random() < 0.04:
        image = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    picture = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(30, 90))
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return picture


def _motion(rng: np.random.Generator) -> Floats:
    """Blur kernel of a camera or a person moving in a straight line."""
    kernel = np.zeros((9, 9), np.float32)
    kernel[4] = 1
    turn = cv2.getRotationMatrix2D((4, 4), rng.uniform(0, 180), 1)
    line = np.asarray(cv2.warpAffine(kernel, turn, (9, 9)), np.float32)
    return np.asarray(line / line.sum())
