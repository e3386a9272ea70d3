"""Labels of joints from one named order to another."""

from collections.abc import Sequence

import numpy as np

from smplcli.types import Floats


def reorder_joints(labels: Floats, source: Sequence[str], target: Sequence[str]) -> Floats:
    """Labels of joints in another order, zeros for those that the source does not have.

    Args:
        labels: (J, C), one row per name in ``source``.
        source: J names.
        target: K names.

    Returns:
        (K, C) float32.
    """
    rows = {name: row for row, name in enumerate(source)}
    result = np.zeros((len(target), labels.shape[1]), np.float32)
    for place, name in enumerate(target):
        if name in rows:
            result[place] = labels[rows[name]]
    return result
