import cv2
import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.conventions import NUM_JOINTS, SMPL_JOINTS
from smplcli.datasets.scenes import Studio
from smplcli.datasets.schema import CROP_SIZE, PART_SIZE
from smplcli.rotations import aa_to_rotmat

LABEL = {name: index + 1 for index, name in enumerate(SMPL_JOINTS)}


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def samples(body):
    studio = Studio(body, [], [])
    return [
        studio.take_picture(np.random.default_rng(seed), f"s/{seed}.jpg") for seed in range(12)
    ]


def _project(sample, points):
    pixels = (points + sample.transl) @ sample.cam_int.T.astype(np.float64)
    return pixels[:, :2] / pixels[:, 2:]


def _pose(sample):
    return aa_to_rotmat(torch.from_numpy(np.float32(sample.pose)).view(1, 24, 3))


def test_the_same_random_numbers_give_the_same_picture(body, samples):
    again = Studio(body, [], []).take_picture(np.random.default_rng(0), "s/0.jpg")

    np.testing.assert_array_equal(again.image, samples[0].image)
    np.testing.assert_array_equal(again.pose, samples[0].pose)


def test_other_random_numbers_give_other_pictures(samples):
    assert (samples[0].image != samples[1].image).mean() > 0.5


def test_labelled_body_projects_onto_the_labelled_keypoints(body, samples):
    joints = JointsLayer(body)
    for sample in samples:
        with torch.no_grad():
            posed = joints(_pose(sample), torch.from_numpy(np.float32(sample.shape))[None])

        projected = _project(sample, posed[0, NUM_JOINTS:].numpy())

        np.testing.assert_allclose(projected, sample.keypoints[:, :2], atol=0.05)


def test_labelled_body_covers_the_part_map(body, samples):
    layer = BodyLayer(body)
    for sample in samples:
        with torch.no_grad():
            posed = layer(_pose(sample), torch.from_numpy(np.float32(sample.shape))[None])
        pixels = _project(sample, posed.vertices[0].numpy())
        inside = ((pixels >= 1) & (pixels < CROP_SIZE - 1)).all(axis=1)
        cells = (pixels[inside] * PART_SIZE / CROP_SIZE).astype(int)

        # A cell is 4.6 pixels wide: a vertex on the outline may fall into the one beside it, and
        # fingers between two.
        near = cv2.dilate((sample.part_map > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
        assert near[cells[:, 1], cells[:, 0]].mean() > 0.97


def test_left_stays_left(samples):
    """Each wrist's keypoint lies nearer to pixels of its own hand than of the other."""
    checked = 0
    for sample in samples:
        rows = {side: sample.keypoints[9 + (side == "right")] for side in ("left", "right")}
        masks = {side: np.argwhere(sample.part_map == LABEL[f"{side}_wrist"]) for side in rows}
        if min(map(len, masks.values())) < 2 or not all(row[2] for row in rows.values()):
            continue
        centre = {side: m.mean(axis=0)[::-1] * CROP_SIZE / PART_SIZE for side, m in masks.items()}
        if np.linalg.norm(centre["left"] - centre["right"]) < 40:
            continue
        own = np.linalg.norm(rows["left"][:2] - centre["left"])
        other = np.linalg.norm(rows["left"][:2] - centre["right"])

        assert own < other
        checked += 1
    assert checked >= 3


def test_most_people_are_found_by_the_detector_where_they_are(samples):
    found = [s for s in samples if s.detected[:, 2].any()]

    assert len(found) > len(samples) / 2
    for sample in found:
        sure = (sample.detected[:, 2] > 0.4) & (sample.keypoints[:, 2] > 0)
        distance = np.linalg.norm(sample.detected[sure, :2] - sample.keypoints[sure, :2], axis=1)
        assert np.median(distance) < 40
