"""Training samples: a crop as the network will see it, with every label in the crop's frame.

An augmented crop is an exact picture of an exact scene: turning a picture is turning the camera
about its axis, mirroring it mirrors the person, shifting and scaling move the principal point and
the focal length. So the labels that leave here belong to a pinhole camera of the crop, and no
approximation is made.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.utils.data import Dataset

from smplcli.conventions import COCO17_MIRROR, SCALE_PIXELS, SMPL_MIRROR
from smplcli.crops import (
    affine_scale,
    compose_affine,
    crop_matrix,
    extract_planes,
    invert_affine,
    transform_points,
)
from smplcli.datasets.augmentation import (
    WITHHELD,
    AugmentationConfig,
    Plan,
    disturb_picture,
    draw_plan,
)
from smplcli.datasets.cutouts import Cutouts
from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.jpeg_pieces import Window
from smplcli.datasets.keypoint_noise import corrupt_keypoints
from smplcli.datasets.schema import UNKNOWN_PART
from smplcli.datasets.shards import PreparedSample, PreparedSplit
from smplcli.models.preprocess import crop_to_unit
from smplcli.types import Floats, Pixels


class Sample(NamedTuple):
    """One person; absent labels are zeros with zero weight."""

    image: Tensor
    """(3, S, S) uint8 RGB."""

    keypoints: Tensor
    """(17, 3) input: x, y in -1..1 of the crop, and confidence."""

    gt_keypoints2d: Tensor
    """(17, 3) label: x, y in -1..1 of the crop, and 1 where known."""

    full_pose: Tensor
    """(24, 3, 3) rotation matrices."""

    betas: Tensor
    """(10,), standard deviations."""

    has_smpl: Tensor
    """1 where pose and betas are known."""

    focal_length: Tensor
    """Of the crop's camera, crop pixels."""

    principal_point: Tensor
    """(2,) of the crop's camera, crop pixels."""

    part_map: Tensor
    """(P, P) int64 part labels; -1 where unknown."""

    row: Tensor
    """Place in the split."""


