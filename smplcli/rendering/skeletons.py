"""Skeletons drawn over a photo."""

from functools import partial

import cv2
import numpy as np

from smplcli.conventions import SMPL_PARENTS
from smplcli.rendering.rasteriser import NEAR
from smplcli.rendering.views import Draw, Lens
from smplcli.types import Floats, Pixels

BONE_SHARE = 0.006
"""Width of a bone over the picture's longer side, at most."""

PERSON_SHARE = 0.02
"""Width of a bone over the person's height or width in the picture, at most."""

OUTLINE = (40, 40, 40)
SUBPIXEL_BITS = 4
MAX_COORDINATE = 1 << 20
"""Pixels from which on a point is nowhere near the picture."""


def skeleton_drawer(colours: Pixels) -> Draw:
    """What draws skeletons (P, 24, 3) in colours (P, 3) RGB for `views.add_views`."""
    return partial(draw_skeletons, colours=colours)


def draw_skeletons(image: Pixels, joints: Floats, lens: Lens, *, colours: Pixels) -> Pixels:
    """Draw the bones of people over a picture, the nearer over the farther.

    Args:
        image: (H, W, 3), RGB.
        joints: (P, 24, 3) SMPL's joints, metres, axes of the camera. Bones that are not wholly in
            front of it are left out.
        lens: Of the camera.
        colours: (P, 3) RGB.

    Returns:
        A new picture of the same size.
    """
    drawn = image.copy()
    widest = BONE_SHARE * max(image.shape[:2])
    depth = joints[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = lens.focal_length * joints[..., :2] / depth[..., None] + lens.principal_point
        is_shown = (depth > NEAR) & (np.abs(pixels) < MAX_COORDINATE).all(axis=-1)
    for person in np.argsort(-depth.mean(axis=1)).tolist():
        colour = tuple(int(value) for value in colours[person])
        bones = [
            (pixels[person, parent], pixels[person, joint])
            for joint, parent in enumerate(SMPL_PARENTS)
            if parent >= 0 and is_shown[person, [joint, parent]].all()
        ]
        extent = np.ptp(np.array(bones), axis=(0, 1)).max() if bones else 0.0
        width = max(1, round(min(widest, PERSON_SHARE * float(extent))))
        for ink, extra in ((OUTLINE, 2), (colour, 0)):
            for start, end in bones:
                _line(drawn, start, end, ink, width + extra)
    return drawn


def _line(picture: Pixels, start: Floats, end: Floats, ink: tuple[int, ...], width: int) -> None:
    first, last = (
        tuple(int(x) for x in np.rint(point * (1 << SUBPIXEL_BITS))) for point in (start, end)
    )
    cv2.line(picture, first, last, ink, width, cv2.LINE_AA, SUBPIXEL_BITS)
