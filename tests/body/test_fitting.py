"""Bodies follow keypoints as far as keypoints, network and joints are to be believed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.fitting import NUM_POSE, KeypointFitter, _gather, shipped_prior
from smplcli.body.layer import JointsLayer
from smplcli.camera import project_points
from smplcli.conventions import COCO17_JOINTS, COCO17_MIRROR, NUM_JOINTS, SMPL_JOINTS, SMPL_MIRROR
from smplcli.datasets.poses import draw_pose
from smplcli.rotations import aa_to_rotmat, mirror_rotmat, rotmat_to_aa
from smplcli.types import Camera

COUNT = 6


@pytest.fixture(scope="module")
def fitter():
    return KeypointFitter(load_body())


@pytest.fixture(scope="module")
def layer():
    return JointsLayer(load_body())


@pytest.fixture(scope="module")
def people(layer):
    """Poses, betas and places of people, and exact keypoints."""
    rng = np.random.default_rng(0)
    pose = torch.from_numpy(np.stack([draw_pose(rng, []) for _ in range(COUNT)])).float()
    betas = torch.from_numpy(rng.normal(size=(COUNT, 10))).float()
    transl = torch.from_numpy(rng.uniform([-1, -0.5, 3], [1, 0.5, 8], (COUNT, 3))).float()
    return pose, betas, transl, observe(layer, pose, betas, transl)


def camera_of(count=COUNT):
    return Camera(torch.full((count,), 1000.0), torch.full((count, 2), 500.0), torch.zeros(2))


def observe(layer, pose, betas, transl):
    joints = layer(pose, betas)[:, NUM_JOINTS:]
    points = project_points(joints, transl, camera_of(len(pose)))
    return torch.cat([points, torch.ones(*points.shape[:2], 1)], dim=-1)


def disturb(pose, size, seed=1):
    """Each joint turned by some angle, as a network errs."""
    generator = torch.Generator().manual_seed(seed)
    return pose @ aa_to_rotmat(size * torch.randn(*pose.shape[:2], 3, generator=generator))


def joint_errors(layer, fitted, people):
    found, truth = layer(fitted.full_pose, fitted.betas), layer(people[0], people[1])
    return ((found - found[:, :1]) - (truth - truth[:, :1])).norm(dim=-1)[:, :NUM_JOINTS]


def misses(layer, fitted, keypoints):
    seen = observe(layer, *fitted)
    return (seen - keypoints)[..., :2].norm(dim=-1)


def test_a_body_that_is_on_its_keypoints_stays(fitter, people):
    pose, betas, transl, keypoints = people

    fitted = fitter(pose, betas, transl, keypoints, camera_of())

    angles = rotmat_to_aa(pose[:, 1:]).flatten(1)
    limits = shipped_prior()
    is_beyond = ((angles < limits.lower) | (angles > limits.upper)).view(len(pose), -1, 3).any(-1)
    within = ~torch.nn.functional.pad(is_beyond, (1, 0))  # limits pull jittered joints back
    assert within.float().mean() > 0.8
    assert fitted.full_pose[within] == pytest.approx(pose[within], abs=0.05)
    assert fitted.betas == pytest.approx(betas, abs=0.05)
    assert fitted.transl == pytest.approx(transl, abs=0.1)


def test_fitting_brings_joints_nearer_to_the_truth_in_the_picture_and_in_space(
    fitter, layer, people
):
    pose, betas, transl, keypoints = people
    start = disturb(pose, 0.2)
    before = (start, torch.zeros_like(betas), transl)

    fitted = fitter(*before, keypoints, camera_of())

    after, apart = misses(layer, fitted, keypoints), misses(layer, before, keypoints)
    assert after.mean() < 0.3 * apart.mean()
    wrong = joint_errors(layer, fitted._replace(full_pose=start, betas=before[1]), people)
    assert joint_errors(layer, fitted, people).mean() < 0.8 * wrong.mean()


def test_keypoints_that_are_left_out_are_come_nearer_too(fitter, layer, people):
    pose, betas, transl, keypoints = people
    left_out = [COCO17_JOINTS.index(f"{side}_ankle") for side in ("left", "right")]
    given = keypoints.clone()
    given[:, left_out] = torch.tensor([float("nan"), -1e9, 0])
    before = (disturb(pose, 0.2), betas, transl)

    fitted = fitter(*before, given, camera_of())

    after, apart = misses(layer, fitted, keypoints), misses(layer, before, keypoints)
    assert after[:, left_out].mean() < apart[:, left_out].mean()


def test_without_keypoints_nothing_changes(fitter, people):
    pose, betas, transl, keypoints = people
    inside = torch.zeros_like(pose[:, :, 0])  # at rest, which is within all limits
    start = aa_to_rotmat(inside)

    fitted = fitter(start, betas, transl, 0 * keypoints, camera_of())

    assert fitted.full_pose == pytest.approx(start, abs=1e-4)
    assert fitted.transl == pytest.approx(transl, abs=1e-4)


@pytest.mark.parametrize(("distance", "score"), [(400, 1.0), (40, 0.2)])
def test_a_blunder_and_a_doubtful_keypoint_pull_little(fitter, layer, people, distance, score):
    pose, betas, transl, keypoints = people
    wrist = COCO17_JOINTS.index("left_wrist")
    wrong = keypoints.clone()
    wrong[:, wrist, 0] += distance
    wrong[:, wrist, 2] = score
    believable = keypoints.clone()
    believable[:, wrist, 0] += 40

    misled = misses(layer, fitter(pose, betas, transl, wrong, camera_of()), keypoints)
    follows = misses(layer, fitter(pose, betas, transl, believable, camera_of()), keypoints)

    assert misled[:, wrist].mean() < 0.5 * follows[:, wrist].mean()


@pytest.mark.parametrize("has_limits", [True, False])
def test_elbows_do_not_bend_backwards(layer, has_limits):
    prior = shipped_prior()
    if not has_limits:
        prior = prior._replace(lower=prior.lower - 10, upper=prior.upper + 10)
    aa = torch.zeros(1, NUM_JOINTS, 3)
    aa[0, 0, 0] = -np.pi / 2  # seen from above, where it shows how elbows bend
    start, betas = aa_to_rotmat(aa).float(), torch.zeros(1, 10)
    transl = torch.tensor([[0.0, 0, 4]])
    elbow = SMPL_JOINTS.index("left_elbow")
    bent = aa.clone()
    bent[0, elbow, 1] = 0.8  # the wrong way
    keypoints = observe(layer, aa_to_rotmat(bent).float(), betas, transl)
    keypoints[..., 2] = 0
    arm = [COCO17_JOINTS.index(f"left_{name}") for name in ("shoulder", "elbow", "wrist", "hip")]
    keypoints[:, [*arm, COCO17_JOINTS.index("right_shoulder")], 2] = 1.0

    fitted = KeypointFitter(load_body(), prior)(start, betas, transl, keypoints, camera_of(1))

    bend = rotmat_to_aa(fitted.full_pose)[0, elbow, 1]
    assert (bend < np.radians(5)) == has_limits


def test_a_mirrored_person_is_fitted_as_the_mirror_image(fitter, people):
    pose, betas, transl, keypoints = people
    start = disturb(pose, 0.2)
    mirrored = mirror_rotmat(start[:, list(SMPL_MIRROR)])
    points = keypoints[:, list(COCO17_MIRROR)].clone()
    points[..., 0] = 1000 - points[..., 0]
    points[..., 1:] = keypoints[:, list(COCO17_MIRROR), 1:]

    here = fitter(start, betas, transl, keypoints, camera_of())
    there = fitter(mirrored, betas, transl * torch.tensor([-1.0, 1, 1]), points, camera_of())

    back = mirror_rotmat(there.full_pose[:, list(SMPL_MIRROR)])
    assert back == pytest.approx(here.full_pose, abs=0.03)  # the body is not quite symmetric


def test_nobody_depends_on_who_else_is_fitted(fitter, people):
    pose, betas, transl, keypoints = people
    start = disturb(pose, 0.2)

    together = fitter(start, betas, transl, keypoints, camera_of())
    alone = fitter(start[:1], betas[:1], transl[:1], keypoints[:1], camera_of(1))

    assert alone.full_pose == pytest.approx(together.full_pose[:1], abs=1e-4)


def test_derivatives_are_those_of_the_residuals(people):
    body = load_body()
    still = replace(body, posedirs=np.zeros_like(body.posedirs))
    fitter = KeypointFitter(still).double()
    pose, betas, transl, keypoints = (value.double() for value in people)
    camera = Camera(*(value.double() for value in camera_of()))
    evidence = _gather(disturb(pose.float(), 0.2).double(), betas, transl, keypoints, camera)
    rows = fitter._jacobian(evidence, evidence.start)

    for index in [0, 1, 2, 3 * 18, 3 * 16 + 1, 3 * 3 + 2, 3 * 5, NUM_POSE, -3, -2, -1]:
        ends = []
        for step in (1e-6, -1e-6):
            form = evidence.start.clone()
            form[:, index] += step
            ends.append(fitter._residual(evidence, form).flatten(1))
        slope = (ends[0] - ends[1]) / 2e-6
        if index == -1:  # metres at the person's depth: the scale grows with it, and is left out
            slope = slope - fitter._residual(evidence, evidence.start).flatten(1)
        assert rows[..., index] == pytest.approx(slope, abs=1e-5)