class SampleSet(Dataset[Sample]):
    """Samples of a split. A key is (epoch, index): the same key gives the same sample."""

    def __init__(
        self,
        split: PreparedSplit | JoinedSplits,
        *,
        size: int,
        part_size: int,
        augmentation: AugmentationConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.split = split
        self.size = size
        self.part_size = part_size
        self.augmentation = augmentation
        self.seed = seed
        folder = augmentation.occluder_dir if augmentation else None
        ends = (-1.0, float(size))
        self._corners = np.array([[x, y] for x in ends for y in ends])
        self._cutouts = Cutouts(split, seed=seed, folder=folder)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        rng = np.random.Generator(np.random.Philox(key=[self.seed, (epoch << 32) + index]))
        split, row = self.split, index
        if isinstance(split, JoinedSplits):
            split, row = split.find(index)
        stored = split.labels(row)
        plan = draw_plan(stored.center, stored.scale * SCALE_PIXELS, self.augmentation, rng)
        matrix = crop_matrix(
            plan.center, plan.size, self.size, rotation=plan.rotation, mirror=plan.mirror
        )
        to_image = stored.crop_to_image.astype(np.float64)
        stored_to_crop = compose_affine(matrix, to_image)
        image = self._cut_out(split, row, stored_to_crop)
        exact = _move_keypoints(matrix, stored.keypoints, plan.mirror)
        if self.augmentation is not None:
            image = disturb_picture(image, exact, self._cutouts, self.augmentation, rng)
        seen = self._input_keypoints(stored.detected, exact, matrix, plan, rng)
        keypoints = crop_to_unit(np.stack([seen, exact]), self.size)
        full_pose = torch.from_numpy(_turn_pose(stored.pose, plan))
        camera = stored.cam_int.astype(np.float64)
        return Sample(
            image=torch.from_numpy(image),
            keypoints=torch.from_numpy(keypoints[0]),
            gt_keypoints2d=torch.from_numpy(keypoints[1]),
            full_pose=full_pose,
            betas=torch.from_numpy(stored.shape).float(),
            has_smpl=torch.tensor(float(stored.has_smpl)),
            focal_length=torch.tensor(camera[0, 0] * self.size / plan.size).float(),
            principal_point=torch.from_numpy(
                transform_points(matrix, camera[None, :2, 2])[0]
            ).float(),
            part_map=self._part_map(split, stored, stored_to_crop, plan.mirror),
            row=torch.tensor(index),
        )

    def _cut_out(self, split: PreparedSplit, row: int, stored_to_crop: Floats) -> Pixels:
        """The sample's picture; only the part of the stored crop that it shows is decoded."""
        seen = transform_points(invert_affine(stored_to_crop), self._corners)
        margin = 2 + 1 / affine_scale(stored_to_crop)
        last = split.crop_size - 1
        low = (seen.min(axis=0) - margin).clip(0, last).astype(int).tolist()
        high = (seen.max(axis=0) + margin + 1).clip(1, last + 1).astype(int).tolist()
        window = Window(low[0], low[1], max(high[0], low[0] + 1), max(high[1], low[1] + 1))
        part, (left, top) = split.crop_window(row, window)
        part_to_stored = np.array([[1.0, 0, left], [0, 1, top]])
        return extract_planes(part, compose_affine(stored_to_crop, part_to_stored), self.size)

    def _input_keypoints(
        self,
        detected: Floats,
        exact: Floats,
        matrix: Floats,
        plan: Plan,
        rng: np.random.Generator,
    ) -> Floats:
        """What the network is told (17, 3): the detector's findings, or made-up ones."""
        found = _move_keypoints(matrix, detected, plan.mirror)
        if self.augmentation is not None:
            use_made_up = rng.random() >= self.augmentation.detected
            if use_made_up or not found[:, 2].any():
                found = corrupt_keypoints(exact[None], rng)[0]
            if self.augmentation.withheld and rng.random() < self.augmentation.withheld:
                found[rng.random(len(found)) < WITHHELD, 2] = 0
        if plan.truncated:  # a detector would not have seen what is cut off
            beyond = ((found[:, :2] < 0) | (found[:, :2] > self.size - 1)).any(axis=1)
            found[beyond, 2] = 0
        return found

    def _part_map(
        self,
        split: PreparedSplit,
        stored: PreparedSample,
        stored_to_crop: Floats,
        mirror: bool,  # noqa: FBT001 - private
    ) -> Tensor:
        """Labels of the augmented crop, read from the stored crop's at the nearest pixel."""
        shape = (self.part_size, self.part_size)
        if stored.part_map[0, 0] == UNKNOWN_PART:
            return torch.full(shape, -1)
        # Both maps are small pictures of crops: their pixels are blocks of crop pixels.
        coarse = _block_matrix(self.size / self.part_size)
        crop_to_stored = compose_affine(invert_affine(stored_to_crop), coarse)
        labels = cv2.warpAffine(
            stored.part_map,
            compose_affine(_stored_to_map(split, len(stored.part_map)), crop_to_stored),
            shape,
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderValue=_around(split, stored.part_map),
        ).astype(np.int64)
        known = labels != UNKNOWN_PART
        parts = PART_MIRROR[labels * known] if mirror else labels
        return torch.from_numpy(np.where(known, parts, -1))


MIRROR_SIGNS = np.outer([-1, 1, 1], [-1, 1, 1]).astype(np.float32)
"""Of the elements of a rotation matrix when x becomes -x."""

PART_MIRROR = np.array([0, *(joint + 1 for joint in SMPL_MIRROR)])


def _move_keypoints(matrix: Floats, keypoints: Floats, mirror: bool) -> Floats:  # noqa: FBT001
    """Keypoints (17, 3) of the image in crop pixels, left and right swapped when mirrored."""
    points = transform_points(matrix, keypoints[:, :2].astype(np.float64))
    moved = np.concatenate([points, keypoints[:, 2:]], axis=1).astype(np.float32)
    return moved[list(COCO17_MIRROR)] if mirror else moved


def _turn_pose(pose: Floats, plan: Plan) -> Floats:
    """Rotation matrices (24, 3, 3) of an axis-angle pose (72,) in the crop's camera."""
    # scipy's rotations take a tenth of the time of a dozen small tensor operations.
    rotmat = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().astype(np.float32)
    cosine, sine = np.cos(plan.rotation), np.sin(plan.rotation)
    rotmat[0] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ rotmat[0]
    if plan.mirror:
        rotmat = MIRROR_SIGNS * rotmat[list(SMPL_MIRROR)]
    return np.asarray(rotmat)


def _stored_to_map(split: PreparedSplit, map_size: int) -> Floats:
    """Affine map from pixels of the stored crop to those of its part map."""
    side = split.crop_size * split.part_share
    start = (split.crop_size - side) / 2
    return invert_affine(_block_matrix(side / map_size) + [[0, 0, start], [0, 0, start]])


def _around(split: PreparedSplit, part_map: Pixels) -> int:
    """What is around a part map that does not cover the crop: unknown if a body goes on."""
    edges = (part_map[0], part_map[-1], part_map[:, 0], part_map[:, -1])
    goes_on = split.part_share < 1 and any(edge.any() for edge in edges)
    return UNKNOWN_PART if goes_on else 0


def _block_matrix(side: float) -> Floats:
    """Affine map from the pixels of a reduced picture to the full one's, ``side`` wide each."""
    return np.array([[side, 0, (side - 1) / 2], [0, side, (side - 1) / 2]])
