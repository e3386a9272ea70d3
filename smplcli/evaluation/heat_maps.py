"""Values as colours, over pictures and in drawings."""

from collections.abc import Sequence

import cv2
import numpy as np

from smplcli.types import Floats, Pixels

HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""RGB from cold to hot, ever lighter (matplotlib's "inferno", CC0, at five places)."""

FAINT, STRONG = 0.2, 0.85
"""Opacity of the coldest and of the hottest colour over a picture."""

LABEL_HEIGHT = 24
"""Pixels above a panel for its name."""

GAP = 8
"""Pixels between panels."""

PAPER = 255


def heat_colours(values: Floats) -> Pixels:
    """Colours of values 0..1, cut off there: (...,) to (..., 3) RGB."""
    place = np.clip(values, 0, 1) * (len(HEAT) - 1)
    anchors = np.array(HEAT, dtype=np.float64).T
    channels = [np.interp(place, np.arange(len(HEAT)), channel) for channel in anchors]
    return np.asarray(np.stack(channels, axis=-1).round(), dtype=np.uint8)


def lay_over(picture: Pixels, values: Floats, *, centres: Floats | None = None) -> Pixels:
    """Lay a coarse map as heat over a picture, which loses its colours.

    Args:
        picture: (S, S, 3) RGB.
        values: (P, P), 0 cold to 1 hot.
        centres: (P,) pixels of the picture, along either axis, that the values belong to, evenly
            spaced; by default the centres of P blocks that fill the picture.

    Returns:
        (S, S, 3) RGB.
    """
    side, places = len(picture), len(values)
    if centres is None:
        centres = (np.arange(places) + 0.5) * side / places - 0.5
    step = float(centres[1] - centres[0]) if places > 1 else float(side)
    to_picture = np.array([[step, 0, centres[0]], [0, step, centres[0]]], dtype=np.float64)
    smooth = cv2.warpAffine(
        np.asarray(values, np.float32),
        to_picture,
        (side, side),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    heat: Floats = np.clip(smooth, 0.0, 1.0)
    opacity = (FAINT + (STRONG - FAINT) * heat)[..., None]
    grey = picture.astype(np.float32).mean(axis=-1, keepdims=True)
    mixed = grey * (1 - opacity) + heat_colours(heat).astype(np.float32) * opacity
    return np.asarray(mixed.round(), dtype=np.uint8)


def contact_sheet(panels: Sequence[tuple[str, Pixels]], *, columns: int) -> Pixels:
    """Pictures of one size in rows, each under its name in plain letters."""
    height, width = panels[0][1].shape[:2]
    cell = np.array([height + LABEL_HEIGHT + GAP, width + GAP])
    rows = -(-len(panels) // columns)
    sheet = np.full((rows * cell[0] + GAP, columns * cell[1] + GAP, 3), PAPER, np.uint8)
    for index, (name, picture) in enumerate(panels):
        top, left = (GAP + cell * divmod(index, columns)).tolist()
        place = (left, top + LABEL_HEIGHT - GAP)
        cv2.putText(
            sheet, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA
        )
        top += LABEL_HEIGHT
        sheet[top : top + height, left : left + width] = picture
    return sheet
