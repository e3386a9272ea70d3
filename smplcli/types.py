"""Values that modules hand to each other."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # torch takes seconds to import, and most of what uses these types needs none
    from torch import Tensor

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Pixels = NDArray[np.uint8]


class Camera(NamedTuple):
    """Pinhole cameras of full images."""

    focal_length: "Tensor"
    """(B,) pixels."""

    principal_point: "Tensor"
    """(B, 2) x, y, pixels."""

    image_size: "Tensor"
    """(B, 2) width, height, pixels."""


class Crop(NamedTuple):
    """Square regions of full images, padding included."""

    bbox_center: "Tensor"
    """(B, 2) x, y, full-image pixels."""

    bbox_size: "Tensor"
    """(B,) side, full-image pixels."""
