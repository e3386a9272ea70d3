"""Colours of synthetic people: skin, hair and faces, and fabrics of many patterns."""

from collections.abc import Callable

import cv2
import numpy as np

from smplcli.datasets.appearance import HEAD, Landmarks, Look, Region
from smplcli.types import Floats, Ints

SKIN_TONES = np.array(
    [
        [255, 219, 195],
        [244, 208, 177],
        [231, 180, 143],
        [210, 158, 124],
        [187, 119, 80],
        [165, 93, 41],
        [140, 90, 60],
        [105, 66, 40],
        [70, 45, 32],
    ],
    dtype=float,
)
ANY_SKIN = (0, len(SKIN_TONES))

HAIR_TONES = np.array(
    [
        [15, 15, 18],
        [25, 20, 18],
        [35, 25, 18],
        [60, 40, 25],
        [110, 75, 45],
        [90, 45, 25],
        [170, 130, 80],
        [200, 180, 140],
        [130, 130, 130],
        [215, 215, 215],
    ],
    dtype=float,
)
CLOTH = (Region.TROUSERS, Region.SHIRT, Region.JACKET, Region.SHOES, Region.SKIRT, Region.HAT)
DEEPEST_FOLDS = 0.3
"""Largest change of brightness by folds in cloth."""


def draw_colours(
    rng: np.random.Generator,
    look: Look,
    rest: Floats,
    part: Ints,
    region: Ints,
    *,
    skins: tuple[int, int] = ANY_SKIN,
) -> Floats:
    """Colours of points on a person.

    Args:
        rng: Source of chance.
        look: What the person wears.
        rest: (N, 3) the points on the body at rest, metres.
        part: (N,) the parts that they lie on.
        region: (N,) what covers them.
        skins: The first of the possible `SKIN_TONES`, and the one after the last.

    Returns:
        (N, 3) RGB in 0..255.
    """
    skin = SKIN_TONES[rng.integers(*skins)] * rng.uniform(0.8, 1.1)
    colours = np.tile(skin + rng.normal(0, 6, 3), (len(rest), 1))
    colours *= 1 + 0.06 * _waves(rng, rest, 30.0)[:, None]
    for kind in (*CLOTH, Region.BAG):
        worn = region == kind
        colours[worn] = draw_fabric(rng, rest[worn])
    if rng.random() < 0.06:  # suits, tracksuits, dresses
        whole = np.isin(region, [Region.TROUSERS, Region.SHIRT, Region.JACKET, Region.SKIRT])
        colours[whole] = draw_fabric(rng, rest[whole])
    soles = (region == Region.SHOES) & (rest[:, 1] < look.marks.ground + 0.02)
    colours[soles] = rng.choice([20, 90, 235])
    hair = HAIR_TONES[rng.integers(len(HAIR_TONES))] * rng.uniform(0.6, 1.2)
    if rng.random() < 0.03:
        hair = rng.uniform(0, 255, 3)
    is_bald = Region.HAIR not in look.garments and rng.random() < 0.08
    shown = (region == Region.HAIR) & (not is_bald)
    strands = 1 + 0.25 * _waves(rng, rest[shown] * [1, 0.2, 1], 150.0)[:, None]
    colours[shown] = hair * strands + rng.normal(0, 4, (int(shown.sum()), 1))
    face = (part == HEAD) & (region == Region.SKIN)
    colours[face] = _face(rng, look.marks, rest[face], colours[face], hair)
    cloth = np.isin(region, CLOTH)
    colours[cloth] *= 1 + rng.uniform(0, DEEPEST_FOLDS) * _folds(rng, rest[cloth])[:, None]
    return np.asarray(np.clip(colours, 0, 255))


def draw_dye(rng: np.random.Generator) -> Floats:
    """A colour (3,) that made things often have: muted, grey, black, white, denim, or loud."""
    kind = rng.random()
    if kind < 0.3:
        grey = rng.choice([rng.uniform(8, 45), rng.uniform(45, 200), rng.uniform(200, 245)])
        return np.asarray(np.clip(grey + rng.normal(0, 6, 3), 0, 255))
    if kind < 0.45:
        return rng.uniform([10, 20, 40], [80, 105, 150])
    vivid = kind > 0.85
    hue, value = rng.uniform(0, 180), rng.uniform(30, 245)
    saturation = rng.uniform(140, 255) if vivid else rng.uniform(15, 140)
    pixel = np.array([[[hue, saturation, value]]], dtype=np.uint8)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0], dtype=float)


def draw_fabric(rng: np.random.Generator, rest: Floats) -> Floats:
    """Colours of cloth at points (N, 3): plain, patterned, perhaps with a print on the front."""
    colours = np.tile(draw_dye(rng), (len(rest), 1))
    _PATTERNS[rng.choice(len(_PATTERNS), p=_PATTERN_SHARES)](rng, rest, colours)
    if rng.random() < 0.2:
        _print(rng, rest, colours)
    return colours


