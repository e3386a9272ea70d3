"""Light on synthetic people, the shadows they cast, and the flaws of cameras."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from smplcli.types import Floats, Pixels

WRAP = 0.15
"""How far light reaches around the terminator; skin and cloth are not hard."""

NOOK_DEPTH = 0.25
"""Metres behind its surroundings at which a surface gets the least light from everywhere."""

NOOK_RADII = (5, 17)
"""Sides of the surroundings, pixels."""


SQUARE_END = (0.8, 0.9)
"""Where the person's square ends in the stored crop, with some play, over the crop's height."""

EXPOSURE = (70.0, 160.0)
"""Mean brightness that a camera strives for, and mostly does not quite reach."""


class Light(NamedTuple):
    """A lamp, usually above and on the camera's side, and light from above and below."""

    towards: Floats
    """(3,) unit vector to the lamp, camera axes."""

    lamp: Floats
    """(3,) strength per channel."""

    sky: Floats
    """(3,) strength per channel of what comes from above."""

    ground: Floats
    """(3,) strength per channel of what comes from below."""


def draw_light(rng: np.random.Generator, background: Floats) -> Light:
    """Random light, tinted and dimmed somewhat as the background (S, S, 3) is."""
    towards = rng.normal(size=3) + [0, -0.8, -0.6]
    half = len(background) // 2
    above, below = (
        _tint(part, rng.uniform(0, 0.6)) for part in (background[:half], background[half:])
    )
    ambient, lamp = rng.uniform(0.25, 0.8), rng.uniform(0.1, 1.0)
    fill = rng.uniform(0.3, 1)
    return Light(
        towards=towards / np.linalg.norm(towards),
        lamp=lamp * rng.uniform(0.85, 1.12, 3),
        sky=ambient * above,
        ground=ambient * fill * below,
    )


def _tint(background: Floats, share: float) -> Floats:
    mean = background.mean(axis=(0, 1)).astype(float) + 20
    colour = mean / mean.mean()
    brightness = (mean.mean() / 128) ** 0.4
    return np.asarray((1 - share) + share * colour * brightness)


def shade(colours: Floats, normals: Floats, openness: Floats, light: Light) -> Floats:
    """Colours of surfaces in a light.

    Args:
        colours: (N, 3) RGB in 0..255.
        normals: (N, 3) unit vectors out of the body, camera axes.
        openness: (N,) how much of its surroundings each point sees, 0..1.
        light: The light.

    Returns:
        (N, 3) RGB in 0..255.
    """
    lit = np.clip(normals @ light.towards * (1 - WRAP) + WRAP, 0, 1)[:, None]
    upward = 0.5 - 0.5 * normals[:, 1:2]
    around = light.sky * upward + light.ground * (1 - upward)
    facing = 0.1 * np.clip(-normals[:, 2:], 0, 1)  # more where the camera looks straight on
    strength = (around + facing) * openness[:, None] + light.lamp * lit
    return np.asarray(np.clip(colours * strength, 0, 255))


def find_openness(depth: Floats, mask: Floats) -> Floats:
    """How free each pixel of a surface is, from 1 down to 0.4 in nooks and behind other parts.

    Args:
        depth: (S, S) metres, anything outside.
        mask: (S, S) 1 on the surface.

    Returns:
        (S, S).
    """
    openness = np.ones_like(mask)
    inside = np.where(mask > 0, depth, 0).astype(np.float32)
    for radius in NOOK_RADII:
        weight = cv2.blur(mask, (radius, radius)) + np.float32(1e-6)
        behind = inside - cv2.blur(inside, (radius, radius)) / weight
        openness -= 0.6 / len(NOOK_RADII) * np.clip(behind / NOOK_DEPTH, 0, 1)
    return openness


