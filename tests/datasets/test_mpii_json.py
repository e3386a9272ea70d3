"""MPII in the JSON layouts of pytorch-pose, HRNet and mmpose, and EFT."""

import json

import numpy as np
import pytest
import torch
from scipy.io import savemat

from smplcli.datasets.label_checks import NO_PICTURE, NOT_NUMBERS
from smplcli.datasets.mpii import read_mpii
from smplcli.datasets.mpii_labels import BAD_NAME, LISTED_TWICE, NO_BOX, NO_JOINTS
from smplcli.errors import UnreadableFileError
from smplcli.rotations import aa_to_rotmat

LEFT_KNEE, RIGHT_WRIST = 4, 10  # in MPII's order
IMAGES = ("1.jpg", "2.jpg", "3.jpg")


def microsoft(image, **changes):
    """One person of train.json: only the left knee and the right wrist are labelled."""
    joints, visible = [[-1.0, -1.0]] * 16, [0] * 16
    joints[LEFT_KNEE], joints[RIGHT_WRIST] = [101.0, 201.0], [103.0, 203.0]
    visible[LEFT_KNEE] = visible[RIGHT_WRIST] = 1
    return {
        "image": image, "center": [301.0, 401.0], "scale": 2.0,
        "joints": joints, "joints_vis": visible, **changes,
    }  # fmt: skip


def pytorch_pose(image, *, validation=0.0, index=1.0, **changes):
    """The same person in mpii_annotations.json, where the wrist is hidden."""
    joints = [[0.0, 0.0, 0.0]] * 16
    joints[LEFT_KNEE], joints[RIGHT_WRIST] = [101.0, 201.0, 1.0], [103.0, 203.0, 0.0]
    return {
        "dataset": "MPI", "isValidation": validation, "img_paths": image,
        "img_width": 1280.0, "img_height": 720.0, "objpos": [301.0, 401.0],
        "joint_self": joints, "scale_provided": 2.0,
        "joint_others": {"_ArrayType_": "double", "_ArraySize_": [0, 0], "_ArrayData_": None},
        "people_index": index, "annolist_index": 1.0, "numOtherPeople": 0.0, **changes,
    }  # fmt: skip


def eft(image, **changes):
    """A person in MPII_ver01.json who bends the left knee."""
    pose = torch.zeros(24, 3)
    pose[4, 0] = 0.5
    return {
        "parm_pose": aa_to_rotmat(pose).tolist(), "parm_shape": [0.1] * 10,
        "parm_cam": [0.9, 0.0, 0.0], "bbox_scale": 2.5, "bbox_center": [300.0, 430.0],
        "joint_validity_openpose18": [True] * 18, "smpltype": "smpl", "annotId": -1,
        "imageName": image, "subjectId": None, **changes,
    }  # fmt: skip


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images").mkdir()
    for name in IMAGES:
        (tmp_path / "images" / name).touch()
    return tmp_path


def write(root, **files):
    (root / "annot").mkdir(exist_ok=True)
    for name, content in files.items():
        (root / "annot" / f"{name}.json").write_text(json.dumps(content))


def people(raw):
    return [
        (picture.split, picture.imgname, person.person_id)
        for picture in raw.pictures
        for person in picture.people
    ]


@pytest.mark.parametrize(
    ("name", "person"), [("train", microsoft), ("mpii_train", microsoft)]
    + [("mpii_annotations", pytorch_pose)],
)  # fmt: skip
def test_both_layouts_give_the_same_person(root, name, person):
    write(root, **{name: [person("1.jpg")]})

    (picture,) = read_mpii(root).pictures

    assert (picture.split, picture.imgname) == ("train", "images/1.jpg")
    (person,) = picture.people
    np.testing.assert_array_equal(person.center, [300, 400 + 30])
    assert person.scale == 2.5
    np.testing.assert_array_equal(np.flatnonzero(person.part[:, 2]), [4, 6])
    np.testing.assert_array_equal(person.part[4], [100, 200, 1])
    np.testing.assert_array_equal(person.part[6], [102, 202, 1])
    np.testing.assert_array_equal(np.flatnonzero(person.openpose[:, 2]), [4, 13])
    assert person.head_size == 0
    assert person.pose is None