def _face(
    rng: np.random.Generator, marks: Landmarks, rest: Floats, colours: Floats, hair: Floats
) -> Floats:
    """Eyes, brows, mouth, now and then a beard or glasses: what tells front from back."""
    from_eye = np.linalg.norm((rest[:, None] - marks.eyes) / [1.5, 1, 1.5], axis=-1).min(axis=1)
    height, behind = rest[:, 1] - marks.eyes[:, 1].mean(), rest[:, 2] - marks.nose[2]
    beard, mask = rng.random(2) < [0.15, 0.04]
    glasses = rng.random()
    mouth = marks.nose - [0, 0.04, 0.012]
    from_mouth = np.linalg.norm((rest - mouth) / [2.2, 1, 1.5], axis=1)
    colours *= (1 - 0.2 * np.exp(-((from_eye / 0.016) ** 2)))[:, None]
    below_nose = (height < -0.05) & (behind > -0.09)
    if beard:
        colours[below_nose] = 0.4 * colours[below_nose] + 0.6 * hair
    colours[from_mouth < 0.012] *= [0.85, 0.55, 0.55]
    if mask:
        colours[(height < -0.02) & (behind > -0.08)] = draw_dye(rng)
    in_front, aside = behind > -0.06, np.abs(rest[:, 0])
    brow = (np.abs(height - 0.02) < 0.005) & in_front & (aside > 0.012) & (aside < 0.055)
    colours[brow] = 0.4 * colours[brow] + 0.6 * hair
    if glasses < 0.05:
        colours[(from_eye < 0.026) & in_front] = [25, 22, 25]
    elif glasses < 0.15:
        colours[(np.abs(from_eye - 0.022) < 0.003) & in_front] = [40, 35, 35]
    colours[(from_eye < 0.008) & in_front] = [225, 220, 215]
    colours[(from_eye < 0.0055) & in_front] = [35, 25, 20]
    return colours


def _folds(rng: np.random.Generator, rest: Floats) -> Floats:
    """Creases of cloth at points (N, 3): waves that bend other waves, in -1..1."""
    bent = rest + 0.03 * np.sin(rest[:, [1, 2, 0]] * rng.uniform(10, 40) + rng.uniform(0, 6, 3))
    return 0.6 * _waves(rng, bent, 25.0) + 0.4 * _waves(rng, bent, 60.0)


def _waves(rng: np.random.Generator, rest: Floats, frequency: float) -> Floats:
    """Sum of three plane waves at points (N, 3), in -1..1."""
    directions = rng.normal(size=(3, 3)) * frequency
    return np.asarray(np.sin(rest @ directions.T + rng.uniform(0, 6, 3)).mean(axis=1))


def _plain(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    colours += rng.normal(0, 3, (len(rest), 1))


def _stripes(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    across = np.eye(3)[rng.integers(2)] if rng.random() < 0.7 else _unit(rng.normal(size=3))
    wave = np.sin(rest @ across * rng.uniform(30, 160) + rng.uniform(0, 6))
    colours[wave > rng.uniform(-0.5, 0.8)] = draw_dye(rng)


def _checks(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    fine, width = rng.uniform(40, 120), rng.uniform(-0.3, 0.7)
    first, second = draw_dye(rng), draw_dye(rng)
    for axis, dye in ((0, first), (1, second)):
        on_line = np.sin(rest[:, axis] * fine) > width
        colours[on_line] = 0.5 * colours[on_line] + 0.5 * dye


def _dots(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    fine = rng.uniform(40, 130)
    is_dot = np.sin(rest[:, 0] * fine) * np.sin(rest[:, 1] * fine) > rng.uniform(0.4, 0.8)
    colours[is_dot] = draw_dye(rng)


def _blotches(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    height = _waves(rng, rest, rng.uniform(10, 80))
    if rng.random() < 0.4:
        colours[height > rng.uniform(-0.1, 0.4)] = draw_dye(rng)
    else:
        colours += height[:, None] * rng.uniform(20, 100) * rng.normal(1, 0.3, 3)


def _blocks(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    """One colour to some height, or on one side, another beyond."""
    axis, edge = (1, rng.uniform(-0.6, 0.25)) if rng.random() < 0.7 else (0, 0.0)
    colours[rest[:, axis] > edge] = draw_dye(rng)


def _print(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    """A rectangle or a disc on the front or on the back, plain or with lines like writing."""
    centre = np.array([rng.normal(0, 0.04), rng.uniform(0, 0.22)])
    half = rng.uniform(0.03, [0.1, 0.09])
    away = np.abs(rest[:, :2] - centre) / half
    inside = away.max(axis=1) < 1 if rng.random() < 0.6 else (away**2).sum(axis=1) < 1
    inside &= (rest[:, 2] > 0.03) == (rng.random() < 0.75)
    if rng.random() < 0.5:
        inside &= np.sin(rest[:, 1] * rng.uniform(90, 250)) > -0.2
    colours[inside] = draw_dye(rng)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))


_PATTERNS: tuple[Callable[[np.random.Generator, Floats, Floats], None], ...] = (
    _plain,
    _stripes,
    _checks,
    _dots,
    _blotches,
    _blocks,
)
_PATTERN_SHARES = (0.5, 0.14, 0.1, 0.04, 0.14, 0.08)
