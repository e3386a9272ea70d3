"""Bodies that follow 2D keypoints, without leaving what a network said farther than it errs.

For every person the most probable body is sought, given

- the network's answer: its mistakes are normal, with the covariance that was measured on people
  who are known, so what it knows well (the torso's lean, the spine) hardly moves and what it often
  gets wrong (a forearm, a turned pelvis) follows the keypoints;
- the keypoints: their mistakes have heavy tails and grow as the detector's score falls;
- limits of the joints, about each axis.

The derivatives are known, so a few Levenberg-Marquardt steps are enough.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from smplcli.body.jacobian import JointsJacobian
from smplcli.body.model import BodyModel
from smplcli.camera import MIN_DEPTH
from smplcli.conventions import COCO17_JOINTS, NUM_BETAS, NUM_JOINTS
from smplcli.files import asset, read_npz
from smplcli.rotations import aa_jacobian, aa_to_rotmat, rotmat_to_aa
from smplcli.types import Camera

PRIOR_FILE = "fitting_prior.npz"

NUM_POSE = 3 * NUM_JOINTS
NUM_BODY = NUM_POSE + NUM_BETAS
"""Degrees of freedom of a body: turn of the root in camera axes, axis-angle of the other joints,
betas. Its place adds three: x / z, y / z and the logarithm of z."""

KEYPOINT_ERROR = 0.06
"""Metres on the person by which a keypoint of a sure detector is off, each of x and y."""

SURE_SCORE, DOUBT = 0.7, 2.0
"""Below this score the error grows by this power of the score's fraction of it."""

MIN_SCORE = 0.05
"""The error grows no further below this score."""

LOOSENESS = {"shoulder": 1.3, "hip": 1.8}
"""Times the error of other keypoints: a detector's shoulders and hips are not quite a body's."""

TAIL = 3.0
"""Degrees of freedom of Student's t: blunders pull little, wherever they are."""

LIMIT_ERROR = 0.05
"""Radians by which limits of joints give way."""

MAX_STEPS = 6
CONVERGED = 2e-3
"""A body is fitted once a step moves it by less than this: radians, standard deviations."""

FIRST_DAMPING, LESS_DAMPING, MORE_DAMPING = 1e-2, 0.2, 8.0


_LOOSENESS = [LOOSENESS.get(name.rpartition("_")[2], 1.0) for name in COCO17_JOINTS]


class FittingPrior(NamedTuple):
    """What is known of bodies before keypoints are seen."""

    precision: Tensor
    """(82, 82) inverse covariance of a network's mistakes, radians and standard deviations."""

    lower: Tensor
    """(69,) least axis-angle components of the joints but the root, radians."""

    upper: Tensor
    """(69,) largest ones."""


class FittedBodies(NamedTuple):
    """Bodies in front of their cameras."""

    full_pose: Tensor
    """(B, 24, 3, 3) rotation matrices."""

    betas: Tensor
    """(B, 10), standard deviations."""

    transl: Tensor
    """(B, 3), metres, camera axes."""


class _Evidence(NamedTuple):
    """What does not change while bodies are fitted."""

    root: Tensor
    """(B, 3, 3) the network's."""

    start: Tensor
    """(B, 85) the network's answer, and the place to begin with."""

    rays: Tensor
    """(B, 17, 2) keypoints over the depth of 1 m."""

    spread: Tensor
    """(B, 17) expected errors, metres."""

    seen: Tensor
    """(B, 17) 0 or 1."""


def shipped_prior() -> FittingPrior:
    """The prior that the package carries: mistakes of the shipped network, limits of CMU's poses.

    Raises:
        MissingFileError: The installation is incomplete.
        UnreadableFileError: The file is damaged.
    """
    arrays = read_npz(asset(PRIOR_FILE), keys=FittingPrior._fields)
    return FittingPrior(*(torch.from_numpy(arrays[name]) for name in FittingPrior._fields))


