"""Training samples: a crop as the network will see it, with every label in the crop's frame.

An augmented crop is an exact picture of an exact scene: turning a picture is turning the camera
about its axis, mirroring it mirrors the person, shifting and scaling move the principal point and
the focal length. So the labels that leave here belong to a pinhole camera of the crop, and no
approximation is made.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
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
from smplcli.datasets.keypoint_noise import Mistakes, draw_mistakes, make_mistakes
from smplcli.datasets.schema import UNKNOWN_PART
from smplcli.datasets.shards import PreparedSample, PreparedSplit
from smplcli.models.preprocess import crop_to_unit
from smplcli.types import Floats, Ints, Pixels

Key = tuple[int, int]
"""Epoch and index of a sample."""


class Sample(NamedTuple):
    """One person, or a batch (B, ...) of them; absent labels are zeros with zero weight."""

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


class _Drawn(NamedTuple):
    """One person of a batch, and what chance decided about the sample."""

    number: int
    """Place in all splits together."""

    split: PreparedSplit
    row: int
    """Place in this split."""

    stored: PreparedSample
    plan: Plan
    rng: np.random.Generator


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

    def __getitem__(self, keys: Key | list[Key]) -> Sample:
        """The sample of a key, or all samples of a list of keys as one batch."""
        if isinstance(keys, list):
            return self._read([self._draw(*key) for key in keys])
        return Sample(*(field[0] for field in self._read([self._draw(*keys)])))

    def _draw(self, epoch: int, index: int) -> _Drawn:
        split, row = self.split, index
        if isinstance(split, JoinedSplits):
            split, row = split.find(index)
        stored = split.labels(row)
        key = np.array([self.seed, (epoch << 32) + index], np.uint64)
        rng = np.random.Generator(np.random.Philox(key=key))
        plan = draw_plan(stored.center, stored.scale * SCALE_PIXELS, self.augmentation, rng)
        return _Drawn(index, split, row, stored, plan, rng)

    def _read(self, drawn: list[_Drawn]) -> Sample:
        """A batch. Numbers are worked out for all of it at once, which saves most of the time."""
        plans = [one.plan for one in drawn]
        matrix = np.stack(
            [
                crop_matrix(x.center, x.size, self.size, rotation=x.rotation, mirror=x.mirror)
                for x in plans
            ]
        )
        mirror = np.array([plan.mirror for plan in plans])
        stored_to_crop = compose_affine(matrix, _stack(drawn, "crop_to_image", np.float64))
        exact = _move_keypoints(matrix, _stack(drawn, "keypoints"), mirror)
        found = _move_keypoints(matrix, _stack(drawn, "detected"), mirror)
        pictures = self._pictures(drawn, stored_to_crop, exact)
        seen = self._input_keypoints(drawn, found, exact)
        unit = torch.from_numpy(crop_to_unit(np.stack([seen, exact]), self.size))
        camera = _stack(drawn, "cam_int", np.float64)
        focal = camera[:, 0, 0] * self.size / [plan.size for plan in plans]
        center = transform_points(matrix, camera[:, None, :2, 2])[:, 0]
        return Sample(
            image=torch.from_numpy(pictures),
            keypoints=unit[0],
            gt_keypoints2d=unit[1],
            full_pose=torch.from_numpy(_turn_poses(_stack(drawn, "pose"), plans, mirror)),
            betas=torch.from_numpy(_stack(drawn, "shape")),
            has_smpl=torch.from_numpy(_stack(drawn, "has_smpl")),
            focal_length=torch.from_numpy(focal).float(),
            principal_point=torch.from_numpy(center).float(),
            part_map=torch.from_numpy(self._part_maps(drawn, stored_to_crop, mirror)),
            row=torch.tensor([one.number for one in drawn]),
        )

    def _pictures(self, drawn: list[_Drawn], stored_to_crop: Floats, exact: Floats) -> Pixels:
        """Pictures (B, 3, S, S); only the parts of stored crops that they show are decoded."""
        seen = transform_points(invert_affine(stored_to_crop), self._corners)
        margin = 2 + 1 / affine_scale(stored_to_crop)[:, None]
        last = np.array([[one.split.crop_size - 1] for one in drawn])
        low = (seen.min(axis=1) - margin).clip(0, last).astype(int)
        high = (seen.max(axis=1) + margin + 1).clip(low + 1, last + 1).astype(int)
        pictures = np.empty((len(drawn), 3, self.size, self.size), np.uint8)
        for number, window in enumerate(np.concatenate([low, high], axis=1).tolist()):
            one = drawn[number]
            part, start = one.split.crop_window(one.row, Window(*window))
            matrix = stored_to_crop[number]
            matrix = np.column_stack([matrix[:, :2], matrix[:, :2] @ start + matrix[:, 2]])
            picture = extract_planes(part, matrix, self.size)
            if self.augmentation is not None:
                picture = disturb_picture(
                    picture, exact[number], self._cutouts, self.augmentation, one.rng
                )
            pictures[number] = picture
        return pictures

    def _input_keypoints(self, drawn: list[_Drawn], found: Floats, exact: Floats) -> Floats:
        """What the network is told (B, 17, 3): the detector's findings, or made-up ones."""
        if self.augmentation is None:
            return found
        seen, mistaken, mistakes = found.copy(), [], []
        untold = np.zeros(found.shape[:2], bool)
        for number, one in enumerate(drawn):
            use_made_up = one.rng.random() >= self.augmentation.detected
            if use_made_up or not found[number, :, 2].any():
                mistaken.append(number)
                mistakes.append(draw_mistakes(1, one.rng))
            if self.augmentation.withheld and one.rng.random() < self.augmentation.withheld:
                untold[number] = one.rng.random(found.shape[1]) < WITHHELD
        if mistaken:
            together = Mistakes(*map(np.concatenate, zip(*mistakes, strict=True)))
            seen[mistaken] = make_mistakes(exact[mistaken], together)
        beyond = ((seen[..., :2] < 0) | (seen[..., :2] > self.size - 1)).any(axis=2)
        # A detector would not have seen what is cut off.
        untold |= beyond & np.array([[one.plan.truncated] for one in drawn])
        seen[untold, 2] = 0
        return seen

    def _part_maps(
        self, drawn: list[_Drawn], stored_to_crop: Floats, mirror: NDArray[np.bool_]
    ) -> Ints:
        """Labels of augmented crops, read from those of stored crops at the nearest pixels."""
        # Both maps are small pictures of crops: their pixels are blocks of crop pixels.
        coarse = _block_matrix(self.size / self.part_size)
        crop_to_stored = compose_affine(invert_affine(stored_to_crop), coarse)
        labels = np.full((len(drawn), self.part_size, self.part_size), UNKNOWN_PART, np.uint8)
        for number, one in enumerate(drawn):
            stored = one.stored.part_map
            if stored[0, 0] == UNKNOWN_PART:
                continue
            to_map = _stored_to_map(one.split.crop_size, one.split.part_share, len(stored))
            cv2.warpAffine(
                stored,
                compose_affine(to_map, crop_to_stored[number]),
                labels.shape[1:],
                dst=labels[number],
                flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
                borderValue=_around(one.split, stored),
            )
        return np.asarray(PART_LABELS[mirror.astype(int)[:, None, None], labels])


