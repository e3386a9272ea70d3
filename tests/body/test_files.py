import json
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest

from smplcli.body.files import find_body, load_body, read_body_file, write_body_npz
from smplcli.conventions import COCO17_JOINTS, SMPL_PARENTS
from smplcli.errors import (
    ConfigError,
    HostileFileError,
    MissingFileError,
    OutputExistsError,
    UnreadableFileError,
)
from smplcli.files import asset
from tests.body.official import official_fields, python2_dumps, random_body

BODY = random_body(40)
ARRAYS = ("v_template", "shapedirs", "posedirs", "joint_regressor", "weights", "parents", "faces")


@pytest.fixture(scope="module")
def demo():
    return load_body()


def write_official(path, body=BODY, **changes):
    content = {**official_fields(body), **changes}
    path.write_bytes(
        python2_dumps({key: content[key] for key in content if content[key] is not None})
    )
    return path


def write_plain(path, body=BODY, **changes):
    write_body_npz(path, body)
    with np.load(path) as archive:
        np.savez(path, **{**archive, **changes})
    return path


def assert_same_arrays(read, expected):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(read, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("num_betas", [10, 300])
@pytest.mark.parametrize("protocol", range(3))
def test_official_pickle_gives_the_body_that_it_holds(tmp_path, num_betas, protocol):
    path = tmp_path / "SMPL_MALE.pkl"
    path.write_bytes(python2_dumps(official_fields(BODY, num_betas=num_betas), protocol))

    body = read_body_file(path)

    assert_same_arrays(body, BODY)
    assert body.name == "SMPL_MALE.pkl"
    assert body.gender == "male"
    assert not body.is_demo


def test_body_of_full_size_comes_with_smplx_vertices(tmp_path):
    body = random_body(6890)
    faces = np.zeros((13776, 3), dtype=np.uint32)

    read = read_body_file(write_official(tmp_path / "SMPL_NEUTRAL.pkl", body, f=faces))

    np.testing.assert_array_equal(read.posedirs, body.posedirs)
    assert (read.vertex_ids["nose"], read.vertex_ids["leye"], read.vertex_ids["RHeel"]) == (
        332,
        2800,
        6787,
    )


def test_npz_with_the_keys_of_the_pickle_is_read(tmp_path):
    content = official_fields(BODY)
    for key in ("shapedirs", "posedirs"):
        content[key] = content[key].x
    content |= {"weights": BODY.weights, "J_regressor": BODY.joint_regressor}
    del content["pose_training_info"], content["J_regressor_prior"]
    np.savez(tmp_path / "model.npz", **content)

    assert_same_arrays(read_body_file(tmp_path / "model.npz"), BODY)


def test_file_is_known_by_its_bytes_and_not_by_its_suffix(tmp_path):
    write_body_npz(tmp_path / "body.pkl", BODY)

    assert_same_arrays(read_body_file(tmp_path / "body.pkl"), BODY)


@pytest.mark.parametrize("root", [-1, 0, 2**32 - 1, 2**64 - 1])
def test_root_parent_is_minus_one_however_it_is_written(tmp_path, root):
    table = np.array([(root, *SMPL_PARENTS[1:]), range(24)], dtype=np.uint64 if root > 0 else int)

    body = read_body_file(write_official(tmp_path / "smpl.pkl", kintree_table=table))

    assert body.parents.tolist() == list(SMPL_PARENTS)
    assert body.parents.dtype == np.int64


def test_imported_body_is_the_body(tmp_path, demo):
    write_body_npz(tmp_path / "body.npz", demo)

    read = read_body_file(tmp_path / "body.npz")

    different = {
        field.name
        for field in fields(demo)
        if field.name not in ("regressors", *ARRAYS)
        and getattr(read, field.name) != getattr(demo, field.name)
    }
    assert different == {"sha256"}
    assert_same_arrays(read, demo)
    np.testing.assert_array_equal(read.regressors["coco17"], demo.regressors["coco17"])


def test_import_is_readable_without_pickle(tmp_path):
    write_body_npz(tmp_path / "body.npz", BODY)

    with np.load(tmp_path / "body.npz", allow_pickle=False) as archive:
        shapes = {key: archive[key].shape for key in archive}

    assert shapes["J_regressor"] == (24, 40)
    assert shapes["kintree_table"] == (2, 24)


def test_import_replaces_nothing_unless_told_to(tmp_path):
    write_body_npz(tmp_path / "body.npz", BODY)

    with pytest.raises(OutputExistsError, match=r"body\.npz"):
        write_body_npz(tmp_path / "body.npz", BODY, overwrite=False)


def test_demo_body_is_the_default(demo):
    assert demo.is_demo
    assert demo.v_template.shape == (6890, 3)
    assert demo.regressors["coco17"].shape == (len(COCO17_JOINTS), 6890)
    assert demo.vertex_ids["nose"] < 6890
    assert "CC0" in demo.licence


def test_copy_of_the_demo_body_stays_the_demo_body(tmp_path):
    path = tmp_path / "SMPL_NEUTRAL.npz"
    path.write_bytes(asset("body.npz").read_bytes())

    assert load_body(path).is_demo


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("SMPL_NEUTRAL.pkl", "neutral"),
        ("SMPL_FEMALE.npz", "female"),
        ("smpl/SMPL_MALE.pkl", "male"),
        ("smpl/models/basicModel_f_lbs_10_207_0_v1.0.0.pkl", "female"),
        ("smpl/models/basicmodel_m_lbs_10_207_0_v1.0.0.pkl", "male"),
        ("SMPL_python_v.1.1.0/smpl/models/basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", "neutral"),
        ("smplify_public/code/models/basicModel_neutral_lbs_10_207_0_v1.0.0.pkl", "neutral"),
        ("neutral_smpl_with_cocoplus_reg.pkl", "neutral"),
        ("SMPL/smpl_female.PKL", "female"),
        ("BASICMODEL_M_LBS_10_207_0_V1.1.0.pkl", "male"),
    ],
)
def test_every_customary_name_is_found_in_a_folder(tmp_path, name, gender):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        write_body_npz(path, replace(BODY, gender=gender))
    else:
        write_official(path)

    assert find_body(tmp_path, gender) == path
    assert load_body(tmp_path, gender=gender).gender == gender


