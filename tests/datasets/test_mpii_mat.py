"""The official file of MPII: what it may hold, and what damaged copies of it do."""

import random
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from smplcli.conventions import MPII16_JOINTS
from smplcli.datasets.label_checks import NOT_NUMBERS
from smplcli.datasets.mpii_labels import NO_BOX, NO_JOINTS, TEST_PICTURE
from smplcli.datasets.mpii_mat import annotations_of, read_mat
from smplcli.datasets.mpii_worker import read_release
from smplcli.errors import MissingFileError, UnreadableFileError

EMPTY = np.zeros((0, 0))


def struct(*records):
    """A struct array of records with the same fields."""
    array = np.empty((1, len(records)), dtype=[(name, object) for name in records[0]])
    for column, record in enumerate(records):
        for name, value in record.items():
            array[name][0, column] = value
    return array


def point(joint, x=101, y=201, **more):
    return {"x": x, "y": y, "id": joint, **more}


def rectangle(*points, **changes):
    points = points or (point(0), point(5))
    fields = {
        "x1": 11, "y1": 21, "x2": 41, "y2": 61,
        "annopoints": {"point": struct(*points)},
        "scale": 2.0,
        "objpos": {"x": 301, "y": 401},
    }  # fmt: skip
    fields.update(changes)
    return {name: value for name, value in fields.items() if value is not None}


def release(*rectangles, img_train=1, act=None):
    annorect = struct(*rectangles) if rectangles else EMPTY
    return {
        "annolist": struct({"image": {"name": "1.jpg"}, "annorect": annorect}),
        "img_train": img_train,
        "act": EMPTY if act is None else act,
    }


def mat_bytes(content, *, compress=False):
    stream = BytesIO()
    savemat(stream, {"RELEASE": content}, do_compression=compress)
    return stream.getvalue()


def people(content):
    """The annotations in the file, read in this process: it is our own."""
    read = loadmat(BytesIO(mat_bytes(content)), squeeze_me=True, struct_as_record=False)
    return list(annotations_of(read_release(read["RELEASE"])))


def one(content):
    (annotation,) = people(content)
    return annotation


def joint(annotation, name):
    """Row of ``part`` by a name that both orders share."""
    order = [*MPII16_JOINTS[:6], *MPII16_JOINTS[10:], "neck", "head_top", "pelvis", "thorax"]
    return annotation.person.part[order.index(name)]


def test_pixels_count_from_0():
    person = one(release(rectangle(point(0, 101, 201)))).person

    np.testing.assert_array_equal(person.part[0], [100, 200, 1])


def test_box_is_moved_down_and_enlarged_as_everybody_does():
    person = one(release(rectangle(scale=4.7185, objpos={"x": 301, "y": 340}))).person

    np.testing.assert_allclose(person.center, [300, 410.777 - 1], atol=1e-3)  # from valid.h5
    assert person.scale == pytest.approx(5.898, abs=1e-3)


def test_head_size_is_a_share_of_the_diagonal():
    assert one(release(rectangle())).person.head_size == pytest.approx(0.6 * 50)


def test_head_size_is_unknown_without_a_head_box():
    assert one(release(rectangle(x1=None, y1=None, x2=EMPTY))).person.head_size == 0


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "right_ankle"), (4, "left_knee"), (10, "right_wrist"), (13, "left_shoulder")]
    + [(6, "pelvis"), (7, "thorax"), (8, "neck"), (9, "head_top")],
)
def test_joints_keep_their_names(number, name):
    annotation = one(release(rectangle(point(number))))

    assert joint(annotation, name)[2] == 1
    assert annotation.person.part[:, 2].sum() == 1


def test_neck_is_not_the_one_of_openpose():
    person = one(release(rectangle(point(7), point(8), point(12)))).person

    assert np.flatnonzero(person.openpose[:, 2]).tolist() == [2]  # the right shoulder


