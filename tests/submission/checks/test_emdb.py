"""EMDB's checker on sound results and on damaged ones."""

import pickle

import numpy as np
import pytest

from smplcli.errors import HostileFileError
from smplcli.submission.checks.archives import open_members
from smplcli.submission.checks.emdb import check_emdb

FOLDER = "P3/31_outdoor_workout/hybrIK-out"


def frame(**changes):
    turns = np.tile(np.eye(3), (1, 24, 1, 1))
    turns[:, 0] = np.diag([1, -1, -1])
    sound = {
        "pred_theta_mats": turns,
        "pred_shape": np.zeros((1, 10)),
        "transl": np.array([[0.0, 0, 4]]),
    }
    return sound | changes


def walk(**changes):
    return {f"{FOLDER}/{number:06d}.pkl": frame(**changes) for number in range(3)}


@pytest.fixture
def check(tmp_path):
    def run(files):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(pickle.dumps(content))
        with open_members(tmp_path) as members:
            return check_emdb(members)

    return run


def test_sound_results_have_no_problem_and_are_counted(check):
    findings = check(walk())

    assert findings.problems == []
    assert findings.counts == {"sequences": 1, "frames": 3}


def test_rotations_may_have_any_shape_that_the_loader_takes(check):
    assert check(walk(pred_theta_mats=frame()["pred_theta_mats"].reshape(1, 216))).problems == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no frame could be read"),
        ({**walk(), "P3/31_outdoor_workout/notes.txt": 1}, "file is not P<n>"),
        ({f"{FOLDER}/000002.pkl": frame()}, "lacks 2 frames, first 0"),
        ({**walk(), f"{FOLDER}/000004.pkl": frame()}, "lacks 1 frames, first 3"),
        ({f"{FOLDER}/0.pkl": frame()}, "file is not P<n>"),
        ({f"{FOLDER}/000000.pkl": [1]}, "must be a dict"),
        (walk(pred_shape=np.zeros(10)), "pred_shape must be (1, 10)"),
        (walk(pred_theta_mats=np.zeros((1, 72))), "pred_theta_mats must be (1, 24, 3, 3)"),
        (walk(pred_theta_mats=np.zeros((1, 24, 3, 3))), "are no rotations"),
        (walk(pred_theta_mats=-frame()["pred_theta_mats"]), "mirror"),
        (walk(pred_theta_mats=np.tile(np.eye(3), (1, 24, 1, 1))), "stand on their heads"),
        (walk(transl=np.array([[0.0, 0, 4000]])), "transl must be metres"),
        (walk(transl=np.array([[0.0, 0, np.nan]])), "transl is not finite"),
        (walk(transl=[[0, 0, 4]]), "lacks the array transl"),
    ],
)
def test_damaged_results_are_named(check, files, words):
    findings = check(files)

    assert any(words in problem for problem in [*findings.problems, *findings.doubts])


def test_a_link_is_hostile(check, tmp_path):
    (tmp_path / "P3").symlink_to("/etc")

    with pytest.raises(HostileFileError, match="link"):
        check({})