class KeypointFitter(nn.Module):
    """Fits bodies to COCO-17 keypoints, all people of a batch at once.

    Args:
        model: The body.
        prior: What is known before; the shipped one without.
    """

    precision: Tensor
    lower: Tensor
    upper: Tensor

    def __init__(self, model: BodyModel, prior: FittingPrior | None = None) -> None:
        super().__init__()
        prior = prior or shipped_prior()
        self.joints = JointsJacobian(model)
        padded = nn.functional.pad(prior.precision.float(), (0, 3, 0, 3))
        self.register_buffer("precision", padded, persistent=False)
        for name, limit in (("lower", prior.lower), ("upper", prior.upper)):
            free = torch.full((NUM_BODY + 3,), float("-inf" if name == "lower" else "inf"))
            free[3:NUM_POSE] = limit
            self.register_buffer(name, free, persistent=False)

    def forward(
        self,
        full_pose: Tensor,
        betas: Tensor,
        transl: Tensor,
        keypoints2d: Tensor,
        camera: Camera,
    ) -> FittedBodies:
        """Fit bodies.

        Args:
            full_pose: (B, 24, 3, 3) a network's rotation matrices, the root in camera axes.
            betas: (B, 10) its shapes.
            transl: (B, 3) where the bodies are to begin with, metres, camera axes.
            keypoints2d: (B, 17, 3) x, y in pixels of the full image, and score; 0: not seen.
            camera: The full images' cameras.
        """
        evidence = _gather(full_pose, betas, transl, keypoints2d, camera)
        form = evidence.start
        residual = self._residual(evidence, form)
        energy = self._energy(evidence, form, residual)
        damping = torch.full_like(energy, FIRST_DAMPING)
        is_moving = torch.ones_like(energy, dtype=torch.bool)
        for _ in range(MAX_STEPS):
            step = self._step(evidence, form, residual, damping)
            tried = form + step
            tried_residual = self._residual(evidence, tried)
            tried_energy = self._energy(evidence, tried, tried_residual)
            # False for NaN as well. Who is fitted stays, so that nobody depends on the others.
            is_better = is_moving & (tried_energy < energy)
            form = torch.where(is_better[:, None], tried, form)
            residual = torch.where(is_better[:, None, None], tried_residual, residual)
            energy = torch.where(is_better, tried_energy, energy)
            damping = damping * torch.where(is_better, LESS_DAMPING, MORE_DAMPING)
            is_moving &= step.abs().amax(1) > CONVERGED
            if not is_moving.any():
                break
        return FittedBodies(_pose(evidence, form), form[:, NUM_POSE:NUM_BODY], _place(form))

    def _residual(self, evidence: _Evidence, form: Tensor) -> Tensor:
        """(B, 17, 2) distances of joints from keypoints over the expected errors."""
        joints = self.joints(_pose(evidence, form), form[:, NUM_POSE:NUM_BODY])[:, NUM_JOINTS:]
        return _distances(evidence, joints, _place(form))

    def _energy(self, evidence: _Evidence, form: Tensor, residual: Tensor) -> Tensor:
        """(B,) -log p up to a constant."""
        surprise = torch.log1p(residual.square().sum(-1) / TAIL) * evidence.seen
        change = form - evidence.start
        excess = self._excess(form) / LIMIT_ERROR
        prior = ((change @ self.precision) * change).sum(-1) + excess.square().sum(-1)
        return (TAIL + 2) / 2 * surprise.sum(-1) + prior / 2

    def _excess(self, form: Tensor) -> Tensor:
        """(B, 85) by how much limits are passed."""
        return (form - self.upper).clamp(min=0) + (form - self.lower).clamp(max=0)

    def _step(
        self, evidence: _Evidence, form: Tensor, residual: Tensor, damping: Tensor
    ) -> Tensor:
        """(B, 85) the damped Gauss-Newton step; NaN where there is none."""
        rows = self._jacobian(evidence, form)
        weight = (TAIL + 2) / (TAIL + residual.square().sum(-1)) * evidence.seen
        weight = weight.repeat_interleave(2, dim=1)[..., None]
        excess = self._excess(form)
        hessian = rows.mT @ (weight * rows) + self.precision
        gradient = (rows.mT @ (weight * residual.flatten(1)[..., None])).squeeze(-1)
        gradient = gradient + (form - evidence.start) @ self.precision + excess / LIMIT_ERROR**2
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        diagonal += (excess != 0) / LIMIT_ERROR**2
        diagonal += damping[:, None] * diagonal
        factor, _ = torch.linalg.cholesky_ex(hessian)
        return -torch.cholesky_solve(gradient[..., None], factor).squeeze(-1)

    def _jacobian(self, evidence: _Evidence, form: Tensor) -> Tensor:
        """(B, 34, 85) derivative of the residuals."""
        move = self.joints.move(_pose(evidence, form), form[:, NUM_POSE:NUM_BODY])
        place = _place(form)
        rows = _projection_rows(evidence, move.joints + place[:, None], place[:, 2])
        body_pose = form[:, 3:NUM_POSE].unflatten(1, (-1, 3))
        axes = move.rotation.clone()
        axes[:, 0] = torch.eye(3)  # the root turns in camera axes; its turn is small
        axes[:, 1:] = axes[:, 1:] @ aa_jacobian(body_pose)
        # row . (axis x lever) = axis . (lever x row)
        moments = torch.linalg.cross(move.levers[:, :, None], rows[:, :, :, None], dim=-1)
        by_pose = (moments.unsqueeze(-2) @ axes[:, None, None]).flatten(3)
        to_place = torch.zeros_like(axes[:, :1])
        to_place[:, 0, 0, 0] = to_place[:, 0, 1, 1] = place[:, 2]
        to_place[:, 0, :, 2] = place
        return torch.cat([by_pose, rows @ move.by_betas, rows @ to_place], dim=-1).flatten(1, 2)


