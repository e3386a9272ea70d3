"""Reading MPII's layout, as we write it and as its owners and others distribute it."""

import json
import shutil

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from smplcli.datasets.label_checks import NO_PICTURE
from smplcli.datasets.mpii import read_mpii
from smplcli.datasets.mpii_labels import NOT_CHOSEN, Annotation
from smplcli.datasets.mpii_layout import write_mpii_layout
from smplcli.datasets.mpii_split import VALIDATION_SHARE, split_by_name
from smplcli.errors import MissingFileError, OutputExistsError, UnreadableFileError

# Column of SPIN's 24 joints for each of MPII's 16 (SPIN, datasets/preprocess/mpii.py).
TO_SPIN = [0, 1, 2, 3, 4, 5, 14, 15, 12, 13, 6, 7, 8, 9, 10, 11]
FRACTIONAL = [8, 9]
COUNT = 14


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("mpii")
    return root, write_mpii_layout(root, count=COUNT, seed=3)


@pytest.fixture(scope="module")
def raw(written):
    return read_mpii(written[0])


@pytest.fixture
def root(written, tmp_path):
    """A copy of the layout that a test may change."""
    shutil.copytree(written[0], tmp_path / "mpii")
    return tmp_path / "mpii"


def people_of(raw, pictures):
    """What was read of each person, beside what is true."""
    truth = {f"images/{picture.file}": picture.people for picture in pictures}
    return [
        (person, truth[picture.imgname][person.person_id])
        for picture in raw.pictures
        for person in picture.people
    ]


def test_labels_lie_where_the_joints_are(written, raw):
    for person, truth in people_of(raw, written[1]):
        labels = person.part[TO_SPIN]
        known = labels[:, 2] > 0

        np.testing.assert_allclose(labels[known, :2], truth.joints[known], atol=0.501)


def test_labels_are_not_one_pixel_off(written, raw):
    """Whole pixels hide such a mistake; neck and head top are written with fractions."""
    errors = [
        person.part[TO_SPIN][joint, :2] - truth.joints[joint]
        for person, truth in people_of(raw, written[1])
        for joint in FRACTIONAL
        if person.part[TO_SPIN][joint, 2]
    ]

    assert len(errors) > 5
    np.testing.assert_allclose(errors, 0, atol=1e-3)


def test_head_size_is_that_of_the_head(written, raw):
    for person, truth in people_of(raw, written[1]):
        left, top, right, bottom = truth.head

        assert person.head_size == pytest.approx(0.6 * np.hypot(right - left, bottom - top), abs=1)


def test_square_holds_the_joints(written, raw):
    for person, truth in people_of(raw, written[1]):
        reach = np.abs(truth.joints - person.center).max()

        assert reach < 100 * person.scale


def test_people_of_one_picture_are_told_apart(raw):
    several = [picture for picture in raw.pictures if len(picture.people) > 1]

    assert several
    for picture in several:
        ids = [person.person_id for person in picture.people]
        assert ids == sorted(set(ids))


def test_nobody_has_a_pose_and_everybody_an_activity(raw):
    people = [person for picture in raw.pictures for person in picture.people]

    assert {person.pose is None for person in people} == {True}
    assert {"curling", "yoga, Power"} <= {person.activity for person in people}


def test_paths_lead_to_pictures_of_both_orientations(raw):
    shapes = [cv2.imread(str(picture.path)).shape for picture in raw.pictures]

    assert {height > width for height, width, _ in shapes} == {True, False}


def test_pictures_for_testing_are_left_out_by_the_rules(raw):
    reasons = {(item.split, item.reason): item.is_failure for item in raw.dropped}

    assert reasons[("test", "test picture, labels not published")] is False
    assert not any(reasons.values())
    assert "test" not in {picture.split for picture in raw.pictures}


def test_split_of_our_own_is_announced(raw):
    (note,) = raw.notes

    assert "--val-list" in note
    assert raw.published == {}


