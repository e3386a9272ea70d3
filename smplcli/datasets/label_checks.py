"""What every label must be, and the words for what is wrong."""

import numpy as np

from smplcli.types import Floats

MAX_LABEL = 1e6
"""Larger numbers are no metres, radians or pixels of a photograph."""

NOT_NUMBERS = "labels are not finite numbers"
NO_BOX = "no box"
NO_PICTURE = "picture not found"
REFUSED = "file asks for more than data"
OUTSIDE = "picture outside its folder"


def is_sane(labels: Floats) -> np.ndarray:
    """Whether everything in each of N rows (N, ...) is a number that may be a label, (N,)."""
    return np.asarray((np.abs(labels) < MAX_LABEL).all(axis=tuple(range(1, labels.ndim))))