def _gather(
    full_pose: Tensor, betas: Tensor, transl: Tensor, keypoints2d: Tensor, camera: Camera
) -> _Evidence:
    depth = transl[:, 2:].clamp(min=MIN_DEPTH)
    body_pose = rotmat_to_aa(full_pose[:, 1:]).flatten(1)
    turn = torch.zeros_like(transl)
    start = torch.cat([turn, body_pose, betas, transl[:, :2] / depth, depth.log()], dim=1)
    score = keypoints2d[..., 2]
    seen = (score > 0) & keypoints2d.isfinite().all(-1)
    focal = camera.focal_length[:, None, None]
    rays = (keypoints2d[..., :2] - camera.principal_point[:, None]) / focal
    doubt = (SURE_SCORE / score.clamp(min=MIN_SCORE)).clamp(min=1) ** DOUBT
    return _Evidence(
        root=full_pose[:, 0],
        start=start,
        rays=torch.where(seen[..., None], rays, 0.0),
        spread=torch.where(seen, KEYPOINT_ERROR * doubt * score.new_tensor(_LOOSENESS), 1.0),
        seen=seen.to(score.dtype),
    )


def _pose(evidence: _Evidence, form: Tensor) -> Tensor:
    """(B, 24, 3, 3)."""
    rotmat = aa_to_rotmat(form[:, :NUM_POSE].unflatten(1, (-1, 3)))
    return torch.cat([(rotmat[:, 0] @ evidence.root)[:, None], rotmat[:, 1:]], dim=1)


def _place(form: Tensor) -> Tensor:
    """(B, 3) translation, metres."""
    depth = form[:, NUM_BODY + 2 :].exp()
    return torch.cat([form[:, NUM_BODY : NUM_BODY + 2] * depth, depth], dim=1)


def _distances(evidence: _Evidence, joints: Tensor, place: Tensor) -> Tensor:
    """(B, 17, 2): how far off joints look, metres at the person's depth, over expected errors."""
    placed = joints + place[:, None]
    seen_at = placed[..., :2] / placed[..., 2:].clamp(min=MIN_DEPTH)
    return (seen_at - evidence.rays) * place[:, 2, None, None] / evidence.spread[..., None]


def _projection_rows(evidence: _Evidence, placed: Tensor, depth: Tensor) -> Tensor:
    """(B, 17, 2, 3) derivative of `_distances` where joints move, the person's depth kept."""
    near = placed[..., 2].clamp(min=MIN_DEPTH)
    scale = depth[:, None] / (near * evidence.spread)
    rows = placed.new_zeros(*placed.shape[:2], 2, 3)
    rows[..., 0, 0] = rows[..., 1, 1] = scale
    rows[..., 2] = -(placed[..., :2] / near[..., None]) * scale[..., None]
    return rows
