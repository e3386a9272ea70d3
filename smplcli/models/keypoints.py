"""2D keypoints as an input: where the limbs are, said by a detector."""

import torch
from torch import Tensor, nn

from smplcli.conventions import COCO17_JOINTS, NUM_BETAS, NUM_JOINTS
from smplcli.models.heads import SMALL

MIN_SCORE = 0.2
"""Keypoints that the detector trusts less than this are taken as not seen."""

MIN_SPREAD = 1e-3
"""Crops; keypoints that all lie within this of each other have no size."""


class KeypointEncoder(nn.Module):
    """Keypoints to features of the person, and to a first guess of the body by themselves.

    The guess does not depend on where the person stands in the crop or how large: the keypoints
    are centred and scaled first, and place and size are separate inputs.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inputs = 3 * len(COCO17_JOINTS) + 3
        self.layers = nn.Sequential(
            nn.Linear(inputs, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
        )
        self.guess = nn.Linear(width, 6 * NUM_JOINTS + NUM_BETAS)
        nn.init.normal_(self.guess.weight, std=SMALL)
        nn.init.zeros_(self.guess.bias)

    def forward(self, keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode keypoints.

        Args:
            keypoints: (B, 17, 3) x, y in -1..1 of the crop, and confidence in 0..1.

        Returns:
            Features (B, width), and what to add to the mean body: rot6d (B, 24, 6) and betas
            (B, 10).
        """
        features = self.layers(_normalise(keypoints))
        rot6d, betas = self.guess(features).split([6 * NUM_JOINTS, NUM_BETAS], dim=1)
        return features, rot6d.unflatten(1, (NUM_JOINTS, 6)), betas


def _normalise(keypoints: Tensor) -> Tensor:
    """(B, 54): centred and scaled keypoints, zero where not seen; then their place and size."""
    confidence = keypoints[..., 2:] * (keypoints[..., 2:] >= MIN_SCORE)
    seen = (confidence > 0).to(keypoints.dtype)
    count = seen.sum(1, keepdim=True).clamp(min=1)
    # What is not seen may hold anything, NaN too: it is replaced, not multiplied by zero.
    points = torch.where(seen > 0, keypoints[..., :2], 0.0)
    center = points.sum(1, keepdim=True) / count
    offset = (points - center) * seen
    spread = (offset.square().sum((1, 2), keepdim=True) / count).sqrt().clamp(min=MIN_SPREAD)
    normalised = torch.cat([offset / spread, confidence], dim=-1).flatten(1)
    return torch.cat([normalised, center.flatten(1), spread.flatten(1)], dim=1)
