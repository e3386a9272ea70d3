"""What a network is made of; stored in the header of every weights file."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

STRIDES = (4, 8, 16, 32)
"""Pixels of the picture per pixel of each of the backbone's features, the finest first."""

MOST_PIXELS, MOST_CHANNELS = 1024, 8192
"""More than any useful network has: files of strangers say these numbers too."""


class ModelConfig(BaseModel):
    """Shape of a network."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    backbone: str = "resnet50"
    """`resnet18`, `resnet34`, `resnet50` (torchvision) or the name of a timm network."""

    head: Literal["part-attention", "baseline", "pare"] = "part-attention"
    """Part attention over two branches, perceptrons on pooled features, or PARE as published."""

    input_size: int = Field(default=224, ge=64, le=MOST_PIXELS, multiple_of=32)
    """Side of the square input, pixels."""

    channels: int = Field(default=256, ge=8, le=MOST_CHANNELS)
    """Channels of each branch."""

    upsamplings: int = Field(default=3, ge=0, le=4)
    """Doublings of the resolution in each branch."""

    upsample_mode: Literal["nearest", "bilinear", "transposed"] = "bilinear"
    """How a branch doubles its resolution; a transposed convolution also does the 3x3's work."""

    laterals: bool = False
    """Whether each doubling adds the backbone's features of the same resolution."""

    hidden: int = Field(default=256, ge=8, le=MOST_CHANNELS)
    """Width of the hidden layer of every output perceptron."""

    joint_perceptrons: bool = True
    """Whether every joint has a perceptron of its own for its pose, or one does all joints."""

    context: int = Field(default=0, ge=0, le=MOST_CHANNELS)
    """Features of the whole person that every joint sees beside its own; 0 for none."""

    keypoints: int = Field(default=0, ge=0, le=MOST_CHANNELS)
    """Width of the encoder of 2D keypoints; 0 for a network that looks at the image only."""

    finds_keypoints: bool = False
    """Whether the network looks for keypoints itself, and takes them where it is told none."""

    fold_norm: bool = False
    """Whether the backbone's batch norms are folded into its convolutions, before training."""

    @property
    def part_size(self) -> int:
        """Side of the part maps that the network makes, pixels."""
        if self.head == "pare":
            return self.input_size // STRIDES[0]
        return self.input_size // STRIDES[-1] << self.upsamplings

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.laterals and self.upsample_mode == "transposed":
            raise ValueError("laterals need upsample_mode nearest or bilinear")
        if self.head == "pare" and (self.keypoints or self.context or self.laterals):
            raise ValueError("head pare takes no keypoints, context or laterals")
        if self.finds_keypoints and not (self.keypoints and self.head == "part-attention"):
            raise ValueError("finds_keypoints needs keypoints and head part-attention")
        return self
