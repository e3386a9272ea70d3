"""How much a network leans on each part of a picture: its errors behind a grey patch.

A patch slides over the crop of a person; at every place of it the network answers anew. A robust
network is off only in what is hidden, and little in that.

Source:
    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section
    4.2; per joint as in PARE (Kocabas et al., ICCV 2021), section 4.3.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smplcli.body.layer import Skeleton
from smplcli.conventions import (
    IMAGE_MEAN,
    METRES_TO_MM,
    PELVIS,
    SCALE_PIXELS,
    SMPL_JOINTS,
)
from smplcli.crops import compose_affine, crop_matrix, extract_crop, transform_points
from smplcli.datasets.schema import UNKNOWN_PART
from smplcli.datasets.shards import PreparedSample
from smplcli.errors import ConfigError
from smplcli.models.network import Network
from smplcli.models.preprocess import to_network_input
from smplcli.types import Floats, Ints, Pixels

REFERENCE_SIDE = 224
"""Side of the crop in whose pixels patches are measured, whatever the network's input: PARE's."""

MIN_KEYPOINTS = 2
"""Keypoints that make a box."""

SHARE_STEP = 0.05
"""Width of the bins of the occluded share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Where the patch goes, in pixels of a crop of 224 x 224."""

    size: int = 40
    """Side of the patch."""

    stride: int = 20
    """Distance between its places."""

    def __post_init__(self) -> None:
        if not 0 < self.size <= REFERENCE_SIDE:
            raise ConfigError(f"occlusion size must be 1 to {REFERENCE_SIDE}, got {self.size}")
        if not 0 < self.stride <= REFERENCE_SIDE:
            raise ConfigError(f"occlusion stride must be 1 to {REFERENCE_SIDE}, got {self.stride}")

    def starts(self) -> Ints:
        """Left (and upper) edges of the places, (P,), centred in the crop."""
        room = REFERENCE_SIDE - self.size
        return np.arange(0, room + 1, self.stride) + room % self.stride // 2

    def masks(self, side: int) -> Tensor:
        """What each place hides, (P * P, side, side) bool, row by row of places."""
        starts = self.starts()
        edges = np.stack([starts, starts + self.size]) * side / REFERENCE_SIDE
        low, high = torch.from_numpy(edges.round()).long()
        pixel = torch.arange(side)
        hidden = (pixel >= low[:, None]) & (pixel < high[:, None])
        masks: Tensor = hidden[:, None, :, None] & hidden[None, :, None, :]
        return masks.flatten(0, 1)


class OcclusionErrors(NamedTuple):
    """Distances of joints from the truth, both moved to the pelvis, of one network."""

    unoccluded: Floats
    """(N, 24), millimetres."""

    occluded: Floats
    """(N, P, P, 24), millimetres: row and column of the patch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareBin:
    """Crops whose hidden share lies in a range."""

    low: float
    high: float
    num_crops: int
    error: float
    """Mean error of the crops, millimetres."""

    increase: float
    """Mean of how much larger it is than the same person's without patch, millimetres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchEffect:
    """Mean errors of people, millimetres."""

    unoccluded: float
    """Without patch."""

    occluded: float
    """Behind the patch, mean over its places."""

    worst: float
    """Behind the patch at the place where it does most harm."""


def patch_effect(errors: OcclusionErrors) -> PatchEffect:
    """Sum up the mean over joints."""
    return _effect(errors.unoccluded.mean(axis=1), errors.occluded.mean(axis=3))


def joint_effects(errors: OcclusionErrors) -> dict[str, PatchEffect]:
    """Sum up every joint by itself."""
    return {
        name: _effect(errors.unoccluded[:, joint], errors.occluded[..., joint])
        for joint, name in enumerate(SMPL_JOINTS)
    }


def _effect(unoccluded: Floats, occluded: Floats) -> PatchEffect:
    """Of N people (N,) and N people behind P x P places (N, P, P)."""
    places = occluded.mean(axis=0)
    return PatchEffect(
        unoccluded=float(unoccluded.mean()),
        occluded=float(places.mean()),
        worst=float(places.max()),
    )


def increase_maps(errors: OcclusionErrors) -> Floats:
    """How much worse each joint is, on average, behind each place, (P, P, 24), millimetres."""
    maps: Floats = errors.occluded.mean(axis=0) - errors.unoccluded.mean(axis=0)
    return maps


def occlude(image: Tensor, masks: Tensor) -> Tensor:
    """Hide parts of one picture behind grey, which is zero to networks that normalise.

    Args:
        image: (3, S, S) RGB in 0..1.
        masks: (M, S, S), true where hidden.

    Returns:
        (M, 3, S, S), channels last in memory.
    """
    grey = image.new_tensor(IMAGE_MEAN)[:, None, None]
    hidden = torch.where(masks[:, None], grey, image)
    return hidden.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def occlusion_errors(
    network: Network,
    skeleton: Skeleton,
    crop: Pixels,
    gt_joints3d: Floats,
    masks: Tensor,
    *,
    batch_size: int,
) -> Floats:
    """Errors of a network, given the picture alone, behind each mask.

    Args:
        network: On the device that computes. Keypoints are withheld even from networks that take
            them: a detector that saw the whole picture would tell what the patch hides.
        skeleton: The body of prediction and truth, on the same device.
        crop: A person, (S, S, 3) RGB, as large as the network's input.
        gt_joints3d: Their true joints, (24, 3), metres, camera axes.
        masks: (M, S, S), true where hidden.
        batch_size: Crops computed at a time.

    Returns:
        (M, 24) distances after both bodies are moved to the pelvis, millimetres; NaN where the
        answer is not finite.
    """
    device = network.mean_rot6d.device
    image = to_network_input(crop[None])[0][0].to(device)
    gt = torch.from_numpy(gt_joints3d - gt_joints3d[PELVIS]).float().to(device)
    errors = []
    for chunk in masks.to(device).split(batch_size):
        answer = network(occlude(image, chunk))
        joints = skeleton(answer.rotmat, answer.betas).joints
        distance = (joints - joints[:, PELVIS, None] - gt).norm(dim=-1)
        errors.append(METRES_TO_MM * distance)
    whole = torch.cat(errors)
    return whole.masked_fill(~whole.isfinite(), float("nan")).cpu().numpy()


def person_area(sample: PreparedSample, side: int, *, part_share: float) -> Floats:
    """How much of each pixel of a crop is the person's, (side, side), 0..1.

    It is the area of the part map; where parts are unknown, of the box around the labelled
    keypoints; all zero where those are unknown as well.

    Args:
        sample: Who.
        side: Side of the crop, pixels.
        part_share: Side of the part map over that of the stored crop, which share their centre.
    """
    to_crop = crop_matrix(sample.center, SCALE_PIXELS * float(sample.scale), side)
    if not knows_parts(sample):
        return _box_area(sample, to_crop, side)
    stored_side, map_side = len(sample.image), len(sample.part_map)
    block = part_share * stored_side / map_side
    shift = (stored_side - 1) / 2 - block * (map_side - 1) / 2
    to_stored = np.array([[block, 0, shift], [0, block, shift]])
    from_map = compose_affine(compose_affine(to_crop, sample.crop_to_image), to_stored)
    silhouette = np.where(sample.part_map > 0, 255, 0).astype(np.uint8)
    layers = extract_crop(np.repeat(silhouette[..., None], 3, axis=-1), from_map, side)
    return np.asarray(layers[..., 0] / 255.0)


def knows_parts(sample: PreparedSample) -> bool:
    """Whether the part map of a sample says where the person is."""
    return bool((sample.part_map != UNKNOWN_PART).all() and sample.part_map.any())


def _box_area(sample: PreparedSample, to_crop: Floats, side: int) -> Floats:
    area = np.zeros((side, side))
    known = sample.keypoints[:, 2] > 0
    if known.sum() >= MIN_KEYPOINTS:
        points = transform_points(to_crop, sample.keypoints[known, :2].astype(np.float64))
        low, high = np.clip([points.min(axis=0), points.max(axis=0) + 1], 0, side).astype(int)
        area[low[1] : high[1], low[0] : high[0]] = 1
    return area


def occluded_share(area: Floats, masks: Tensor) -> Floats:
    """Share of a person's area (S, S) that each mask (M, S, S) hides, (M,); NaN without area."""
    total = area.sum()
    if total == 0:
        return np.full(len(masks), np.nan)
    flat = torch.from_numpy(area).double().flatten()
    hidden: Floats = (masks.flatten(1).double() @ flat).numpy() / total
    return hidden


