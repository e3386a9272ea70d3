"""The whole network: picture and keypoints in, body and camera out."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from smplcli.conventions import COCO17_JOINTS, NUM_JOINTS
from smplcli.errors import ConfigError
from smplcli.models.backbones import Backbone
from smplcli.models.config import ModelConfig
from smplcli.models.heads import (
    BaselineHead,
    HeadOutput,
    PartAttentionHead,
    Seen,
    attention_maps,
)
from smplcli.models.keypoints import MIN_SCORE, KeypointEncoder
from smplcli.models.pare import PareHead
from smplcli.models.pretrained import Pretrained, pretrained_file
from smplcli.rotations import rot6d_to_rotmat

MEAN_SCALE = 0.9
"""Half crops per metre before training: a standing person fills the crop (HMR's mean camera)."""


class NetworkOutput(NamedTuple):
    """Bodies in the crop's camera."""

    rotmat: Tensor
    """(B, 24, 3, 3) rotations: the root in camera axes, the rest relative to parents."""

    betas: Tensor
    """(B, 10), standard deviations."""

    pred_cam: Tensor
    """(B, 3) s (half crops per metre, positive), tx, ty (metres, before scaling)."""

    part_logits: Tensor | None
    """(B, 25, h, w) background and parts; ``None`` without attention."""

    keypoints: Tensor | None = None
    """(B, 17, 3) keypoints that the network found itself; ``None`` where it does not look."""


class Network(nn.Module):
    """A backbone, a head, and where configured an encoder of 2D keypoints."""

    mean_rot6d: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone)
        self.encoder = KeypointEncoder(config.keypoints) if config.keypoints else None
        self.head = _head(config, self.backbone.channels)
        self.register_buffer("mean_rot6d", upright_pose())

    def forward(self, image: Tensor, keypoints: Tensor | None = None) -> NetworkOutput:
        """Estimate bodies.

        Args:
            image: (B, 3, S, S) RGB in 0..1.
            keypoints: (B, 17, 3) x, y in -1..1 of the crop, and confidence; ``None`` if unknown.

        Returns:
            One body per picture, float32.
        """
        return self.answer(self.look(image), keypoints)

    def look(self, image: Tensor) -> Seen:
        """What a picture (B, 3, S, S) shows, whatever is known besides."""
        return self.head.look(self.backbone(image))

    def attention(self, image: Tensor) -> Tensor:
        """Where each joint looks in pictures (B, 3, S, S): (B, 24, h, w), each map sums to one.

        Raises:
            ConfigError: The network has no part attention.
        """
        logits = self.look(image).part_logits
        if logits is None:
            raise ConfigError(f"network has no part attention: head {self.config.head}")
        return attention_maps(logits[:, 1:])

    def answer(self, seen: Seen, keypoints: Tensor | None = None) -> NetworkOutput:
        """Bodies from what was seen, with or without keypoints (B, 17, 3).

        Where a keypoint is not known, the network's own stands in, if it looks for any.
        """
        count = len(seen.deepest)
        if self.encoder is None:
            return self._finish(self.head.regress(seen, seen.deepest.new_zeros(count, 0)), seen)
        if keypoints is None:
            keypoints = seen.deepest.new_zeros(count, len(COCO17_JOINTS), 3)
        if seen.keypoints is not None:
            keypoints = torch.where(keypoints[..., 2:] >= MIN_SCORE, keypoints, seen.keypoints)
        extra, rot6d, betas = self.encoder(keypoints.float())
        output = self.head.regress(seen, extra)
        output = output._replace(rot6d=output.rot6d + rot6d, betas=output.betas + betas)
        return self._finish(output, seen)

    def lift(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Rotations (B, 24, 3, 3) and betas (B, 10) that the keypoints alone suggest."""
        if self.encoder is None:
            raise TypeError("this network takes no keypoints")
        _, rot6d, betas = self.encoder(keypoints, learns_norm=self.training)
        return rot6d_to_rotmat(self.mean_rot6d + rot6d), betas

    def _finish(self, output: HeadOutput, seen: Seen) -> NetworkOutput:
        start = 0.0 if isinstance(self.head, PareHead) else self.mean_rot6d
        rotmat = rot6d_to_rotmat(start + output.rot6d)
        log_scale, shift = output.camera.split([1, 2], dim=1)
        camera = torch.cat([MEAN_SCALE * log_scale.exp(), shift], dim=1)
        return NetworkOutput(rotmat, output.betas, camera, seen.part_logits, seen.keypoints)


def build_network(config: ModelConfig, *, backbone_weights: Pretrained | Path = "none") -> Network:
    """Network with random heads, its backbone random too unless weights are named.

    Raises:
        ConfigError: No such backbone, or nobody published such weights of it.
        MissingFileError: ``backbone_weights`` does not exist, and cannot be fetched either.
        IntegrityError: What was fetched is not what was published.
        UnreadableFileError: It holds another network.
    """
    network = Network(config)
    if backbone_weights != "none":
        network.backbone.load_pretrained(pretrained_file(config.backbone, backbone_weights))
    if config.fold_norm:
        network.backbone.fold_norm()
    network.to(memory_format=torch.channels_last)
    return network


def _head(config: ModelConfig, channels: list[int]) -> PartAttentionHead | BaselineHead | PareHead:
    match config.head:
        case "part-attention":
            return PartAttentionHead(config, channels, config.keypoints)
        case "baseline":
            return BaselineHead(config, channels, config.keypoints)
        case "pare":
            return PareHead(config, channels)


def upright_pose() -> Tensor:
    """At rest, facing the camera, which is half a turn about x: (24, 6)."""
    rot6d = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(NUM_JOINTS, 1)
    rot6d[0] = torch.tensor([1.0, 0, 0, 0, -1, 0])
    return rot6d