def test_points_come_in_any_order():
    annotation = one(release(rectangle(point(13, 7, 8), point(2, 5, 6))))

    np.testing.assert_array_equal(joint(annotation, "right_hip"), [4, 5, 1])
    np.testing.assert_array_equal(joint(annotation, "left_shoulder"), [6, 7, 1])


@pytest.mark.parametrize("visible", [0, 1, "0", "1", EMPTY, None])
def test_labelled_joint_counts_whether_it_is_hidden_or_not(visible):
    more = {} if visible is None else {"is_visible": visible}

    annotation = one(release(rectangle(point(3, 11, 12, **more))))

    np.testing.assert_array_equal(annotation.person.part[3], [10, 11, 1])


@pytest.mark.parametrize(
    ("visible", "told"), [(0, 0), (1, 1), ("0", 0), ("1", 1), (EMPTY, -1), (None, -1)]
)
def test_what_the_file_says_about_hidden_joints_is_kept(visible, told):
    more = {} if visible is None else {"is_visible": visible}

    annotation = one(release(rectangle(point(3, 11, 12, **more))))

    expected = np.full(24, -1)
    expected[3] = told
    np.testing.assert_array_equal(annotation.person.is_visible, expected)


def test_of_an_id_that_comes_twice_the_first_is_taken():
    annotation = one(release(rectangle(point(3, 11, 12), point(3, 91, 92))))

    np.testing.assert_array_equal(annotation.person.part[3], [10, 11, 1])


def test_numbers_may_be_text():
    annotation = one(release(rectangle(point("3", "11", "12.5"), scale="2")))

    np.testing.assert_array_equal(annotation.person.part[3], [10, 11.5, 1])
    assert annotation.person.scale == 2.5


@pytest.mark.parametrize(("x", "y"), [(0, 50), (-3, 50), (50, 0.4)])
def test_guess_outside_the_picture_is_no_label(x, y):
    annotation = one(release(rectangle(point(0, x, y), point(1, 1, 1))))

    np.testing.assert_array_equal(annotation.person.part[:2], [[0, 0, 0], [0, 0, 1]])


def test_people_are_numbered_by_their_place():
    annotations = people(release(rectangle(), rectangle(scale=EMPTY), rectangle()))

    assert [item.person_id for item in annotations] == [0, 1, 2]
    assert [item.problem for item in annotations] == ["", NO_BOX, ""]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scale": EMPTY}, NO_BOX),
        ({"scale": None}, NO_BOX),
        ({"scale": -1.0}, NO_BOX),
        ({"objpos": EMPTY}, NO_BOX),
        ({"objpos": None}, NO_BOX),
        ({"annopoints": EMPTY}, NO_JOINTS),
        ({"annopoints": None}, NO_JOINTS),
        ({"annopoints": {"point": EMPTY}}, NO_JOINTS),
        ({"annopoints": {"point": struct(point(99))}}, NO_JOINTS),
        ({"annopoints": {"point": struct(point(0, EMPTY, EMPTY))}}, NO_JOINTS),
        ({"annopoints": {"point": struct(point(0, np.nan, 1))}}, NOT_NUMBERS),
        ({"annopoints": {"point": struct(point(0, 1e30, 1))}}, NOT_NUMBERS),
    ],
)
def test_person_without_labels_is_left_out_with_a_reason(changes, problem):
    annotation = one(release(rectangle(**changes)))

    assert annotation.person is None
    assert annotation.problem == problem


def test_picture_without_people_gives_nobody():
    assert people(release()) == []


def test_test_picture_is_counted_once():
    bare = rectangle(x1=None, y1=None, x2=None, y2=None, annopoints=None)

    annotation = one(release(bare, bare, img_train=0))

    assert (annotation.split, annotation.problem) == ("test", TEST_PICTURE)


@pytest.mark.parametrize(
    ("act", "activity"),
    [(struct({"act_name": "curling"}), "curling"), (struct({"act_name": EMPTY}), ""), (None, "")],
)
def test_activity_may_be_missing(act, activity):
    assert one(release(rectangle(), act=act)).person.activity == activity


