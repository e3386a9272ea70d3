"""What synthetic people look like: skin, hair, face, and clothes of many cuts and patterns.

Everything is a function of a point's place on the body at rest and of the body part it lies on,
so one `Look` dresses every vertex (for the drape of loose clothes) and every pixel (for colour).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from smplcli.body.model import BodyModel
from smplcli.conventions import SMPL_JOINTS
from smplcli.errors import UnreadableFileError
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
HAIR_TONES = np.array(
    [
        [15, 15, 18],
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


class Region(IntEnum):
    """What a point of the body is covered with."""

    SKIN = 0
    TROUSERS = 1
    SHIRT = 2
    SHOES = 3
    HAIR = 4


LOOSEST = {Region.SHIRT: 0.035, Region.TROUSERS: 0.03, Region.HAIR: 0.035}
"""Metres by which the loosest clothes, and the fullest hair, stand off the skin."""

JOINT = {name: index for index, name in enumerate(SMPL_JOINTS)}


def _parts(*names: str) -> Ints:
    return np.array(
        [index for index, joint in enumerate(SMPL_JOINTS) if joint.split("_")[-1] in names]
    )


TORSO, HIPS = _parts("spine1", "spine2", "spine3", "collar"), _parts("pelvis", "hip")
THIGHS, SHINS, FEET = _parts("pelvis", "hip"), _parts("knee"), _parts("ankle", "foot")
UPPER_ARMS, LOWER_ARMS = _parts("shoulder"), _parts("elbow")
HEAD, NECK = JOINT["head"], _parts("neck", "spine3")


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Places on a body at rest, metres, y up."""

    joints: Floats
    """(24, 3)."""

    nose: Floats
    eyes: Floats
    """(2, 3)."""

    ground: float
    """Height of the soles."""


def find_landmarks(model: BodyModel) -> Landmarks:
    """Landmarks of a body.

    Raises:
        UnreadableFileError: The body's file does not say where nose and eyes are.
    """
    ids = model.vertex_ids
    if not {"nose", "leye", "reye"} <= set(ids):
        raise UnreadableFileError(f"body does not name its face vertices: {model.name}")
    rest = model.v_template
    return Landmarks(
        joints=model.joint_regressor @ rest,
        nose=rest[ids["nose"]],
        eyes=rest[[ids["leye"], ids["reye"]]],
        ground=float(rest[:, 1].min()),
    )


