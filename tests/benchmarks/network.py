"""The forward pass of a network beside its bare backbone classifying pictures of the same size."""

import functools
from collections.abc import Iterator

import timm
import torch

from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from tests.benchmarks.duel import Duel


def duels() -> Iterator[Duel]:
    """The default network with random weights, one picture and a batch."""
    config = ModelConfig()
    network = build_network(config).eval()
    backbone = timm.create_model(config.backbone).eval().to(memory_format=torch.channels_last)
    for batch in (1, 8):
        image = torch.rand(batch, 3, config.input_size, config.input_size)
        image = image.to(memory_format=torch.channels_last)
        yield Duel(
            f"network on {config.backbone}, {config.input_size} px, batch {batch}",
            torch.inference_mode()(functools.partial(network, image)),
            f"timm {config.backbone}",
            torch.inference_mode()(functools.partial(backbone, image)),
        )
