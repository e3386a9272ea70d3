"""Who is in a picture: people who are detected, or given by boxes."""

from collections.abc import Callable, Sequence
from itertools import compress
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from smplcli.detection.boxes import GivenBox, is_visible
from smplcli.detection.framing import frame_person, person_in_box
from smplcli.detection.movenet import MIN_SCORE, PersonDetector
from smplcli.detection.people import Detection
from smplcli.models.inference import DType, Precision, resolve_precision
from smplcli.types import Pixels
from smplcli.workflows.predict_settings import MOVENET, TORCHVISION, check_detector


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
    precision: Precision = "auto",
) -> Detector:
    """What detects people.

    Args:
        name: ``movenet``, or ``torchvision:`` and the name of one of torchvision's detectors.
        weights: Of a detector of torchvision.
        min_score: Least score of a finding, 0..1; what suits the detector without.
        device: Where it computes; the processor if not said.
        precision: Of MoveNet's convolutions.

    Raises:
        ConfigError: There is no such detector, or weights are missing or not wanted.
        MissingFileError: There are no such weights.
        UnreadableFileError: They are not this detector's.
    """
    check_detector(name, weights, min_score)
    if weights is not None:
        # torchvision takes seconds to import.
        from smplcli.detection import torchvision_models as others  # noqa: PLC0415

        least = others.MIN_SCORE if min_score is None else min_score
        name = name.removeprefix(TORCHVISION)
        return others.TorchvisionDetector(name, weights, device=device, min_score=least)
    least = MIN_SCORE if min_score is None else min_score
    return PersonDetector(min_score=least, device=device, precision=precision)


def detector_precision(name: str, precision: Precision, device: torch.device) -> DType:
    """What a detector computes in."""
    return resolve_precision(precision, device, takes_long=True) if name == MOVENET else "fp32"


class BadBoxError(Exception):
    """A given box does not show anybody.

    Args:
        message: Which, and why.
        others: The people in the other boxes of the picture.
    """

    def __init__(self, message: str, others: list[Detection]) -> None:
        super().__init__(message)
        self.others = others


def choose_finder(
    *,
    boxes: Sequence[Sequence[GivenBox]] | None,
    whole_image: bool,
    detector: Detector,
    max_people: int | None,
) -> Callable[[int, Pixels], list[Detection]]:
    """What finds the people of a picture by its index.

    Args:
        boxes: Given ones of each picture, to use instead of detecting people.
        whole_image: Whether every picture is one person's box.
        detector: What detects people.
        max_people: People who are detected in a picture at most.
    """
    assigned = boxes or ()

    def detect(_: int, image: Pixels) -> list[Detection]:
        return [frame_person(person) for person in detector.detect(image)[:max_people]]

    def take_whole(_: int, image: Pixels) -> list[Detection]:
        height, width = image.shape[:2]
        bbox = np.array([-0.5, -0.5, width - 0.5, height - 0.5])
        return [person_in_box(bbox, 1.0, detector.detect(image))]

    def take_given(index: int, image: Pixels) -> list[Detection]:
        given, (height, width) = assigned[index], image.shape[:2]
        is_shown = [is_visible(box.bbox, width, height) for box in given]
        found = detector.detect(image) if any(is_shown) else []
        shown = compress(given, is_shown)
        people = [person_in_box(box.bbox, box.score, found) for box in shown]
        if not all(is_shown):
            bad = given[is_shown.index(False)]
            problem = f"box is tiny or outside the picture ({width} x {height})"
            raise BadBoxError(f"{bad.origin}: {problem}", people)
        return people

    if whole_image:
        return take_whole
    return detect if boxes is None else take_given
