"""What training minimises. Samples without a label of a kind add nothing to its loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from smplcli.body.layer import BodyLayer, BodyOutput, JointsLayer
from smplcli.camera import crop_camera_to_transl, project_points
from smplcli.conventions import NUM_JOINTS, PELVIS
from smplcli.datasets.samples import Sample
from smplcli.models.network import NetworkOutput
from smplcli.models.preprocess import crop_to_unit
from smplcli.training.config import LossConfig
from smplcli.training.distributed import shared_count
from smplcli.training.lifting import LiftingBatch
from smplcli.types import Camera, Crop

PRESENCE_SHARE = 0.1
"""Weight of whether a found keypoint is inside the picture, over that of where it is."""

PRESENCE_MARGIN = 1e-4
"""Nobody is surer than this whether a keypoint is inside."""

FARTHEST_MISS = 1.0
"""Half crops; a joint that is farther off pulls no harder, so that no sample rules a batch."""


class Losses(nn.Module):
    """The weighted losses of one recipe on one body.

    Args:
        config: The weights.
        joints: The body's joints, with COCO-17 joints.
        body: The body's vertices, where they have a weight.
    """

    def __init__(
        self, config: LossConfig, joints: JointsLayer, body: BodyLayer | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.joints = joints
        self.body = body

    def forward(
        self, output: NetworkOutput, batch: Sample, *, supervise_parts: bool
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch of pictures, by name; their sum is to be minimised."""
        config, batch = self.config, _without_garbage(batch)
        known, squared = batch.has_smpl, config.distance == "squared"
        predicted = self.joints(output.rotmat, output.betas)
        labelled = self.joints(batch.full_pose, batch.betas)
        projected = project_to_crop(predicted[:, NUM_JOINTS:], output.pred_cam, batch)
        losses = {
            "pose": config.pose * _mean(pose_error(output.rotmat, batch.full_pose), known),
            "betas": config.betas * _mean((output.betas - batch.betas).square().mean(1), known),
            "joints3d": config.joints3d
            * _mean(joints_error(predicted, labelled, squared=squared), known),
            "keypoints2d": config.keypoints2d
            * keypoint_error(projected, batch.gt_keypoints2d, squared=squared),
        }
        if self.body is not None and config.vertices:
            predicted = _from_pelvis(self.body(output.rotmat, output.betas))
            labelled = _from_pelvis(self.body(batch.full_pose, batch.betas))
            error = _size(predicted - labelled, squared).mean((1, 2))
            losses["vertices"] = config.vertices * _mean(error, known)
        if config.camera:
            losses["camera"] = config.camera * scale_prior(output.pred_cam)
        if output.part_logits is not None and config.parts and supervise_parts:
            losses["parts"] = config.parts * part_error(output.part_logits, batch.part_map)
        if output.keypoints is not None and config.found:
            place, score = output.keypoints.split([2, 1], dim=-1)
            losses["found"] = config.found * keypoint_error(place, batch.gt_keypoints2d)
            surprise = presence_error(score[..., 0], batch.gt_keypoints2d[..., 2] > 0)
            losses["presence"] = config.found * PRESENCE_SHARE * _mean(surprise, known)
        return losses

    def lifting(self, rotmat: Tensor, betas: Tensor, bodies: LiftingBatch) -> Tensor:
        """Weighted loss of bodies guessed from keypoints alone."""
        joints3d = self.joints(rotmat, betas)
        return self.config.lifting * (
            self.config.pose * pose_error(rotmat, bodies.full_pose).mean()
            + self.config.betas * (betas - bodies.betas).square().mean()
            + self.config.joints3d * joints_error(joints3d, bodies.joints3d).mean()
        )


def label_shares(part: Sample, whole: Sample) -> dict[str, Tensor]:
    """Share of the labels of a batch that a part of it has, by the name of each loss.

    The losses of the parts, each times its share, add up to those of the whole batch.
    """
    counts = [
        {
            "smpl": batch.has_smpl.sum(),
            "keypoints2d": batch.gt_keypoints2d[..., 2].sum(),
            "parts": (batch.part_map >= 0).sum(),
            "camera": batch.has_smpl.new_tensor(len(batch.row)),
        }
        for batch in (part, whole)
    ]
    own, every = ({k: shared_count(v) for k, v in count.items()} for count in counts)
    shares = {kind: own[kind] / every[kind] for kind in own}
    bodies = shares.pop("smpl")
    shares["found"] = shares["keypoints2d"]
    of_bodies = ("pose", "betas", "joints3d", "vertices", "presence")
    return shares | dict.fromkeys(of_bodies, bodies)


