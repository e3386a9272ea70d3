"""The occlusion analysis from a checkpoint to its files."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from smplcli.errors import ConfigError, OutputExistsError, UnreadableFileError
from smplcli.evaluation.occlusion import Patches
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from smplcli.workflows.evaluate import evaluate
from smplcli.workflows.evaluation_settings import EvaluationOptions
from smplcli.workflows.occlusion import OcclusionSettings
from tests.evaluation.prepared import write_prepared, write_truth

COARSE = Patches(size=112, stride=56)


def write_network(path, *, keypoints=8, seed=0, break_it=False):
    torch.manual_seed(seed)
    network = build_network(
        ModelConfig(
            backbone="resnet18",
            head="baseline",
            input_size=64,
            channels=8,
            hidden=8,
            keypoints=keypoints,
        )
    )
    if break_it:
        next(network.parameters()).data.fill_(float("nan"))
    save_network(path, network, {})
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    part_map = np.zeros((56, 56), np.uint8)
    part_map[10:46, 20:36] = 1
    return write_prepared(tmp_path_factory.mktemp("data") / "set", part_map=part_map)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("run") / "best.safetensors")


def analyse(checkpoint, data, *, out=None, overwrite=False, **settings):
    options = EvaluationOptions(
        protocols=("smpl24",), occlusion=OcclusionSettings(patches=COARSE, **settings)
    )
    return evaluate(
        checkpoint, data, split="test", options=options, out=out, overwrite=overwrite
    ).occlusion


def test_networks_are_measured_side_by_side_on_the_same_people(data, checkpoint, tmp_path):
    other = write_network(tmp_path / "other.safetensors", keypoints=0, seed=1)

    report = analyse(checkpoint, data, against=(other,), people=3)

    assert report.people == 3
    assert [Path(network.target) for network in report.networks] == [checkpoint, other]
    for network in report.networks:
        assert network.mean.unoccluded > 0
        assert network.mean.occluded <= network.mean.worst
        assert sum(part.num_crops for part in network.curve) == 3 * 9
        assert network.joints["pelvis"].worst == pytest.approx(0)


def test_the_error_without_patch_is_that_of_the_picture_alone(data, checkpoint):
    alone = evaluate(checkpoint, data, split="test", keypoints="none")

    report = analyse(checkpoint, data)

    assert report.networks[0].mean.unoccluded == pytest.approx(alone.measurements[0].value, 1e-3)
    assert report.keypoints == "none"
    assert "picture alone" in report.notes[0]


def test_networks_without_keypoints_need_no_such_note(data, tmp_path):
    report = analyse(write_network(tmp_path / "plain.safetensors", keypoints=0), data)

    assert report.notes == ()


def test_numbers_arrays_and_pictures_are_written(data, checkpoint, tmp_path):
    report = analyse(checkpoint, data, out=tmp_path / "eval", against=(checkpoint,))

    written = json.loads((tmp_path / "eval/occlusion.json").read_text())
    assert written == json.loads(json.dumps(report.to_dict()))
    metrics = json.loads((tmp_path / "eval/metrics.json").read_text())
    assert metrics["occlusion"] == written
    arrays = np.load(tmp_path / "eval/occlusion.npz")
    assert arrays["occluded_2"].shape == (5, 3, 3, 24)
    assert arrays["occluded_1"].mean() == pytest.approx(report.networks[0].mean.occluded)
    assert cv2.imread(str(tmp_path / "eval/occlusion-2.png")).shape[1] > 5 * 224
    with pytest.raises(OutputExistsError):
        analyse(checkpoint, data, out=tmp_path / "eval")


def test_predictions_cannot_be_analysed(data, checkpoint, tmp_path):
    preds = write_truth(tmp_path / "preds.npz", data)

    with pytest.raises(ConfigError, match=r"preds\.npz"):
        analyse(preds, data)
    with pytest.raises(ConfigError, match=r"preds\.npz"):
        analyse(checkpoint, data, against=(preds,))


def test_a_network_that_answers_nothing_finite_is_refused(data, tmp_path):
    broken = write_network(tmp_path / "broken.safetensors", break_it=True)

    with pytest.raises(UnreadableFileError, match=r"broken\.safetensors"):
        analyse(broken, data)


def test_an_analysis_of_nobody_is_refused(checkpoint, tmp_path):
    with pytest.raises(ConfigError, match="people"):
        OcclusionSettings(people=0)
    with pytest.raises(ConfigError, match="labelled"):
        analyse(checkpoint, write_prepared(tmp_path / "set", has_smpl=0))
