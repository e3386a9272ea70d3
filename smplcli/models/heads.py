"""From features to pose, shape and camera."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from smplcli.conventions import COCO17_JOINTS, NUM_BETAS, NUM_JOINTS, NUM_PARTS
from smplcli.models.config import ModelConfig
from smplcli.models.convolutions import convolve_doubled

POOLED_CHANNELS = 32
"""Channels per joint that shape, camera and context read from the attended features."""

SMALL = 1e-3
"""Standard deviation of the last layers' first weights: training starts at the mean body."""


class Seen(NamedTuple):
    """What a head takes from a picture."""

    joints: Tensor
    """(B, 24, C) features of each joint; empty without attention."""

    deepest: Tensor
    """(B, D) features of the whole picture."""

    part_logits: Tensor | None
    """(B, 25, h, w) background and parts; ``None`` without attention."""

    keypoints: Tensor | None = None
    """(B, 17, 3) x, y in -1..1 of the crop, and confidence; ``None`` where nobody looks."""


class HeadOutput(NamedTuple):
    """What a head adds to the mean body."""

    rot6d: Tensor
    """(B, 24, 6)."""

    betas: Tensor
    """(B, 10)."""

    camera: Tensor
    """(B, 3): logarithm of the scale, tx, ty."""


class PartAttentionHead(nn.Module):
    """Each joint reads the features where an attention map of its own looks.

    Source:
        PARE (Kocabas et al., ICCV 2021), section 3.2.
    """

    def __init__(self, config: ModelConfig, channels: list[int], extra: int) -> None:
        super().__init__()
        self.part_branch = Branch(config, channels)
        self.feature_branch = Branch(config, channels)
        self.part_logits = nn.Conv2d(config.channels, NUM_PARTS, 1)
        self.keypoint_maps, self.presence = None, None
        if config.finds_keypoints:
            self.keypoint_maps = nn.Conv2d(config.channels, len(COCO17_JOINTS), 1)
            self.presence = nn.Linear(channels[-1], len(COCO17_JOINTS))
            extra += 3 * len(COCO17_JOINTS)
        self.pool = nn.Linear(config.channels, POOLED_CHANNELS)
        person = NUM_JOINTS * POOLED_CHANNELS + extra
        self.context = None
        if config.context:
            self.context = nn.Sequential(
                nn.Linear(person + channels[-1], config.context), nn.ReLU(inplace=True)
            )
        joint = config.channels + config.context
        perceptrons = JointPerceptrons if config.joint_perceptrons else OnePerceptron
        self.pose = perceptrons(joint, config.hidden, 6)
        self.shape = perceptron(person + config.context, config.hidden, NUM_BETAS)
        self.camera = perceptron(person + config.context, config.hidden, 3)

    def look(self, features: list[Tensor]) -> Seen:
        """Attend to the features of pictures."""
        parts = self.part_branch(features)
        logits = self.part_logits(parts).float()
        values = self.feature_branch(features).float()
        deepest = features[-1].float().mean((2, 3))
        with torch.autocast(values.device.type, enabled=False):
            joints = attend(logits[:, 1:], values)
        return Seen(joints, deepest, logits, self._find(parts, deepest))

    def _find(self, parts: Tensor, deepest: Tensor) -> Tensor | None:
        if self.keypoint_maps is None or self.presence is None:
            return None
        maps = self.keypoint_maps(parts).float()
        with torch.autocast(maps.device.type, enabled=False):
            score = self.presence(deepest).sigmoid()
            return torch.cat([mean_places(maps), score[..., None]], dim=-1)

    def regress(self, seen: Seen, extra: Tensor) -> HeadOutput:
        """Bodies from what was seen, and from ``extra`` (B, E) facts about each person."""
        joints = seen.joints
        if seen.keypoints is not None:
            extra = torch.cat([extra, seen.keypoints.flatten(1)], dim=1)
        person = torch.cat([self.pool(joints).flatten(1), extra], dim=1)
        if self.context is not None:
            context = self.context(torch.cat([person, seen.deepest], dim=1))
            joints = torch.cat([joints, context[:, None].expand(-1, NUM_JOINTS, -1)], dim=-1)
            person = torch.cat([person, context], dim=1)
        return HeadOutput(self.pose(joints), self.shape(person), self.camera(person))


def mean_places(maps: Tensor) -> Tensor:
    """Where each of K maps (B, K, h, w) of logits is bright in the mean: (B, K, 2) in -1..1.

    Source:
        Sun et al., "Integral human pose regression", ECCV 2018, equation 2.
    """
    bright = attention_maps(maps)
    x, y = (_centers(side, bright) for side in (bright.shape[3], bright.shape[2]))
    return torch.stack([bright.sum(2) @ x, bright.sum(3) @ y], dim=-1)


