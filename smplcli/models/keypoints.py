"""2D keypoints as an input: where the limbs are, said by a detector."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from smplcli.conventions import COCO17_JOINTS, NUM_BETAS, NUM_JOINTS
from smplcli.models.heads import SMALL

MIN_SCORE = 0.2
"""Keypoints that the detector trusts less than this are taken as not seen."""

NUM_BLOCKS = 2
"""Residual blocks, of two layers each."""

MIN_SPREAD = 1e-3
"""Crops; keypoints that all lie within this of each other have no size."""


class KeypointEncoder(nn.Module):
    """Keypoints to features of the person, and to a first guess of the body by themselves.

    The guess does not depend on where the person stands in the crop or how large: the keypoints
    are centred and scaled first, and place and size are separate inputs.

    Source:
        Martinez et al., "A simple yet effective baseline for 3d human pose estimation", ICCV 2017,
        figure 2, without dropout.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.entry = _Layer(3 * len(COCO17_JOINTS) + 3, width)
        self.layers = nn.ModuleList(_Layer(width, width) for _ in range(2 * NUM_BLOCKS))
        self.guess = nn.Linear(width, 6 * NUM_JOINTS + NUM_BETAS)
        nn.init.normal_(self.guess.weight, std=SMALL)
        nn.init.zeros_(self.guess.bias)

    def forward(
        self, keypoints: Tensor, *, learns_norm: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode keypoints.

        Args:
            keypoints: (B, 17, 3) x, y in -1..1 of the crop, and confidence in 0..1.
            learns_norm: Whether the batch is large and varied enough to normalise itself.

        Returns:
            Features (B, width), and what to add to the mean body: rot6d (B, 24, 6) and betas
            (B, 10).
        """
        features = self.entry(_normalise(keypoints), learns_norm)
        for first, second in zip(self.layers[::2], self.layers[1::2], strict=True):
            features = features + second(first(features, learns_norm), learns_norm)
        rot6d, betas = self.guess(features).split([6 * NUM_JOINTS, NUM_BETAS], dim=1)
        return features, rot6d.unflatten(1, (NUM_JOINTS, 6)), betas


class _Layer(nn.Module):
    """Linear, batch norm, ReLU; the norm's statistics come only from batches said to be fit."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, learns_norm: bool) -> Tensor:  # noqa: FBT001 - private
        norm = self.norm
        mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
        x = functional.batch_norm(
            self.linear(x),
            mean,
            variance,
            norm.weight,
            norm.bias,
            training=learns_norm,
            momentum=cast("float", norm.momentum),
        )
        return x.relu()


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
