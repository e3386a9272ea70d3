"""What training minimises. Samples without a label of a kind add nothing to its loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from smplcli.body.layer import JointsLayer
from smplcli.camera import crop_camera_to_transl, project_points
from smplcli.conventions import NUM_JOINTS, PELVIS
from smplcli.datasets.samples import Sample
from smplcli.models.network import NetworkOutput
from smplcli.models.preprocess import crop_to_unit
from smplcli.training.config import LossConfig
from smplcli.training.lifting import LiftingBatch
from smplcli.types import Camera, Crop

FARTHEST_MISS = 1.0
"""Half crops; a joint that is farther off pulls no harder, so that no sample rules a batch."""


class Losses(nn.Module):
    """The weighted losses of one recipe on one body."""

    def __init__(self, config: LossConfig, joints: JointsLayer) -> None:
        super().__init__()
        self.config = config
        self.joints = joints

    def forward(
        self, output: NetworkOutput, batch: Sample, *, supervise_parts: bool
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch of pictures, by name; their sum is to be minimised."""
        config, known = self.config, batch.has_smpl
        predicted = self.joints(output.rotmat, output.betas)
        labelled = self.joints(batch.full_pose, batch.betas)
        projected = project_to_crop(predicted[:, NUM_JOINTS:], output.pred_cam, batch)
        losses = {
            "pose": config.pose * _mean(pose_error(output.rotmat, batch.full_pose), known),
            "betas": config.betas * _mean((output.betas - batch.betas).square().mean(1), known),
            "joints3d": config.joints3d * _mean(joints_error(predicted, labelled), known),
            "keypoints2d": config.keypoints2d * keypoint_error(projected, batch.gt_keypoints2d),
        }
        if output.part_logits is not None and config.parts and supervise_parts:
            losses["parts"] = config.parts * functional.cross_entropy(
                output.part_logits, batch.part_map, ignore_index=-1
            )
        return losses

    def lifting(self, rotmat: Tensor, betas: Tensor, bodies: LiftingBatch) -> Tensor:
        """Weighted loss of bodies guessed from keypoints alone."""
        joints3d = self.joints(rotmat, betas)
        return self.config.lifting * (
            self.config.pose * pose_error(rotmat, bodies.full_pose).mean()
            + self.config.betas * (betas - bodies.betas).square().mean()
            + self.config.joints3d * joints_error(joints3d, bodies.joints3d).mean()
        )


def pose_error(rotmat: Tensor, gt_rotmat: Tensor) -> Tensor:
    """Squared distance of rotation matrices (B, 24, 3, 3), mean over joints: (B,)."""
    return (rotmat - gt_rotmat).square().sum((-1, -2)).mean(1)


def joints_error(joints3d: Tensor, gt_joints3d: Tensor) -> Tensor:
    """Mean absolute difference of coordinates from the pelvis, (B, J, 3) to (B,), metres."""
    from_pelvis = joints3d - joints3d[:, PELVIS, None]
    return (from_pelvis - (gt_joints3d - gt_joints3d[:, PELVIS, None])).abs().mean((1, 2))


def project_to_crop(joints3d: Tensor, pred_cam: Tensor, batch: Sample) -> Tensor:
    """Where joints (B, J, 3) fall in the crop, (B, J, 2), in -1..1, seen by the crop's camera."""
    size = batch.image.shape[-1]
    count = len(pred_cam)
    middle = pred_cam.new_full((count, 2), (size - 1) / 2)
    whole = pred_cam.new_full((count, 2), size)
    camera = Camera(batch.focal_length, batch.principal_point, whole)
    transl = crop_camera_to_transl(pred_cam, Crop(middle, whole[:, 0]), camera)
    return crop_to_unit(project_points(joints3d, transl, camera), size)


def keypoint_error(points: Tensor, gt_keypoints2d: Tensor) -> Tensor:
    """Mean absolute difference over the known keypoints of a batch, half crops."""
    miss = (points - gt_keypoints2d[..., :2]).abs().clamp(max=FARTHEST_MISS).mean(-1)
    weight = gt_keypoints2d[..., 2]
    return (torch.where(weight > 0, miss, 0.0) * weight).sum() / weight.sum().clamp(min=1)


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return (torch.where(known > 0, values, 0.0)).sum() / known.sum().clamp(min=1)
