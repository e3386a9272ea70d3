"""Evaluation of checkpoints and of predictions from files, on a small prepared data set."""

import csv
import json
from functools import partial

import numpy as np
import pytest
import torch

from smplcli.errors import (
    ConfigError,
    IntegrityError,
    MissingFileError,
    OutputExistsError,
    ResourceError,
    UnreadableFileError,
)
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import load_network, save_network
from smplcli.training.averaging import Averages
from smplcli.training.checkpoints import save_checkpoint
from smplcli.training.config import ScheduleConfig, read_recipe
from smplcli.training.run import TrainingState
from smplcli.workflows import evaluate as workflow
from smplcli.workflows import evaluation_controls as controls_workflow
from smplcli.workflows.evaluation_settings import EvaluationOptions
from tests.evaluation.prepared import ARGUE, WALK, write_prepared, write_truth

evaluate = partial(workflow.evaluate, split="test")
evaluate_controls = partial(controls_workflow.evaluate_controls, split="test")

TINY = ModelConfig(
    backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8, keypoints=8
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_prepared(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    network = build_network(TINY)
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    save_network(path, network, {"step": 0})
    return path


def values(report):
    return {number.metric: number.value for number in report.measurements}


ALL_HAVE = ("mpjpe", "pa_mpjpe", "pve", "pa_pve", "mpjae", "pa_mpjae", "height")
"""Metrics of smpl24 that need neither a camera nor neighbouring frames."""


def test_the_truth_scores_zero_whatever_the_order_of_its_rows(data, tmp_path):
    preds = write_truth(tmp_path / "preds.npz", data, keep=lambda rows: rows[::-1])

    report = evaluate(preds, data)

    assert values(report) == pytest.approx(dict.fromkeys(ALL_HAVE, 0), abs=1e-9)
    assert report.is_complete


def test_every_number_says_what_it_is(data, tmp_path):
    report = evaluate(write_truth(tmp_path / "preds.npz", data), data)

    assert [(n.label, n.unit, n.joint_set, n.root) for n in report.measurements] == [
        ("MPJPE", "mm", "SMPL-24", "pelvis"),
        ("PA-MPJPE", "mm", "SMPL-24", "similarity fit"),
        ("PVE", "mm", "vertices", "pelvis"),
        ("PA-PVE", "mm", "vertices", "similarity fit"),
        ("MPJAE", "deg", "9 parts", "none"),
        ("PA-MPJAE", "deg", "9 parts", "fit's rotation"),
        ("height", "mm", "rest pose", "none"),
    ]
    for number in report.measurements:
        assert (number.protocol, number.split, number.count) == ("smpl24", "test", 5)
        assert number.body == "body.npz (demo)"


def test_numbers_of_a_demo_are_not_called_comparable(data, tmp_path):
    report = evaluate(write_truth(tmp_path / "preds.npz", data), data)

    assert not report.is_comparable
    assert "not comparable" in report.notes[-1]


def test_a_body_turned_by_a_right_angle_is_90_degrees_off_and_its_shape_is_not(data, tmp_path):
    truth = np.load(write_truth(tmp_path / "truth.npz", data))
    turned = truth["pose"].copy()
    turned[:, :3] = [np.pi / 2, 0, 0]  # the labels have half a turn about the same axis

    report = evaluate(write_truth(tmp_path / "preds.npz", data, pose=turned), data)

    assert values(report)["mpjae"] == pytest.approx(90, abs=1e-3)
    assert values(report)["pa_mpjpe"] == pytest.approx(0, abs=1e-3)
    assert values(report)["mpjpe"] > 100


def test_people_without_a_prediction_are_counted_and_not_averaged(data, tmp_path):
    preds = write_truth(tmp_path / "preds.npz", data, keep=lambda rows: rows[:3])

    report = evaluate(preds, data)

    assert (report.n_expected, report.n_evaluated, report.n_missing) == (5, 3, 2)
    assert not report.is_complete
    assert {number.count for number in report.measurements} == {3}
    assert "samples in no mean, for want of a prediction: 2" in report.notes


def test_a_prediction_that_is_not_finite_fails_alone(data, tmp_path):
    pose = np.load(write_truth(tmp_path / "truth.npz", data))["pose"].copy()
    pose[2, 40] = np.nan

    report = evaluate(write_truth(tmp_path / "preds.npz", data, pose=pose), data)

    assert (report.n_evaluated, report.n_failed, report.n_missing) == (4, 1, 0)
    assert values(report)["mpjpe"] == pytest.approx(0, abs=1e-4)


def test_predictions_that_are_all_broken_have_no_mean(data, tmp_path):
    preds = write_truth(tmp_path / "preds.npz", data, pose=np.full((5, 72), np.nan))

    report = evaluate(preds, data)

    assert set(values(report).values()) == {None}
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["n_failed"] == 5


def test_people_of_other_splits_and_duplicates_are_mentioned(data, tmp_path):
    preds = write_truth(
        tmp_path / "preds.npz",
        data,
        ("test", "train"),
        keep=lambda rows: np.append(rows, [0, 0]),
    )

    report = evaluate(preds, data)

    assert report.is_complete
    assert "predictions left out, of people who are not in the data: 1" in report.notes
    assert "predictions left out, of people who had one already: 2" in report.notes


def test_unlabelled_people_are_not_expected(tmp_path):
    data = write_prepared(tmp_path / "set", has_smpl=0)

    report = evaluate(write_truth(tmp_path / "preds.npz", data), data)

    assert (report.n_expected, report.n_unlabelled) == (0, 5)


def test_labels_of_gendered_bodies_are_mentioned(tmp_path):
    data = write_prepared(tmp_path / "set", gender="f")

    report = evaluate(write_truth(tmp_path / "preds.npz", data), data)

    assert any("gendered" in note for note in report.notes)


def test_labels_made_with_another_body_are_mentioned(tmp_path):
    data = write_prepared(tmp_path / "set", body={"name": "SMPL_NEUTRAL.pkl", "sha256": "0"})

    report = evaluate(write_truth(tmp_path / "preds.npz", data), data)

    assert "the labels were made with another body: SMPL_NEUTRAL.pkl" in report.notes


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_numbers_do_not_depend_on_the_batch_size(data, tmp_path, batch_size):
    pose = np.random.default_rng(0).normal(size=(5, 72)).astype(np.float32)
    preds = write_truth(tmp_path / "preds.npz", data, pose=pose)

    report = evaluate(preds, data, batch_size=batch_size)

    assert values(report) == pytest.approx(values(evaluate(preds, data)), rel=1e-6)


def test_a_checkpoint_is_measured_on_every_sample(data, checkpoint):
    report = evaluate(checkpoint, data, batch_size=2)

    assert (report.n_evaluated, report.keypoints) == (5, "detected")
    assert all(value > 0 for value in values(report).values())


def test_keypoints_can_be_withheld(data, checkpoint):
    with_keypoints = evaluate(checkpoint, data)
    without = evaluate(checkpoint, data, keypoints="none")

    assert without.keypoints == "none"
    assert values(without) != values(with_keypoints)


def test_results_are_written_and_can_be_read(data, tmp_path):
    preds = write_truth(tmp_path / "preds.npz", data, keep=lambda rows: rows[1:])

    report = evaluate(preds, data, out=tmp_path / "eval")

    metrics = json.loads((tmp_path / "eval/metrics.json").read_text())
    assert metrics == json.loads(json.dumps(report.to_dict()))
    with (tmp_path / "eval/per_sample.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["smpl24.state"] for row in rows] == ["missing", "ok", "ok", "ok", "ok"]
    assert [row["sequence"] for row in rows] == [WALK, WALK, WALK, WALK, ARGUE]
    assert rows[0]["smpl24.mpjpe"] == ""
    assert float(rows[1]["smpl24.mpjpe"]) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", ["=cmd()|'/c calc'!A0/0.jpg", "+1/0.jpg", "@SUM(1)/0.jpg", "-1"])
def test_image_names_cannot_act_as_formulas(tmp_path, name):
    data = write_prepared(tmp_path / "set", people={"test": [(name, 0)]})

    evaluate(write_truth(tmp_path / "preds.npz", data), data, out=tmp_path / "eval")

    with (tmp_path / "eval/per_sample.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["imgname"] == f"'{name}"


def test_results_that_are_there_are_kept_unless_told_otherwise(data, tmp_path):
    preds = write_truth(tmp_path / "preds.npz", data)
    (tmp_path / "per_sample.csv").write_text("mine")

    with pytest.raises(OutputExistsError):
        evaluate(preds, data, out=tmp_path)
    assert (tmp_path / "per_sample.csv").read_text() == "mine"
    assert not (tmp_path / "metrics.json").exists()

    evaluate(preds, data, out=tmp_path, overwrite=True)
    assert (tmp_path / "per_sample.csv").read_text() != "mine"


def test_controls_are_measured_like_the_network(data, checkpoint):
    controls = evaluate_controls(checkpoint, data)

    assert set(controls) == {"mean pose", "untrained network"}
    assert {report.n_evaluated for report in controls.values()} == {5}
    assert controls["mean pose"].keypoints == "none"


def test_what_is_not_there_is_named(data, checkpoint, tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.safetensors"):
        evaluate(tmp_path / "nowhere.safetensors", data)
    with pytest.raises(MissingFileError, match="nowhere"):
        evaluate(checkpoint, tmp_path / "nowhere")
    with pytest.raises(MissingFileError, match="holdout"):
        evaluate(checkpoint, data, split="holdout")


def test_a_file_that_is_neither_checkpoint_nor_predictions_is_refused(data, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")

    with pytest.raises(UnreadableFileError, match=r"notes\.txt"):
        evaluate(path, data)


def test_a_batch_of_nobody_is_refused(data, checkpoint):
    with pytest.raises(ConfigError, match="batch_size"):
        evaluate(checkpoint, data, batch_size=0)


def step_folder(tmp_path, checkpoint, model=TINY):
    """A checkpoint as training leaves it, whose averaged weights are another network's.

    There is nothing else of its run.
    """
    network = load_network(checkpoint).network
    averages = Averages(network, ScheduleConfig())
    averages.update(network, 1)
    averages.by_kind["ema"].state_dict()["mean_rot6d"].add_(0.3)
    optimizer = torch.optim.SGD(network.parameters())
    recipe = read_recipe("demo").model_copy(update={"model": model})
    facts = {"recipe": recipe.model_dump(mode="json")}
    save_checkpoint(tmp_path, 7, TrainingState(network, averages, optimizer), facts)
    return tmp_path / "checkpoints/step_00000007"


def test_the_two_sets_of_weights_of_a_checkpoint_are_measured_by_name(data, checkpoint, tmp_path):
    folder = step_folder(tmp_path, checkpoint)

    averaged = evaluate(folder, data)
    last = evaluate(folder, data, options=EvaluationOptions(weights="last"))

    assert values(last) == values(evaluate(checkpoint, data))
    assert values(averaged) != values(last)
    assert averaged.target_sha256 != last.target_sha256
    assert "weights of the last step, not averaged ones" in last.notes


def test_a_file_with_one_set_of_weights_has_no_last_ones(data, checkpoint):
    with pytest.raises(ConfigError, match="one set of weights"):
        evaluate(checkpoint, data, options=EvaluationOptions(weights="last"))


def test_a_checkpoint_of_another_network_than_it_says_is_refused(data, checkpoint, tmp_path):
    other = TINY.model_copy(update={"hidden": 2 * TINY.hidden})

    with pytest.raises(IntegrityError, match="not of the network that it names"):
        evaluate(step_folder(tmp_path, checkpoint, other), data)


@pytest.mark.parametrize("options", [{"weights": "last"}, {"flip_test": True}])
def test_what_only_a_network_can_do_is_not_asked_of_predictions(data, tmp_path, options):
    for target in (tmp_path / "preds.npz", None):
        with pytest.raises(ConfigError, match="only a network"):
            evaluate(target, data, options=EvaluationOptions(**options))


def test_a_folder_that_takes_no_files_is_named_before_the_work(data, checkpoint, tmp_path):
    (tmp_path / "file").touch()

    def progress(items, label):
        raise AssertionError(f"began to {label}")

    with pytest.raises(ResourceError, match="is a file"):
        evaluate(checkpoint, data, out=tmp_path / "file/eval", progress=progress)


def test_a_damaged_checkpoint_is_refused(data, checkpoint, tmp_path):
    folder = step_folder(tmp_path, checkpoint)
    file = folder / "averaged.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")

    with pytest.raises(IntegrityError, match="averaged"):
        evaluate(folder, data)


def test_a_network_that_sees_a_mirror_too_says_so_and_answers_otherwise(data, checkpoint):
    once = evaluate(checkpoint, data)
    twice = evaluate(checkpoint, data, options=EvaluationOptions(flip_test=True))

    assert values(once) != values(twice)
    assert "answers to pictures and to their mirror images were averaged" in twice.notes
