"""Places made up without photographs: rooms, streets, fields, drawn in rough perspective."""

from collections.abc import Callable

import cv2
import numpy as np

from smplcli.datasets.colouring import draw_dye
from smplcli.types import Floats


def draw_scenery(rng: np.random.Generator, size: int) -> Floats:
    """A made-up place (size, size, 3), RGB, about 0..255, float32."""
    kind = rng.random()
    for share, draw in _PLACES:
        if kind < share:
            return draw(rng, size)
        kind -= share
    return draw_noise(rng, size)


def draw_noise(rng: np.random.Generator, size: int) -> Floats:
    """Noise in octaves around a colour, or a gradient between two colours."""
    if rng.random() < 0.2:
        ramp = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
        ends = np.array([draw_dye(rng), draw_dye(rng)], dtype=np.float32)
        return np.repeat(ends[0] * (1 - ramp) + ends[1] * ramp, size, axis=1)
    grain = _octaves(rng, size, rng.uniform(0.5, 1.2))
    colourful = _octaves(rng, size, 1.0, channels=3) * np.float32(rng.choice([2, 5, 20]))
    shade = grain * np.float32(rng.uniform(5, 40))
    return np.asarray(draw_dye(rng) + shade[..., None] + colourful, dtype=np.float32)


def draw_material(rng: np.random.Generator, size: int) -> Floats:
    """A surface (size, size, 3): noise, perhaps with planks, bricks, tiles or stripes."""
    colour = draw_dye(rng).astype(np.float32)
    grain = _octaves(rng, size, rng.uniform(0.3, 1.0)) * np.float32(rng.uniform(1, 18))
    image = colour + grain[..., None]
    kind = rng.random()
    if kind < 0.5:
        return image
    y, x = np.mgrid[:size, :size].astype(np.float32)
    height = rng.uniform(0.03, 0.2) * size
    width = height * rng.uniform(0.7, 4)
    row = np.floor(y / height)
    along = x / width + 0.5 * (row % 2) * (kind > 0.7)
    tone = np.sin(row * 12.99 + np.floor(along) * 78.23) * rng.uniform(0, 15)
    if kind < 0.9:
        joint = rng.uniform(0.02, 0.1)
        is_joint = ((y / height) % 1 < joint) | (along % 1 < joint)
        image = image + tone[..., None] - is_joint[..., None] * rng.uniform(-30, 60)
    else:
        image[row % 2 > 0] = draw_dye(rng)
    return image.astype(np.float32)


def draw_box(
    rng: np.random.Generator, image: Floats, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """A block seen from a little above and aside, each face in a light of its own.

    Args:
        rng: Source of chance.
        image: Drawn into.
        corner: x, y of the upper left corner of its front.
        size: Width and height of its front.
    """
    (x, y), (width, height) = corner, size
    dye = draw_dye(rng)
    aside = int(rng.uniform(-0.5, 0.5) * width)
    up = int(rng.uniform(0.05, 0.4) * width)
    right = x + width if aside > 0 else x
    top = np.array([[x, y], [x + width, y], [x + width + aside, y - up], [x + aside, y - up]])
    flank = np.array(
        [
            [right, y],
            [right, y + height],
            [right + aside, y + height - up],
            [right + aside, y - up],
        ]
    )
    cv2.fillConvexPoly(image, flank, (dye * rng.uniform(0.4, 0.8)).tolist(), cv2.LINE_AA)
    cv2.fillConvexPoly(image, top, (dye * rng.uniform(1.0, 1.4)).tolist(), cv2.LINE_AA)
    cv2.rectangle(image, (x, y), (x + width, y + height), dye.tolist(), -1)
    for row in np.linspace(y, y + height, rng.integers(2, 6))[1:-1]:
        cv2.line(image, (x, int(row)), (x + width, int(row)), (dye * 0.6).tolist(), 1)


def _octaves(
    rng: np.random.Generator, size: int, roughness: float, *, channels: int = 1
) -> Floats:
    """Noise (size, size) or (size, size, channels) of about unit spread, finer ones weaker."""
    image = np.zeros((size, size) if channels == 1 else (size, size, channels), np.float32)
    for octave, cells in enumerate((3, 6, 12, 24, 48, 96)):
        shape = (cells, cells) if channels == 1 else (cells, cells, channels)
        grid = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.75 * roughness**octave)
        image += cv2.resize(grid, (size, size), interpolation=cv2.INTER_LINEAR)
    return image


