"""Nothing computes on one device with tensors of another: what a GPU would refuse."""

import numpy as np
import pytest
import torch

from smplcli.files import asset
from smplcli.models.weights import load_network
from smplcli.training.config import read_recipe, recipe_to_toml
from smplcli.workflows.evaluate import evaluate
from smplcli.workflows.evaluation_settings import EvaluationOptions
from smplcli.workflows.predict import predict
from smplcli.workflows.render import render
from smplcli.workflows.train import train
from tests.pretend_device import pretended_device
from tests.training.test_recipes import shrunk


def test_tensors_of_two_devices_do_not_mix():
    with pretended_device() as there:
        zeros = torch.zeros(3, device=there)

        with pytest.raises(RuntimeError, match="same device"):
            zeros + torch.ones(3)
        with pytest.raises(TypeError):
            np.asarray(zeros)
        assert (zeros + torch.ones(3).to(there)).cpu().tolist() == [1, 1, 1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other_device") / "data"
    render(folder, count=4, jobs=1)
    return folder


@pytest.fixture
def recipe(request, tmp_path):
    """A tiny recipe of a name, with all losses and averages."""
    small = shrunk(read_recipe(request.param))
    losses = small.losses.model_copy(update={"vertices": 1.0, "camera": 1.0})
    averages = {"average": 0.5, "swa_from": 0.0, "swa_every": 1}
    schedule = small.schedule.model_copy(update=averages)
    file = tmp_path / "tiny.toml"
    file.write_text(
        recipe_to_toml(small.model_copy(update={"losses": losses, "schedule": schedule}))
    )
    return str(file)


@pytest.mark.parametrize("recipe", ["baseline", "lite", "pare-original"], indirect=True)
def test_training_is_the_same_on_another_device(data, recipe, tmp_path):
    expected = train(data, tmp_path / "expected", recipe=recipe)

    with pretended_device() as there:
        report = train(data, tmp_path / "there", recipe=recipe, device=there)

    ours, theirs = (load_network(x.checkpoint).network.state_dict() for x in (report, expected))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    assert report.best == pytest.approx(expected.best)


def test_evaluation_is_the_same_on_another_device(data):
    network = asset("network.safetensors")
    options = EvaluationOptions(flip_test=True)
    expected = evaluate(network, data, options=options)

    with pretended_device() as there:
        report = evaluate(network, data, device=there, options=options)

    ours, theirs = ([x.value for x in each.measurements] for each in (report, expected))
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_prediction_is_the_same_on_another_device(tmp_path):
    photo = asset("photos") / "astronaut.png"
    options = {"flip_test": True, "batch_size": 2, "overlay_dir": tmp_path / "drawn"}
    predict(photo, tmp_path / "expected.npz", **options, overwrite=True)

    with pretended_device() as there:
        predict(photo, tmp_path / "there.npz", device=there, **options, overwrite=True)

    with np.load(tmp_path / "expected.npz") as theirs, np.load(tmp_path / "there.npz") as ours:
        for name in ("bbox", "pose", "cam_t", "joints2d"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3, atol=0.1)
