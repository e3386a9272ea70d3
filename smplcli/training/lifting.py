"""Poses without pictures: keypoints of known bodies seen by made-up cameras."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from smplcli.body.layer import JointsLayer
from smplcli.conventions import (
    BOX_PADDING,
    NUM_BETAS,
    NUM_JOINTS,
    SMPL_JOINTS,
    SMPL_MIRROR,
)
from smplcli.datasets.keypoint_noise import corrupt_keypoints
from smplcli.rotations import aa_to_rotmat, mirror_rotmat
from smplcli.types import Floats

DISTANCE = (1.8, 9.0)
"""Metres between camera and person, drawn evenly."""

TILT = 0.15
"""Standard deviation of the camera's turns about x and z beyond those of the data, radians."""

LIMBS = tuple(
    np.array([index for index, joint in enumerate(SMPL_JOINTS) if joint.split("_")[-1] in names])
    for names in (
        {"hip", "knee", "ankle", "foot"},
        {"collar", "shoulder", "elbow", "wrist", "hand"},
    )
)
"""Joints of the legs, and of the arms."""

MIXED_SHARE = 0.4
"""Share of bodies whose legs, and whose arms, are those of another pose: few clips, many poses."""

JITTER_SHARE, JITTER = 0.5, 0.12
"""Share of bodies whose joints are all turned a little, and by how much, radians."""

CUT_OFF = (15, 13, 11)
"""How many keypoints, from the nose down, are left of people whom the picture cuts off below."""

CUT_OFF_SHARE = 0.3


class LiftingBatch(NamedTuple):
    """Bodies and what a detector might see of them."""

    keypoints: Tensor
    """(B, 17, 3) x, y in -1..1 of a crop, and confidence."""

    full_pose: Tensor
    """(B, 24, 3, 3)."""

    betas: Tensor
    """(B, 10)."""

    joints3d: Tensor
    """(B, 24 + 17, 3), metres: SMPL's joints, then COCO's."""


def draw_lifting_batch(
    poses: Floats, joints: JointsLayer, count: int, rng: np.random.Generator
) -> LiftingBatch:
    """Bodies in mixed poses of the data, turned about the vertical, seen from a random distance.

    Args:
        poses: (N, 72) axis-angle, camera axes.
        joints: The body, with COCO-17 joints.
        count: How many.
        rng: Source of chance.
    """
    full_pose = aa_to_rotmat(torch.from_numpy(_mix_poses(poses.reshape(-1, 24, 3), count, rng)))
    mirror = torch.from_numpy(rng.random(count) < 0.5)
    full_pose[mirror] = mirror_rotmat(full_pose[mirror])[:, list(SMPL_MIRROR)]
    turns = np.zeros((2, count, 3))
    turns[0, :, 1] = rng.uniform(-np.pi, np.pi, count)
    turns[1, :, ::2] = rng.normal(size=(count, 2)) * TILT
    yaw, tilt = aa_to_rotmat(torch.from_numpy(turns).float())
    full_pose[:, 0] = tilt @ yaw @ full_pose[:, 0]
    betas = torch.from_numpy(rng.normal(size=(count, NUM_BETAS))).float()
    device = next(joints.buffers()).device
    with torch.no_grad():
        body = joints(full_pose.to(device), betas.to(device))
    coco = (body[:, NUM_JOINTS:] - body[:, :1]).cpu().numpy()
    return LiftingBatch(_see(coco, rng), full_pose, betas, body)


def _mix_poses(poses: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Poses (count, 24, 3), some with the limbs of others, some jittered."""
    chosen = poses[rng.integers(len(poses), size=count)].astype(np.float32)
    for limb in LIMBS:
        others = poses[rng.integers(len(poses), size=count)]
        is_mixed = rng.random(count) < MIXED_SHARE
        chosen[np.ix_(is_mixed, limb)] = others[np.ix_(is_mixed, limb)]
    is_jittered = rng.random((count, 1, 1)) < JITTER_SHARE
    noise = rng.normal(size=chosen[:, 1:].shape) * JITTER * is_jittered
    chosen[:, 1:] += noise.astype(np.float32)
    return chosen


def _see(coco: Floats, rng: np.random.Generator) -> Tensor:
    """Keypoints in a crop around the person, as a detector would make and miss them."""
    count = len(coco)
    depth = coco[..., 2:] + rng.uniform(*DISTANCE, (count, 1, 1))
    points = coco[..., :2] / np.maximum(depth, 0.3)
    is_cut_off = rng.random((count, 1)) < CUT_OFF_SHARE
    left = np.where(is_cut_off, rng.choice(CUT_OFF, (count, 1)), points.shape[1])
    inside = (np.arange(points.shape[1]) < left)[..., None]
    keypoints = corrupt_keypoints(np.concatenate([points, inside], axis=-1), rng)
    low = np.where(inside, points, np.inf).min(axis=1)
    high = np.where(inside, points, -np.inf).max(axis=1)
    half = BOX_PADDING / 2 * (high - low).max(axis=1)[:, None] * rng.uniform(0.8, 1.3, (count, 1))
    center = (low + high) / 2 + rng.normal(size=(count, 2)) * 0.1 * half
    keypoints[..., :2] = (keypoints[..., :2] - center[:, None]) / half[:, None]
    return torch.from_numpy(keypoints)
