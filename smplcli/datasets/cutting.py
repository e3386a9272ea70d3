"""People cut out of the pictures of raw data, each with its labels."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from smplcli.camera import default_focal_length
from smplcli.conventions import (
    COCO17_JOINTS,
    NUM_BETAS,
    NUM_JOINTS,
    OPENPOSE25_JOINTS,
    SCALE_PIXELS,
    SPIN24_JOINTS,
)
from smplcli.crops import compose_affine, crop_matrix, extract_crop, invert_affine
from smplcli.datasets.annotations import Dropped, Person, Picture
from smplcli.datasets.joint_orders import reorder_joints
from smplcli.datasets.schema import PART_SIZE, UNKNOWN_PART
from smplcli.datasets.shards import UNTOLD, PreparedSample
from smplcli.images import ReducedImage
from smplcli.types import Floats

CUT_CONTEXT = 2.4
"""Side of a stored crop over that of the person's square.

A square turned by 45 degrees, enlarged by 1.4 and shifted by 0.2 of its side along both axes
reaches 0.2 + 0.7 * sqrt(2) = 1.19 sides from the centre, so 2.4 shows every sample that training
may ask for without a black corner. With 1.5 those samples miss 2.7 % of their pixels in the mean
and up to 20 %.
"""

CUT_SIZE = 256
"""Side of a stored crop, pixels, unless said otherwise: 107 of them are the person's square.

Measured on sharp photographs, for samples of 224 pixels: 256 is 23 to 29 dB from a sample cut from
the picture itself, 384, with 160 pixels of the square, 26 to 32 dB, and 512 28 to 35 dB. But 384
takes twice as many bytes and a fifth to a third longer to prepare and to read, as frames of 3DPW
are then decoded at half their size and not at a quarter. Who trains at 224 pixels may want it.
"""

SMALLEST_SQUARE = 2.0
"""Pixels; a smaller square shows nobody."""

SMALLEST_OVERLAP = 0.01
"""Share of the square, or of the picture if that is smaller, that the other must hold."""

NOT_FINITE = "labels not finite"
NO_SQUARE = "box without size"
OUTSIDE = "box outside the picture"


class CutOut(NamedTuple):
    """People of one picture."""

    samples: tuple[PreparedSample, ...]
    dropped: tuple[Dropped, ...]


def best_reduction(picture: Picture, crop_size: int) -> int:
    """By how much a picture may be reduced before its people are cut out: 1, 2 or 4."""
    sides = [person.scale * SCALE_PIXELS for person in picture.people]
    shrinks = min((CUT_CONTEXT * side / crop_size for side in sides if side > 0), default=1.0)
    return max(reduction for reduction in (1, 2, 4) if reduction <= max(shrinks, 1))


def cut_out(picture: Picture, image: ReducedImage, crop_size: int) -> CutOut:
    """Cut the people of a picture out of it.

    Args:
        picture: Who is in it.
        image: Its pixels.
        crop_size: Side of a crop, pixels.

    Returns:
        Samples with unknown part maps, and who was left out.
    """
    samples, dropped = [], []
    for person in picture.people:
        problem = find_problem(person, picture.cam_int, image.size)
        if problem is None:
            samples.append(_cut(picture, person, image, crop_size))
        else:
            who = picture.split, picture.imgname, person.person_id
            dropped.append(Dropped(*who, problem, is_failure=True))
    return CutOut(tuple(samples), tuple(dropped))


def find_problem(
    person: Person, cam_int: Floats | None, image_size: tuple[int, int] | None
) -> str | None:
    """What makes a person's labels unusable, in a few words; ``None`` if they are sound.

    Args:
        person: The labels.
        cam_int: The picture's intrinsics.
        image_size: Its width and height, pixels; not looked at without them.
    """
    if not all(np.isfinite(label).all() for label in _numbers(person, cam_int)):
        return NOT_FINITE
    side = person.scale * SCALE_PIXELS
    if side < SMALLEST_SQUARE:
        return NO_SQUARE
    if image_size is not None:
        low = np.maximum(person.center - side / 2, -0.5)
        high = np.minimum(person.center + side / 2, np.array(image_size) - 0.5)
        smaller = min(side**2, float(np.prod(image_size)))
        if np.maximum(high - low, 0).prod() < SMALLEST_OVERLAP * smaller:
            return OUTSIDE
    return None


def _numbers(person: Person, cam_int: Floats | None) -> Iterator[Floats]:
    yield from (person.center, np.array([person.scale, person.head_size]))
    yield from (person.part, person.openpose)
    optional = (person.pose, person.shape, person.transl, person.S, cam_int)
    yield from (label for label in optional if label is not None)


def _cut(picture: Picture, person: Person, image: ReducedImage, crop_size: int) -> PreparedSample:
    matrix = crop_matrix(person.center, CUT_CONTEXT * person.scale * SCALE_PIXELS, crop_size)
    crop = extract_crop(image.pixels, compose_affine(matrix, image.to_full), crop_size)
    return PreparedSample(
        imgname=picture.imgname,
        person_id=person.person_id,
        gender=person.gender,
        image_size=np.array(image.size),
        center=person.center,
        scale=person.scale,
        cam_int=assume_intrinsics(image.size) if picture.cam_int is None else picture.cam_int,
        has_smpl=int(person.pose is not None),
        pose=np.zeros(3 * NUM_JOINTS) if person.pose is None else person.pose,
        shape=np.zeros(NUM_BETAS) if person.shape is None else person.shape,
        transl=np.zeros(3) if person.transl is None else person.transl,
        part=person.part,
        S=np.zeros((len(SPIN24_JOINTS), 4)) if person.S is None else person.S,
        openpose=person.openpose,
        is_visible=UNTOLD if person.is_visible is None else person.is_visible,
        head_size=person.head_size,
        activity=person.activity,
        keypoints=_coco_keypoints(person, image.size),
        detected=np.zeros((len(COCO17_JOINTS), 3)),
        part_map=np.full((PART_SIZE, PART_SIZE), UNKNOWN_PART, np.uint8),
        crop_to_image=invert_affine(matrix),
        image=crop,
    )


def assume_intrinsics(image_size: tuple[int, int]) -> Floats:
    """(3, 3) of a picture whose camera nobody knows: its diagonal and its centre, pixels."""
    size = np.array(image_size, np.float64)
    focal_length = float(default_focal_length(torch.from_numpy(size)))
    matrix = np.diag([focal_length, focal_length, 1.0])
    matrix[:2, 2] = (size - 1) / 2
    return matrix


def _coco_keypoints(person: Person, image_size: tuple[int, int]) -> Floats:
    """COCO's keypoints (17, 3) that are labelled and inside the picture."""
    part = reorder_joints(person.part, SPIN24_JOINTS, COCO17_JOINTS)
    openpose = reorder_joints(person.openpose, OPENPOSE25_JOINTS, COCO17_JOINTS)
    keypoints = np.where(part[:, 2:] > 0, part, openpose)
    points = keypoints[:, :2]
    is_inside = ((points > -0.5) & (points < np.array(image_size) - 0.5)).all(axis=1)
    keypoints[:, 2] = np.clip(keypoints[:, 2], 0, 1) * is_inside
    return keypoints
