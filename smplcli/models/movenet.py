"""The trunk of MoveNet MultiPose, a network that has learned people's joints from photographs."""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

STEM = 48
"""Channels of the first convolution: MobileNetV2's, one and a half times as wide."""

EXPANSION = 6
"""Channels inside a block over those that it begins with."""

STAGES = (
    # channels, blocks, stride
    (24, 1, 1),
    (40, 2, 2),
    (48, 3, 2),
    (96, 4, 2),
    (144, 3, 1),
    (240, 3, 2),
    (480, 1, 1),
)
TAPS = (2, 5, 12, 16)
"""Blocks whose features are used: the last at strides 4, 8, 16 and 32."""


class MoveNetFeatures(nn.Module):
    """MobileNetV2 without batch norms, which MoveNet's release has merged into convolutions.

    Source:
        Sandler et al., "MobileNetV2", CVPR 2018, table 2; widths and padding (TensorFlow's, more
        at the right and below) as in the release of MoveNet MultiPose.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(3, STEM, 3, stride=2)
        widths, strides = [STEM], []
        for channels, count, stride in STAGES:
            widths += [channels] * count
            strides += [stride] + [1] * (count - 1)
        self.blocks = nn.ModuleList(
            _Block(inputs, outputs, stride, expands=number > 0)
            for number, ((inputs, outputs), stride) in enumerate(
                zip(pairwise(widths), strides, strict=True)
            )
        )
        self.channels = [widths[tap + 1] for tap in TAPS]
        self.frozen_dtype = torch.float32
        """What parts that learn nothing compute in while others learn."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of pictures (B, 3, S, S) in -1..1 at strides 4, 8, 16 and 32."""
        x = self._pass(self.stem, x)
        features = []
        for number, block in enumerate(self.blocks):
            x = self._pass(block, x)
            if number in TAPS:
                features.append(x)
        return features

    def _pass(self, part: nn.Module, x: Tensor) -> Tensor:
        is_exact = not self.training or self.frozen_dtype == torch.float32
        if is_exact or any(weight.requires_grad for weight in part.parameters()):
            return cast("Tensor", part(x))
        with torch.autocast(x.device.type, self.frozen_dtype):
            return cast("Tensor", part(x).float())


class _Block(nn.Module):
    """Widen, filter each channel, narrow; and add what came in where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, expands: bool) -> None:
        super().__init__()
        inner = inputs * EXPANSION if expands else inputs
        self.expand = _convolution(inputs, inner, 1) if expands else nn.Identity()
        self.depthwise = _convolution(inner, inner, 3, stride=stride, groups=inner)
        self.project = nn.Conv2d(inner, outputs, 1)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        narrow: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + narrow if self.is_residual else narrow


def _convolution(
    inputs: int, outputs: int, side: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution and a ReLU up to six, padded as TensorFlow pads pictures of even sides."""
    uneven = [nn.ZeroPad2d((0, 1, 0, 1))] if stride > 1 else []
    padding = 0 if stride > 1 else side // 2
    return nn.Sequential(
        *uneven,
        nn.Conv2d(inputs, outputs, side, stride=stride, padding=padding, groups=groups),
        nn.ReLU6(inplace=True),
    )