@dataclass(frozen=True, slots=True)
class Look:
    """Cut of the clothes and of the hair of one person."""

    marks: Landmarks
    hem: float
    """Height of the shirt's lower edge above the pelvis, metres."""

    sleeve: float
    """Reach of the sleeves: 0 none, 1 to the elbow, 2 to the wrist."""

    leg: float
    """Reach of the trousers: 0 mid-thigh, 1 knee, 2 ankle."""

    one_piece: bool
    shoe: float
    """Height of the shoes, metres; 0 for bare feet."""

    hairline: float
    """Height of the hair over the eyes, metres."""

    hair_depth: float
    """How far behind the nose the hair begins, metres."""

    hair_length: float
    """Reach of the hair below the eyes, metres."""

    looseness: dict[Region, float]
    """Metres."""

    folds: Floats
    """(4, 3) directions and phases of the waves in loose clothes."""

    def regions(self, rest: Floats, part: Ints) -> NDArray[np.int64]:
        """Region of points (N, 3) at rest that lie on parts (N,)."""
        region = np.full(len(rest), int(Region.SKIN))
        region[self._trousers(rest, part)] = Region.TROUSERS
        region[self._shirt(rest, part)] = Region.SHIRT
        is_low = rest[:, 1] < self.marks.ground + self.shoe
        region[np.isin(part, FEET) & is_low] = Region.SHOES
        region[self._hair(rest, part)] = Region.HAIR
        return region

    def drape(self, rest: Floats, part: Ints) -> Floats:
        """How far clothes and hair stand off the skin at points (N, 3), metres, (N,)."""
        region = self.regions(rest, part)
        loose = np.array([self.looseness.get(Region(kind), 0.0) for kind in Region])[region]
        waves = np.sin(rest @ self.folds[:3].T + self.folds[3]).mean(axis=1)
        return np.asarray(loose * (0.7 + 0.4 * waves))

    def _trousers(self, rest: Floats, part: Ints) -> NDArray[np.bool_]:
        joints, height = self.marks.joints, rest[:, 1]
        hip, knee, ankle = (joints[JOINT[f"left_{name}"], 1] for name in ("hip", "knee", "ankle"))
        edge = np.interp(self.leg, [0, 1, 2], [(hip + knee) / 2, knee, ankle + 0.04])
        return np.asarray(np.isin(part, [*THIGHS, *SHINS]) & (height > edge))

    def _shirt(self, rest: Floats, part: Ints) -> NDArray[np.bool_]:
        joints, reach = self.marks.joints, np.abs(rest[:, 0])
        over_hem = rest[:, 1] > joints[JOINT["pelvis"], 1] + self.hem
        covered = np.isin(part, TORSO) | (np.isin(part, HIPS) & over_hem)
        shoulder, elbow, wrist = (
            joints[JOINT[f"left_{name}"], 0] for name in ("shoulder", "elbow", "wrist")
        )
        edge = np.interp(self.sleeve, [0, 1, 2], [shoulder, elbow, wrist])
        covered |= np.isin(part, [*UPPER_ARMS, *LOWER_ARMS]) & (reach < edge)
        return np.asarray(covered | (self.one_piece & np.isin(part, [*THIGHS, *TORSO])))

    def _hair(self, rest: Floats, part: Ints) -> NDArray[np.bool_]:
        eyes = self.marks.eyes[:, 1].mean()
        behind = rest[:, 2] - self.marks.nose[2]
        hangs = rest[:, 1] > eyes - 0.03 - self.hair_length
        scalp = (rest[:, 1] > eyes + self.hairline) | ((behind < -self.hair_depth) & hangs)
        down_the_neck = np.isin(part, NECK) & (behind < -0.12) & hangs & (self.hair_length > 0.1)
        return np.asarray(((part == HEAD) & scalp) | down_the_neck)


def draw_look(rng: np.random.Generator, marks: Landmarks) -> Look:
    """A random cut of clothes and hair."""
    worn = {Region.SHIRT: 0.65, Region.TROUSERS: 0.6, Region.HAIR: 1.0}
    return Look(
        marks=marks,
        hem=rng.uniform(-0.25, 0.05),
        sleeve=float(rng.choice([0, rng.uniform(0.3, 1), 2], p=[0.12, 0.43, 0.45])),
        leg=float(rng.choice([0, rng.uniform(0.3, 1.6), 2], p=[0.12, 0.18, 0.7])),
        one_piece=bool(rng.random() < 0.06),
        shoe=float(rng.choice([0, rng.uniform(0.07, 0.2)], p=[0.1, 0.9])),
        hairline=rng.uniform(0.035, 0.06),
        hair_depth=rng.uniform(0.06, 0.1),
        hair_length=float(rng.choice([0, 0.05, 0.12, 0.25], p=[0.45, 0.2, 0.15, 0.2])),
        looseness={
            region: LOOSEST[region] * rng.uniform(0.1, 1) * float(rng.random() < share)
            for region, share in worn.items()
        },
        folds=np.vstack([rng.normal(size=(3, 3)) * rng.uniform(5, 40), rng.uniform(0, 6, 3)]),
    )


def draw_colours(rng: np.random.Generator, look: Look, rest: Floats, part: Ints) -> Floats:
    """Colours (N, 3), RGB in 0..255, of points (N, 3) at rest that lie on parts (N,)."""
    region = look.regions(rest, part)
    skin = SKIN_TONES[rng.integers(len(SKIN_TONES))] * rng.uniform(0.8, 1.1)
    colours = np.tile(skin + rng.normal(0, 6, 3), (len(rest), 1))
    for kind in (Region.TROUSERS, Region.SHIRT, Region.SHOES):
        worn = region == kind
        colours[worn] = _fabric(rng, rest[worn])
    hair = HAIR_TONES[rng.integers(len(HAIR_TONES))] * rng.uniform(0.6, 1.2)
    if rng.random() < 0.1:
        hair = rng.uniform(0, 255, 3)  # hats and caps
    is_bald = rng.random() < 0.06
    shown = (region == Region.HAIR) & (not is_bald)
    colours[shown] = hair + rng.normal(0, 8, (int(shown.sum()), 1))
    face = (part == HEAD) & ~shown
    colours[face] = _face(rng, look.marks, rest[face], colours[face], hair)
    return np.asarray(np.clip(colours, 0, 255))


