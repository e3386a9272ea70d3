"""Cut of what synthetic people wear: where cloth, hair and skin are, and how far cloth stands off.

Everything is a function of a point's place on the body at rest and of the body part it lies on,
so one `Look` dresses every vertex (for the drape of loose clothes) and every pixel (for colour).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from smplcli.body.model import BodyModel
from smplcli.conventions import SMPL_JOINTS
from smplcli.errors import UnreadableFileError
from smplcli.types import Floats, Ints


class Region(IntEnum):
    """What a point of the body is covered with."""

    SKIN = 0
    TROUSERS = 1
    SHIRT = 2
    JACKET = 3
    SHOES = 4
    HAIR = 5
    SKIRT = 6
    HAT = 7
    BAG = 8


LOOSEST = {
    Region.SHIRT: 0.035,
    Region.TROUSERS: 0.03,
    Region.JACKET: 0.05,
    Region.SHOES: 0.008,
    Region.HAIR: 0.035,
}
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
    jacket: float
    """Width of the opening of the jacket, metres; negative where there is none."""

    garments: frozenset[Region]
    """What is worn as a mesh of its own."""

    shoe: float
    """Height of the shoes, metres; 0 for bare feet."""

    neckline: float
    """Depth of the shirt's neckline below the neck joint, metres."""

    neck_slope: float
    """How fast the neckline rises to the sides."""

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
        region[self._upper(rest, part, self.hem, self.sleeve)] = Region.SHIRT
        if self.one_piece:
            region[np.isin(part, [*THIGHS, *TORSO])] = Region.SHIRT
        if self.jacket >= 0:
            is_front = rest[:, 2] > self.marks.joints[JOINT["pelvis"], 2]
            is_open = is_front & (np.abs(rest[:, 0]) < self.jacket / 2)
            region[self._upper(rest, part, min(self.hem, -0.05), 1.9) & ~is_open] = Region.JACKET
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

    def _upper(self, rest: Floats, part: Ints, hem: float, sleeve: float) -> NDArray[np.bool_]:
        """Torso down to a hem, and arms down to the end of the sleeves."""
        joints, reach = self.marks.joints, np.abs(rest[:, 0])
        over_hem = rest[:, 1] > joints[JOINT["pelvis"], 1] + hem
        covered = np.isin(part, TORSO) | (np.isin(part, HIPS) & over_hem)
        shoulder, elbow, wrist = (
            joints[JOINT[f"left_{name}"], 0] for name in ("shoulder", "elbow", "wrist")
        )
        edge = np.interp(sleeve, [0, 1, 2], [shoulder, elbow, wrist])
        covered |= np.isin(part, [*UPPER_ARMS, *LOWER_ARMS]) & (reach < edge)
        covered &= ~self._neckline(rest)
        return np.asarray(covered)

    def _neckline(self, rest: Floats) -> NDArray[np.bool_]:
        """What a shirt leaves free below the neck: round or pointed, deeper in front."""
        from_neck = self.marks.joints[JOINT["neck"], 1] - rest[:, 1]
        is_front = rest[:, 2] > self.marks.joints[JOINT["neck"], 2]
        depth = np.where(is_front, self.neckline, 0.03) - self.neck_slope * np.abs(rest[:, 0])
        return np.asarray(from_neck < depth)

    def _hair(self, rest: Floats, part: Ints) -> NDArray[np.bool_]:
        eyes = self.marks.eyes[:, 1].mean()
        behind = rest[:, 2] - self.marks.nose[2]
        hangs = rest[:, 1] > eyes - 0.03 - self.hair_length
        scalp = (rest[:, 1] > eyes + self.hairline) | ((behind < -self.hair_depth) & hangs)
        down_the_neck = np.isin(part, NECK) & (behind < -0.12) & hangs & (self.hair_length > 0.1)
        return np.asarray(((part == HEAD) & scalp) | down_the_neck)


def draw_look(rng: np.random.Generator, marks: Landmarks) -> Look:
    """A random cut of clothes and hair."""
    garments = _draw_garment_kinds(rng)
    worn = {Region.SHIRT: 0.65, Region.TROUSERS: 0.6, Region.JACKET: 0.9, Region.SHOES: 0.7}
    looseness = {
        region: LOOSEST[region] * rng.uniform(0.1, 1) * float(rng.random() < share)
        for region, share in worn.items()
    }
    looseness[Region.HAIR] = LOOSEST[Region.HAIR] * rng.uniform(0.1, 1)
    if Region.HAT in garments:
        looseness[Region.HAIR] = 0.0
    if Region.SKIRT in garments:
        looseness[Region.TROUSERS] = 0.0
    is_long = Region.HAIR in garments
    return Look(
        marks=marks,
        hem=rng.uniform(-0.25, 0.05),
        sleeve=float(rng.choice([0, rng.uniform(0.3, 1), 2], p=[0.12, 0.43, 0.45])),
        leg=_draw_leg(rng, has_skirt=Region.SKIRT in garments),
        one_piece=bool(rng.random() < 0.05),
        jacket=rng.uniform(0, 0.18) if rng.random() < 0.25 else -1.0,
        garments=garments,
        shoe=float(rng.choice([0, rng.uniform(0.07, 0.2)], p=[0.08, 0.92])),
        neckline=rng.choice([-0.03, rng.uniform(-0.03, 0.12)]),
        neck_slope=rng.uniform(0.3, 1.2),
        hairline=rng.uniform(0.035, 0.06),
        hair_depth=rng.uniform(0.06, 0.1),
        hair_length=float(rng.choice([0, 0.05, 0.12, 0.25])) if is_long else 0.0,
        looseness=looseness,
        folds=np.vstack([rng.normal(size=(3, 3)) * rng.uniform(5, 40), rng.uniform(0, 6, 3)]),
    )


def _draw_garment_kinds(rng: np.random.Generator) -> frozenset[Region]:
    shares = {Region.SKIRT: 0.15, Region.HAIR: 0.35, Region.HAT: 0.12, Region.BAG: 0.15}
    return frozenset(region for region, share in shares.items() if rng.random() < share)


def _draw_leg(rng: np.random.Generator, *, has_skirt: bool) -> float:
    """Reach of the trousers, which are often tights under a skirt."""
    shares = [0.6, 0.0, 0.4] if has_skirt else [0.12, 0.18, 0.7]
    return float(rng.choice([0, rng.uniform(0.3, 1.6), 2], p=shares))
