"""Who lies or hangs upside down, shown upright to networks that learned from upright people."""

import math

import torch
from torch import Tensor

from smplcli.conventions import COCO17_JOINTS
from smplcli.models.keypoints import MIN_SCORE
from smplcli.models.network import NetworkOutput

STEEPEST = math.radians(60)
"""Up to this angle between a body and the picture's vertical nobody is turned."""

_ABOVE = [COCO17_JOINTS.index(f"{side}_shoulder") for side in ("left", "right")]
_BELOW = [
    COCO17_JOINTS.index(f"{side}_{joint}")
    for side in ("left", "right")
    for joint in ("hip", "knee", "ankle")
]


def quarter_turns(keypoints: Tensor) -> Tensor:
    """How many quarter turns against the clock bring people upright: (B,), 0 to 3.

    The direction is that from hips, knees and ankles together, so that who bends is not turned.

    Args:
        keypoints: (B, 17, 3) x right, y down, and confidence.
    """
    (above, has_above), (below, has_below) = (_middle(keypoints[:, x]) for x in (_ABOVE, _BELOW))
    right, down = (above - below).unbind(-1)
    lean = torch.atan2(right, -down)
    is_steep = has_above & has_below & (lean.abs() > STEEPEST)
    return torch.where(is_steep, (lean / (math.pi / 2)).round().long() % 4, 0)


def turn(image: Tensor, keypoints: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures (B, 3, S, S) and keypoints (B, 17, 3) in -1..1, turned against the clock."""
    return _turned_maps(image, turns), _turned_points(keypoints, _rotations(-turns, keypoints))


def turn_back(answer: NetworkOutput, turns: Tensor) -> NetworkOutput:
    """What was answered to turned pictures, for the pictures as they were."""
    rotation = _rotations(turns, answer.rotmat)
    scale, shift = answer.pred_cam.split([1, 2], dim=1)
    keypoints, logits = answer.keypoints, answer.part_logits
    return NetworkOutput(
        rotmat=torch.cat([rotation[:, None] @ answer.rotmat[:, :1], answer.rotmat[:, 1:]], dim=1),
        betas=answer.betas,
        pred_cam=torch.cat([scale, (rotation[:, :2, :2] @ shift[..., None]).squeeze(-1)], dim=1),
        part_logits=None if logits is None else _turned_maps(logits, -turns),
        keypoints=None if keypoints is None else _turned_points(keypoints, rotation),
    )


def _middle(keypoints: Tensor) -> tuple[Tensor, Tensor]:
    """Mean place (B, 2) of the trusted ones of some keypoints (B, K, 3), and whether any is."""
    is_trusted = keypoints[..., 2:] >= MIN_SCORE
    places = torch.where(is_trusted, keypoints[..., :2], 0.0).sum(1)
    count = is_trusted.sum(1)
    return places / count.clamp(min=1), count.squeeze(-1) > 0


def _rotations(turns: Tensor, like: Tensor) -> Tensor:
    """(B, 3, 3) quarter turns with the clock, of what has x right, y down, z away from us."""
    quarter = like.new_tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    powers = torch.stack([torch.linalg.matrix_power(quarter, power) for power in range(4)])
    return powers[turns % 4]


def _turned_points(keypoints: Tensor, rotation: Tensor) -> Tensor:
    """Keypoints (B, K, 3) in the picture plane after rotations (B, 3, 3) about its normal."""
    places = keypoints[..., :2] @ rotation[:, :2, :2].mT
    return torch.cat([places, keypoints[..., 2:]], dim=-1)


def _turned_maps(maps: Tensor, turns: Tensor) -> Tensor:
    """Maps (B, C, S, S), each turned against the clock."""
    if not turns.any():
        return maps
    turned = maps.clone()
    for count in (1, 2, 3):
        chosen = turns % 4 == count
        turned[chosen] = maps[chosen].rot90(count, (2, 3))
    return turned
