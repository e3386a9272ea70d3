"""What a network is made of; stored in the header of every weights file."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ModelConfig(BaseModel):
    """Shape of a network."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    backbone: str = "resnet50"
    """`resnet18`, `resnet34`, `resnet50` (torchvision) or the name of a timm network."""

    head: Literal["part-attention", "baseline"] = "part-attention"
    """Part attention over two branches, or perceptrons on pooled features."""

    input_size: int = Field(default=224, ge=64, multiple_of=32)
    """Side of the square input, pixels."""

    channels: int = Field(default=256, ge=8)
    """Channels of each branch."""

    upsamplings: int = Field(default=3, ge=0, le=4)
    """Doublings of the resolution in each branch."""

    upsample_mode: Literal["nearest", "bilinear"] = "bilinear"
    """How a branch doubles its resolution."""

    laterals: bool = False
    """Whether each doubling adds the backbone's features of the same resolution."""

    hidden: int = Field(default=256, ge=8)
    """Width of the hidden layer of every output perceptron."""

    context: int = Field(default=0, ge=0)
    """Features of the whole person that every joint sees beside its own; 0 for none."""

    keypoints: int = Field(default=0, ge=0)
    """Width of the encoder of 2D keypoints; 0 for a network that looks at the image only."""

    fold_norm: bool = False
    """Whether the backbone's batch norms are folded into its convolutions, before training."""