MIRROR_SIGNS = np.outer([-1, 1, 1], [-1, 1, 1]).astype(np.float32)
"""Of the elements of a rotation matrix when x becomes -x."""

PART_MIRROR = np.array([0, *(joint + 1 for joint in SMPL_MIRROR)])


def _list_part_labels() -> Ints:
    """What to teach for each stored part, (2, 256): as it is, and in a mirror; -1 if unknown."""
    labels = np.stack([np.arange(256), np.arange(256)])
    labels[1, : len(PART_MIRROR)] = PART_MIRROR
    labels[:, UNKNOWN_PART] = -1
    return labels


PART_LABELS = _list_part_labels()


def _stack(drawn: list[_Drawn], name: str, dtype: type = np.float32) -> Floats:
    """A field of some people's stored samples, (B, ...)."""
    return np.array([getattr(one.stored, name) for one in drawn], dtype)


def _move_keypoints(matrix: Floats, keypoints: Floats, mirror: NDArray[np.bool_]) -> Floats:
    """Keypoints (B, 17, 3) of images in crop pixels, left and right swapped where mirrored."""
    points = transform_points(matrix, keypoints[..., :2].astype(np.float64))
    moved = np.concatenate([points, keypoints[..., 2:]], axis=-1).astype(np.float32)
    moved[mirror] = moved[mirror][:, COCO17_MIRROR]
    return moved


def _turn_poses(pose: Floats, plans: Sequence[Plan], mirror: NDArray[np.bool_]) -> Floats:
    """Rotation matrices (B, 24, 3, 3) of axis-angle poses (B, 72) in the cameras of crops."""
    # scipy's rotations take a tenth of the time of a dozen small tensor operations.
    rotmat = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().astype(np.float32)
    rotmat = rotmat.reshape(len(pose), -1, 3, 3)
    turns = np.zeros((len(pose), 3, 3))
    for turn, plan in zip(turns, plans, strict=True):
        cosine, sine = math.cos(plan.rotation), math.sin(plan.rotation)
        turn[:] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    rotmat[:, 0] = turns @ rotmat[:, 0]
    rotmat[mirror] = MIRROR_SIGNS * rotmat[mirror][:, SMPL_MIRROR]
    return np.asarray(rotmat)


@cache
def _stored_to_map(crop_size: int, part_share: float, map_size: int) -> Floats:
    """Affine map from pixels of a stored crop to those of its part map."""
    side = crop_size * part_share
    start = (crop_size - side) / 2
    return invert_affine(_block_matrix(side / map_size) + [[0, 0, start], [0, 0, start]])


def _around(split: PreparedSplit, part_map: Pixels) -> int:
    """What is around a part map that does not cover the crop: unknown if a body goes on."""
    edges = (part_map[0], part_map[-1], part_map[:, 0], part_map[:, -1])
    goes_on = split.part_share < 1 and any(edge.any() for edge in edges)
    return UNKNOWN_PART if goes_on else 0


def _block_matrix(side: float) -> Floats:
    """Affine map from the pixels of a reduced picture to the full one's, ``side`` wide each."""
    return np.array([[side, 0, (side - 1) / 2], [0, side, (side - 1) / 2]])
