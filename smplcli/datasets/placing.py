"""Where the bodies of people stand whose labels have a pose but no place in the picture.

SPIN's files, and the course data of ETH, hold pose, shape and the person's square. Part maps and
pictures of labels need to know where the body is: its keypoints are where they are labelled, or,
where none are, in the square, which was drawn around keypoints in the first place.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from smplcli.body.joint_sets import joint_set
from smplcli.body.layer import JointsLayer
from smplcli.body.model import BodyModel
from smplcli.camera import MIN_DEPTH, project_points, solve_translation
from smplcli.conventions import BOX_PADDING, NUM_JOINTS, SCALE_PIXELS
from smplcli.datasets.shards import PreparedSample
from smplcli.errors import ConfigError
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Camera, Floats

ENOUGH = 6
"""Keypoints that place a body better than its square does."""

CLOSE = 0.1
"""Share of the square that keypoints may be from the body's own; others are not of this body."""

ROUNDS = 20
"""Steps towards the square; each leaves less than a tenth of what is wrong, except where joints
cross the border of the picture meanwhile."""

FARTHEST = 1000.0
"""Metres."""


class BodyPlacer:
    """Finds translations.

    Args:
        bodies: By ``n``, ``m`` or ``f``.
    """

    def __init__(self, bodies: Mapping[str, BodyModel]) -> None:
        self._bodies = bodies
        self._layers: dict[int, JointsLayer | None] = {}

    @torch.inference_mode()
    def place(self, samples: Sequence[PreparedSample]) -> list[PreparedSample]:
        """The samples, with ``transl`` for those who have a body but no place."""
        placed = list(samples)
        rows = defaultdict[str, list[int]](list)
        for row, sample in enumerate(samples):
            if sample.has_smpl and not sample.transl.any() and sample.gender in self._bodies:
                rows[sample.gender].append(row)
        for gender, some in rows.items():
            layer = self._layer(self._bodies[gender])
            if layer is None:
                continue
            found = _locate(layer, [samples[row] for row in some]).numpy()
            for row, transl in zip(some, found, strict=True):
                if np.isfinite(transl).all():
                    placed[row] = samples[row]._replace(transl=transl)
        return placed

    def _layer(self, body: BodyModel) -> JointsLayer | None:
        """The joints of a body; ``None`` where it does not tell nose, eyes and ears."""
        if id(body) not in self._layers:
            try:
                self._layers[id(body)] = JointsLayer(body, [joint_set(body, "coco17")])
            except ConfigError:
                self._layers[id(body)] = None
        return self._layers[id(body)]


def _locate(layer: JointsLayer, samples: Sequence[PreparedSample]) -> Tensor:
    """Translations (N, 3), NaN where none was found."""
    pose = _tensor([sample.pose for sample in samples]).view(-1, NUM_JOINTS, 3)
    shape = _tensor([sample.shape for sample in samples])
    joints = layer(aa_to_rotmat(pose), shape)[:, NUM_JOINTS:]
    matrix = _tensor([sample.cam_int for sample in samples])
    size = _tensor([sample.image_size for sample in samples])
    camera = Camera((matrix[:, 0, 0] + matrix[:, 1, 1]) / 2, matrix[:, :2, 2], size)
    side = _tensor([SCALE_PIXELS * sample.scale for sample in samples])
    keypoints = _tensor([sample.keypoints for sample in samples])
    by_points, residual = solve_translation(joints, keypoints, camera)
    is_close = (keypoints[..., 2] > 0).sum(1).ge(ENOUGH) & (residual < CLOSE * side)
    center = _tensor([sample.center for sample in samples])
    by_square = _into_squares(joints, center, side / BOX_PADDING, camera)
    return torch.where(is_close[:, None], by_points, by_square)


def _into_squares(joints: Tensor, center: Tensor, side: Tensor, camera: Camera) -> Tensor:
    """Translations (N, 3) by which the boxes of joints get these centres and longer sides.

    Squares are drawn around keypoints that were found, and none is found outside the picture.
    """
    low, high = joints.amin(1), joints.amax(1)
    middle = (low + high) / 2
    distance = camera.focal_length * (high - low)[:, :2].amax(1) / side
    ray = (center - camera.principal_point) / camera.focal_length[:, None]
    transl = torch.cat([ray * distance[:, None], distance[:, None]], 1) - middle
    for _ in range(ROUNDS):
        found_center, found_side = _visible_box(joints, transl, camera)
        place = transl + middle
        distance = (place[:, 2] * found_side / side).clamp(MIN_DEPTH, FARTHEST)
        step = (center - found_center) / camera.focal_length[:, None] * distance[:, None]
        across = place[:, :2] * (distance / place[:, 2])[:, None] + step
        transl = torch.cat([across, distance[:, None]], dim=1) - middle
    found_center, found_side = _visible_box(joints, transl, camera)
    off = torch.cat([found_center - center, (found_side - side)[:, None]], dim=1).abs().amax(1)
    is_found = (off < CLOSE * side) & (transl[:, 2] + joints[..., 2].amin(1) > MIN_DEPTH)
    return torch.where(is_found[:, None], transl, torch.nan)


def _visible_box(joints: Tensor, transl: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Centres (N, 2) and longer sides (N,) of boxes around joints in the picture, pixels."""
    seen = project_points(joints, transl, camera)
    is_inside = ((seen > -0.5) & (seen < camera.image_size[:, None] - 0.5)).all(2)
    counts = is_inside | (is_inside.sum(1, keepdim=True) < ENOUGH)
    low = seen.masked_fill(~counts[..., None], torch.inf).amin(1)
    high = seen.masked_fill(~counts[..., None], -torch.inf).amax(1)
    return (low + high) / 2, (high - low).amax(1)


def _tensor(arrays: Sequence[Floats] | Sequence[float]) -> Tensor:
    return torch.from_numpy(np.asarray(arrays, np.float32))
