"""What of a prepared sample reaches the network."""

import numpy as np
import pytest
import torch

from smplcli.datasets.shards import open_prepared
from smplcli.evaluation.inference import (
    index_batches,
    network_crops,
    predict_samples,
)
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from tests.evaluation.prepared import sample, write_prepared

STORED = np.array([100.0, 80.0])
"""A pixel of the stored crop, x and y."""


def test_a_keypoint_lies_on_the_picture_of_what_was_detected():
    image = np.zeros((256, 256, 3), dtype=np.uint8)
    image[79:82, 99:102] = 255
    detected = np.zeros((17, 3))
    detected[0] = [*(1.4 * STORED + [121.5, 21.5]), 0.8]  # by the sample's crop_to_image

    crops, keypoints = network_crops(
        [sample("a/0.jpg", 0, seed=0, image=image, detected=detected)], 128
    )

    brightness = crops[0].sum(axis=-1).astype(float)
    rows, columns = np.indices(brightness.shape)
    centre = [(brightness * axis).sum() / brightness.sum() for axis in (columns, rows)]
    assert keypoints[0, 0, :2] == pytest.approx(centre, abs=0.2)
    assert keypoints[0, 0, 2] == pytest.approx(0.8)


def test_the_middle_of_the_square_is_the_middle_of_the_crop():
    detected = np.zeros((17, 3))
    detected[0] = [300, 200, 1]

    _, keypoints = network_crops([sample("a/0.jpg", 0, seed=0, detected=detected)], 128)

    assert keypoints[0, 0, :2] == pytest.approx([63.5, 63.5])


@pytest.mark.parametrize("count", [1, 4, 5, 17])
def test_batches_hold_every_index_once(count):
    batches = index_batches(count, 4)

    assert np.concatenate(batches).tolist() == list(range(count))
    assert max(map(len, batches)) <= 4


def test_predictions_do_not_depend_on_how_samples_are_batched(tmp_path):
    samples = open_prepared(write_prepared(tmp_path / "set"), "test")
    torch.manual_seed(0)
    network = build_network(
        ModelConfig(backbone="resnet18", head="baseline", input_size=64, hidden=8, keypoints=8)
    ).eval()

    together = predict_samples(network, samples, index_batches(5, 5))
    alone = predict_samples(network, samples, index_batches(5, 1)[::-1])

    assert alone.full_pose == pytest.approx(together.full_pose, abs=1e-5)
    assert not together.is_missing.any()


def test_a_predicted_body_falls_into_its_square_of_the_picture(tmp_path):
    samples = open_prepared(write_prepared(tmp_path / "set"), "test")
    torch.manual_seed(0)
    network = build_network(
        ModelConfig(backbone="resnet18", head="baseline", input_size=64, hidden=8, keypoints=8)
    ).eval()

    camera = predict_samples(network, samples, index_batches(5, 5)).camera

    assert camera.focal_length.tolist() == [800.0] * 5
    seen = camera.focal_length[:, None] * camera.transl[:, :2] / camera.transl[:, 2:]
    assert np.abs(seen + camera.principal_point - [300, 200]).max() < 1.2 * 100
