import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model

from smplcli.detection.torchvision_models import TorchvisionDetector, to_detections
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.workflows.finders import open_detector
from smplcli.workflows.predict import predict

NAME = "fasterrcnn_mobilenet_v3_large_320_fpn"
CLASSES = 3


@pytest.fixture(scope="module")
def tensors():
    """A detector that takes anything for a person."""
    torch.manual_seed(0)
    net = get_model(NAME, weights=None, weights_backbone=None, num_classes=CLASSES)
    state = net.state_dict()
    state["roi_heads.box_predictor.cls_score.bias"][1] += 10
    return state


@pytest.fixture(scope="module", params=[".safetensors", ".pth", "training script"])
def weights(request, tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "detector"
    if request.param == ".safetensors":
        path = path.with_suffix(request.param)
        save_file(tensors, path)
    else:
        path = path.with_suffix(".pth")
        torch.save(tensors if request.param == ".pth" else {"model": tensors, "epoch": 1}, path)
    return path


def test_boxes_are_people_without_keypoints(weights):
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)

    found = open_detector(f"torchvision:{NAME}", weights=weights).detect(image)

    assert found
    assert all(not person.keypoints.any() for person in found)
    boxes = np.stack([person.bbox for person in found])
    assert (boxes >= -0.5).all()
    assert (boxes <= [159.5, 119.5, 159.5, 119.5]).all()
    assert [x.score for x in found] == sorted((x.score for x in found), reverse=True)


def test_a_higher_bar_finds_nobody(weights):
    image = np.zeros((120, 160, 3), np.uint8)

    assert TorchvisionDetector(NAME, weights, min_score=1.0).detect(image) == []


def test_other_classes_are_left_out_and_pixels_are_counted_from_centres():
    found = {
        "boxes": torch.tensor([[0.0, 0, 10, 20], [5, 5, 9, 9]]),
        "labels": torch.tensor([1, 2]),
        "scores": torch.tensor([0.9, 0.95]),
        "keypoints": torch.full((2, 17, 3), 4.0),
        "keypoints_scores": torch.tensor([2.0, 9.0]).repeat_interleave(17).view(2, 17),
    }

    (person,) = to_detections(found)

    assert person.bbox.tolist() == [-0.5, -0.5, 9.5, 19.5]
    assert person.score == pytest.approx(0.9)
    np.testing.assert_allclose(person.keypoints, np.tile([3.5, 3.5, 0.5], (17, 1)))


def test_weights_of_another_network_are_refused(weights):
    with pytest.raises(UnreadableFileError, match="another network than ssdlite320"):
        TorchvisionDetector("ssdlite320_mobilenet_v3_large", weights)


class Canary:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps([1]), pickle.dumps(Canary())])
def test_files_that_hold_no_weights_are_refused(content, tmp_path, capsys):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)

    with pytest.raises(UnreadableFileError, match=r"weights\.pth"):
        TorchvisionDetector(NAME, path)
    assert capsys.readouterr().out == ""


def test_saved_things_that_are_no_weights_are_refused(tmp_path):
    for index, content in enumerate([[1, 2], {"a": 1}, {"model": [torch.zeros(1)]}]):
        path = tmp_path / f"{index}.pth"
        torch.save(content, path)

        with pytest.raises(UnreadableFileError, match="other things than weights"):
            TorchvisionDetector(NAME, path)


def test_wrong_choices_say_what_there_is(tmp_path):
    with pytest.raises(ConfigError, match="unknown detector: yolo") as error:
        open_detector("yolo")
    assert "torchvision:NAME" in str(error.value.hint)
    with pytest.raises(ConfigError, match="needs a file of weights") as error:
        open_detector(f"torchvision:{NAME}")
    assert "--detector-weights" in str(error.value.hint)
    with pytest.raises(ConfigError, match="no such detector: resnet50") as error:
        open_detector("torchvision:resnet50", weights=tmp_path / "any.pth")
    assert "keypointrcnn_resnet50_fpn" in str(error.value.hint)
    with pytest.raises(MissingFileError, match="detector weights not found"):
        open_detector(f"torchvision:{NAME}", weights=tmp_path / "any.pth")
    with pytest.raises(ConfigError, match="not for movenet"):
        open_detector(weights=tmp_path / "any.pth")
    with pytest.raises(ConfigError, match="min_score must be in"):
        open_detector(min_score=2.0)


def test_predict_frames_people_by_the_boxes_that_they_get(weights):
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    options = {"detector": f"torchvision:{NAME}", "detector_weights": weights}

    report = predict(image, **options, max_people=2)

    boxes = [x.bbox for x in open_detector(options["detector"], weights=weights).detect(image)]
    np.testing.assert_allclose(report.arrays["bbox"], boxes[:2], atol=1e-4)
