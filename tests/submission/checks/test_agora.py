"""AGORA's checker on sound predictions and on damaged ones."""

import pickle
import zipfile

import numpy as np
import pytest

from smplcli.submission.checks.agora import check_agora
from smplcli.submission.checks.archives import open_members

NAME = "predictions/image_personId_{}.pkl"


def person(number=0):
    rng = np.random.default_rng(number)
    pose = 0.3 * rng.normal(size=(1, 24, 3))
    pose[:, 0] = [np.pi, 0, 0]
    return {
        "params": {
            "transl": np.array([[0.0, 0, 8]]),
            "betas": rng.normal(size=(1, 10)),
            "global_orient": pose[:, :1],
            "body_pose": pose[:, 1:],
        },
        "joints": rng.uniform([1500, 900], [3600, 2000], size=(24, 2)),
    }


def mesh(number=0):
    rng = np.random.default_rng(number)
    return {
        "verts": rng.normal(scale=0.3, size=(6890, 3)),
        "allSmplJoints3d": np.linspace([0, 1, 5], [0, -0.6, 5], 24),
        "joints": person(number)["joints"],
    }


def crowd(**changes):
    return {NAME.format(number): person(number) | changes for number in range(6)}


@pytest.fixture
def check(tmp_path):
    def run(members):
        with zipfile.ZipFile(tmp_path / "predictions.zip", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, pickle.dumps(content))
        with open_members(tmp_path / "predictions.zip") as opened:
            return check_agora(opened)

    return run


def with_param(name, value):
    return crowd(params=person()["params"] | {name: value})


def without_param(name):
    return crowd(params={key: v for key, v in person()["params"].items() if key != name})


def test_sound_predictions_have_no_problem_and_are_counted(check):
    findings = check(crowd())

    assert findings.problems == []
    assert findings.counts == {"pictures": 1, "people": 6}


def test_matrices_and_kids_are_as_good(check):
    params = person()["params"] | {
        "betas": np.zeros((1, 11)),
        "global_orient": np.diag([1.0, -1, -1])[None, None],
        "body_pose": np.tile(np.eye(3), (1, 23, 1, 1)),
    }

    assert check(crowd(params=params, pose2rot=False, kid_flag=True)).problems == []


def test_a_mesh_is_as_good(check):
    assert check({NAME.format(0): mesh()}).problems == []


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "no prediction could be read"),
        ({"image_personId_0.pkl": person()}, "must lie in a folder predictions/"),
        ({"predictions/deep/image_personId_0.pkl": person()}, "member is not predictions/"),
        ({**crowd(), "predictions/image.pkl": person()}, "member is not predictions/"),
        ({NAME.format(1): person()}, "numbered from 0"),
        ({"predictions/image_1280x720_personId_0.pkl": person()}, "named without _1280x720"),
        ({NAME.format(0): [1]}, "must be a dict"),
        (crowd(joints=person()["joints"] / 3), "three times as much"),
        (crowd(joints=person()["joints"] / 4000), "are fractions"),
        (crowd(joints=person()["joints"] * 10), "far outside"),
        (crowd(joints=person()["joints"][:17]), "joints must be (24, 2)"),
        (crowd(joints=person()["joints"] * np.nan), "joints are not finite"),
        (crowd(joints=person()["joints"].tolist()), "joints must be an array"),
        (crowd(params=[1]), "params must be a dict"),
        (without_param("betas"), "params lack the array betas"),
        (with_param("betas", np.zeros((1, 300))), "betas must be (1, 10)"),
        (with_param("betas", np.full((1, 10), np.nan)), "betas is not finite"),
        (with_param("body_pose", np.zeros((1, 69))), "body_pose must be (1, 23, 3)"),
        (with_param("body_pose", np.full((1, 23, 3), 45.0)), "radians, not degrees"),
        (with_param("transl", np.array([[0.0, 0, 8000]])), "transl must be metres"),
        (with_param("transl", np.array([[0.0, 0, -8]])), "transl must be metres"),
        (with_param("global_orient", np.zeros((1, 1, 3))), "stand on their heads"),
        ({NAME.format(0): mesh() | {"verts": np.zeros((10475, 3))}}, "SMPL-X"),
        ({NAME.format(0): mesh() | {"verts": 1000 * mesh()["verts"]}}, "look like millimetres"),
        ({NAME.format(0): {"joints": person()["joints"]}}, "must hold params, or verts"),
    ],
)
def test_damaged_predictions_are_named(check, members, words):
    findings = check(members)

    assert any(words in problem for problem in [*findings.problems, *findings.doubts])
