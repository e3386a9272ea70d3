"""Who is in a picture: people who are detected, or given by boxes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from smplcli.detection.boxes import GivenBox, assign_boxes, is_visible, read_boxes
from smplcli.detection.framing import frame_person, person_in_box
from smplcli.detection.movenet import PersonDetector
from smplcli.detection.people import Detection
from smplcli.errors import ConfigError
from smplcli.types import Pixels


class BadBoxError(Exception):
    """A given box is not in its picture."""


def choose_finder(
    pictures: Sequence[str],
    *,
    boxes: Path | None,
    whole_image: bool,
    min_score: float,
    max_people: int | None,
) -> tuple[Callable[[int, Pixels], list[Detection]], int]:
    """What finds the people of a picture by its index, and how many given boxes are of none.

    Args:
        pictures: Names of all pictures.
        boxes: File of boxes to use instead of detecting people.
        whole_image: Whether every picture is one person's box.
        min_score: Least score of a person who is detected.
        max_people: People who are detected in a picture at most.

    Raises:
        ConfigError: The arguments contradict each other.
        MissingFileError: There is no such file of boxes.
        UnreadableFileError: It holds no boxes.
    """
    if boxes is not None and whole_image:
        raise ConfigError("a box file and whole pictures exclude each other")
    if not 0 <= min_score <= 1:
        raise ConfigError(f"min_score must be in 0..1, got {min_score}")
    if max_people is not None and max_people < 1:
        raise ConfigError(f"max_people must be positive, got {max_people}")
    assigned: list[list[GivenBox]] = []
    num_unused = 0
    if boxes:
        assigned, num_unused = assign_boxes(read_boxes(boxes), [Path(name) for name in pictures])
    # One thread for each picture, since several pictures are looked at at once.
    detector = PersonDetector(min_score=min_score, threads=1)

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