def test_activities_that_fit_no_picture_do_no_harm():
    act = struct({"act_name": "curling"}, {"act_name": "yoga"})

    assert one(release(rectangle(), act=act)).person.activity == "curling"


@pytest.fixture(scope="module")
def intact():
    pictures = [
        {"image": {"name": f"{k}.jpg"}, "annorect": struct(rectangle(), rectangle())}
        for k in range(5)
    ]
    return {"annolist": struct(*pictures), "img_train": np.ones((1, 5)), "act": EMPTY}


@pytest.fixture
def mat(tmp_path):
    def write(content):
        path = tmp_path / "a b.mat"
        path.write_bytes(content)
        return path

    return write


def test_file_is_read_in_another_process(mat, intact):
    entries = read_mat(mat(mat_bytes(intact, compress=True)))

    assert [entry["name"] for entry in entries] == [f"{k}.jpg" for k in range(5)]
    assert entries[0]["people"][0]["points"] == [[0, 101, 201, None], [5, 101, 201, None]]


def test_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="no.mat"):
        read_mat(tmp_path / "no.mat")


def test_truncated_file_is_refused(mat, intact):
    whole = mat_bytes(intact, compress=True)

    with pytest.raises(UnreadableFileError, match="a b.mat") as caught:
        read_mat(mat(whole[: len(whole) // 2]))

    assert "Download" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>" * 100])
def test_what_is_no_mat_file_is_refused(mat, content):
    with pytest.raises(UnreadableFileError, match="a b.mat"):
        read_mat(mat(content))


@pytest.mark.parametrize(
    "header",
    [
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n",
        b"\x89HDF\r\n\x1a\n",
    ],
)
def test_new_matlab_format_is_named(mat, header):
    with pytest.raises(UnreadableFileError, match="MATLAB 7.3") as caught:
        read_mat(mat(header.ljust(2000, b"\0")))

    assert "-v7" in caught.value.hint


def test_other_content_is_named(mat):
    with pytest.raises(UnreadableFileError, match="no struct RELEASE"):
        read_mat(mat(mat_bytes(np.zeros((1, 1000), np.uint8))))


def test_file_that_unfolds_without_end_is_stopped(mat):
    bomb = mat_bytes(np.zeros((1, 100 << 20), np.uint8), compress=True)

    with pytest.raises(UnreadableFileError, match="more memory"):
        read_mat(mat(bomb), memory_limit=64 << 20)

    assert len(bomb) < 1 << 20


def test_file_that_lies_about_its_size_is_stopped(mat, intact):
    content = mat_bytes(intact)
    shape = content.index(b"\x05\0\0\0\x08\0\0\0\x01\0\0\0\x05\0\0\0")  # of annolist: 1 x 5
    content = content[: shape + 8] + b"\xff\xff\xff\x7f" * 2 + content[shape + 16 :]

    with pytest.raises(UnreadableFileError, match="a b.mat"):
        read_mat(mat(content))


def test_file_that_takes_too_long_is_stopped(mat, intact):
    with pytest.raises(UnreadableFileError, match="more than 0 seconds"):
        read_mat(mat(mat_bytes(intact)), time_limit=0)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_file_is_read_or_refused(mat, intact, seed):
    rng = random.Random(seed)
    content = bytearray(mat_bytes(intact))  # flipped bytes get further where nothing is packed
    for _ in range(3):
        content[rng.randrange(128, len(content))] ^= 1 << rng.randrange(8)

    with suppress(UnreadableFileError):  # nothing else may come out
        list(annotations_of(read_mat(mat(content))))


def test_current_folder_has_no_say_in_what_is_imported(mat, intact, tmp_path, monkeypatch):
    (tmp_path / "scipy.py").write_text("raise SystemExit('hijacked')")
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    path = mat(mat_bytes(intact))
    monkeypatch.chdir(tmp_path)

    assert len(read_mat(path)) == 5
