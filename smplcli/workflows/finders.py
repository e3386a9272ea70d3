"""Who is in a picture: people who are detected, or given by boxes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from smplcli.detection.boxes import GivenBox, assign_boxes, is_visible, read_boxes
from smplcli.detection.framing import frame_person, person_in_box
from smplcli.detection.movenet import MIN_SCORE, PersonDetector
from smplcli.detection.people import Detection
from smplcli.errors import ConfigError
from smplcli.types import Pixels

MOVENET, TORCHVISION = "movenet", "torchvision:"
"""Detectors by name: the one that ships, and what the names of torchvision's begin with."""


class Detector(Protocol):
    """Whatever finds the people in a picture."""

    def detect(self, image: Pixels, /) -> list[Detection]:
        """Find the people in an RGB picture (H, W, 3), surest first."""
        ...


def open_detector(
    name: str = MOVENET,
    *,
    weights: Path | None = None,
    min_score: float | None = None,
    device: torch.device | None = None,
) -> Detector:
    """What detects people.

    Args:
        name: ``movenet``, or ``torchvision:`` and the name of one of torchvision's detectors.
        weights: Of a detector of torchvision.
        min_score: Least score of a finding, 0..1; what suits the detector without.
        device: Where a detector of torchvision computes.

    Raises:
        ConfigError: There is no such detector, or weights are missing or not wanted.
        MissingFileError: There are no such weights.
        UnreadableFileError: They are not this detector's.
    """
    if min_score is not None and not 0 <= min_score <= 1:
        raise ConfigError(f"min_score must be in 0..1, got {min_score}")
    if name.startswith(TORCHVISION):
        if weights is None:
            raise ConfigError(
                f"detector needs a file of weights: {name}",
                hint="Name one with --detector-weights; nothing is downloaded.",
            )
        # torchvision takes seconds to import.
        from smplcli.detection import torchvision_models as others  # noqa: PLC0415

        least = others.MIN_SCORE if min_score is None else min_score
        name = name.removeprefix(TORCHVISION)
        return others.TorchvisionDetector(name, weights, device=device, min_score=least)
    if name != MOVENET:
        raise ConfigError(
            f"unknown detector: {name}", hint=f"Choose {MOVENET} or {TORCHVISION}NAME."
        )
    if weights is not None:
        raise ConfigError(f"weights are for a detector of torchvision, not for {name}: {weights}")
    # One thread for each picture, since several pictures are looked at at once.
    return PersonDetector(min_score=MIN_SCORE if min_score is None else min_score, threads=1)


class BadBoxError(Exception):
    """A given box is not in its picture."""


def choose_finder(
    pictures: Sequence[str],
    *,
    boxes: Path | None,
    whole_image: bool,
    detector: Detector,
    max_people: int | None,
) -> tuple[Callable[[int, Pixels], list[Detection]], int]:
    """What finds the people of a picture by its index, and how many given boxes are of none.

    Args:
        pictures: Names of all pictures.
        boxes: File of boxes to use instead of detecting people.
        whole_image: Whether every picture is one person's box.
        detector: What detects people.
        max_people: People who are detected in a picture at most.

    Raises:
        ConfigError: The arguments contradict each other.
        MissingFileError: There is no such file of boxes.
        UnreadableFileError: It holds no boxes.
    """
    if boxes is not None and whole_image:
        raise ConfigError("a box file and whole pictures exclude each other")
    if max_people is not None and max_people < 1:
        raise ConfigError(f"max_people must be positive, got {max_people}")
    assigned: list[list[GivenBox]] = []
    num_unused = 0
    if boxes:
        assigned, num_unused = assign_boxes(read_boxes(boxes), [Path(name) for name in pictures])

    def detect(_: int, image: Pixels) -> list[Detection]:
        return [frame_person(person) for person in detector.detect(image)[:max_people]]

    def take_whole(_: int, image: Pixels) -> list[Detection]:
        height, width = image.shape[:2]
        bbox = np.array([-0.5, -0.5, width - 0.5, height - 0.5])
        return [person_in_box(bbox, 1.0, detector.detect(image))]

    def take_given(index: int, image: Pixels) -> list[Detection]:
        given = assigned[index]
        _check_visible(given, image)
        found = detector.detect(image) if given else []
        return [person_in_box(box.bbox, box.score, found) for box in given]

    if whole_image:
        return take_whole, 0
    return (take_given if boxes else detect), num_unused


def _check_visible(given: Sequence[GivenBox], image: Pixels) -> None:
    height, width = image.shape[:2]
    for box in given:
        if not is_visible(box.bbox, width, height):
            raise BadBoxError(f"{box.origin}: box is outside the picture ({width} x {height})")
