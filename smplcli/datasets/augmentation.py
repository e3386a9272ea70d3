"""How training samples are varied: which square is shown, and what is done to its picture."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from smplcli.datasets.cutouts import Cutouts
from smplcli.types import Floats, Pixels


class AugmentationConfig(BaseModel):
    """How far training samples stray from what was photographed."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    mirror: float = Field(default=0.5, ge=0, le=1)
    """Share of mirrored samples."""

    rotation: float = Field(default=15.0, ge=0, le=90)
    """Standard deviation of the turn in the picture plane, degrees; cut off at twice that."""

    scale: float = Field(default=0.12, ge=0, lt=1)
    """Standard deviation of the logarithm of the crop's size."""

    shift: float = Field(default=0.06, ge=0, lt=1)
    """Standard deviation of the crop's place, over its side."""

    truncation: float = Field(default=0.0, ge=0, le=1)
    """Share of samples of which only some part is shown."""

    colour: float = Field(default=0.2, ge=0, lt=1)
    """Spread of brightness, contrast and colour balance."""

    blur: float = Field(default=0.0, ge=0, le=1)
    """Share of samples that moved while they were photographed."""

    occluders: float = Field(default=0.0, ge=0, le=1)
    """Share of samples with things before them, cut out of other samples."""

    occluder_dir: Path | None = None
    """Folder of pictures to take these things from instead; transparent parts are left out."""

    erasing: float = Field(default=0.0, ge=0, le=1)
    """Share of samples of which some limbs are erased."""

    detected: float = Field(default=0.6, ge=0, le=1)
    """Share of samples that use the detector's keypoints, where it found any, not made-up ones."""

    withheld: float = Field(default=0.0, ge=0, le=1)
    """Share of samples that are told some of their keypoints only."""


GREY_SHARE = 0.05
"""Share of pictures without colour."""

SHOWN = (0.45, 0.8)
"""Side of what is shown of truncated samples, over the person's square."""

BLURRED = 0.05
"""Longest way that a sample moves while it is photographed, over the crop's side."""

MOST_OCCLUDERS, OCCLUDER_SIZE = 3, (0.1, 0.45)
"""How many things stand before a sample at most, and their sides over the crop's."""

WITHHELD = 0.35
"""Share of the keypoints that these samples are not told."""

MOST_ERASED, ERASED_SIZE = 3, (0.08, 0.25)
"""How many keypoints are erased at most, and the sides of what is erased over the crop's."""


class Plan(NamedTuple):
    """The square that a sample shows."""

    center: Floats
    size: float
    rotation: float
    mirror: bool
    truncated: bool = False


def draw_plan(
    center: Floats, size: float, augmentation: AugmentationConfig | None, rng: np.random.Generator
) -> Plan:
    """Which square to show of somebody whose square is given, all of it without augmentation."""
    center, size = center.astype(np.float64), float(size)
    if augmentation is None:
        return Plan(center, size, 0.0, mirror=False)
    spread = np.radians(augmentation.rotation)
    turn, zoom, *shift = np.clip(rng.normal(size=4), -2, 2)
    center = center + np.array(shift) * augmentation.shift * size
    size *= float(np.exp(zoom * augmentation.scale))
    mirror = bool(rng.random() < augmentation.mirror)
    truncated = bool(augmentation.truncation and rng.random() < augmentation.truncation)
    if truncated:
        share = rng.uniform(*SHOWN)
        center = center + rng.uniform(-0.5, 0.5, 2) * (1 - share) * size
        size *= share
    return Plan(center, size, float(turn * spread), mirror, truncated)


def disturb_picture(
    image: Pixels,
    keypoints: Floats,
    cutouts: Cutouts,
    augmentation: AugmentationConfig,
    rng: np.random.Generator,
) -> Pixels:
    """A crop behind things, with limbs erased, blurred, in other light: in this order.

    Args:
        image: (3, S, S), is written to.
        keypoints: (17, 3) x, y in crop pixels, and confidence.
        cutouts: What may stand before people.
        augmentation: How often.
        rng: Source of chance.
    """
    if augmentation.occluders and rng.random() < augmentation.occluders:
        for _ in range(rng.integers(1, MOST_OCCLUDERS + 1)):
            _occlude(image, cutouts, rng)
    if augmentation.erasing and rng.random() < augmentation.erasing:
        _erase(image, keypoints, rng)
    if augmentation.blur and rng.random() < augmentation.blur:
        image = _blur(image, rng)
    return _recolour(image, augmentation.colour, rng)


def _occlude(image: Pixels, cutouts: Cutouts, rng: np.random.Generator) -> None:
    size = image.shape[-1]
    patch, mask = cutouts[int(rng.integers(len(cutouts)))]
    side = max(2, int(rng.uniform(*OCCLUDER_SIZE) * size))
    left, top = (rng.uniform(0, size, 2) - side / 2).astype(int).tolist()
    x, y = max(left, 0), max(top, 0)
    there = image[:, y : top + side, x : left + side]
    shown = (slice(y - top, y - top + there.shape[1]), slice(x - left, x - left + there.shape[2]))
    thing = cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA)[shown]
    cover = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)[shown].astype(np.uint16)
    # In 255ths, rounded down: nobody sees it, and whole numbers take half the time of fractions.
    there[:] = (thing.transpose(2, 0, 1) * cover + there * (255 - cover)) // 255


def _erase(image: Pixels, keypoints: Floats, rng: np.random.Generator) -> None:
    """Noise over some of the keypoints that the crop shows.

    Source:
        Zhong et al., "Random Erasing Data Augmentation", AAAI 2020, at the joints.
    """
    size = image.shape[-1]
    inside = (keypoints[:, 2] > 0) & ((keypoints[:, :2] >= 0) & (keypoints[:, :2] < size)).all(1)
    seen = np.flatnonzero(inside)
    count = min(int(rng.integers(1, MOST_ERASED + 1)), len(seen))
    for joint in rng.permutation(seen)[:count]:
        width, height = (rng.uniform(*ERASED_SIZE, 2) * size).astype(int) + 1
        left, top = np.maximum(keypoints[joint, :2].astype(int) - (width // 2, height // 2), 0)
        there = image[:, top : top + height, left : left + width]
        there[:] = rng.integers(0, 256, there.shape, dtype=np.uint8)


def _blur(image: Pixels, rng: np.random.Generator) -> Pixels:
    reach = rng.uniform(1, max(1.5, BLURRED * image.shape[-1]))
    angle = rng.uniform(0, np.pi)
    half = int(np.ceil(reach / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    way = reach / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = (np.stack([half - way, half + way]) * 256).round().astype(int).tolist()
    cv2.line(kernel, tuple(ends[0]), tuple(ends[1]), 1.0, 1, cv2.LINE_AA, 8)
    kernel /= kernel.sum()
    return np.stack([cv2.filter2D(plane, -1, kernel) for plane in image])


def _recolour(image: Pixels, spread: float, rng: np.random.Generator) -> Pixels:
    """Other light: gain per channel, contrast about the mean, and now and then no colour."""
    gain = np.exp(rng.normal(size=3) * spread * 0.5 + rng.normal() * spread)
    contrast = np.exp(rng.normal() * spread)
    if rng.random() < GREY_SHARE:
        image[:] = image.mean(axis=0)
    middle = sum(cv2.mean(plane)[0] for plane in image) / len(image)
    for plane, brighter in zip(image, gain.tolist(), strict=True):
        slope = contrast * brighter
        cv2.addWeighted(plane, slope, plane, 0, middle * (brighter - slope), dst=plane)
    return image