def test_split_of_our_own_is_near_the_usual_one():
    people = [Annotation(f"{k:09d}.jpg", "", 0, None) for k in range(5000)]

    share = np.mean([item.split == "validation" for item in split_by_name(people)])

    assert share == pytest.approx(VALIDATION_SHARE, abs=0.015)


def test_split_of_our_own_is_for_good():
    names = ["015601864.jpg", "024240973.jpg", "015599452.jpg", "086617615.jpg"]
    people = [Annotation(name, "", 0, None) for name in names]

    splits = [item.split for item in split_by_name(people)]

    assert splits == ["train", "validation", "train", "train"]


def test_missing_picture_is_a_failure_of_each_of_its_people(root, raw):
    gone = next(picture for picture in raw.pictures if len(picture.people) > 1)
    (root / gone.imgname).unlink()

    again = read_mpii(root)

    failed = [item for item in again.dropped if item.is_failure]
    assert [(item.imgname, item.reason) for item in failed] == [
        (gone.imgname, NO_PICTURE) for _ in gone.people
    ]
    assert len(again.pictures) == len(raw.pictures) - 1


@pytest.mark.parametrize("folder", [".", "annotations", "mpii_human_pose_v1_u12_2/again"])
def test_annotations_are_found_where_people_put_them(root, raw, folder):
    source = root / "mpii_human_pose_v1_u12_2" / "mpii_human_pose_v1_u12_1.mat"
    (root / folder).mkdir(parents=True, exist_ok=True)
    source.rename(root / folder / source.name)
    (root / "images").rename(root / "mpii_human_pose_v1")

    again = read_mpii(root)

    assert [picture.imgname for picture in again.pictures] == [
        picture.imgname for picture in raw.pictures
    ]
    assert all(picture.path.is_file() for picture in again.pictures)


def test_wrong_root_says_what_is_there(tmp_path):
    (tmp_path / "holiday.jpg").touch()

    with pytest.raises(MissingFileError, match=r"mpii_human_pose_v1_u12_1.mat.*holiday.jpg"):
        read_mpii(tmp_path)


def test_root_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="nowhere.*no such folder"):
        read_mpii(tmp_path / "nowhere")


def test_annotations_without_pictures_say_what_is_missing(root):
    shutil.rmtree(root / "images")

    with pytest.raises(MissingFileError, match="images") as caught:
        read_mpii(root)

    assert "mpii_human_pose_v1.tar.gz" in caught.value.hint


def test_damaged_annotations_are_refused(root):
    path = root / "mpii_human_pose_v1_u12_2" / "mpii_human_pose_v1_u12_1.mat"
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(UnreadableFileError, match="mpii_human_pose_v1_u12_1.mat"):
        read_mpii(root)


def test_list_of_pictures_decides_whom_to_validate_on(root, raw, tmp_path):
    chosen = [picture.imgname for picture in raw.pictures[1:3]]
    listed = tmp_path / "valid_images.txt"
    listed.write_text("\n".join([chosen[0].removeprefix("images/"), chosen[1], ""]))

    again = read_mpii(root, val_list=listed)

    assert [
        picture.imgname for picture in again.pictures if picture.split == "validation"
    ] == chosen
    assert "valid_images.txt" in again.notes[0]


def test_list_of_people_decides_who_of_a_picture_is_validated_on(root, raw, tmp_path):
    picture = next(picture for picture in raw.pictures if len(picture.people) > 1)
    chosen, *others = picture.people
    shift = [0, 15 * chosen.scale / 1.25]
    record = {
        "image": picture.imgname.removeprefix("images/"),
        "center": (chosen.center - shift + 1).tolist(),
        "scale": chosen.scale / 1.25,
        "joints": [[5, 5]] * 16,
        "joints_vis": [1] * 16,
    }
    (tmp_path / "valid.json").write_text(json.dumps([record]))

    again = read_mpii(root, val_list=tmp_path / "valid.json")

    (validated,) = [picture for picture in again.pictures if picture.split == "validation"]
    assert [person.person_id for person in validated.people] == [chosen.person_id]
    left_out = [item.person_id for item in again.dropped if item.reason == NOT_CHOSEN]
    assert left_out == [person.person_id for person in others]


