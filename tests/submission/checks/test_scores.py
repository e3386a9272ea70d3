"""The checkers' arithmetic beside that of `evaluate`, which it shares nothing with."""

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.evaluation import metrics
from smplcli.submission import checks
from smplcli.submission.checks import scores
from smplcli.submission.checks.bodies import pose_joints, pose_points

COUNT = 20


@pytest.fixture(scope="module")
def pair():
    """Predictions and truth: joints and global rotations."""
    rng = np.random.default_rng(0)
    true = rng.normal(scale=0.4, size=(COUNT, 24, 3))
    turns = Rotation.random(COUNT * 24, random_state=rng).as_matrix().reshape(COUNT, 24, 3, 3)
    off = Rotation.from_rotvec(rng.normal(scale=0.3, size=(COUNT * 9, 3))).as_matrix()
    orientations = off.reshape(COUNT, 9, 3, 3) @ turns[:, scores.SCORED_PARTS]
    pred = true + rng.normal(scale=0.05, size=true.shape) + rng.normal(size=(COUNT, 1, 3))
    return pred, orientations, true, turns


def test_every_number_of_the_challenge_is_that_of_evaluate(pair):
    pred, orientations, true, turns = pair
    errors = scores.challenge_errors(*pair)

    found = {score.label: score.value for score in scores.challenge_scores([errors])}

    assert found["MPJPE"] == pytest.approx(metrics.mpjpe(pred, true).mean(), abs=1e-6)
    assert found["MPJPE_PA"] == pytest.approx(metrics.pa_mpjpe(pred, true).mean(), abs=1e-6)
    parts = turns[:, scores.SCORED_PARTS]
    assert found["MPJAE"] == pytest.approx(metrics.mpjae(orientations, parts).mean(), abs=1e-6)
    major = errors.joint[:, scores.MAJOR_JOINTS]
    assert found["PCK@50"] == pytest.approx(100 * (major <= 50).mean(), abs=1e-6)
    # The evaluator's quadrature stops after 50 divisions of a curve with 200 corners.
    assert found["AUC"] == pytest.approx(metrics.auc(major).mean() / 100, abs=1e-5)


def test_numbers_are_pooled_over_people_and_not_over_sequences(pair):
    whole = scores.challenge_scores([scores.challenge_errors(*pair)])
    parts = [
        scores.challenge_errors(*(a[rows] for a in pair)) for rows in (slice(3), slice(3, 20))
    ]

    for together, apart in zip(whole, scores.challenge_scores(parts), strict=True):
        assert apart.value == pytest.approx(together.value, abs=1e-9)


def test_a_prediction_of_nothing_is_the_middle_of_the_truth(pair):
    _, orientations, true, turns = pair

    errors = scores.challenge_errors(np.zeros_like(true), orientations, true, turns)

    middle = 1000 * np.linalg.norm(true - true.mean(axis=1, keepdims=True), axis=-1)
    assert errors.joint_pa == pytest.approx(middle)
    assert errors.turn == pytest.approx(np.zeros(COUNT))


def test_a_mirror_image_is_no_perfect_fit(pair):
    _, orientations, true, turns = pair

    errors = scores.challenge_errors(true * [-1, 1, 1], orientations, true, turns)

    assert errors.joint_pa.mean() > 50


def test_the_courses_number_is_that_of_evaluate():
    rng = np.random.default_rng(0)
    pred, true = rng.normal(size=(2, COUNT, 49, 3))

    score = scores.course_score(pred, true)

    ours = metrics.coordinate_errors(pred[:, 25:], true[:, 25:]).mean()
    assert score.value == pytest.approx(ours, abs=1e-6)
    assert score.value == pytest.approx(1000 * np.mean(np.sqrt((true - pred)[:, 25:] ** 2)))


def test_bodies_are_posed_as_the_layer_poses_them():
    import torch

    body = load_body()
    rng = np.random.default_rng(0)
    pose = rng.normal(scale=0.5, size=(3, 72))
    betas = rng.normal(size=(3, 10))
    layer = JointsLayer(body, ["spin49"])
    turns = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(3, 24, 3, 3)

    expected = layer(torch.from_numpy(turns).float(), torch.from_numpy(betas).float()).numpy()

    from smplcli.body.joint_sets import joint_set

    shares = joint_set(body, "spin49")
    joints, _ = pose_joints(body, pose, betas)
    points = pose_points(
        body,
        pose,
        betas,
        from_joints=shares.from_joints,
        from_vertices=shares.from_vertices,
    )
    assert joints == pytest.approx(expected[:, :24], abs=1e-5)
    assert points == pytest.approx(expected[:, 24:], abs=1e-5)


FOREIGN = ("smplcli.submission.", "smplcli.evaluation", "smplcli.body.layer", "smplcli.rotations")
OWN = "smplcli.submission.checks."


@pytest.mark.parametrize(
    "module", sorted(Path(checks.__file__).parent.glob("*.py")), ids=lambda path: path.stem
)
def test_no_checker_shares_code_with_a_writer(module):
    nodes = ast.walk(ast.parse(module.read_text("utf-8")))
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}

    assert {n for n in imported if n.startswith(FOREIGN) and not n.startswith(OWN)} == set()
