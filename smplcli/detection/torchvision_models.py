"""People by torchvision's detectors, with weights that somebody has: boxes, perhaps keypoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smplcli.conventions import COCO17_JOINTS
from smplcli.detection.boxes import COCO_PERSON, MIN_SIDE
from smplcli.detection.people import Detection, merge_duplicates
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.models.backbones import read_tensors
from smplcli.types import Pixels

MIN_SCORE = 0.5
"""Least score of a finding, unless another is asked for."""

VISIBLE_LOGIT = 2.0
"""Of a keypoint that is as likely seen as not, by torchvision's own examples."""

_CLASSES = "roi_heads.box_predictor.cls_score.weight"
"""Has a row for each class, the background among them."""


class TorchvisionDetector:
    """Finds people with a detection network of torchvision.

    Args:
        name: As torchvision calls it: ``fasterrcnn_resnet50_fpn``, ``keypointrcnn_resnet50_fpn``.
        weights: Its weights, ``.safetensors``, or what ``torch.save`` wrote of a ``state_dict``.
            Class 1 is people, as in COCO. Nothing is downloaded.
        device: Where it computes.
        min_score: Least score of a finding, 0..1.

    Raises:
        ConfigError: torchvision has no detector of this name.
        MissingFileError: There is no such file.
        UnreadableFileError: It holds something else, or the weights of another network.
    """

    def __init__(
        self,
        name: str,
        weights: Path,
        *,
        device: torch.device | None = None,
        min_score: float = MIN_SCORE,
    ) -> None:
        self._device = device or torch.device("cpu")
        self._min_score = min_score
        self._net = _load(name, weights).eval().to(self._device)

    @torch.inference_mode()
    def detect(self, image: Pixels) -> list[Detection]:
        """Find the people in one picture.

        Args:
            image: RGB, (height, width, 3), 0..255.

        Returns:
            One finding per person, surest first; keypoints have score 0 where the network finds
            boxes only.
        """
        tensor = torch.from_numpy(image).to(self._device).permute(2, 0, 1).float() / 255
        (found,) = self._net([tensor])
        people = to_detections({name: value.cpu() for name, value in found.items()})
        return merge_duplicates(person for person in people if self._is_person(person))

    def _is_person(self, found: Detection) -> bool:
        is_large = (found.bbox[2:] - found.bbox[:2]).min() >= MIN_SIDE
        return found.score >= self._min_score and bool(is_large)


def to_detections(found: Mapping[str, Tensor]) -> list[Detection]:
    """People among what a torchvision network answers for one picture.

    Args:
        found: ``boxes`` (N, 4) x1, y1, x2, y2 and ``labels``, ``scores`` (N,); perhaps
            ``keypoints`` (N, 17, 3) and ``keypoints_scores`` (N, 17), logits. Pixels are counted
            from the corner of the first one.
    """
    is_person = found["labels"] == COCO_PERSON
    boxes = found["boxes"][is_person].double().numpy() - 0.5
    scores = found["scores"][is_person].tolist()
    keypoints = np.zeros((len(boxes), len(COCO17_JOINTS), 3))
    if "keypoints" in found:
        keypoints[..., :2] = found["keypoints"][is_person, :, :2].double().numpy() - 0.5
        logits = found["keypoints_scores"][is_person].double() - VISIBLE_LOGIT
        keypoints[..., 2] = logits.sigmoid().numpy()
    return [Detection(*person) for person in zip(boxes, scores, keypoints, strict=True)]


def _load(name: str, weights: Path) -> nn.Module:
    from torchvision import models  # noqa: PLC0415 - costs seconds

    names = models.list_models(module=models.detection)
    if name not in names:
        raise ConfigError(
            f"torchvision has no such detector: {name}", hint=f"Choose from {', '.join(names)}."
        )
    if not weights.is_file():
        raise MissingFileError(f"detector weights not found: {weights}")
    tensors: Any = read_tensors(weights)
    if isinstance(tensors, dict):
        tensors = tensors.get("model", tensors)  # as torchvision's training script writes them
    if not isinstance(tensors, dict) or not all(isinstance(x, Tensor) for x in tensors.values()):
        raise UnreadableFileError(f"file holds other things than weights: {weights}")
    classes = {"num_classes": len(tensors[_CLASSES])} if _CLASSES in tensors else {}
    net: nn.Module = models.get_model(name, weights=None, weights_backbone=None, **classes)
    try:
        net.load_state_dict(tensors)
    except (RuntimeError, TypeError) as error:
        raise UnreadableFileError(f"weights of another network than {name}: {weights}") from error
    return net
