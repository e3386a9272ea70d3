import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smplcli.conventions import SPIN24_JOINTS
from smplcli.datasets.spin import read_spin, split_of
from smplcli.errors import HostileFileError, MissingFileError, SmplCliError, UnreadableFileError

NAMES = ["a/1.jpg", "a/2.jpg", "a/2.jpg", "b/1.jpg"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for name in NAMES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


def spin_arrays(names=NAMES, seed=0):
    rng = np.random.default_rng(seed)
    count = len(names)
    return {
        "imgname": np.array(names),
        "center": rng.uniform(100, 400, (count, 2)),
        "scale": rng.uniform(0.5, 3, count),
        "pose": rng.normal(size=(count, 72)),
        "shape": rng.normal(size=(count, 10)),
        "gender": np.array(["m", "f", "-1", "n"])[np.arange(count) % 4],
        "has_smpl": np.arange(count) != 3,
        "part": rng.uniform(0, 1, (count, 24, 3)),
        "openpose": rng.uniform(0, 1, (count, 25, 3)),
        "S": rng.normal(size=(count, 24, 4)),
    }


def write(path, arrays, **changes):
    content = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
    np.savez(path, **content)
    return path


def people(raw):
    return [person for picture in raw.pictures for person in picture.people]


def test_labels_of_spin_are_taken_as_they_are(tmp_path, images):
    arrays = spin_arrays()

    raw = read_spin(write(tmp_path / "coco_train.npz", arrays), images=images)

    assert raw.source == "spin"
    assert {picture.split for picture in raw.pictures} == {"train"}
    for row, person in enumerate(people(raw)):
        for name in ("center", "part", "openpose", "S"):
            np.testing.assert_array_equal(
                getattr(person, name), arrays[name][row].astype(np.float32)
            )
        assert person.scale == arrays["scale"][row]
        assert person.transl is None
    assert [person.gender for person in people(raw)] == ["m", "f", "n", "n"]


def test_pose_and_shape_are_labels_where_the_file_says_so(tmp_path, images):
    arrays = spin_arrays()

    raw = read_spin(write(tmp_path / "x.npz", arrays), images=images)

    for row, person in enumerate(people(raw)[:3]):
        np.testing.assert_array_equal(person.pose, arrays["pose"][row].astype(np.float32))
        np.testing.assert_array_equal(person.shape, arrays["shape"][row].astype(np.float32))
    assert people(raw)[3].pose is None
    assert people(raw)[3].shape is None


def test_pose_and_shape_are_labels_where_the_file_does_not_say(tmp_path, images):
    raw = read_spin(write(tmp_path / "x.npz", spin_arrays(), has_smpl=None), images=images)

    assert all(person.pose is not None for person in people(raw))


def test_files_without_poses_have_none(tmp_path, images):
    path = write(tmp_path / "x.npz", spin_arrays(), pose=None, shape=None, has_smpl=None)

    assert all(person.pose is None for person in people(read_spin(path, images=images)))


def test_rows_stay_in_order_and_only_neighbours_share_a_picture(tmp_path, images):
    names = ["b/1.jpg", "a/2.jpg", "a/2.jpg", "b/1.jpg"]

    raw = read_spin(write(tmp_path / "x.npz", spin_arrays(names)), images=images)

    samples = [(p.imgname, person.person_id) for p in raw.pictures for person in p.people]
    assert samples == [("b/1.jpg", 0), ("a/2.jpg", 0), ("a/2.jpg", 1), ("b/1.jpg", 1)]
    assert len(list(raw.pictures)) == 3
    assert next(iter(raw.pictures)).path == images / "b/1.jpg"


@pytest.mark.parametrize("scale_of_two", [False, True])
def test_boxes_of_4d_humans_are_in_pixels(tmp_path, images, scale_of_two):
    arrays = spin_arrays()
    pixels = 200 * arrays["scale"]
    scale = np.stack([0.5 * pixels, pixels], axis=1) if scale_of_two else pixels
    hmr2 = {
        "imgname": np.array([name.encode() for name in NAMES]),
        "center": arrays["center"],
        "scale": scale,
        "body_pose": arrays["pose"],
        "has_body_pose": np.ones(4),
        "betas": arrays["shape"],
        "has_betas": np.array([1, 1, 1, 0]),
        "body_keypoints_2d": arrays["openpose"],
        "extra_keypoints_2d": arrays["part"][:, :19],
        "extra_keypoints_3d": arrays["S"][:, :19],
        "extra_info": np.array([{"a": 1}] * 4, dtype=object),
    }

    raw = read_spin(write(tmp_path / "x.npz", hmr2), images=images)

    assert [picture.imgname for picture in raw.pictures] == ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    for row, person in enumerate(people(raw)):
        assert person.scale == pytest.approx(arrays["scale"][row])
        np.testing.assert_array_equal(person.openpose, arrays["openpose"][row].astype("f4"))
        np.testing.assert_array_equal(person.part[:19], arrays["part"][row, :19].astype("f4"))
        assert not person.part[19:].any()
    assert [person.pose is None for person in people(raw)] == [False, False, False, True]
    np.testing.assert_array_equal(people(raw)[0].pose, arrays["pose"][0].astype("f4"))


def test_3d_joints_of_4d_humans_are_moved_to_the_pelvis(tmp_path, images):
    joints = np.ones((4, 19, 4))
    joints[:, :, :3] = np.arange(19)[:, None]
    joints[1, SPIN24_JOINTS.index("pelvis"), 3] = 0
    joints[2, 5, 3] = 0
    path = write(tmp_path / "x.npz", spin_arrays(), S=None, extra_keypoints_3d=joints)

    found = people(read_spin(path, images=images))

    assert found[0].S[:19, 0].tolist() == [*range(-14, 5)]
    assert not found[1].S.any()
    assert found[2].S[5].tolist() == [0, 0, 0, 0]


def test_bedlam_is_seen_by_its_camera(tmp_path, images):
    arrays = spin_arrays()
    extrinsics = np.tile(np.eye(4), (4, 1, 1))
    extrinsics[:, :3, 3] = [0.1, 0.2, 0.3]
    cam_int = np.tile([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]], (4, 1, 1))
    path = write(
        tmp_path / "x.npz",
        arrays,
        pose=np.zeros((4, 72)),
        pose_cam=arrays["pose"],
        shape=np.ones((4, 11)),
        cam_int=cam_int,
        cam_ext=extrinsics,
        trans_cam=np.tile([1.0, 2, 3], (4, 1)),
        gender=np.array(["male", "female", "neutral", "M"]),
    )

    raw = read_spin(path, images=images)

    assert [person.gender for person in people(raw)] == ["m", "f", "n", "m"]
    np.testing.assert_array_equal(people(raw)[0].pose, arrays["pose"][0].astype("f4"))
    np.testing.assert_allclose(people(raw)[0].transl, [1.1, 2.2, 3.3], rtol=1e-6)
    np.testing.assert_array_equal(next(iter(raw.pictures)).cam_int, cam_int[0])
    assert people(raw)[0].shape.shape == (10,)


