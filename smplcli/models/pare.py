"""The published PARE: all of the backbone's features at a quarter, two branches, linear maps."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from smplcli.conventions import NUM_BETAS, NUM_JOINTS, NUM_PARTS
from smplcli.models.config import ModelConfig
from smplcli.models.heads import HeadOutput, Seen, attend, convolution

PERSON_CHANNELS = 64
"""Channels per joint from which shape and camera are read."""


class PareHead(nn.Module):
    """PARE's head as it was released, but for the scale of the camera, which is an exponential.

    Pose, shape and camera are linear in the attended features and start at nothing, where the
    other heads start at the mean body.

    Source:
        PARE (Kocabas et al., ICCV 2021), section 3.2, with the options of its released network.
    """

    def __init__(self, config: ModelConfig, channels: list[int]) -> None:
        super().__init__()
        width = config.channels
        self.finer = nn.ModuleList(_Enlarger(count, step) for step, count in enumerate(channels))
        self.part_branch = _branch(sum(channels), width)
        self.feature_branch = _branch(sum(channels), width)
        self.part_logits = nn.Conv2d(width, NUM_PARTS, 1)
        self.person = nn.Conv2d(width, PERSON_CHANNELS, 1)
        self.pose = nn.Parameter(torch.randn(NUM_JOINTS, width, 6))
        self.shape = nn.Linear(NUM_JOINTS * PERSON_CHANNELS, NUM_BETAS)
        self.camera = nn.Linear(NUM_JOINTS * PERSON_CHANNELS, 3)

    def look(self, features: list[Tensor]) -> Seen:
        """Attend to the features of pictures."""
        whole = torch.cat([grow(x) for grow, x in zip(self.finer, features, strict=True)], dim=1)
        logits = self.part_logits(self.part_branch(whole)).float()
        values = self.feature_branch(whole)
        both = torch.cat([values, self.person(values)], dim=1).float()
        with torch.autocast(both.device.type, enabled=False):
            joints = attend(logits[:, 1:], both)
        return Seen(joints, features[-1].float().mean((2, 3)), logits)

    def regress(self, seen: Seen, extra: Tensor) -> HeadOutput:  # noqa: ARG002 - as other heads
        """Bodies from what was seen."""
        joints, person = seen.joints.split([self.pose.shape[1], PERSON_CHANNELS], dim=-1)
        rot6d = (joints.transpose(0, 1) @ self.pose).transpose(0, 1)
        person = person.flatten(1)
        return HeadOutput(rot6d, self.shape(person), self.camera(person))


class _Enlarger(nn.Module):
    """Doublings of the resolution, each a bilinear one and a 3x3 convolution."""

    def __init__(self, channels: int, doublings: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(convolution(channels, channels) for _ in range(doublings))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(
                functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
            )
        return x


def _branch(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(convolution(inputs, width), convolution(width, width))
