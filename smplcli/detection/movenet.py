"""People in a picture, box and COCO keypoints of each, by MoveNet MultiPose."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch

from smplcli.detection.maps import PeopleMaps, read_people
from smplcli.detection.people import (
    Detection,
    add_unknown,
    confirmed,
    covered_share,
    merge_duplicates,
)
from smplcli.files import asset
from smplcli.models.inference import Precision, prepare_module, resolve_precision
from smplcli.models.movenet import load_movenet
from smplcli.types import Floats, Pixels

LONGEST_SIDES = (256, 512)
"""Input sizes run on every picture: the smaller sees large people whole, the larger small ones."""

MIN_SCORE = 0.2
"""Findings with a lower score are mostly ghosts."""

UNSURE_SCORE = 0.1
"""Score from which a finding counts if another pass has it too."""

MIN_CONFIDENT_KEYPOINTS = 5
"""Findings with fewer seen keypoints are mostly ghosts, whatever their score."""

MIN_SOUGHT_SCORE = 0.3
"""Least score where nobody is found at first and the picture is searched in tiles and turned; on
44 without people, turned three ways, five ghosts had between 0.2 and this."""

MANY = 5
"""Where there are so many people, some may be too small, and quarters are looked at too; ..."""

SMALL_PERSON = 0.2
"""... likewise where they are smaller than this, over the longer side of what is looked at; ..."""

MIN_TILE = 256
"""... if quarters have so many pixels a side."""

LARGE = 1024
"""Pictures so long are looked at in quarters where nobody is found."""

MAX_DEPTH = 2
"""How often quarters are quartered."""

TILE_OVERLAP = 0.25
"""Of neighbouring tiles, over their sides: who is cut by one is mostly whole in another."""

CUT_MARGIN = 0.03
"""Who comes this near to an edge of a tile within the picture, over its sides, may be cut, ..."""

PART = 0.6
"""... and is part of somebody whose box covers so much of theirs."""

_STRIDE = 32
_CELL = 4
"""Sides of an input are multiples of the one, pixels, and maps have cells of the other."""


class PersonDetector:
    """Finds people and their COCO-17 keypoints.

    Args:
        longest_sides: Lengths in pixels to which the longer side of the picture is brought, one
            pass each. What the passes find is merged.
        min_score: Least score of a finding, 0..1.
        device: Where the network computes; the processor if not said.
        precision: What it computes in; ``auto`` is bf16 where there are instructions for it.

    Raises:
        ConfigError: The device does not compute in that precision.
    """

    def __init__(
        self,
        *,
        longest_sides: Sequence[int] = LONGEST_SIDES,
        min_score: float = MIN_SCORE,
        device: torch.device | None = None,
        precision: Precision = "auto",
    ) -> None:
        self._device = device or torch.device("cpu")
        chosen = resolve_precision(precision, self._device, takes_long=True)
        network = load_movenet(asset("detector.onnx")).to(self._device)
        self._network = prepare_module(network, chosen)
        self._longest_sides = tuple(longest_sides)
        self._min_score = min_score

    def detect(self, image: Pixels) -> list[Detection]:
        """Find the people in one picture.

        Args:
            image: RGB, (height, width, 3), 0..255.

        Returns:
            One finding per person, surest first.
        """
        whole, cut = self._look(image, MAX_DEPTH)
        others = [x for x in cut if all(covered_share(x.bbox, y.bbox) < PART for y in whole)]
        return add_unknown(whole, others) or merge_duplicates(self._detect_turned(image))

    def _look(self, image: Pixels, depth: int) -> tuple[list[Detection], list[Detection]]:
        """People in a picture, and people who may be cut by the edges of its tiles."""
        unsure = min(UNSURE_SCORE, self._min_score)
        passes = [self._pass(image, side, unsure) for side in self._longest_sides]
        everybody = confirmed(passes, MIN_SCORE)
        whole = merge_duplicates(x for x in everybody if x.score >= self._min_score)
        cut: list[Detection] = []
        if depth and _needs_tiles(image, whole):
            least = 0.0 if whole else MIN_SOUGHT_SCORE
            for tile in _quarters(image):
                in_tile, cut_in_tile = (
                    [person for person in found if person.score >= least]
                    for found in self._look(tile.pixels, depth - 1)
                )
                whole += [tile.to_picture(x) for x in in_tile if not tile.cuts(x)]
                cut += [tile.to_picture(x) for x in cut_in_tile + in_tile]
        return merge_duplicates(whole), cut

    def _detect_turned(self, image: Pixels) -> list[Detection]:
        """People in a picture on its side or upside down: the network hardly knows who lies."""
        everybody = []
        for turns in range(1, 4):
            turned = np.ascontiguousarray(np.rot90(image, turns))
            for side in self._longest_sides:
                found = self._pass(turned, side, max(self._min_score, MIN_SOUGHT_SCORE))
                everybody += [_turned_back(x, turned.shape, turns) for x in found]
        return everybody

    def _pass(self, image: Pixels, longest_side: int, least: float) -> list[Detection]:
        return [
            person
            for person in self._run(image, longest_side, least)
            if person.num_confident >= MIN_CONFIDENT_KEYPOINTS
        ]

    @torch.inference_mode()
    def _run(self, image: Pixels, longest_side: int, least: float) -> list[Detection]:
        padded, resized = _to_input(image, longest_side)
        pixels = torch.from_numpy(padded).to(self._device)[None].permute(0, 3, 1, 2)
        maps = (x[0].float().cpu().numpy() for x in self._network(pixels / 127.5 - 1))
        scale = _CELL * np.array(image.shape[1::-1]) / resized
        return [_scaled(person, scale) for person in read_people(PeopleMaps(*maps), least)]


class _Tile(NamedTuple):
    """A part of a picture."""

    left: int
    top: int
    pixels: Pixels
    picture_size: tuple[int, int]
    """Width and height of the picture."""

    def to_picture(self, person: Detection) -> Detection:
        """A finding in the tile, where it is in the picture."""
        points, shift = person.keypoints, np.array([self.left, self.top])
        keypoints = np.concatenate([points[:, :2] + shift, points[:, 2:]], axis=1)
        return person._replace(bbox=person.bbox + np.tile(shift, 2), keypoints=keypoints)

    def cuts(self, person: Detection) -> bool:
        """Whether somebody may go on beyond an edge that is not the picture's."""
        size = np.array(self.pixels.shape[1::-1])
        corner, margin = np.array([self.left, self.top]), CUT_MARGIN * size
        low, high = person.bbox[:2] < margin, person.bbox[2:] > size - 1 - margin
        return bool(
            (low & (corner > 0)).any() or (high & (corner + size < self.picture_size)).any()
        )


