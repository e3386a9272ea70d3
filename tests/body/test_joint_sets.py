from dataclasses import replace

import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.body.joint_sets import JOINT_SETS, joint_regressor, joint_set
from smplcli.conventions import SMPL_JOINTS, SPIN49_JOINTS
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from tests.body.official import random_body

VERTEX_IDS = {"nose": 1, "leye": 2, "reye": 3, "lear": 4, "rear": 5} | {
    name: 6 + index
    for index, name in enumerate(
        ["LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"]
    )
}
SMPL = replace(random_body(40), vertex_ids=VERTEX_IDS)
EXTRA = np.random.default_rng(0).random((9, 40))
H36M = np.random.default_rng(1).random((17, 40))

SPIN49_ROWS = [
    *(24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28),
    *(29, 30, 31, 32, 33, 34),
    *(8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48, 49, 50, 51, 52, 53),
    *(24, 26, 25, 28, 27),
]
"""JOINT_MAP of github.com/nkolot/SPIN at 277892a, constants.py: smplx's 45 joints, then EXTRA."""

SMPLX_VERTEX_ORDER = (
    *("nose", "reye", "leye", "rear", "lear"),
    *("LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"),
)
"""Joints 24 to 34 of smplx."""


def rows(joints):
    return np.concatenate([joints.from_joints, joints.from_vertices], axis=1)


@pytest.fixture(scope="module")
def demo():
    return load_body()


def test_smpl24_is_the_skeleton_itself():
    joints = joint_set(SMPL, "smpl24")

    np.testing.assert_array_equal(joints.from_joints, np.eye(24))
    assert not joints.from_vertices.any()


def test_coco17_of_smpl_takes_limbs_from_the_skeleton_and_the_face_from_vertices():
    joints = joint_set(SMPL, "coco17")

    for index, name in enumerate(JOINT_SETS["coco17"]):
        if name in SMPL_JOINTS:
            assert joints.from_joints[index, SMPL_JOINTS.index(name)] == 1
    assert joints.from_vertices[:5].argmax(axis=1).tolist() == [1, 2, 3, 4, 5]
    assert not joints.from_vertices[5:].any()


def test_coco17_of_a_body_with_a_regressor_is_that_regressor(demo):
    joints = joint_set(demo, "coco17")

    np.testing.assert_array_equal(joints.from_vertices, demo.regressors["coco17"])
    assert not joints.from_joints.any()


def test_spin49_has_the_order_of_spin():
    smplx_joints = np.zeros((45, 24 + 40))
    smplx_joints[:24, :24] = np.eye(24)
    for index, name in enumerate(SMPLX_VERTEX_ORDER, start=24):
        smplx_joints[index, 24 + VERTEX_IDS[name]] = 1
    extra = np.pad(EXTRA, ((0, 0), (24, 0)))
    expected = np.concatenate([smplx_joints, extra])[SPIN49_ROWS]

    np.testing.assert_allclose(rows(joint_set(SMPL, "spin49", given=EXTRA)), expected, rtol=1e-6)


def test_lsp14_is_fourteen_rows_of_the_given_regressor():
    joints = joint_set(SMPL, "lsp14", given=H36M)

    rows_of_h36m = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
    np.testing.assert_allclose(joints.from_vertices, H36M[rows_of_h36m], rtol=1e-6)
    assert not joints.from_joints.any()


def test_given_regressor_may_be_a_file(tmp_path):
    np.save(tmp_path / "J_regressor_h36m.npy", H36M)

    from_file = joint_set(SMPL, "lsp14", given=tmp_path / "J_regressor_h36m.npy")

    np.testing.assert_array_equal(rows(from_file), rows(joint_set(SMPL, "lsp14", given=H36M)))


def test_stand_in_for_spin49_puts_the_joints_of_the_demo_body_where_they_belong(demo):
    x, y, _ = (joint_regressor(demo, "spin49") @ demo.v_template).T
    place = dict(zip(SPIN49_JOINTS, zip(x, y, strict=True), strict=True))

    assert place["left_hip"][0] > 0.05 > -0.05 > place["right_hip"][0]
    heights = [place[name][1] for name in ("pelvis", "spine", "thorax", "neck", "jaw", "head")]
    assert heights == sorted(heights)
    assert place["head_top"][1] == pytest.approx(demo.v_template[:, 1].max())


@pytest.mark.parametrize("name", ["smpl24", "coco17", "spin49"])
def test_shares_of_every_joint_sum_to_one(demo, name):
    joints = joint_set(demo, name)

    assert len(joints.from_joints) == len(JOINT_SETS[name])
    np.testing.assert_allclose(rows(joints).sum(axis=1), 1, atol=1e-5)


def test_regressor_replaces_the_skeleton_by_what_smpl_regresses():
    expected = joint_set(SMPL, "coco17").from_vertices.copy()
    expected[5] = SMPL.joint_regressor[SMPL_JOINTS.index("left_shoulder")]

    np.testing.assert_array_equal(joint_regressor(SMPL, "coco17")[:6], expected[:6])


@pytest.mark.parametrize(
    ("name", "file"), [("spin49", "J_regressor_extra.npy"), ("lsp14", "J_regressor_h36m.npy")]
)
def test_set_without_its_regressor_says_which_file_it_needs(name, file):
    with pytest.raises(MissingFileError, match=file):
        joint_set(SMPL, name)


def test_missing_regressor_file_is_called_missing(tmp_path):
    with pytest.raises(MissingFileError, match=r"joint regressor not found: .*no\.npy"):
        joint_set(SMPL, "lsp14", given=tmp_path / "no.npy")


@pytest.mark.parametrize(
    "given",
    [np.zeros((9, 40)), np.zeros((17, 41)), np.zeros(17), np.full((17, 40), np.nan)],
)
def test_regressor_of_another_body_is_refused(given):
    with pytest.raises(UnreadableFileError, match=r"J_regressor_h36m\.npy for this body"):
        joint_set(SMPL, "lsp14", given=given)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00\x76\x00{'descr'"])
def test_damaged_regressor_file_is_unreadable(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)

    with pytest.raises(UnreadableFileError, match=r"x\.npy"):
        joint_set(SMPL, "lsp14", given=tmp_path / "x.npy")


def test_unknown_set_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match="no such joint set: coco") as caught:
        joint_set(SMPL, "coco")

    assert "coco17" in caught.value.hint


def test_face_of_an_unknown_mesh_is_not_guessed():
    with pytest.raises(ConfigError, match="which vertex is the nose: random body"):
        joint_set(random_body(40), "coco17")