def share_curve(errors: OcclusionErrors, shares: Floats) -> tuple[ShareBin, ...]:
    """Error against how much of the person is hidden.

    Args:
        errors: Of N people behind P x P places.
        shares: (N, P, P), NaN where unknown.

    Returns:
        Bins in the order of the share that hold anything; the first is of patches beside the
        person.
    """
    error = errors.occluded.mean(axis=-1)
    increase = error - errors.unoccluded.mean(axis=-1)[:, None, None]
    usable = np.isfinite(shares) & np.isfinite(increase)
    number = np.ceil(np.where(usable, shares, -1) / SHARE_STEP - 1e-9).astype(int)
    bins = []
    for step in range(number.max(initial=-1) + 1):
        inside = usable & (number == step)
        if inside.any():
            low, high = max(step - 1, 0) * SHARE_STEP, step * SHARE_STEP
            bins.append(
                ShareBin(
                    low=round(low, 6),
                    high=round(high, 6),
                    num_crops=int(inside.sum()),
                    error=float(error[inside].mean()),
                    increase=float(increase[inside].mean()),
                )
            )
    return tuple(bins)


def answered(errors: OcclusionErrors) -> NDArray[np.bool_]:
    """(N,) whether the network gave a finite answer without patch and behind every one."""
    return np.asarray(
        np.isfinite(errors.unoccluded).all(axis=1)
        & np.isfinite(errors.occluded).all(axis=(1, 2, 3))
    )


def spread_rows(rows: Ints, count: int) -> Ints:
    """At most ``count`` of the rows, evenly spread over all of them."""
    if len(rows) <= count:
        return rows
    picked: Ints = rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
    return picked
