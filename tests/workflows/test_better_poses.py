"""Refinement, the flip test and averages of networks, as `predict` offers them."""

import json

import numpy as np
import pytest
import torch

from smplcli.body.layer import JointsLayer
from smplcli.camera import project_points
from smplcli.conventions import COCO17_MIRROR, NUM_JOINTS, SMPL_MIRROR
from smplcli.detection.movenet import PersonDetector
from smplcli.detection.people import Detection
from smplcli.errors import ConfigError, MissingFileError
from smplcli.files import asset
from smplcli.images import read_image
from smplcli.models.config import ModelConfig
from smplcli.models.inference import has_fast_bf16
from smplcli.models.keypoints import MIN_SCORE
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from smplcli.rotations import mirror_rotmat
from smplcli.workflows.bodies import BodyEstimator
from smplcli.workflows.predict import predict

PHOTO = asset("photos") / "field.jpg"
TINY = ModelConfig(
    backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8, keypoints=8
)


def network_at(path, seed, config=TINY):
    torch.manual_seed(seed)
    save_network(path, build_network(config), {})
    return path


@pytest.fixture(scope="module")
def photo():
    return read_image(PHOTO, orientation="displayed")


@pytest.fixture(scope="module")
def people(photo):
    return PersonDetector().detect(photo)


def estimator_of(**options):
    network = asset("network.safetensors")
    return BodyEstimator(network, None, torch.device("cpu"), **options)


def estimate(estimator, photo, people):
    subjects = [
        estimator.cut_out(photo, person, image_index=0, person_id=number)
        for number, person in enumerate(people)
    ]
    return estimator.estimate(subjects)


def misses(estimator, bodies, people):
    """Pixels from trusted keypoints, their mean for each person."""
    joints = JointsLayer(estimator.body)(bodies.full_pose, bodies.betas)[:, NUM_JOINTS:]
    points = project_points(joints, bodies.transl, bodies.camera).numpy()
    keypoints = np.stack([person.keypoints for person in people])
    off = np.linalg.norm(points - keypoints[..., :2], axis=-1)
    return np.mean(off, axis=1, where=keypoints[..., 2] >= MIN_SCORE)


@pytest.fixture(scope="module")
def plain(photo, people):
    estimator = estimator_of()
    return estimator, estimate(estimator, photo, people)


@pytest.fixture(scope="module")
def refiner():
    return estimator_of(refine=True)


def test_refined_bodies_are_nearer_to_the_keypoints(plain, refiner, photo, people):
    refined = estimate(refiner, photo, people)

    assert len(people) >= 4
    assert refined.is_placed_by_keypoints.all()
    before, after = misses(*plain, people), misses(refiner, refined, people)
    assert (after < before).all()
    assert after.mean() < 0.8 * before.mean()


def test_refined_joints_are_those_of_the_refined_body(refiner, photo, people):
    bodies = estimate(refiner, photo, people)

    joints = JointsLayer(refiner.body)(bodies.full_pose, bodies.betas)[:, :NUM_JOINTS]
    points = project_points(joints, bodies.transl, bodies.camera)
    assert bodies.joints3d == pytest.approx(joints, abs=1e-5)
    assert bodies.joints2d == pytest.approx(points, abs=1e-2)


def without_use(people, kind, photo):
    """The same people with keypoints that say nothing."""
    rng = np.random.default_rng(0)
    for person in people:
        keypoints = person.keypoints.copy()
        if kind == "scattered":
            keypoints[:, :2] = rng.uniform([0, 0], photo.shape[1::-1], (17, 2))
        else:
            keypoints[0 if kind == "none" else 3 :, 2] = 0.05
        yield person._replace(keypoints=keypoints)


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
def test_bf16_without_instructions_for_it_is_warned_of(tmp_path, caplog, precision):
    cpu = torch.device("cpu")

    BodyEstimator(network_at(tmp_path / "tiny.safetensors", 0), None, cpu, precision=precision)

    is_imitated = precision == "bf16" and not has_fast_bf16(cpu)
    assert ("has no instructions for bf16" in caplog.text) == is_imitated


@pytest.mark.parametrize("kind", ["none", "too few", "scattered"])
def test_keypoints_that_say_nothing_leave_the_answer_of_the_network(tmp_path, photo, people, kind):
    network = network_at(tmp_path / "tiny.safetensors", 0)
    poor = list(without_use(people, kind, photo))

    bodies, expected = (
        estimate(BodyEstimator(network, None, torch.device("cpu"), refine=refine), photo, poor)
        for refine in (True, False)
    )

    is_unplaced = ~bodies.is_placed_by_keypoints
    assert is_unplaced.sum() >= len(people) - 1
    assert (bodies.full_pose[is_unplaced] == expected.full_pose[is_unplaced]).all()
    assert (bodies.transl[is_unplaced] == expected.transl[is_unplaced]).all()


