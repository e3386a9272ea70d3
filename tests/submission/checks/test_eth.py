"""The checker of the course's csv on sound files and on damaged ones."""

import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.body.joint_sets import joint_set
from smplcli.errors import HostileFileError, MissingFileError
from smplcli.submission.checks import eth
from smplcli.submission.checks.bodies import pose_points
from smplcli.submission.checks.eth import check_eth

NUM_ROWS = 6


@pytest.fixture(scope="module")
def joints3d():
    """SPIN's 49 joints of people upright before the camera."""
    rng = np.random.default_rng(0)
    body = load_body()
    pose = 0.3 * rng.normal(size=(NUM_ROWS, 72))
    pose[:, :3] = [np.pi, 0.2, 0]
    shares = joint_set(body, "spin49")
    return pose_points(
        body,
        pose,
        rng.normal(size=(NUM_ROWS, 10)),
        from_joints=shares.from_joints,
        from_vertices=shares.from_vertices,
    )


@pytest.fixture
def check(tmp_path):
    def run(values, **options):
        path = tmp_path / "test_pred_joints.csv"
        np.savetxt(path, np.reshape(values, (len(values), -1)), delimiter=",")
        return check_eth(path, **{"num_rows": NUM_ROWS} | options)

    return run


def test_a_sound_file_has_no_problem_and_is_counted(check, joints3d):
    findings = check(joints3d)

    assert findings.problems == []
    assert findings.counts == {"rows": NUM_ROWS, "columns": 147}


def test_the_score_is_the_mean_error_of_a_coordinate_of_the_last_24_joints(check, joints3d):
    off = joints3d + [0.03, -0.06, 0]
    off[:, :25] += 0.0005

    (score,) = check(off, true_joints3d=joints3d).scores

    assert score.value == pytest.approx(30, abs=1e-6)
    assert score.num_people == NUM_ROWS


def test_without_a_data_set_the_rows_of_the_course_are_wanted(check, joints3d):
    assert "holds 6 rows, must hold 5074" in check(joints3d, num_rows=None).problems[0]


def swapped(joints3d, first, second):
    result = joints3d.copy()
    result[:, [first, second]] = result[:, [second, first]]
    return result


def with_one(value):
    def change(joints3d):
        result = joints3d.copy()
        result[2, 3, 1] = value
        return result

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a[:5], "holds 5 rows, must hold 6"),
        (lambda a: a[:, 25:], "holds 72 columns, must hold 147"),
        (lambda a: a[:, :, :2], "holds 98 columns"),
        (lambda a: 1000 * a, "these look like millimetres"),
        (with_one(np.nan), "1 rows hold NaN or infinity, first row 2"),
        (with_one(np.inf), "1 rows hold NaN or infinity"),
        (
            lambda a: np.concatenate([a[:, 24:], a[:, :24]], axis=1),
            "not SPIN's 49 joints in order",
        ),
        (lambda a: swapped(a, 25, 30), "not SPIN's 49 joints in order"),
        (lambda a: a - a[:, 8:9], "bodies are moved to the pelvis"),
        (lambda a: a - a[:, :1], "bodies are moved to the nose"),
        (lambda a: a - a[:, 27:29].mean(axis=1, keepdims=True), "the middle of the LSP hips"),
        (lambda a: a + [0.2, 0.1, 5], "bodies carry a translation"),
        (lambda a: a * [1, -1, -1], "stand on their heads"),
    ],
)
def test_damaged_content_is_named(check, joints3d, change, words):
    findings = check(change(joints3d))

    assert words in [*findings.problems, *findings.doubts][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a * [-1, 1, -1], "by half about y"),
        (lambda a: a[::-1], "fit the labels of other rows"),
    ],
)
def test_what_only_labels_tell_is_told_by_them(check, joints3d, change, words):
    joints3d = joints3d * [1, 1, 2] + np.linspace(-0.2, 0.2, NUM_ROWS)[:, None, None]
    turned = change(joints3d)

    assert check(turned).doubts == []
    assert words in check(turned, true_joints3d=joints3d).doubts[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "x,y,z\n" + text, "has a header"),
        (lambda text: "# x,y,z\n" + text, "has a header"),
        (lambda text: text.replace("\n", ",\n", 1), "row 0"),
        (lambda text: text + "1.0,2.0\n", "rows have from 2 to 147 columns"),
        (lambda text: text.replace("\n", "\nfive,", 1), "no number"),
        (lambda text: "", "holds no row"),
        (lambda text: text.replace(",", ";"), "header"),
        (lambda text: text[: len(text) // 2], "rows have from"),
    ],
)
def test_damaged_text_is_named(tmp_path, joints3d, change, words):
    path = tmp_path / "test_pred_joints.csv"
    np.savetxt(path, joints3d.reshape(NUM_ROWS, -1), delimiter=",")
    path.write_text(change(path.read_text()))

    assert any(words in problem for problem in check_eth(path, num_rows=NUM_ROWS).problems)


def test_another_name_is_noted(tmp_path, joints3d):
    np.savetxt(tmp_path / "mine.csv", joints3d.reshape(NUM_ROWS, -1), delimiter=",")

    findings = check_eth(tmp_path / "mine.csv", num_rows=NUM_ROWS)

    assert findings.problems == []
    assert "calls the file test_pred_joints.csv" in findings.notes[-1]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.csv"):
        check_eth(tmp_path / "nowhere.csv")


def test_a_row_without_an_end_is_hostile(tmp_path):
    (tmp_path / "long.csv").write_text("1," * 100_000)

    with pytest.raises(HostileFileError):
        check_eth(tmp_path / "long.csv")


def test_more_rows_than_any_submission_are_hostile(tmp_path, monkeypatch):
    monkeypatch.setattr(eth, "MAX_ROWS", 10)
    (tmp_path / "many.csv").write_text("1,2\n" * 11)

    with pytest.raises(HostileFileError):
        check_eth(tmp_path / "many.csv")