def test_poses_of_other_models_are_refused(tmp_path, images):
    path = write(tmp_path / "x.npz", spin_arrays(), pose_cam=np.zeros((4, 165)))

    with pytest.raises(UnreadableFileError, match="pose_cam") as error:
        read_spin(path, images=images)

    assert "SMPL-X" in error.value.hint


@pytest.mark.parametrize("gender", [np.full(4, -1), np.array([b"m", b"f", b"n", b"-1"]), None])
def test_genders_come_in_many_forms(tmp_path, images, gender):
    raw = read_spin(write(tmp_path / "x.npz", spin_arrays(), gender=gender), images=images)

    expected = ["m", "f", "n", "n"] if gender is not None and gender.dtype.kind == "S" else "nnnn"
    assert [person.gender for person in people(raw)] == [*expected]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("3dpw_validation_subset", "validation"),
        ("3dpw_test_subset_cleaned", "test"),
        ("mpii_train_eft", "train"),
        ("coco-2014-val", "validation"),
        ("h36mTRAIN", "train"),
        ("latest_evaluation", "train"),
        ("static_fits", "train"),
    ],
)
def test_split_is_a_word_of_the_file_name(tmp_path, name, split):
    assert split_of(tmp_path / f"{name}.npz") == split


def test_folder_of_files_is_read_in_order_of_names(tmp_path, images):
    write(tmp_path / "b_train.npz", spin_arrays(NAMES[:1]))
    write(tmp_path / "a_train.npz", spin_arrays(NAMES[:2]))
    write(tmp_path / "x_test.npz", spin_arrays(NAMES[3:]))
    write(tmp_path / "smpl_mean_params.npz", {"pose": np.zeros(144)})

    raw = read_spin(tmp_path, images=images)

    samples = [(p.split, p.imgname, person.person_id) for p in raw.pictures for person in p.people]
    assert samples == [
        ("train", "a/1.jpg", 0),
        ("train", "a/2.jpg", 0),
        ("train", "a/1.jpg", 1),
        ("test", "b/1.jpg", 0),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"center": np.nan}, "no box"),
        ({"scale": 0}, "no box"),
        ({"scale": -1}, "no box"),
        ({"scale": np.inf}, "no box"),
        ({"pose": np.nan}, "labels are not finite numbers"),
        ({"part": np.nan}, "labels are not finite numbers"),
        ({"S": 1e300}, "labels are not finite numbers"),
        ({"imgname": "a/no.jpg"}, "picture not found"),
        ({"imgname": "../secret.jpg"}, "picture outside its folder"),
        ({"imgname": "/etc/passwd"}, "picture outside its folder"),
        ({"imgname": "a/\x1b.jpg"}, "picture outside its folder"),
        ({"imgname": ""}, "picture not found"),
    ],
)
def test_bad_rows_are_dropped_with_a_reason_and_the_rest_goes_on(
    tmp_path, images, changes, reason
):
    arrays = spin_arrays()
    for name, value in changes.items():
        arrays[name] = arrays[name].astype("U20") if name == "imgname" else arrays[name].copy()
        arrays[name][1] = value

    raw = read_spin(write(tmp_path / "x.npz", arrays), images=images)

    (drop,) = raw.dropped
    assert (drop.reason, drop.is_failure) == (reason, True)
    assert len(people(raw)) == 3