def pose_error(rotmat: Tensor, gt_rotmat: Tensor) -> Tensor:
    """Squared distance of rotation matrices (B, 24, 3, 3), mean over joints: (B,)."""
    return (rotmat - gt_rotmat).square().sum((-1, -2)).mean(1)


def joints_error(joints3d: Tensor, gt_joints3d: Tensor, *, squared: bool = False) -> Tensor:
    """Mean difference of coordinates from the pelvis, (B, J, 3) to (B,), metres (squared)."""
    from_pelvis = joints3d - joints3d[:, PELVIS, None]
    return _size(from_pelvis - (gt_joints3d - gt_joints3d[:, PELVIS, None]), squared).mean((1, 2))


def project_to_crop(joints3d: Tensor, pred_cam: Tensor, batch: Sample) -> Tensor:
    """Where joints (B, J, 3) fall in the crop, (B, J, 2), in -1..1, seen by the crop's camera."""
    size = batch.image.shape[-1]
    count = len(pred_cam)
    middle = pred_cam.new_full((count, 2), (size - 1) / 2)
    whole = pred_cam.new_full((count, 2), size)
    camera = Camera(batch.focal_length, batch.principal_point, whole)
    transl = crop_camera_to_transl(pred_cam, Crop(middle, whole[:, 0]), camera)
    return crop_to_unit(project_points(joints3d, transl, camera), size)


def keypoint_error(points: Tensor, gt_keypoints2d: Tensor, *, squared: bool = False) -> Tensor:
    """Mean difference over the known keypoints of a batch, half crops, by their confidences."""
    off = (points - gt_keypoints2d[..., :2]).clamp(-FARTHEST_MISS, FARTHEST_MISS)
    weight = gt_keypoints2d[..., 2]
    return (_size(off, squared).mean(-1) * weight).sum() / shared_count(weight.sum())


def presence_error(score: Tensor, is_inside: Tensor) -> Tensor:
    """Cross entropy of which keypoints are inside the picture, (B, 17) to (B,)."""
    bounded = score.clamp(PRESENCE_MARGIN, 1 - PRESENCE_MARGIN)
    return functional.binary_cross_entropy(
        bounded, is_inside.to(score.dtype), reduction="none"
    ).mean(1)


def part_error(part_logits: Tensor, part_map: Tensor) -> Tensor:
    """Cross entropy of parts (B, 25, h, w), mean over the pixels (B, h, w) that are not -1."""
    total = functional.cross_entropy(part_logits, part_map, ignore_index=-1, reduction="sum")
    return total / shared_count((part_map >= 0).sum())


def scale_prior(pred_cam: Tensor) -> Tensor:
    """Mean of exp(-10 s)^2 over cameras (B, 3): large only for people near zero in size.

    Source:
        PARE (Kocabas et al., ICCV 2021), released losses; SPIN (ICCV 2019).
    """
    return (-10 * pred_cam[:, 0]).exp().square().mean()


def _without_garbage(batch: Sample) -> Sample:
    """Labels that are not known, as zeros: a NaN times nothing would still be one."""
    known = batch.has_smpl > 0
    weight = batch.gt_keypoints2d[..., 2:]
    keypoints = torch.where(weight > 0, batch.gt_keypoints2d, 0.0)
    return batch._replace(
        full_pose=torch.where(known[:, None, None, None], batch.full_pose, 0.0),
        betas=torch.where(known[:, None], batch.betas, 0.0),
        gt_keypoints2d=keypoints,
    )


def _from_pelvis(body: BodyOutput) -> Tensor:
    return body.vertices - body.joints[:, PELVIS, None]


def _size(difference: Tensor, squared: bool) -> Tensor:  # noqa: FBT001 - private
    return difference.square() if squared else difference.abs()


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return torch.where(known > 0, values, 0.0).sum() / shared_count(known.sum())
