"""MoveNet MultiPose, which has learned people's joints from photographs, and its trunk."""

from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from smplcli.conventions import COCO17_JOINTS
from smplcli.errors import UnreadableFileError
from smplcli.models.onnx_weights import read_convolutions

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

DETECTOR_TAPS = (2, 5, 9, 16)
"""Those that MoveNet itself uses."""

SUMMARY = 1280
"""Channels of the convolution behind the last block."""

NECK = (64, 32, 24, 24)
"""Channels while the resolution is doubled three times, and at the end."""

HEAD = 96
"""Channels inside each head."""


class MoveNetFeatures(nn.Module):
    """MobileNetV2 without batch norms, which MoveNet's release has merged into convolutions.

    Source:
        Sandler et al., "MobileNetV2", CVPR 2018, table 2; widths and padding (TensorFlow's, more
        at the right and below) as in the release of MoveNet MultiPose.
    """

    def __init__(self, taps: tuple[int, ...] = TAPS) -> None:
        super().__init__()
        self.taps = taps
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
        self.channels = [widths[tap + 1] for tap in taps]
        self.frozen_dtype = torch.float32
        """What parts that learn nothing compute in while others learn."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of pictures (B, 3, S, S) in -1..1 at strides 4, 8, 16 and 32."""
        x = self._pass(self.stem, x)
        features = []
        for number, block in enumerate(self.blocks):
            x = self._pass(block, x)
            if number in self.taps:
                features.append(x)
        return features

    def _pass(self, part: nn.Module, x: Tensor) -> Tensor:
        is_exact = not self.training or self.frozen_dtype == torch.float32
        if is_exact or any(weight.requires_grad for weight in part.parameters()):
            return cast("Tensor", part(x))
        with torch.autocast(x.device.type, self.frozen_dtype):
            return cast("Tensor", part(x).float())


class MoveNet(nn.Module):
    """MoveNet MultiPose without what reads people off its maps.

    Source:
        The release of MoveNet MultiPose (Google, 2021); Zhou et al., "Objects as Points", 2019.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = MoveNetFeatures(DETECTOR_TAPS)
        *finer, last = self.trunk.channels
        self.summary = _convolution(last, SUMMARY, 1)
        laterals = zip((SUMMARY, *finer[::-1]), (NECK[0], *NECK[:-1]), strict=True)
        self.laterals = nn.ModuleList(nn.Conv2d(*sizes, 1) for sizes in laterals)
        self.merges = nn.ModuleList(_separable(*sizes) for sizes in pairwise(NECK))
        keypoints = len(COCO17_JOINTS)
        self.heads = nn.ModuleList(
            nn.Sequential(_separable(NECK[-1], HEAD), nn.Conv2d(HEAD, outputs, 1))
            for outputs in (2 * keypoints, 2 * keypoints, keypoints, 1, 2, 2)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps (B, ..., H, W) as `smplcli.detection.maps` reads them.

        Args:
            x: Pictures (B, 3, 4H, 4W) in -1..1, sides multiples of 32.
        """
        *finer, last = self.trunk(x)
        merged = self.laterals[0](self.summary(last))
        for lateral, merge, features in zip(
            self.laterals[1:], self.merges, finer[::-1], strict=True
        ):
            doubled = functional.interpolate(merged, scale_factor=2.0, mode="bilinear")
            merged = merge(doubled + lateral(features))
        return [head(merged) for head in self.heads]


def load_movenet(path: Path) -> MoveNet:
    """MoveNet with the weights of its release as an ONNX file.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is something else.
    """
    with torch.device("meta"):  # drawing random weights takes longer than reading these
        network = MoveNet()
    own, given = network.state_dict(), read_convolutions(path)
    if [x.shape for x in own.values()] != [x.shape for x in given.values()]:
        raise UnreadableFileError(f"not MoveNet's weights: {path}")
    network.load_state_dict(dict(zip(own, given.values(), strict=True)), assign=True)
    return network.eval()


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


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    """A convolution of each channel on its own, then one of all channels at each place."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1),
        nn.ReLU(inplace=True),
    )
