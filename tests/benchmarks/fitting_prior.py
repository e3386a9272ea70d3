"""Make assets/fitting_prior.npz: ``python -m tests.benchmarks.fitting_prior DATA POSES OUT``.

DATA is a prepared synthetic data set, on whose training people the shipped network's mistakes are
measured, with the detector's keypoints and with made-up ones. POSES is a pose file, from which the
limits of joints are taken; but knees and elbows bend one way only, whatever the file says.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from smplcli.body.fitting import NUM_BODY, NUM_POSE
from smplcli.conventions import NUM_JOINTS, SMPL_JOINTS, SMPL_MIRROR
from smplcli.datasets.poses import load_poses, made_up_pose
from smplcli.datasets.shards import PreparedSplit, open_prepared
from smplcli.evaluation.inference import index_batches, predict_samples
from smplcli.files import asset, write_npz
from smplcli.models.keypoints import MIN_SCORE
from smplcli.models.network import Network
from smplcli.models.weights import load_network
from smplcli.rotations import aa_to_rotmat, rotmat_to_aa
from smplcli.types import Floats
from smplcli.workflows.bodies import MIN_KEYPOINTS
from tests.benchmarks.shipped_network import MadeUpDetections

COUNT, BATCH = 3000, 64

LEAST_ERROR = 0.03
"""Radians; what never errs, such as hands that nobody moves, may still move by this."""

GROSS = 2.0
"""Standard deviations, from the median, at which mistakes are cut: who is turned round by half is
not mended by small steps, and should not make these larger for all."""

TIPPING = 0.5
"""How far people may tip to and from the camera, over how far they do in mistakes. A torso that
looks short may lean or be misdetected: detectors err so often that people would be bent."""

MEDIAN_OF_NORMAL = 0.6745
"""Median of the absolute value of what is normal, over its standard deviation."""

SHRINKAGE = 0.05
"""Part of the covariances that is taken as chance."""

POSES_PER_CLIP, MADE_UP_POSES = 100, 2000
BEYOND = 0.002
"""Share of poses beyond each limit."""

LEAST_LIMIT = 0.4
"""Radians; motion capture hardly moves collars and hands, but pictures show people who do."""

ONE_WAY = {"left_knee": (0, 1), "right_knee": (0, 1), "left_elbow": (1, -1), "right_elbow": (1, 1)}
"""Joints that bend about one axis, in one direction."""


def main(data: Path, poses: Path, out: Path) -> None:
    """Measure and write."""
    samples = open_prepared(data, "train")
    network = load_network(asset("network.safetensors")).network
    splits = [samples, MadeUpDetections(samples)]
    mistakes = torch.cat([measure_mistakes(network, split) for split in splits])
    lower, upper = find_limits(poses)
    precision = torch.linalg.inv(covariance_of(mistakes)).float().numpy()
    write_npz(out, {"precision": precision, "lower": lower, "upper": upper}, overwrite=True)
    print(f"{len(mistakes)} answers, {out}: {out.stat().st_size / 1000:.0f} kB")


def measure_mistakes(network: Network, samples: PreparedSplit) -> Tensor:
    """(N, 82) truth minus answer, of those who have keypoints."""
    batches = index_batches(COUNT, BATCH)
    answer = predict_samples(network, samples, batches)
    people = [samples.labels(index) for index in range(COUNT)]
    found = np.stack([samples[index].detected[:, 2] for index in range(COUNT)]) >= MIN_SCORE
    pose = torch.from_numpy(np.stack([person.pose for person in people])).view(COUNT, -1, 3)
    predicted = torch.from_numpy(answer.full_pose[:COUNT])
    turn = rotmat_to_aa(aa_to_rotmat(pose[:, 0]) @ predicted[:, 0].mT)
    joints = rotmat_to_aa(aa_to_rotmat(pose[:, 1:])) - rotmat_to_aa(predicted[:, 1:])
    betas = np.stack([person.shape for person in people]) - answer.betas[:COUNT]
    mistakes = torch.cat([turn, joints.flatten(1), torch.from_numpy(betas)], dim=1)
    return mistakes[torch.from_numpy(found.sum(axis=1) >= MIN_KEYPOINTS)].double()


def covariance_of(mistakes: Tensor) -> Tensor:
    """(82, 82) about zero, the same for mirrored people, with some of it taken as chance."""
    largest = GROSS * (mistakes.abs().median(dim=0).values / MEDIAN_OF_NORMAL)
    largest = largest.clamp(min=GROSS * LEAST_ERROR)
    mistakes = mistakes.clamp(-largest, largest)
    covariance = mistakes.T @ mistakes / len(mistakes)
    mirror = torch.zeros_like(covariance)
    for joint, other in enumerate(SMPL_MIRROR):
        for axis, sign in enumerate((1, -1, -1)):
            mirror[3 * joint + axis, 3 * other + axis] = sign
    mirror[NUM_POSE:, NUM_POSE:] = torch.eye(NUM_BODY - NUM_POSE)
    covariance = (covariance + mirror @ covariance @ mirror.T) / 2
    covariance[0] *= TIPPING
    covariance[:, 0] *= TIPPING
    variance = covariance.diagonal().clamp(min=LEAST_ERROR**2)
    return (1 - SHRINKAGE) * covariance + torch.diag(
        variance - (1 - SHRINKAGE) * covariance.diagonal()
    )


def find_limits(poses: Path) -> tuple[Floats, Floats]:
    """(69,) least and largest axis-angle components of joints 1..23, clips counting alike."""
    rng = np.random.default_rng(0)
    clips = load_poses(poses).clips
    captured = np.concatenate(
        [clip[rng.integers(len(clip), size=POSES_PER_CLIP)] for clip in clips]
    )
    made_up = np.stack([made_up_pose(rng) for _ in range(MADE_UP_POSES)])  # they crouch lower
    limits = [np.full((2, NUM_JOINTS, 3), LEAST_LIMIT) * [[[-1]], [[1]]]]
    for drawn in (captured, made_up):
        both = np.concatenate([drawn, drawn[:, list(SMPL_MIRROR)] * [1, -1, -1]])
        limits.append(np.quantile(both, [BEYOND, 1 - BEYOND], axis=0))
    lower, upper = np.min(limits, axis=0)[0], np.max(limits, axis=0)[1]
    for name, (axis, sign) in ONE_WAY.items():
        (lower if sign > 0 else upper)[SMPL_JOINTS.index(name), axis] = 0
    return lower[1:].ravel().astype(np.float32), upper[1:].ravel().astype(np.float32)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
