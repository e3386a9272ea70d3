"""Where a film cuts from one shot to the next, by its pictures alone."""

import cv2
import numpy as np

from smplcli.types import Floats, Pixels

THUMBNAIL = (32, 24)
"""Width, height: too small for what moves in front of a camera to matter much."""

BINS = 6
MIN_CHANGE = 0.08
"""Mean change of a thumbnail's pixels, 0..1, below which nothing has been cut."""

MIN_NEW_COLOURS = 0.08
"""Share of the picture whose colours were not there before, likewise."""

JUMP = 5.0
"""How much more a cut changes than the usual change from frame to frame."""

USUAL_SHARE = 0.2
"""Weight of the newest change in the usual one."""


class CutFinder:
    """Sees the pictures of a sequence one after the other and tells where a new shot begins."""

    def __init__(self) -> None:
        self._last: tuple[Floats, Floats] | None = None
        self._usual = 0.0

    def is_cut(self, picture: Pixels) -> bool:
        """Whether a picture, (H, W, 3) RGB, begins another shot than the one before showed."""
        small = cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA)
        thumbnail = np.asarray(small, np.float32) / 255
        colours = _histogram(thumbnail)
        last, self._last = self._last, (thumbnail, colours)
        if last is None:
            return False
        change = float(np.abs(thumbnail - last[0]).mean())
        new_colours = float(np.abs(colours - last[1]).sum() / 2)
        is_cut = change > max(MIN_CHANGE, JUMP * self._usual) and new_colours > MIN_NEW_COLOURS
        if not is_cut:
            self._usual += USUAL_SHARE * (change - self._usual)
        return is_cut


def _histogram(thumbnail: Floats) -> Floats:
    """Shares of coarse colours, (BINS ** 3,)."""
    levels = np.minimum((thumbnail * BINS).astype(np.int64), BINS - 1).reshape(-1, 3)
    index = levels @ np.array([BINS * BINS, BINS, 1])
    return np.bincount(index, minlength=BINS**3) / len(index)
