"""People in a picture, box and COCO keypoints of each: MoveNet MultiPose by onnxruntime."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from smplcli.conventions import COCO17_JOINTS
from smplcli.detection.people import Detection, merge_duplicates
from smplcli.files import asset
from smplcli.types import Floats, Pixels

LONGEST_SIDES = (256, 512)
"""Input sizes run on every picture: the smaller sees large people whole, the larger small ones."""

MIN_SCORE = 0.2
"""Findings with a lower score are mostly ghosts."""

MIN_CONFIDENT_KEYPOINTS = 5
"""Findings with fewer seen keypoints are mostly ghosts, whatever their score."""

_STRIDE = 32
_NUM_KEYPOINTS = len(COCO17_JOINTS)


class PersonDetector:
    """Finds people and their COCO-17 keypoints.

    Args:
        model_file: ONNX file of MoveNet MultiPose; ``None`` takes the one that is shipped.
        longest_sides: Lengths in pixels to which the longer side of the picture is brought, one
            pass each. What the passes find is merged.
        threads: Processor threads; ``None`` lets onnxruntime choose.
        min_score: Least score of a finding, 0..1.
    """

    def __init__(
        self,
        model_file: Path | None = None,
        *,
        longest_sides: Sequence[int] = LONGEST_SIDES,
        threads: int | None = None,
        min_score: float = MIN_SCORE,
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._session = onnxruntime.InferenceSession(
            str(model_file or asset("detector.onnx")),
            options,
            providers=["CPUExecutionProvider"],
        )
        self._longest_sides = tuple(longest_sides)
        self._min_score = min_score

    def detect(self, image: Pixels) -> list[Detection]:
        """Find the people in one picture.

        Args:
            image: RGB, (height, width, 3), 0..255.

        Returns:
            One finding per person, surest first.
        """
        found = [person for side in self._longest_sides for person in self._run(image, side)]
        return merge_duplicates(person for person in found if self._is_person(person))

    def _run(self, image: Pixels, longest_side: int) -> list[Detection]:
        height, width = image.shape[:2]
        padded, resized = _to_input(image, longest_side)
        (output,) = self._session.run(None, {self._session.get_inputs()[0].name: padded[None]})
        scale = np.array(
            [
                padded.shape[1] * width / resized[0],
                padded.shape[0] * height / resized[1],
            ]
        )
        return [_to_detection(row, scale) for row in output[0].astype(np.float64)]

    def _is_person(self, found: Detection) -> bool:
        return found.score >= self._min_score and found.num_confident >= MIN_CONFIDENT_KEYPOINTS


def _to_input(image: Pixels, longest_side: int) -> tuple[NDArray[np.int32], tuple[int, int]]:
    """Picture resized, and padded at the right and bottom; and its size before padding."""
    height, width = image.shape[:2]
    scale = longest_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(image, size, interpolation=how)
    rows, columns = (-(-length // _STRIDE) * _STRIDE for length in (size[1], size[0]))
    padded = np.zeros((rows, columns, 3), np.int32)
    padded[: size[1], : size[0]] = resized
    return padded, size


def _to_detection(row: Floats, scale: Floats) -> Detection:
    """Read an output row: 17 x (y, x, score), ymin, xmin, ymax, xmax, score, all relative."""
    keypoints = row[: 3 * _NUM_KEYPOINTS].reshape(_NUM_KEYPOINTS, 3)[:, [1, 0, 2]]
    keypoints[:, :2] = keypoints[:, :2] * scale - 0.5
    ymin, xmin, ymax, xmax, score = row[3 * _NUM_KEYPOINTS :]
    corners = np.array([[xmin, ymin], [xmax, ymax]]) * scale - 0.5
    return Detection(corners.reshape(4), float(score), keypoints)