def test_files_of_one_split_each_say_who_is_validated_on(root):
    write(root, train=[microsoft("1.jpg")] * 2, valid=[microsoft("2.jpg")], trainval=[])

    raw = read_mpii(root)

    assert people(raw) == [
        ("train", "images/1.jpg", 0),
        ("train", "images/1.jpg", 1),
        ("validation", "images/2.jpg", 0),
    ]
    assert raw.notes == []
    assert raw.published == {"train": 22246, "validation": 2958}


def test_pytorch_pose_says_who_is_validated_on(root):
    records = [pytorch_pose("1.jpg", index=3.0), pytorch_pose("2.jpg", validation=1.0)]
    write(root, mpii_annotations=records)

    raw = read_mpii(root)

    assert people(raw) == [("train", "images/1.jpg", 2), ("validation", "images/2.jpg", 0)]
    assert raw.published["validation"] == 2958


def test_nobody_to_validate_on_is_announced(root):
    write(root, mpii_annotations=[pytorch_pose("1.jpg"), pytorch_pose("2.jpg")])

    (note,) = read_mpii(root).notes

    assert note.startswith("Nobody is set aside for validation")


def test_file_without_split_gets_one_of_ours(root):
    write(root, trainval=[microsoft(name) for name in IMAGES])

    raw = read_mpii(root)

    assert {split for split, *_ in people(raw)} <= {"train", "validation"}
    assert "--val-list" in raw.notes[0]
    assert raw.published == {}


def test_file_of_another_name_is_told_by_its_content(root):
    write(root, my_validation=[microsoft("1.jpg")], coco=[{"bbox": [1, 2, 3, 4]}], broken=None)
    (root / "annot" / "broken.json").write_text("{")

    raw = read_mpii(root)

    assert people(raw) == [("validation", "images/1.jpg", 0)]
    assert raw.published == {}


def test_eft_brings_pose_and_shape(root):
    write(root, MPII_ver01={"ver": 0.1, "data": [eft("1.jpg"), eft("1.jpg")]})

    raw = read_mpii(root)

    assert people(raw) == [("train", "images/1.jpg", 0), ("train", "images/1.jpg", 1)]
    person = raw.pictures[0].people[0]
    np.testing.assert_allclose(person.pose[[12, 13]], [0.5, 0], atol=1e-6)
    np.testing.assert_allclose(person.shape, 0.1)
    np.testing.assert_array_equal(person.center, [300, 430])
    assert person.scale == 2.5
    assert not person.part.any()


def test_eft_places_the_body_where_its_own_camera_sees_it(root):
    record = eft("1.jpg", parm_cam=[0.8, 0.05, -0.1])
    other = eft("1.jpg", bbox_center=[700.0, 200.0], bbox_scale=1.0)
    write(root, MPII_ver01={"data": [record, other]})

    pictures = read_mpii(root).pictures

    for picture, center, side, shift in zip(
        pictures, [[300, 430], [700, 200]], [500, 200], [[0.05, -0.1], [0, 0]], strict=True
    ):
        homogeneous = picture.cam_int @ picture.people[0].transl
        expected = np.array(center) + side / 2 * np.array(shift)
        np.testing.assert_allclose(homogeneous[:2] / homogeneous[2], expected)


def test_eft_draws_the_body_as_large_as_its_camera_sees_it(root):
    write(root, MPII_ver01={"data": [eft("1.jpg", parm_cam=[0.8, 0.05, -0.1])]})

    (picture,) = read_mpii(root).pictures

    aside = picture.cam_int @ (picture.people[0].transl + [0.5, 0, 0])
    assert aside[0] / aside[2] == pytest.approx(300 + 250 * (0.8 * 0.5 + 0.05))


@pytest.mark.parametrize("camera", [None, [0, 0, 0], [-1, 0, 0], [float("nan"), 0, 0], [0.9]])
def test_fit_without_camera_has_no_place(root, camera):
    write(root, MPII_ver01={"data": [eft("1.jpg", parm_cam=camera)]})

    (picture,) = read_mpii(root).pictures

    assert picture.cam_int is None
    assert picture.people[0].transl is None