def _centers(count: int, like: Tensor) -> Tensor:
    """Middles of so many cells side by side, -1..1 from edge to edge."""
    return (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1


def attend(part_logits: Tensor, values: Tensor) -> Tensor:
    """Pool features by a softmax over the pixels of each part.

    Args:
        part_logits: (B, 24, h, w), background left out.
        values: (B, C, h, w).

    Returns:
        (B, 24, C).

    Source:
        PARE (Kocabas et al., ICCV 2021), equation 3.
    """
    return attention_maps(part_logits).flatten(2) @ values.flatten(2).mT


def attention_maps(part_logits: Tensor) -> Tensor:
    """Where each joint looks: (B, 24, h, w), every map summing to one, of logits of that shape."""
    return part_logits.flatten(2).softmax(dim=-1).view_as(part_logits)


class Branch(nn.Module):
    """Upsamplings, each followed by a 3x3 convolution, batch norm and ReLU."""

    def __init__(self, config: ModelConfig, channels: list[int]) -> None:
        super().__init__()
        self.mode = config.upsample_mode
        width = config.channels
        finer = channels[-2::-1][: config.upsamplings] if config.laterals else []
        self.laterals = nn.ModuleList(nn.Conv2d(count, width, 1) for count in finer)
        self.entry = nn.Conv2d(channels[-1], width, 1) if config.laterals else nn.Identity()
        first = width if config.laterals else channels[-1]
        block = _transposed if self.mode == "transposed" else convolution
        self.blocks = nn.ModuleList(
            block(width if step else first, width) for step in range(config.upsamplings)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features (B, C, h, w) at the branch's resolution."""
        x = self.entry(features[-1])
        for step, block in enumerate(self.blocks):
            has_lateral = step < len(self.laterals)
            if self.training and self.mode == "nearest" and not has_lateral:
                # The same, faster; what is prepared for inference is told by the plain form.
                conv, norm, activation = cast("nn.Sequential", block)
                x = activation(norm(convolve_doubled(x, cast("Tensor", conv.weight))))
                continue
            if self.mode != "transposed":
                x = functional.interpolate(x, scale_factor=2.0, mode=self.mode)
            if has_lateral:
                x = x + self.laterals[step](features[-2 - step])
            x = block(x)
        return cast("Tensor", x)


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _transposed(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class JointPerceptrons(nn.Module):
    """One perceptron per joint, no weight shared, all computed at once."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        spread = (2 / inputs) ** 0.5
        self.first = nn.Parameter(spread * torch.randn(NUM_JOINTS, inputs, hidden))
        self.first_bias = nn.Parameter(torch.zeros(NUM_JOINTS, 1, hidden))
        self.second = nn.Parameter(SMALL * torch.randn(NUM_JOINTS, hidden, outputs))

    def forward(self, joints: Tensor) -> Tensor:
        """Outputs (B, 24, outputs) for features (B, 24, inputs)."""
        hidden = torch.baddbmm(self.first_bias, joints.transpose(0, 1), self.first).relu()
        return (hidden @ self.second).transpose(0, 1)


class OnePerceptron(nn.Module):
    """One perceptron that sees the features of all joints and answers for all of them."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layers = perceptron(NUM_JOINTS * inputs, hidden, NUM_JOINTS * outputs)

    def forward(self, joints: Tensor) -> Tensor:
        """Outputs (B, 24, outputs) for features (B, 24, inputs)."""
        return cast("Tensor", self.layers(joints.flatten(1))).view(len(joints), NUM_JOINTS, -1)


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """One hidden layer; its first outputs are nearly zero."""
    last = nn.Linear(hidden, outputs)
    nn.init.normal_(last.weight, std=SMALL)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(inplace=True), last)


class BaselineHead(nn.Module):
    """Perceptrons on pooled features: the control that part attention has to beat."""

    def __init__(self, config: ModelConfig, channels: list[int], extra: int) -> None:
        super().__init__()
        inputs = channels[-1] + extra
        self.pose = perceptron(inputs, config.hidden, 6 * NUM_JOINTS)
        self.shape = perceptron(inputs, config.hidden, NUM_BETAS)
        self.camera = perceptron(inputs, config.hidden, 3)

    def look(self, features: list[Tensor]) -> Seen:
        """Pool the features of pictures."""
        deepest = features[-1].float().mean((2, 3))
        return Seen(deepest[:, :0, None], deepest, None)

    def regress(self, seen: Seen, extra: Tensor) -> HeadOutput:
        """Bodies from what was seen, and from ``extra`` (B, E) facts about each person."""
        person = torch.cat([seen.deepest, extra], dim=1)
        rot6d = self.pose(person).unflatten(1, (NUM_JOINTS, 6))
        return HeadOutput(rot6d, self.shape(person), self.camera(person))
