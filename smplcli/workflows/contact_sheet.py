"""Crops of a prepared data set on one picture, with their labels drawn over them."""

from collections.abc import Mapping
from math import ceil, sqrt
from pathlib import Path

import cv2
import numpy as np
import torch

from smplcli.body.layer import BodyLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import COCO17_EDGES, COCO17_JOINTS, NUM_JOINTS, SCALE_PIXELS
from smplcli.crops import (
    compose_affine,
    crop_matrix,
    extract_crop,
    transform_points,
)
from smplcli.datasets.shards import PreparedSample, open_prepared, prepared_splits
from smplcli.images import write_image
from smplcli.rendering.overlay import draw_people
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Floats, Pixels
from smplcli.workflows.sources import find_bodies

MAX_CELLS = 64
CELL = 256
"""Side of a crop on the sheet, pixels."""

CONTEXT = 1.5
"""Side of what is shown over that of the person's square; crops hold more."""

LINE = 13
"""Height of a line of text, pixels."""

BODY_OPACITY = 0.6
SQUARE = (255, 255, 255)
SIDES = {"left": (80, 220, 255), "right": (255, 130, 60)}
"""RGB of keypoints by the person's side."""

MIDDLE = (90, 255, 90)


def draw_contact_sheet(
    data: Path, file: Path, *, body: Path | None = None, overwrite: bool = False
) -> None:
    """Draw crops evenly taken from all splits: person's square, keypoints and projected body.

    What is the person's left is blue, what is right orange.

    Args:
        data: Prepared data set.
        file: Picture to write, ``.jpg`` or ``.png``.
        body: SMPL file, or folder with one per gender; the demo body without one.
        overwrite: Replace a picture that is there.

    Raises:
        MissingFileError: There is no prepared data set, or no body.
        UnreadableFileError: A shard or the body is damaged.
        OutputExistsError: ``file`` exists and ``overwrite`` is false.
    """
    bodies = find_bodies(body)
    splits = [open_prepared(data, name) for name in prepared_splits(data)]
    places = [(split, row) for split in splits for row in range(len(split))]
    chosen = np.linspace(0, len(places) - 1, min(len(places), MAX_CELLS)).round().astype(int)
    columns = max(1, ceil(sqrt(len(chosen))))
    rows = max(1, ceil(len(chosen) / columns))
    sheet = np.zeros((rows * CELL, columns * CELL, 3), np.uint8)
    for cell, place in enumerate(chosen):
        split, row = places[place]
        top, left = (CELL * number for number in divmod(cell, columns))
        sheet[top : top + CELL, left : left + CELL] = _draw_cell(split[row], split.name, bodies)
    write_image(file, sheet, overwrite=overwrite)


def _draw_cell(sample: PreparedSample, split: str, bodies: Mapping[str, BodyModel]) -> Pixels:
    side = sample.scale * SCALE_PIXELS
    image_to_cell = crop_matrix(sample.center.astype(np.float64), CONTEXT * side, CELL)
    stored_to_cell = compose_affine(image_to_cell, sample.crop_to_image.astype(np.float64))
    cell = extract_crop(sample.image, stored_to_cell, CELL)
    if sample.has_smpl and sample.transl[2] > 0 and sample.gender in bodies:
        cell = _draw_body(cell, sample, bodies[sample.gender], image_to_cell)
    _draw_square(cell, sample, image_to_cell)
    _draw_keypoints(cell, sample.keypoints, image_to_cell)
    for line, text in enumerate((f"{split} {sample.person_id} {sample.gender}", sample.imgname)):
        _write(cell, text[-40:], line)
    return cell


@torch.inference_mode()
def _draw_body(
    cell: Pixels, sample: PreparedSample, body: BodyModel, image_to_cell: Floats
) -> Pixels:
    pose = torch.from_numpy(sample.pose).view(1, NUM_JOINTS, 3)
    posed = BodyLayer(body)(aa_to_rotmat(pose), torch.from_numpy(sample.shape)[None])
    placed = posed.vertices.numpy() + sample.transl
    camera = sample.cam_int.astype(np.float64)
    # One focal length draws both axes once the vertical one is stretched by their ratio.
    placed[..., 1] *= camera[1, 1] / camera[0, 0]
    drawn = draw_people(
        cell,
        placed,
        body.faces,
        focal_length=float(camera[0, 0] * image_to_cell[0, 0]),
        principal_point=transform_points(image_to_cell, camera[None, :2, 2])[0],
    )
    return np.asarray(cv2.addWeighted(drawn, BODY_OPACITY, cell, 1 - BODY_OPACITY, 0), np.uint8)


def _draw_square(cell: Pixels, sample: PreparedSample, image_to_cell: Floats) -> None:
    half = sample.scale * SCALE_PIXELS / 2
    low, high = transform_points(
        image_to_cell, np.stack([sample.center - half, sample.center + half]).astype(np.float64)
    ).round()
    corners = [(int(x), int(y)) for x, y in (low, high)]
    cv2.rectangle(cell, corners[0], corners[1], SQUARE, 1)


def _draw_keypoints(cell: Pixels, keypoints: Floats, image_to_cell: Floats) -> None:
    points = transform_points(image_to_cell, keypoints[:, :2].astype(np.float64)).round()
    places = [(int(x), int(y)) for x, y in np.clip(points, -CELL, 2 * CELL)]
    known = keypoints[:, 2] > 0
    colours = [SIDES.get(name.split("_")[0], MIDDLE) for name in COCO17_JOINTS]
    for first, second in COCO17_EDGES:
        if known[first] and known[second]:
            cv2.line(cell, places[first], places[second], colours[second], 1, cv2.LINE_AA)
    for place, colour, is_known in zip(places, colours, known, strict=True):
        if is_known:
            cv2.circle(cell, place, 3, colour, -1, cv2.LINE_AA)


def _write(cell: Pixels, text: str, line: int) -> None:
    top = LINE * line
    cell[top : top + LINE] //= 3
    place = (3, top + LINE - 4)
    cv2.putText(cell, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, SQUARE, 1, cv2.LINE_AA)