def cast_shadow(rng: np.random.Generator, image: Floats, mask: Floats) -> None:
    """Darken the ground under a person, and where its flattened outline falls."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return
    bottom = int(rows[-1])
    columns = np.flatnonzero(mask[max(0, bottom - 3) : bottom + 1].any(axis=0))
    axes = (int(rng.uniform(15, 50)), int(rng.uniform(3, 10)))
    contact = np.zeros(mask.shape, np.float32)
    cv2.ellipse(contact, (int(columns.mean()), bottom), axes, 0, 0, 360, 1.0, -1)
    flat, slant = rng.uniform(-0.4, 0.4), rng.uniform(-1, 1)
    outline = np.array([[1, slant, -slant * bottom], [0, flat, (1 - flat) * bottom]])
    fallen = cv2.warpAffine(mask, outline, mask.shape[::-1])
    shadow = np.maximum(
        cv2.GaussianBlur(contact, (0, 0), 5),
        np.float32(rng.uniform(0, 0.8)) * cv2.GaussianBlur(fallen, (0, 0), rng.uniform(1, 4)),
    )
    image *= 1 - np.float32(rng.uniform(0.3, 0.8)) * shadow[..., None]


def paste(rng: np.random.Generator, image: Floats, colours: Floats, mask: Floats) -> Floats:
    """The picture with a person in front, whose edge is mostly soft."""
    soft = cv2.GaussianBlur(mask, (3, 3), 0.6) if rng.random() < 0.8 else mask
    # Colours reach one pixel over the edge, or a soft edge would be dark.
    spread = cv2.dilate(colours, np.ones((3, 3), np.uint8))
    filled = np.where(mask[..., None] > 0, colours, spread)
    return np.asarray(image * (1 - soft[..., None]) + filled * soft[..., None])


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
    kept = int(size * (rng.uniform(*SQUARE_END) if below else rng.uniform(0.75, 0.95)))
    fill = 0.0 if rng.random() < 0.8 else rng.uniform(0, 255)
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
    if rng.random() < 0.25:
        image = _from_afar(image, rng.uniform(1.2, 3.5))
    if rng.random() < 0.25:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8)), np.float32)
    if rng.random() < 0.1:
        image = np.asarray(cv2.filter2D(image, -1, _motion(rng)), np.float32)
    if rng.random() < 0.15:  # what cameras do to look sharp
        image += np.float32(rng.uniform(0.3, 1)) * (image - cv2.GaussianBlur(image, (0, 0), 1.2))
    gamma = np.float32(rng.uniform(0.75, 1.2))
    exposure = np.clip((rng.uniform(*EXPOSURE) / (image.mean() + 1)) ** 0.6, 0.6, 1.5)
    gain = exposure * rng.uniform(0.93, 1.07, 3)
    image = (np.clip(image, 0, 255) / 255) ** gamma * np.float32(255 * gain)
    image += _noise(rng, image.shape)
    if rng.random() < 0.05:
        image = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    picture = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(30, 90))
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return picture


def _from_afar(image: Floats, ratio: float) -> Floats:
    """The picture as if it had been fewer pixels large, enlarged again."""
    size = round(len(image) / ratio)
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(back, dtype=np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Fine noise, or coarser as small pictures have it once they are enlarged."""
    strength = np.float32(8 * rng.uniform(0, 1) ** 2)
    if rng.random() < 0.5:
        return rng.standard_normal(shape, dtype=np.float32) * strength
    half = rng.standard_normal((shape[0] // 2, shape[1] // 2, 3), dtype=np.float32)
    coarse = cv2.resize(half, shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(coarse * strength, dtype=np.float32)


def _motion(rng: np.random.Generator) -> Floats:
    """Blur kernel of a camera or a person moving in a straight line."""
    kernel = np.zeros((9, 9), np.float32)
    kernel[4] = 1
    turn = cv2.getRotationMatrix2D((4, 4), rng.uniform(0, 180), 1)
    turned = np.asarray(cv2.warpAffine(kernel, turn, (9, 9)), dtype=np.float32)
    return np.asarray(turned / turned.sum())