def test_head_boxes_beside_the_labels_are_used(root):
    write(root, valid=[microsoft("1.jpg"), microsoft("2.jpg"), microsoft("3.jpg", scale=-1)])
    corners = np.array([[[11, 1, 0], [21, 1, 0]], [[41, 4, 0], [61, 5, 0]]], float)
    savemat(root / "annot" / "gt_valid.mat", {"headboxes_src": corners})

    pictures = read_mpii(root).pictures

    assert [picture.people[0].head_size for picture in pictures] == pytest.approx([30, 3])


def test_head_boxes_of_other_people_are_refused(root):
    write(root, valid=[microsoft("1.jpg")])
    savemat(root / "annot" / "gt_valid.mat", {"headboxes_src": np.ones((2, 2, 5))})

    with pytest.raises(UnreadableFileError, match="head boxes of 5 people beside labels of 1"):
        read_mpii(root)


def test_official_file_comes_before_json(root):
    write(root, train=[microsoft("1.jpg")])
    (root / "mpii_human_pose_v1_u12_1.mat").write_bytes(b"")

    with pytest.raises(UnreadableFileError, match="mpii_human_pose_v1_u12_1.mat"):
        read_mpii(root)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (microsoft("1.jpg", center=[-1, -1], scale=-1), NO_BOX),
        (microsoft("1.jpg", center=None), NO_BOX),
        (microsoft("1.jpg", scale="big"), NO_BOX),
        (microsoft("1.jpg", joints_vis=[0] * 16), NO_JOINTS),
        (microsoft("1.jpg", joints=[[1, 2]] * 15), NO_JOINTS),
        (microsoft("1.jpg", joints=[[float("nan"), 2]] * 16), NOT_NUMBERS),
        (microsoft("1.jpg", scale=10**400), NO_BOX),
        (microsoft("x/.."), NO_PICTURE),
        (microsoft("x/"), BAD_NAME),
        (microsoft("a\ud800\x1b.jpg"), BAD_NAME),
        (microsoft(None), BAD_NAME),
        (7, BAD_NAME),
    ],
)
def test_odd_record_is_left_out_with_a_reason(root, record, reason):
    write(root, train=[microsoft("2.jpg"), record])

    raw = read_mpii(root)

    assert [item.reason for item in raw.dropped] == [reason]
    assert people(raw) == [("train", "images/2.jpg", 0)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parm_pose": [[[2, 0, 0], [0, 1, 0], [0, 0, 1]]] * 24}, NOT_NUMBERS),
        ({"parm_pose": [[[-1, 0, 0], [0, 1, 0], [0, 0, 1]]] * 24}, NOT_NUMBERS),
        ({"parm_shape": [float("inf")] * 10}, NOT_NUMBERS),
        ({"parm_shape": None}, NOT_NUMBERS),
        ({"bbox_scale": 0}, NO_BOX),
        ({"bbox_center": [1]}, NO_BOX),
    ],
)
def test_odd_fit_is_left_out_with_a_reason(root, changes, reason):
    write(root, MPII_ver01={"data": [eft("2.jpg"), eft("1.jpg", **changes)]})

    raw = read_mpii(root)

    assert [item.reason for item in raw.dropped] == [reason]
    assert len(raw.pictures) == 1


def test_person_listed_twice_is_taken_once(root):
    write(root, mpii_annotations=[pytorch_pose("1.jpg"), pytorch_pose("1.jpg")])

    raw = read_mpii(root)

    assert people(raw) == [("train", "images/1.jpg", 0)]
    assert [(item.reason, item.is_failure) for item in raw.dropped] == [(LISTED_TWICE, True)]


def test_folders_in_names_are_taken_off(root):
    write(root, train=[microsoft("mpii/images/1.jpg"), microsoft("..\\..\\2.jpg")])

    raw = read_mpii(root)

    assert {picture.path.parent for picture in raw.pictures} == {root / "images"}


@pytest.mark.parametrize("content", [[], {}, 3, [{"bbox": [1, 2, 3, 4]}], {"data": [[]]}])
def test_other_json_is_refused(root, content):
    write(root, train=content)

    with pytest.raises(UnreadableFileError, match="train.json"):
        read_mpii(root)


def test_damaged_json_is_refused(root):
    write(root)
    (root / "annot" / "train.json").write_text('[{"image": "1.jp')

    with pytest.raises(UnreadableFileError, match="train.json"):
        read_mpii(root)