def _lay_ground(rng: np.random.Generator, image: Floats, horizon: int) -> None:
    """Fill the picture below the horizon with a material that recedes."""
    size = len(image)
    material = draw_material(rng, size)
    spread = rng.uniform(1.5, 6) * size
    turn = rng.uniform(-0.5, 0.5) * size
    source = np.array([[0, 0], [size, 0], [size, size], [0, size]], dtype=np.float32)
    target = np.array(
        [[0, horizon], [size, horizon], [size / 2 + spread, size], [size / 2 - spread, size]],
        dtype=np.float32,
    )
    target[2:, 0] += turn
    warp = cv2.getPerspectiveTransform(source, target)
    flags = cv2.INTER_LINEAR
    ground = cv2.warpPerspective(
        material, warp, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT
    )
    image[horizon:] = ground[horizon:]


def _room(rng: np.random.Generator, size: int) -> Floats:
    image = draw_material(rng, size)
    horizon = int(size * rng.uniform(0.5, 0.95))
    if rng.random() < 0.5:
        corner = int(size * rng.uniform(0.1, 0.9))
        image[:, corner:] *= np.float32(rng.uniform(0.6, 0.95))
    _lay_ground(rng, image, horizon)
    skirting = (draw_dye(rng)).tolist()
    cv2.rectangle(image, (0, horizon - int(rng.integers(1, 10))), (size, horizon), skirting, -1)
    for _ in range(rng.integers(0, 4)):
        _hang_picture(rng, image, horizon)
    for _ in range(rng.integers(0, 5)):
        _stand_box(rng, image, horizon)
    light = _octaves(rng, size, 0.2)
    return np.asarray(image * (1 + np.float32(rng.uniform(0, 0.2)) * light[..., None]))


def _hang_picture(rng: np.random.Generator, image: Floats, horizon: int) -> None:
    """A window, a door, a picture or a shelf on the wall."""
    size = len(image)
    x, y = int(rng.uniform(-0.1, 0.9) * size), int(rng.uniform(0, 0.7) * horizon)
    width, height = (int(value) for value in rng.uniform(0.08, 0.4, 2) * size)
    if rng.random() < 0.3:
        height = max(horizon - y, 1)
    end = (min(x + width, size), min(y + height, horizon))
    frame = draw_dye(rng).tolist()
    inside = image[max(y, 0) : end[1], max(x, 0) : end[0]]
    inside[:] = draw_noise(rng, size)[: inside.shape[0], : inside.shape[1]]
    if rng.random() < 0.4:
        inside += np.float32(rng.uniform(20, 120))
    cv2.rectangle(image, (x, y), end, frame, int(rng.integers(1, 6)))
    if rng.random() < 0.4:
        middle = (x + end[0]) // 2
        cv2.line(image, (middle, y), (middle, end[1]), frame, int(rng.integers(1, 4)))


def _stand_box(rng: np.random.Generator, image: Floats, horizon: int) -> None:
    """Furniture, a car or a crate that stands on the ground."""
    size = len(image)
    base = int(rng.uniform(horizon, size * 1.05))
    near = 0.4 + (base - horizon) / size
    width, height = (int(value) for value in rng.uniform(0.1, 0.5, 2) * size * near)
    draw_box(rng, image, (int(rng.uniform(-0.2, 1) * size), base - height), (width, height))


def _street(rng: np.random.Generator, size: int) -> Floats:
    image = _sky(rng, size)
    horizon = int(size * rng.uniform(0.4, 0.85))
    left = int(-0.2 * size)
    while left < size:
        width = int(rng.uniform(0.1, 0.5) * size)
        if rng.random() < 0.85:
            _build_house(rng, image, left, width, horizon)
        left += width
    _lay_ground(rng, image, horizon)
    for _ in range(rng.integers(0, 4)):
        _stand_box(rng, image, horizon)
    for _ in range(rng.integers(0, 4)):
        x, top = int(rng.uniform(0, size)), int(rng.uniform(0, 0.6) * size)
        thick = int(rng.integers(1, 6))
        cv2.line(image, (x, top), (x, horizon + 10), draw_dye(rng).tolist(), thick)
    if rng.random() < 0.5:
        _plant(rng, image, horizon)
    return image