def _needs_tiles(image: Pixels, found: Sequence[Detection]) -> bool:
    """Whether people are so many, so small, or the picture so large, that there may be more."""
    longer_side: int = max(image.shape[:2])
    if not found:
        return longer_side >= LARGE
    if longer_side < 2 * MIN_TILE:
        return False
    sides = [(person.bbox[2:] - person.bbox[:2]).max() for person in found]
    return len(found) >= MANY or float(np.median(sides)) < SMALL_PERSON * longer_side


def _quarters(image: Pixels) -> Iterator[_Tile]:
    """Overlapping quarters of a picture."""
    height, width = image.shape[:2]
    tall, wide = (round(side * (1 + TILE_OVERLAP) / 2) for side in (height, width))
    for y in (0, height - tall):
        for x in (0, width - wide):
            yield _Tile(x, y, image[y : y + tall, x : x + wide], (width, height))


def _turned_back(found: Detection, shape: tuple[int, ...], turns: int) -> Detection:
    """A finding of a picture of some shape that had been turned against the clock."""
    keypoints, corners = found.keypoints.copy(), found.bbox.reshape(2, 2).copy()
    height, width = shape[:2]
    for _ in range(turns):
        for points in (keypoints, corners):
            points[:, :2] = np.stack([height - 1 - points[:, 1], points[:, 0]], axis=1)
        height, width = width, height
    bbox = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    return found._replace(bbox=bbox, keypoints=keypoints)


def _to_input(image: Pixels, longest_side: int) -> tuple[Pixels, tuple[int, int]]:
    """Picture resized, and padded at the right and bottom; and its size before padding."""
    height, width = image.shape[:2]
    scale = longest_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(image, size, interpolation=how)
    rows, columns = (-(-length // _STRIDE) * _STRIDE for length in (size[1], size[0]))
    padded = np.zeros((rows, columns, 3), np.uint8)
    padded[: size[1], : size[0]] = resized
    return padded, size


def _scaled(person: Detection, scale: Floats) -> Detection:
    """A finding in pixels, ``scale`` of which are a cell, x and y."""
    points = person.keypoints[:, :2] * scale - 0.5
    keypoints = np.concatenate([points, person.keypoints[:, 2:]], axis=1)
    return person._replace(bbox=person.bbox * np.tile(scale, 2) - 0.5, keypoints=keypoints)
