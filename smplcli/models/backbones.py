"""Backbones: torchvision's ResNets, MoveNet's trunk, and timm's networks by their names there."""

from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from smplcli.conventions import IMAGE_MEAN, IMAGE_STD
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.models.config import STRIDES
from smplcli.models.movenet import MoveNetFeatures
from smplcli.models.onnx_weights import read_convolutions

RESNETS = ("resnet18", "resnet34", "resnet50")

MOVENET = "movenet"
"""The trunk of the detector that is shipped."""


class Backbone(nn.Module):
    """Features of pictures at strides 4, 8, 16 and 32."""

    mean: Tensor
    std: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        make = _movenet if name == MOVENET else _resnet if name in RESNETS else _timm
        self.net, self.channels, (mean, std) = make(name)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of RGB pictures (B, 3, S, S) with values in 0..1, the finest first."""
        return cast("list[Tensor]", self.net((image - self.mean) / self.std))

    def load_pretrained(self, path: Path) -> None:
        """Take weights of the same network trained elsewhere, its classifier left out.

        Tensors are matched by name, or by order and shape, because releases name them differently.

        Raises:
            MissingFileError: There is no such file.
            UnreadableFileError: It holds no tensors, or those of another network.
        """
        if not path.is_file():
            raise MissingFileError(f"backbone weights not found: {path}")
        own = {key: value for key, value in self.net.state_dict().items() if value.ndim}
        given = {key: value for key, value in read_tensors(path).items() if value.ndim}
        # What is left over belongs to modules that were cut off, if the names are the network's.
        modules = {key.split(".")[0] for key in own}
        left_over = {key.split(".")[0] for key in given.keys() - own.keys()}
        if not own.keys() <= given.keys() or modules & left_over:
            given = dict(zip(own, given.values(), strict=False))
        if any(key not in given or given[key].shape != own[key].shape for key in own):
            raise UnreadableFileError(f"weights of another network: {path}")
        self.net.load_state_dict({key: given[key] for key in own}, strict=False)

    def fold_norm(self) -> None:
        """Merge each batch norm into the convolution that its module names right before it."""
        for module in list(self.net.modules()):
            children = list(module.named_children())
            for (conv_name, conv), (norm_name, norm) in pairwise(children):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    folded = fuse_conv_bn_eval(conv.eval(), norm.eval())
                    setattr(module, conv_name, folded.requires_grad_())
                    setattr(module, norm_name, getattr(norm, "act", nn.Identity()))


class _ResNetFeatures(nn.Module):
    """The convolutional part of a torchvision ResNet, under its own names."""

    def __init__(self, name: str) -> None:
        super().__init__()
        from torchvision.models import get_model  # noqa: PLC0415 - costs seconds

        net = get_model(name)
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2 = net.layer1, net.layer2
        self.layer3, self.layer4 = net.layer3, net.layer4
        self.channels = [net.fc.in_features // 2**k for k in (3, 2, 1, 0)]

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        features = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


def _movenet(_: str) -> tuple[nn.Module, list[int], Any]:
    net = MoveNetFeatures()
    return net, net.channels, ((0.5,) * 3, (0.5,) * 3)


def _resnet(name: str) -> tuple[nn.Module, list[int], Any]:
    net = _ResNetFeatures(name)
    return net, net.channels, (IMAGE_MEAN, IMAGE_STD)


def _timm(name: str) -> tuple[nn.Module, list[int], Any]:
    import timm  # noqa: PLC0415 - imports torchvision

    if not timm.is_model(name):
        close = timm.list_models(f"*{name}*")[:3]
        hint = (
            f"Did you mean {', '.join(close)}?" if close else "Run timm.list_models() for names."
        )
        raise ConfigError(f"unknown backbone: {name}", hint=hint)
    # HRNet's own branches; what timm gives without asking was widened for classification.
    options: Any = {"feature_location": ""} if name.startswith("hrnet") else {}
    try:
        whole = timm.create_model(name, features_only=True, **options)
    except (RuntimeError, AttributeError) as error:
        raise ConfigError(f"backbone has no feature maps: {name}") from error
    reductions = _feature_info(whole).reduction()
    if not set(STRIDES) <= set(reductions):
        raise ConfigError(f"backbone has no features at strides 4, 8, 16 and 32: {name}")
    picked = [reductions.index(stride) for stride in STRIDES]
    net = timm.create_model(name, features_only=True, out_indices=picked, **options)
    config: Any = timm.get_pretrained_cfg(name)
    return net, _feature_info(net).channels(), (config.mean, config.std)


def _feature_info(net: nn.Module) -> Any:
    return net.feature_info


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Weights by name: a ``.safetensors`` file, what ``torch.save`` wrote, or an ONNX file's.

    Raises:
        UnreadableFileError: It holds something else.
    """
    try:
        if path.suffix == ".onnx":
            return read_convolutions(path)
        if path.suffix == ".safetensors":
            return load_file(path)
        return cast("dict[str, Tensor]", torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch and safetensors raise many kinds on damaged bytes
        raise UnreadableFileError(f"not a weights file: {path}") from error