def _build_house(
    rng: np.random.Generator, image: Floats, left: int, width: int, ground: int
) -> None:
    size = len(image)
    top = int(rng.uniform(-0.2, 0.8) * ground)
    x0, x1, y0 = max(left, 0), min(left + width, size), max(top, 0)
    if x1 <= x0 or ground <= y0:
        return
    wall = draw_material(rng, size)[: ground - y0, : x1 - x0]
    cell, rise = rng.uniform(0.04, 0.12) * size, rng.uniform(0.05, 0.15) * size
    y, x = np.mgrid[: wall.shape[0], : wall.shape[1]]
    share = rng.uniform(0.3, 0.7)
    window = ((x / cell) % 1 < share) & ((y / rise) % 1 < share * rng.uniform(0.8, 1.2))
    wall[window] = draw_dye(rng) * rng.uniform(0.3, 1)
    image[y0:ground, x0:x1] = wall


def _field(rng: np.random.Generator, size: int) -> Floats:
    image = _sky(rng, size)
    horizon = int(size * rng.uniform(0.3, 0.8))
    columns = np.arange(size)
    for depth in range(int(rng.integers(0, 3))):
        wave = np.sin(columns * rng.uniform(0.01, 0.05) + rng.uniform(0, 6)) * rng.uniform(3, 25)
        ridge = (horizon - rng.uniform(5, 40) * (2 - depth) / 2 + wave).astype(int)
        hill = rng.uniform([30, 50, 20], [130, 150, 150])
        image[np.arange(size)[:, None] > ridge[None]] = hill
    _lay_ground(rng, image, horizon)
    if rng.random() < 0.6:
        tint = rng.uniform([50, 80, 20], [130, 160, 80]).astype(np.float32)
        image[horizon:] = 0.35 * image[horizon:] + 0.65 * tint
        blades = rng.standard_normal((size - horizon, size), dtype=np.float32) * 18
        image[horizon:] += cv2.blur(blades, (1, 3))[..., None]
    for _ in range(rng.integers(0, 4)):
        _plant(rng, image, horizon)
    return image


def _plant(rng: np.random.Generator, image: Floats, ground: int) -> None:
    """A tree or a bush: a trunk, and leaves where noise is high."""
    size = len(image)
    x, radius = int(rng.uniform(0, size)), int(rng.uniform(0.08, 0.3) * size)
    y = ground - int(rng.uniform(0.5, 2) * radius)
    trunk = rng.uniform([40, 30, 20], [110, 90, 70]).tolist()
    cv2.line(image, (x, y), (x, ground + 5), trunk, max(1, radius // 8))
    rows, columns = np.mgrid[:size, :size]
    away = np.hypot(columns - x, rows - y) / radius
    noise = _octaves(rng, size, 0.9)
    leaves = away + 0.25 * noise < 0.9
    green = rng.uniform([20, 50, 10], [110, 140, 70])
    image[leaves] = green * (1 + 0.25 * noise[leaves, None])


def _sky(rng: np.random.Generator, size: int) -> Floats:
    zenith = rng.uniform([60, 90, 120], [200, 215, 255]).astype(np.float32)
    haze = np.clip(zenith + rng.uniform(0, 80), 0, 255).astype(np.float32)
    ramp = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    image = np.repeat(zenith * (1 - ramp) + haze * ramp, size, axis=1)
    clouds = np.clip(_octaves(rng, size, 0.6) + rng.uniform(-1, 0.5), 0, 1)[..., None]
    return np.asarray(image + (245 - image) * clouds * np.float32(rng.uniform(0, 1)), np.float32)


_PLACES: tuple[tuple[float, Callable[[np.random.Generator, int], Floats]], ...] = (
    (0.4, _room),
    (0.25, _street),
    (0.2, _field),
)
