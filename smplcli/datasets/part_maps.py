"""Maps of body parts for part attention: the whole body of a person, whatever stands before it."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from smplcli.body.layer import BodyLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import NUM_JOINTS, SCALE_PIXELS
from smplcli.crops import crop_matrix
from smplcli.datasets.schema import PART_SIZE, UNKNOWN_PART
from smplcli.datasets.shards import PreparedSample
from smplcli.rendering.parts import part_labels
from smplcli.rendering.rasteriser import rasterise
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Floats, Pixels

PART_CONTEXT = 1.25
"""Side of a part map over that of the person's square. The square is 1.2 times as long as the box
of the keypoints, which end at wrists, ankles and eyes; with this, hands, feet and hair are in as
well, and 45 of the 56 pixels are left for the square itself."""

BATCH = 32
"""Bodies rendered at once."""


class PartPainter:
    """Renders part maps.

    Args:
        bodies: By ``n``, ``m`` or ``f``.
    """

    def __init__(self, bodies: Mapping[str, BodyModel]) -> None:
        self._bodies = bodies
        layers: dict[int, BodyLayer] = {}
        self._layers = {
            gender: layers.setdefault(id(body), BodyLayer(body)) for gender, body in bodies.items()
        }
        self._faces = {gender: torch.from_numpy(body.faces) for gender, body in bodies.items()}

    def paint(self, samples: Sequence[PreparedSample]) -> list[Pixels]:
        """Part maps (56, 56) of people; unknown where pose, place or body is not known."""
        maps = [np.full((PART_SIZE, PART_SIZE), UNKNOWN_PART, np.uint8) for _ in samples]
        for gender in self._bodies:
            rows = [
                row
                for row, sample in enumerate(samples)
                if sample.gender == gender and sample.has_smpl and sample.transl[2] > 0
            ]
            for first in range(0, len(rows), BATCH):
                some = rows[first : first + BATCH]
                painted = self._paint(gender, [samples[row] for row in some])
                for row, part_map in zip(some, painted, strict=True):
                    maps[row] = part_map
        return maps

    @torch.inference_mode()
    def _paint(self, gender: str, samples: Sequence[PreparedSample]) -> Pixels:
        pose = _tensor([sample.pose for sample in samples]).view(-1, NUM_JOINTS, 3)
        posed = self._layers[gender](
            aa_to_rotmat(pose), _tensor([sample.shape for sample in samples])
        )
        placed = posed.vertices + _tensor([sample.transl for sample in samples])[:, None]
        to_map = np.stack([_image_to_map(sample) for sample in samples])
        homogeneous = np.concatenate([to_map, np.tile([[[0.0, 0, 1]]], (len(samples), 1, 1))], 1)
        camera = homogeneous @ np.stack([sample.cam_int for sample in samples])
        seen = placed @ _tensor(camera).mT
        points = torch.cat([seen[..., :2] / seen[..., 2:], placed[..., 2:]], dim=-1)
        faces = self._faces[gender]
        fragments = rasterise(points, faces, (PART_SIZE, PART_SIZE))
        labels = part_labels(fragments, faces, self._bodies[gender].weights)
        return np.asarray(labels.numpy())


def _image_to_map(sample: PreparedSample) -> Floats:
    return crop_matrix(sample.center, PART_CONTEXT * sample.scale * SCALE_PIXELS, PART_SIZE)


def _tensor(arrays: Sequence[Floats] | Floats) -> Tensor:
    return torch.from_numpy(np.asarray(arrays, np.float32))
