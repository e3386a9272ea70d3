"""Submissions from a small prepared data set, scored by arithmetic that is not the package's."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from smplcli.body.files import load_body
from smplcli.errors import (
    OutputExistsError,
    RefusedError,
    ResourceError,
    UnreadableFileError,
)
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from smplcli.workflows.check_submission import check_submission
from smplcli.workflows.submit import submit
from tests.evaluation.prepared import ARGUE, WALK, write_prepared, write_truth

ALL = ("train", "validation", "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_prepared(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture
def truth(data, tmp_path):
    return write_truth(tmp_path / "preds.npz", data, ALL, keep=lambda rows: rows[::-1])


def read(path):
    with zipfile.ZipFile(path) as archive:
        return {
            name: pickle.loads(archive.read(name))
            for name in archive.namelist()
            if name.endswith(".pkl")
        }


def challenge_truth(data, split):
    """Joints and accumulated rotations of each sample, by a loop over the joints of one body."""
    body = load_body()
    shard = np.load(data / f"{split}-00000.npz")
    people = {}
    for row, (imgname, person) in enumerate(
        zip(shard["imgname"], shard["person_id"], strict=True)
    ):
        shaped = body.v_template + body.shapedirs @ shard["shape"][row]
        rest = body.joint_regressor @ shaped
        local = Rotation.from_rotvec(shard["pose"][row].reshape(24, 3)).as_matrix()
        joints, turns = [rest[0]], [local[0]]
        for joint in range(1, 24):
            parent = body.parents[joint]
            joints.append(joints[parent] + turns[parent] @ (rest[joint] - rest[parent]))
            turns.append(turns[parent] @ local[joint])
        sequence, frame = imgname.split("/")
        where = (sequence, int(person), int(frame[6:11]))
        people[where] = (np.array(joints), np.array(turns)[[0, 1, 2, 4, 5, 16, 17, 18, 19]])
    return people


def test_the_truth_scores_zero_by_the_challenges_arithmetic(data, truth, tmp_path):
    report = submit(truth, data, tmp_path / "out.zip")

    content = read(report.path)
    for split in ALL:
        for (sequence, person, frame), (joints, turns) in challenge_truth(data, split).items():
            member = content[f"{split}/{sequence}.pkl"]
            offset = member["jointPositions"][person, frame] - joints
            distance = np.linalg.norm(offset - offset[0], axis=-1)
            error = Rotation.from_matrix(
                member["orientations"][person, frame] @ turns.transpose(0, 2, 1)
            ).magnitude()
            assert 1000 * distance.mean() < 1e-3
            assert np.degrees(error).mean() < 1e-2


def test_people_and_frames_are_where_the_ground_truth_has_them(data, truth, tmp_path):
    content = read(submit(truth, data, tmp_path / "out.zip").path)

    assert set(content) == {
        f"test/{ARGUE}.pkl",
        f"test/{WALK}.pkl",
        "train/talk_00.pkl",
        "validation/stairs_00.pkl",
    }
    walk = content[f"test/{WALK}.pkl"]
    assert walk["jointPositions"].shape == (2, 3, 24, 3)
    assert walk["orientations"].shape == (2, 3, 9, 3, 3)
    assert np.isnan(walk["jointPositions"]).all(axis=(2, 3)).tolist() == [
        [False, True, False],
        [False, True, False],
    ]


def test_the_report_counts_what_is_in_the_file(data, truth, tmp_path):
    report = submit(truth, data, tmp_path / "out.zip")

    assert report.counts == {
        "sequences": 4,
        "people": 5,
        "person-frames": 10,
        "person-frames without a result": 3,
    }
    assert (report.n_expected, report.n_submitted) == (7, 7)
    assert report.is_complete
    assert report.gaps == ()
    assert any("for want of a sample in the data: 3" in note for note in report.notes)


def test_a_demo_is_marked_outside_and_inside(data, truth, tmp_path):
    report = submit(truth, data, tmp_path / "out.zip")

    assert report.path == tmp_path / "DEMO-out.zip"
    assert not (tmp_path / "out.zip").exists()
    with zipfile.ZipFile(report.path) as archive:
        assert "DEMO.txt" in archive.namelist()
    assert check_submission(report.path).is_demo


def test_the_same_predictions_give_the_same_bytes(data, truth, tmp_path):
    first = submit(truth, data, tmp_path / "first.zip")
    second = submit(truth, data, tmp_path / "second.zip")

    assert first.sha256 == second.sha256


def test_missing_people_are_listed_and_left_empty(data, tmp_path):
    preds = write_truth(
        tmp_path / "preds.npz", data, ALL, keep=lambda rows: np.setdiff1d(rows, [3, 5])
    )

    report = submit(preds, data, tmp_path / "out.zip")

    assert (report.n_expected, report.n_submitted, report.n_missing) == (7, 5, 2)
    assert not report.is_complete
    assert report.gaps == (f"test/{WALK}: no result for person 1 in frames 0, 2",)
    walk = read(report.path)[f"test/{WALK}.pkl"]
    assert np.isnan(walk["jointPositions"][1]).all()


def test_a_prediction_that_is_not_finite_is_listed_and_left_empty(data, tmp_path):
    pose = np.load(write_truth(tmp_path / "truth.npz", data, ALL))["pose"].copy()
    pose[0, 70] = np.inf

    report = submit(
        write_truth(tmp_path / "preds.npz", data, ALL, pose=pose), data, tmp_path / "out.zip"
    )

    assert (report.n_submitted, report.n_failed, report.n_missing) == (6, 1, 0)
    assert report.gaps == ("train/talk_00: no result for person 0 in frames 0",)


def test_a_file_that_the_checker_refuses_is_not_kept(data, tmp_path):
    betas = np.full((7, 10), 500, dtype=np.float32)
    preds = write_truth(tmp_path / "preds.npz", data, ALL, betas=betas)

    with pytest.raises(RefusedError, match="must be metres"):
        submit(preds, data, tmp_path / "out" / "out.zip")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_checkpoint_predicts_first_and_that_is_said(data, tmp_path):
    torch.manual_seed(0)
    network = build_network(
        ModelConfig(backbone="resnet18", head="baseline", input_size=64, hidden=8)
    )
    save_network(tmp_path / "best.safetensors", network, {})

    report = submit(tmp_path / "best.safetensors", data, tmp_path / "out.zip")

    assert report.is_complete
    assert report.notes[0].startswith("predicted 7 samples first")


def test_a_submission_that_is_there_is_kept_unless_told_otherwise(data, truth, tmp_path):
    (tmp_path / "DEMO-out.zip").write_text("mine")

    with pytest.raises(OutputExistsError, match=r"DEMO-out\.zip"):
        submit(truth, data, tmp_path / "out.zip")
    assert (tmp_path / "DEMO-out.zip").read_text() == "mine"

    assert submit(truth, data, tmp_path / "out.zip", overwrite=True).is_complete


def test_a_data_set_of_single_pictures_has_nothing_to_submit(tmp_path):
    data = write_prepared(tmp_path / "set", people={"test": [("picture.jpg", 0)]})

    with pytest.raises(UnreadableFileError, match="tells no sequence and frame"):
        submit(
            write_truth(tmp_path / "preds.npz", data), data, tmp_path / "out.zip", splits=["test"]
        )


def test_a_data_set_without_the_challenges_splits_has_nothing_to_submit(tmp_path):
    data = write_prepared(tmp_path / "set", people={"extra": [("walk/image_00000.jpg", 0)]})

    with pytest.raises(UnreadableFileError, match="data set lacks train, validation, test"):
        submit(tmp_path / "preds.npz", data, tmp_path / "out.zip")


def test_a_folder_that_takes_no_files_is_named_before_the_work(data, truth, tmp_path):
    (tmp_path / "file").touch()

    def progress(items, label):
        raise AssertionError(f"began to {label}")

    with pytest.raises(ResourceError, match="is a file"):
        submit(truth, data, tmp_path / "file/x.zip", progress=progress)