@pytest.mark.parametrize("kind", ["none", "too few"])
def test_the_shipped_network_looks_for_keypoints_that_nobody_gives(plain, photo, people, kind):
    estimator, told = plain
    alone = estimate(estimator, photo, list(without_use(people, kind, photo)))

    assert alone.is_placed_by_keypoints.all()
    size = told.crop.bbox_size[:, None]
    off = (alone.joints2d - told.joints2d).norm(dim=-1) / size
    assert off.mean() < 0.1


def mirrored(person, width):
    box = person.bbox.copy()
    box[[0, 2]] = width - 1 - person.bbox[[2, 0]]
    keypoints = person.keypoints[list(COCO17_MIRROR)].copy()
    keypoints[:, 0] = width - 1 - keypoints[:, 0]
    return Detection(box, person.score, keypoints)


@pytest.mark.parametrize("flip_test", [True, False])
def test_the_flip_test_of_a_mirrored_picture_is_the_mirrored_body(photo, people, flip_test):
    estimator = estimator_of(flip_test=flip_test)
    opposite = [mirrored(person, photo.shape[1]) for person in people]

    here = estimate(estimator, photo, people)
    there = estimate(estimator, np.ascontiguousarray(photo[:, ::-1]), opposite)

    back = mirror_rotmat(there.full_pose[:, list(SMPL_MIRROR)])
    assert (abs(back - here.full_pose).max() < 0.02) == flip_test  # without it, they differ
    assert (abs(there.betas - here.betas).max() < 0.02) == flip_test


def test_an_average_with_itself_is_the_network(tmp_path):
    network = network_at(tmp_path / "a.safetensors", 0)
    alone = predict(PHOTO, whole_image=True, network=network).arrays

    together = predict(PHOTO, whole_image=True, network=network, average=[network, network]).arrays

    for name in ("pose", "betas", "cam", "cam_t", "joints3d"):
        assert together[name] == pytest.approx(alone[name], abs=1e-4)


def test_an_average_lies_between_its_networks(tmp_path):
    first, second = (network_at(tmp_path / f"{seed}.safetensors", seed) for seed in (0, 1))
    betas = [
        predict(PHOTO, whole_image=True, network=path).arrays["betas"] for path in (first, second)
    ]

    mean = predict(PHOTO, whole_image=True, network=first, average=[second]).arrays["betas"]

    assert mean == pytest.approx((betas[0] + betas[1]) / 2, abs=1e-5)
    assert abs(betas[0] - betas[1]).max() > 1e-3


def test_the_file_says_how_bodies_were_made(tmp_path):
    network = network_at(tmp_path / "a.safetensors", 0)
    options = {"average": [network], "flip_test": True, "refine": True}

    plain, better = (
        json.loads(str(predict(PHOTO, whole_image=True, network=network, **chosen).arrays["meta"]))
        for chosen in ({}, options)
    )

    assert (plain["refined"], plain["flip_test"], plain["averaged_with"]) == (False, False, [])
    assert (better["refined"], better["flip_test"]) == (True, True)
    assert better["averaged_with"] == [better["network"]["sha256"]]


def test_only_answers_of_the_shipped_network_are_refined_unasked(tmp_path):
    network, shipped = network_at(tmp_path / "a.safetensors", 0), asset("network.safetensors")

    refined = [
        json.loads(str(predict(PHOTO, whole_image=True, **options).arrays["meta"]))["refined"]
        for options in ({}, {"refine": False}, {"network": network}, {"average": [shipped]})
    ]

    assert refined == [True, False, False, False]


def test_networks_of_other_sizes_and_missing_ones_are_refused(tmp_path):
    small = network_at(tmp_path / "a.safetensors", 0)
    large = network_at(tmp_path / "b.safetensors", 0, TINY.model_copy(update={"input_size": 96}))

    with pytest.raises(ConfigError, match="96 and 64 pixels: .*b.safetensors"):
        predict(PHOTO, whole_image=True, network=small, average=[large])
    with pytest.raises(MissingFileError, match="none.safetensors"):
        predict(PHOTO, whole_image=True, network=small, average=[tmp_path / "none.safetensors"])