def _face(
    rng: np.random.Generator, marks: Landmarks, rest: Floats, colours: Floats, hair: Floats
) -> Floats:
    """Eyes, brows, mouth, now and then a beard or glasses: what tells front from back."""
    from_eye = np.linalg.norm(rest[:, None] - marks.eyes, axis=-1).min(axis=1)
    height, behind = rest[:, 1] - marks.eyes[:, 1].mean(), rest[:, 2] - marks.nose[2]
    beard, glasses = rng.random(2) < 0.12
    mouth = marks.nose - [0, 0.04, 0.012]
    from_mouth = np.linalg.norm((rest - mouth) / [2.2, 1, 1.5], axis=1)
    if beard:
        below_nose = (rest[:, 1] < marks.nose[1] - 0.02) & (behind > -0.09)
        colours[below_nose] = 0.4 * colours[below_nose] + 0.6 * hair
    colours[from_mouth < 0.02] *= [0.85, 0.55, 0.55]
    colours[(from_eye < 0.03) & (height > 0.014) & (behind > -0.08)] *= 0.55
    colours[(from_eye < (0.035 if glasses else 0.013)) & (behind > -0.06)] = [30, 25, 25]
    return colours


def _fabric(rng: np.random.Generator, rest: Floats) -> Floats:
    """Colours of cloth at points (N, 3): plain, patterned, perhaps with a print on the front."""
    colours = np.tile(_dye(rng), (len(rest), 1))
    pattern = _PATTERNS[rng.choice(len(_PATTERNS), p=_PATTERN_SHARES)]
    pattern(rng, rest, colours)
    if rng.random() < 0.25:
        half, low = rng.uniform(0.05, 0.12), rng.uniform(-0.1, 0.2)
        printed = (np.abs(rest[:, 0]) < half) & (rest[:, 2] > 0) & (rest[:, 1] > low)
        colours[printed] = rng.uniform(0, 255, 3)
    return colours


def _dye(rng: np.random.Generator) -> Floats:
    """A colour that clothes often have: any, nearly grey, or denim."""
    kind = rng.random()
    if kind < 0.4:
        return rng.uniform(10, 245, 3)
    if kind < 0.75:
        return np.full(3, rng.uniform(10, 240)) + rng.normal(0, 12, 3)
    return rng.uniform([10, 20, 40], [70, 90, 130])


def _plain(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    colours += rng.normal(0, 3, (len(rest), 1))


def _stripes(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    across = np.eye(3)[rng.integers(2)] if rng.random() < 0.6 else _unit(rng.normal(size=3))
    wave = np.sin(rest @ across * rng.uniform(30, 160) + rng.uniform(0, 6))
    colours[wave > rng.uniform(-0.5, 0.7)] = rng.uniform(0, 255, 3)


def _checks(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    fine = rng.uniform(40, 120)
    colours[np.sin(rest[:, 0] * fine) * np.sin(rest[:, 1] * fine) > 0] = rng.uniform(0, 255, 3)


def _blotches(rng: np.random.Generator, rest: Floats, colours: Floats) -> None:
    waves = rng.normal(size=(4, 3)) * rng.uniform(5, 60)
    height = np.sin(rest @ waves.T + rng.uniform(0, 6, 4)).mean(axis=1, keepdims=True)
    colours += height * rng.uniform(20, 120) * rng.normal(1, 0.4, 3)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))


_PATTERNS: tuple[Callable[[np.random.Generator, Floats, Floats], None], ...] = (
    _plain,
    _stripes,
    _checks,
    _blotches,
)
_PATTERN_SHARES = (0.45, 0.22, 0.1, 0.23)
