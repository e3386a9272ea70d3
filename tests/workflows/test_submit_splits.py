"""What is submitted of a data set that says how long its sequences are, and of the course's."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from smplcli.errors import ConfigError, RefusedError, UnreadableFileError
from smplcli.workflows.check_submission import check_submission
from smplcli.workflows.evaluate import evaluate
from smplcli.workflows.evaluation_settings import EvaluationOptions
from smplcli.workflows.submit import submit
from tests.evaluation.prepared import WALK, write_prepared, write_truth

ALL = ("train", "validation", "test")
WALKERS = [(f"{WALK}/image_{frame:05d}.jpg", person) for frame in (0, 2, 3) for person in (0, 1)]
PEOPLE = {
    "train": [("talk_00/image_00000.jpg", 0)],
    "validation": [("stairs_00/image_00000.jpg", 0)],
    "test": WALKERS,
}
SEQUENCES = {
    "train": {"talk_00": {"num_frames": 2, "num_people": 1}},
    "validation": {"stairs_00": {"num_frames": 1, "num_people": 1}},
    "test": {
        WALK: {"num_frames": 6, "num_people": 2},
        "unseen_00": {"num_frames": 4, "num_people": 3},
    },
}


def write_video_data(folder, *, source="synthetic", sequences=SEQUENCES, counts=None, **changes):
    write_prepared(folder, people=PEOPLE, openpose=np.ones((25, 3)), **changes)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest |= {"source": source, "sequences": sequences, "counts": counts or {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_video_data(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def eth(tmp_path_factory):
    return write_video_data(tmp_path_factory.mktemp("eth") / "set", source="eth", sequences={})


@pytest.fixture
def noisy(data, tmp_path):
    """Predictions that are off, for everybody."""
    pose = np.load(write_truth(tmp_path / "truth.npz", data, ALL))["pose"]
    off = pose + np.random.default_rng(1).normal(scale=0.2, size=pose.shape).astype(np.float32)
    return write_truth(tmp_path / "noisy.npz", data, ALL, pose=off)


def without(data, path, lost):
    return write_truth(path, data, ALL, keep=lambda rows: np.setdiff1d(rows, lost))


def read(path):
    with zipfile.ZipFile(path) as archive:
        return {
            name: pickle.loads(archive.read(name))
            for name in archive.namelist()
            if name.endswith(".pkl")
        }


def test_whole_sequences_are_submitted_whatever_was_prepared_of_them(data, noisy, tmp_path):
    report = submit(noisy, data, tmp_path / "out.zip")

    shapes = {
        name: member["jointPositions"].shape[:2] for name, member in read(report.path).items()
    }
    assert shapes == {
        "train/talk_00.pkl": (1, 2),
        "validation/stairs_00.pkl": (1, 1),
        f"test/{WALK}.pkl": (2, 6),
        "test/unseen_00.pkl": (3, 4),
    }
    assert report.is_complete
    assert any("for want of a sample in the data: 19" in note for note in report.notes)


def test_a_file_of_some_splits_says_loudly_what_becomes_of_it(data, noisy, tmp_path):
    report = submit(noisy, data, tmp_path / "out.zip", splits=["test"])

    assert {name.split("/")[0] for name in read(report.path)} == {"test"}
    assert report.splits == ("test",)
    checked = check_submission(report.path, data)
    assert "sequence is missing or unusable: train/talk_00.pkl" in checked.problems
    assert check_submission(report.path, data, splits=["test"]).problems == ()


def test_a_real_file_that_is_not_whole_is_said_to_score_nothing(data, noisy, tmp_path):
    path = submit(noisy, data, tmp_path / "out.zip", splits=["test"]).path
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "real.zip", "w") as real:
        for name in archive.namelist():
            if name != "DEMO.txt":
                real.writestr(name, archive.read(name))

    report = check_submission(tmp_path / "real.zip")

    assert "THE OFFICIAL EVALUATOR GIVES NO SCORE" in report.notes[0]


def test_the_score_is_that_of_evaluate(data, noisy, tmp_path):
    scores = {
        score.label: score.value
        for score in submit(noisy, data, tmp_path / "out.zip", splits=["test"]).scores
    }

    options = EvaluationOptions(protocols=("challenge",))
    rows = evaluate(noisy, data, split="test", options=options).measurements
    ours = {row.metric: row.value for row in rows}
    # Evaluation poses in single precision, which is good for some 1e-5 of a millimetre.
    assert scores["MPJPE"] == pytest.approx(ours["mpjpe"], abs=1e-3)
    assert scores["MPJPE_PA"] == pytest.approx(ours["pa_mpjpe"], abs=1e-3)
    assert scores["MPJAE"] == pytest.approx(ours["mpjae"], abs=1e-3)
    assert scores["PCK@50"] == pytest.approx(ours["pck"])
    # The evaluator's quadrature is good for some 1e-5; evaluate knows the area of each point.
    assert 100 * scores["AUC"] == pytest.approx(ours["auc"], abs=1e-2)
    assert scores["MPJPE"] > 10


@pytest.mark.parametrize(("fill", "share"), [("previous", 0.0), ("interpolate", 2 / 3)])
def test_what_is_missing_is_filled_where_asked_for_and_listed(data, tmp_path, fill, share):
    lost = without(data, tmp_path / "preds.npz", [4])  # person 0 in frame 2, between 0 and 3

    report = submit(lost, data, tmp_path / "out.zip", fill=fill)

    assert report.is_complete
    assert (report.n_missing, report.n_filled) == (1, 1)
    assert report.gaps == (f"test/{WALK}: no result for person 0 in frames 2",)
    roots = read(report.path)[f"test/{WALK}.pkl"]["orientations"][0, :, 1]
    hips = [Rotation.from_matrix(roots[frame] @ roots[0].T).magnitude() for frame in range(6)]
    assert hips[2] == pytest.approx(share * hips[3], abs=1e-6)
    assert hips[3:] == [hips[3]] * 3


def test_a_person_who_was_never_predicted_cannot_be_filled(data, tmp_path):
    lost = without(data, tmp_path / "preds.npz", [3, 5, 7])  # person 1 of the walk

    report = submit(lost, data, tmp_path / "out.zip", fill="interpolate")

    assert not report.is_complete
    assert report.n_filled == 0
    assert report.gaps == (f"test/{WALK}: no result for person 1 in frames 0, 2-3",)


def test_missing_people_make_a_file_that_is_said_to_score_nothing(data, tmp_path):
    report = submit(without(data, tmp_path / "preds.npz", [4]), data, tmp_path / "out.zip")

    assert not report.is_complete
    assert "GIVES NO SCORE" in report.notes[-1]
    assert check_submission(report.path, data).n_unscored == 1


@pytest.mark.parametrize(
    "sequences",
    [
        {"test": {WALK: {"num_frames": -1, "num_people": 2}}},
        {"test": {WALK: {"num_frames": 10**9, "num_people": 2}}},
        {"test": {"../evil": {"num_frames": 6, "num_people": 2}}},
        {"test": [WALK]},
        {"test": {WALK: 6}},
    ],
)
def test_sizes_that_are_no_sizes_are_refused(tmp_path, sequences):
    data = write_video_data(tmp_path / "set", sequences=sequences)
    preds = write_truth(tmp_path / "preds.npz", data, ALL)

    with pytest.raises(UnreadableFileError, match="tells no sizes of its sequences"):
        submit(preds, data, tmp_path / "out.zip")


def test_a_data_set_without_a_leaderboard_needs_a_format(tmp_path):
    data = write_video_data(tmp_path / "set", source="mpii")

    with pytest.raises(ConfigError, match="no leaderboard for data of source: mpii"):
        submit(tmp_path / "preds.npz", data, tmp_path / "out.zip")


def test_the_course_gets_a_row_of_147_numbers_for_each_of_its_rows(eth, tmp_path):
    preds = write_truth(tmp_path / "preds.npz", eth, keep=lambda rows: rows[::-1])

    report = submit(preds, eth, tmp_path / "test_pred_joints.csv")

    table = np.loadtxt(report.path, delimiter=",")
    assert report.format == "eth-mp"
    assert table.shape == (len(WALKERS), 147)
    assert report.counts == {"rows": len(WALKERS), "columns": 147}
    (score,) = report.scores
    assert score.value < 1e-3


def test_the_courses_score_is_that_of_evaluate(eth, tmp_path):
    pose = np.load(write_truth(tmp_path / "truth.npz", eth))["pose"]
    off = pose + np.random.default_rng(1).normal(scale=0.2, size=pose.shape).astype(np.float32)
    preds = write_truth(tmp_path / "preds.npz", eth, pose=off)

    (score,) = submit(preds, eth, tmp_path / "out.csv").scores

    options = EvaluationOptions(protocols=("eth-mp",))
    (row,) = evaluate(preds, eth, split="test", options=options).measurements
    assert score.value == pytest.approx(row.value, abs=1e-3)
    assert score.value > 5


def test_the_course_has_no_place_for_gaps(eth, tmp_path):
    lost = write_truth(tmp_path / "preds.npz", eth, keep=lambda rows: np.setdiff1d(rows, [2]))

    with pytest.raises(RefusedError, match=f"test/{WALK}: no result for person 0 in frames 2"):
        submit(lost, eth, tmp_path / "out.csv")
    assert not (tmp_path / "DEMO-out.csv").exists()


def test_rows_that_were_not_prepared_are_missed(tmp_path):
    counts = {"test": {"kept": 6, "dropped": {"picture not found": 2}, "published": 8}}
    data = write_video_data(tmp_path / "set", source="eth", sequences={}, counts=counts)
    preds = write_truth(tmp_path / "preds.npz", data)

    with pytest.raises(UnreadableFileError, match="left 2 rows of test out"):
        submit(preds, data, tmp_path / "out.csv")


def test_a_file_without_the_rows_that_were_not_prepared_is_wrong(eth, tmp_path):
    path = submit(write_truth(tmp_path / "preds.npz", eth), eth, tmp_path / "out.csv").path
    counts = {"test": {"kept": 6, "dropped": {"picture not found": 2}, "published": 8}}
    other = write_video_data(tmp_path / "set", source="eth", sequences={}, counts=counts)

    assert "holds 6 rows, must hold 8" in check_submission(path, other).problems[0]


def test_the_course_takes_one_split(eth, tmp_path):
    with pytest.raises(ConfigError, match="eth-mp takes one split"):
        submit(tmp_path / "preds.npz", eth, tmp_path / "out.csv", splits=["train", "test"])


def test_a_method_that_turns_everybody_is_told_so_and_not_refused(data, tmp_path):
    pose = np.load(write_truth(tmp_path / "truth.npz", data, ALL))["pose"].copy()
    turned = Rotation.from_rotvec([0, np.pi / 2, 0]) * Rotation.from_rotvec(pose[:, :3])
    pose[:, :3] = turned.as_rotvec()
    preds = write_truth(tmp_path / "preds.npz", data, ALL, pose=pose)

    report = submit(preds, data, tmp_path / "out.zip")

    assert any("unless the method itself is to blame, bodies of" in note for note in report.notes)
    assert not check_submission(report.path, data).is_complete