def test_list_beside_the_official_file_is_taken_without_being_named(root, raw):
    person = raw.pictures[0].people[0]
    record = {
        "image": raw.pictures[0].imgname,
        "center": (person.center - [0, 15 * person.scale / 1.25] + 1).tolist(),
        "scale": person.scale / 1.25,
        "joints": [[5, 5]] * 16,
        "joints_vis": [1] * 16,
    }
    (root / "valid.json").write_text(json.dumps([record]))

    again = read_mpii(root)

    validated = [picture for picture in again.pictures if picture.split == "validation"]
    assert [picture.imgname for picture in validated] == [raw.pictures[0].imgname]
    assert again.notes == ["Validation people are those of valid.json."]


def test_list_of_other_pictures_is_refused(root, tmp_path):
    (tmp_path / "coco.txt").write_text("000000000785.jpg\n")

    with pytest.raises(UnreadableFileError, match="names no picture of MPII"):
        read_mpii(root, val_list=tmp_path / "coco.txt")


def test_list_that_is_no_text_is_refused(root, tmp_path):
    (tmp_path / "valid.h5").write_bytes(b"\x89HDF\r\n\x1a\n")

    with pytest.raises(UnreadableFileError, match="no text"):
        read_mpii(root, val_list=tmp_path / "valid.h5")


def test_missing_list_is_named(root, tmp_path):
    with pytest.raises(MissingFileError, match="valid.txt"):
        read_mpii(root, val_list=tmp_path / "valid.txt")


def release_of(root):
    path = root / "mpii_human_pose_v1_u12_2" / "mpii_human_pose_v1_u12_1.mat"
    return loadmat(path)["RELEASE"], loadmat(path, squeeze_me=True, struct_as_record=False)


def test_written_file_is_nested_like_the_official_one(written):
    release, _ = release_of(written[0])
    (annolist,) = release[0, 0]["annolist"]

    assert release.dtype.names == (
        "annolist", "img_train", "version", "single_person", "act", "video_list",
    )  # fmt: skip
    assert release[0, 0]["annolist"].shape == (1, COUNT)
    assert release[0, 0]["img_train"].shape == (1, COUNT)
    assert release[0, 0]["single_person"].shape == (COUNT, 1)
    assert release[0, 0]["act"].shape == (COUNT, 1)
    assert release[0, 0]["act"].dtype.names == ("act_name", "cat_name", "act_id")
    assert release[0, 0]["video_list"].dtype == object
    assert annolist.dtype.names == ("image", "annorect", "frame_sec", "vidx")
    assert annolist[0]["image"][0, 0]["name"][0] == written[1][0].file


def test_written_file_has_the_quirks_of_the_official_one(written):
    _, content = release_of(written[0])
    kinds, forms, fields, counts = set(), set(), set(), set()
    for picture in content["RELEASE"].annolist:
        kinds.add(type(picture.annorect).__name__)
        for person in np.atleast_1d(picture.annorect):
            fields.add(tuple(person._fieldnames))
            points = getattr(person, "annopoints", None)
            if hasattr(points, "point"):
                counts.add(type(points.point).__name__)
                for point in np.atleast_1d(points.point):
                    forms.add(type(getattr(point, "is_visible", None)).__name__)

    assert kinds == {"mat_struct", "ndarray"}
    assert counts == {"mat_struct", "ndarray"}
    assert forms >= {"int", "str", "ndarray", "NoneType"}
    assert {len(names) for names in fields} == {2, 7}


def test_the_same_seed_writes_the_same_people(tmp_path, written):
    again = write_mpii_layout(tmp_path, count=2, seed=3)

    for one, other in zip(again, written[1], strict=False):
        assert one.file == other.file
        for person, twin in zip(one.people, other.people, strict=True):
            np.testing.assert_array_equal(person.joints, twin.joints)


def test_nothing_is_written_over(written):
    with pytest.raises(OutputExistsError, match="images"):
        write_mpii_layout(written[0], count=1)