def test_poses_that_are_no_labels_may_hold_anything(tmp_path, images):
    arrays = spin_arrays()
    arrays["pose"][3] = np.nan

    assert list(read_spin(write(tmp_path / "x.npz", arrays), images=images).dropped) == []


def test_wrong_image_root_says_what_was_expected(tmp_path):
    path = write(tmp_path / "x.npz", spin_arrays())

    with pytest.raises(MissingFileError) as error:
        read_spin(path)

    assert f"expected {tmp_path / 'a/1.jpg'}, found x.npz" in error.value.message


@pytest.mark.parametrize("key", ["imgname", "center", "scale"])
def test_file_without_names_or_squares_is_refused(tmp_path, images, key):
    path = write(tmp_path / "x.npz", spin_arrays(), **{key: None})

    with pytest.raises(UnreadableFileError, match=key):
        read_spin(path, images=images)


@pytest.mark.parametrize(
    "changes",
    [
        {"center": np.zeros((3, 2))},
        {"center": np.zeros((4, 3))},
        {"scale": np.array(["1"] * 4)},
        {"part": np.zeros((4, 16, 3))},
        {"shape": np.zeros((4, 9))},
        {"imgname": np.array([["a/1.jpg"]] * 4)},
        {"gender": np.array("m")},
    ],
)
def test_arrays_of_other_shapes_are_refused(tmp_path, images, changes):
    path = write(tmp_path / "x.npz", spin_arrays(), **changes)

    with pytest.raises(UnreadableFileError, match=next(iter(changes))):
        read_spin(path, images=images)


def test_python_objects_in_place_of_labels_are_refused(tmp_path, images):
    path = write(tmp_path / "x.npz", spin_arrays(), imgname=np.array(NAMES, dtype=object))

    with pytest.raises(HostileFileError):
        read_spin(path, images=images)


def test_file_or_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="no.npz"):
        read_spin(tmp_path / "no.npz")
    with pytest.raises(MissingFileError, match="no labels in folder"):
        read_spin(tmp_path)


def test_file_without_people_has_none(tmp_path, images):
    raw = read_spin(write(tmp_path / "x.npz", spin_arrays([])), images=images)

    assert list(raw.pictures) == []


@given(position=st.floats(0, 1), value=st.integers(0, 255), size=st.floats(0, 1))
def test_damaged_file_is_an_error_of_ours_or_none(tmp_path_factory, images, position, value, size):
    path = write(tmp_path_factory.mktemp("fuzz") / "x.npz", spin_arrays())
    content = bytearray(path.read_bytes())
    content[int(position * (len(content) - 1))] = value
    path.write_bytes(content if size > 0.5 else content[: int(2 * size * len(content))])

    try:
        read_spin(path, images=images)
    except SmplCliError:
        return