def test_one_gender_does_not_stand_in_for_another(tmp_path):
    write_official(tmp_path / "SMPL_MALE.pkl")

    with pytest.raises(MissingFileError, match="no female SMPL file found"):
        load_body(tmp_path, gender="female")


def test_empty_folder_is_answered_with_names_places_and_where_to_register(tmp_path):
    (tmp_path / "smpl").mkdir()

    with pytest.raises(MissingFileError) as caught:
        load_body(tmp_path)

    assert str(tmp_path) in caught.value.message
    for expected in ("SMPL_NEUTRAL", "basicmodel_neutral_lbs_10_207_0_v1.1.0", ".pkl"):
        assert expected in caught.value.hint
    for expected in (str(tmp_path / "smpl"), "smpl.is.tue.mpg.de", "smplify.is.tue.mpg.de"):
        assert expected in caught.value.hint


def test_missing_file_is_answered_with_where_to_register(tmp_path):
    with pytest.raises(MissingFileError, match=r"body model not found: .*no\.pkl") as caught:
        load_body(tmp_path / "no.pkl")

    assert "smpl.is.tue.mpg.de" in caught.value.hint


def test_unknown_gender_is_a_mistake_of_the_caller():
    with pytest.raises(ConfigError, match="no such gender: men"):
        load_body(gender="men")


@pytest.mark.parametrize(
    ("num_joints", "name"), [(16, "MANO"), (52, "SMPL-H"), (55, "SMPL-X"), (5, "FLAME")]
)
def test_file_of_a_related_model_is_named_as_such(tmp_path, num_joints, name):
    table = np.zeros((2, num_joints), dtype=np.uint32)
    path = write_official(tmp_path / "model.pkl", kintree_table=table)

    with pytest.raises(UnreadableFileError, match=rf"one of {name}: .*model\.pkl"):
        read_body_file(path)


def test_file_of_star_is_named_as_such(tmp_path):
    path = write_official(tmp_path / "model.pkl", posedirs=np.zeros((40, 3, 93)))

    with pytest.raises(UnreadableFileError, match="one of STAR"):
        read_body_file(path)


NOT_A_NUMBER = BODY.v_template.copy()
NOT_A_NUMBER[3, 1] = np.nan
WRONG_TREE = np.array([(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, *[9] * 12), range(24)])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"posedirs": None}, "lacks posedirs; it holds J, J_regressor"),
        ({"v_template": np.zeros((0, 3))}, "v_template holds no vertices"),
        ({"v_template": [1, 2, 3]}, "v_template holds no vertices"),
        ({"v_template": NOT_A_NUMBER}, "v_template holds values that are not finite"),
        ({"v_template": np.full((40, 3), 1e300)}, "v_template holds values that are not finite"),
        ({"v_template": np.full((40, 3), "x")}, "v_template holds no real numbers"),
        ({"shapedirs": np.zeros((40, 3, 9))}, "shapedirs has 9 betas, expected 10 or more"),
        (
            {"shapedirs": np.zeros((40, 10))},
            r"shapedirs has shape \(40, 10\), expected \(40, 3, any\)",
        ),
        ({"weights": np.zeros((41, 24))}, r"weights has shape \(41, 24\), expected \(40, 24\)"),
        ({"J_regressor": np.zeros((19, 40))}, r"J_regressor has shape \(19, 40\)"),
        ({"kintree_table": WRONG_TREE}, "its joints hang on"),
        ({"kintree_table": np.zeros(24)}, r"kintree_table has shape \(24,\)"),
        ({"f": np.full((5, 3), 40)}, "f names vertices that are not among the 40"),
        ({"vertex_ids": "["}, "vertex_ids is no JSON object"),
        ({"vertex_ids": json.dumps({"nose": 40})}, "vertex_ids names vertices that are not there"),
    ],
)
def test_wrong_contents_are_said(tmp_path, changes, problem):
    path = write_official(tmp_path / "smpl.pkl", **changes)

    with pytest.raises(UnreadableFileError, match=problem) as caught:
        read_body_file(path)

    assert str(path) in caught.value.message


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"<html>", b"\x80\x02}."])
def test_file_that_is_no_body_is_unreadable(tmp_path, content):
    (tmp_path / "smpl.pkl").write_bytes(content)

    with pytest.raises(UnreadableFileError, match=r"smpl\.pkl"):
        read_body_file(tmp_path / "smpl.pkl")


def test_pickle_of_something_else_is_no_body(tmp_path):
    (tmp_path / "smpl.pkl").write_bytes(pickle.dumps([1, 2, 3]))

    with pytest.raises(UnreadableFileError, match="it holds a list"):
        read_body_file(tmp_path / "smpl.pkl")


def test_npz_of_objects_is_refused(tmp_path):
    path = write_plain(tmp_path / "body.npz", J_regressor=np.array({}, dtype=object))

    with pytest.raises(HostileFileError, match="J_regressor"):
        read_body_file(path)


def test_objects_under_keys_that_nobody_needs_are_left_alone(tmp_path):
    path = write_plain(tmp_path / "body.npz", pose_training_info=np.array({}, dtype=object))

    assert_same_arrays(read_body_file(path), BODY)
