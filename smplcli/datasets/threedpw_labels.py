"""Arithmetic of 3DPW's labels, for all frames of a person at once: world to camera, and boxes.

Cameras are world to camera, in OpenCV's axes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from smplcli.camera import MIN_DEPTH
from smplcli.conventions import OPENPOSE25_JOINTS, SPIN24_JOINTS
from smplcli.crops import box_to_crop
from smplcli.datasets.joint_orders import reorder_joints
from smplcli.rotations import aa_to_rotmat, rotmat_to_aa
from smplcli.types import Floats, Ints

COCO18_JOINTS = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
)
"""Keypoints of OpenPose's COCO model, the order of ``poses2d``."""

SMALLEST_BOX = 2.0
"""Pixels; a box whose longer side is shorter than this shows nobody."""


class Cameras(NamedTuple):
    """The camera of every frame of a sequence."""

    rotation: Floats
    """(N, 3, 3)."""

    translation: Floats
    """(N, 3), metres."""

    cam_int: Floats
    """(3, 3), pixels."""

    def at(self, frames: Ints) -> "Cameras":
        """The cameras of some frames (M,)."""
        return Cameras(self.rotation[frames], self.translation[frames], self.cam_int)

    def see(self, points: Floats) -> Floats:
        """World points (N, J, 3) in camera axes, metres."""
        return points @ self.rotation.mT + self.translation[:, None]

    def project(self, points: Floats) -> Floats:
        """Pixels (N, J, 2) of world points (N, J, 3); NaN where one is not before the camera."""
        seen = self.see(points)
        in_front = np.where(seen[..., 2:] > MIN_DEPTH, seen, np.nan)
        image = in_front @ self.cam_int.T
        return np.asarray(image[..., :2] / image[..., 2:])


def body_in_camera(
    pose: Floats, trans: Floats, pelvis: Floats, cameras: Cameras
) -> tuple[Floats, Floats]:
    """Pose and translation of a body seen by a camera.

    SMPL turns the body about its pelvis at rest, not about the origin, so the camera's rotation
    moves the pelvis, and the translation has to make up for that. Where the pelvis is at rest
    follows from where it is in the world: translation only adds to it.

    Args:
        pose: (N, 72) axis-angle, the root in world axes.
        trans: (N, 3), metres, world axes.
        pelvis: (N, 3) where the posed body has its pelvis, metres, world axes.
        cameras: Of the N frames.

    Returns:
        Pose (N, 72), the root in camera axes, and the translation (N, 3) to go with it, metres.
    """
    root = aa_to_rotmat(torch.from_numpy(pose[:, :3]))
    left, _, right = np.linalg.svd(cameras.rotation)  # to the nearest rotation, as OpenCV does
    turned = rotmat_to_aa(torch.from_numpy(left @ right) @ root).numpy()
    at_rest = pelvis - trans
    seen = cameras.see(pelvis[:, None])[:, 0]
    return np.concatenate([turned, pose[:, 3:]], axis=1), np.asarray(seen - at_rest)


def keypoint_boxes(keypoints: Floats) -> Floats:
    """Boxes (N, 4: left, top, right, bottom) of keypoints (N, 18, 3) with any confidence.

    NaN where there is none.

    Source:
        SPIN (Kolotouros et al., ICCV 2019), datasets/preprocess/pw3d.py.
    """
    is_seen = keypoints[..., 2:] > 0
    low = np.where(is_seen, keypoints[..., :2], np.inf).min(axis=1)
    high = np.where(is_seen, keypoints[..., :2], -np.inf).max(axis=1)
    return np.where(is_seen.any(axis=1), np.concatenate([low, high], axis=1), np.nan)


def point_boxes(points: Floats) -> Floats:
    """Boxes (N, 4) of points (N, J, 2); NaN where one of them is."""
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def usable_squares(boxes: Floats) -> tuple[Floats, Floats]:
    """Squares around boxes (N, 4): centres (N, 2) and sides (N,), pixels; side NaN for no box."""
    centers, sides = box_to_crop(boxes)
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    return centers, np.where(longest >= SMALLEST_BOX, sides, np.nan)


def keypoints_to_spin24(keypoints: Floats) -> Floats:
    """``part`` (N, 24, 3) of ``poses2d`` (N, 18, 3).

    OpenPose's neck, between the shoulders, is not SPIN's, so it is left out.
    """
    names = ["openpose_neck" if name == "neck" else name for name in COCO18_JOINTS]
    return _reorder(keypoints, names, SPIN24_JOINTS)


def keypoints_to_openpose25(keypoints: Floats) -> Floats:
    """``openpose`` (N, 25, 3) of ``poses2d`` (N, 18, 3), without mid hip and feet."""
    return _reorder(keypoints, COCO18_JOINTS, OPENPOSE25_JOINTS)


def _reorder(keypoints: Floats, source: Sequence[str], target: Sequence[str]) -> Floats:
    by_joint = keypoints.swapaxes(0, 1).reshape(len(source), -1)
    reordered = reorder_joints(by_joint, source, target)
    return np.asarray(reordered.reshape(len(target), -1, 3).swapaxes(0, 1))
