"""Every shipped recipe, from its file to trained weights, on a handful of people."""

import pytest
import torch

from smplcli.errors import MissingFileError
from smplcli.models import pretrained
from smplcli.models.network import build_network
from smplcli.models.pretrained import Published
from smplcli.models.weights import load_network
from smplcli.training.config import Recipe, read_recipe, recipe_to_toml, shipped_recipes
from smplcli.workflows.render import render
from smplcli.workflows.train import train

SMALLER = {"resnet50": "resnet18", "hrnet_w32": "hrnet_w18_small"}
STEPS = 2


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes") / "data"
    render(folder, count=4, jobs=1)
    return folder


def shrunk(recipe):
    """The same recipe with everything small and short, from random weights."""
    model, schedule = recipe.model, recipe.schedule
    width = {"context": 8, "keypoints": 8}
    small = {
        "backbone": SMALLER.get(model.backbone, model.backbone),
        "input_size": 64,
        "channels": 8,
        "hidden": 8,
        **{name: size for name, size in width.items() if getattr(model, name)},
    }
    short = {
        "steps": STEPS,
        "epochs": None,
        "batch_size": 2,
        "lifting_batch": 4,
        "lifting_steps": min(schedule.lifting_steps, 1),
        "validate_every": STEPS,
    }
    return recipe.model_copy(
        update={
            "model": model.model_copy(update=small),
            "schedule": schedule.model_copy(update=short),
            "backbone_weights": "none",
        }
    )


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_trains_from_end_to_end(name, data, tmp_path):
    recipe = shrunk(read_recipe(name))
    (tmp_path / "tiny.toml").write_text(recipe_to_toml(recipe))

    report = train(data, tmp_path / "run", recipe=str(tmp_path / "tiny.toml"))

    trained = load_network(report.checkpoint).network
    torch.manual_seed(recipe.seed)
    untrained = build_network(recipe.model).state_dict()
    assert trained.config == recipe.model
    moved = [k for k, v in trained.state_dict().items() if (v != untrained[k]).any()]
    assert any(key.startswith("head.") for key in moved)
    assert any(key.startswith("backbone.") for key in moved)
    assert all(value.isfinite().all() for value in trained.state_dict().values())


@pytest.mark.parametrize(
    ("name", "backbone", "head", "upsamplings", "has_own"),
    [
        ("baseline", "resnet50", "baseline", None, None),
        ("pare-shallow", "resnet50", "part-attention", 2, False),
        ("pare", "resnet50", "part-attention", 3, True),
        ("pare-dino", "resnet50", "part-attention", 3, True),
        ("pare-original", "hrnet_w32", "pare", None, None),
        ("lite", "movenet", "part-attention", 2, True),
    ],
)
def test_a_recipe_is_the_network_that_it_is_named_for(name, backbone, head, upsamplings, has_own):
    model = read_recipe(name).model

    assert (model.backbone, model.head) == (backbone, head)
    assert upsamplings is None or model.upsamplings == upsamplings
    assert has_own is None or model.joint_perceptrons is has_own


def test_the_reports_recipe_has_the_reports_figures():
    schedule = read_recipe("pare").schedule

    assert (schedule.learning_rate, schedule.batch_size, schedule.epochs) == (3e-4, 64, 120)
    assert read_recipe("pare").model.hidden == read_recipe("pare").model.channels == 256


def test_dino_differs_from_pare_in_its_start_alone():
    ours, theirs = read_recipe("pare"), read_recipe("pare-dino")

    assert (ours.backbone_weights, theirs.backbone_weights) == ("imagenet", "dino")
    assert ours == theirs.model_copy(update={"backbone_weights": "imagenet"})


def test_published_pare_supervises_parts_first_and_then_leaves_them_free():
    losses = read_recipe("pare-original").losses

    assert losses.parts > 0
    assert 0 < losses.parts_until < 1


def test_epochs_become_steps_once_the_data_is_known():
    recipe = Recipe.model_validate({"schedule": {"epochs": 3, "batch_size": 4}})

    assert recipe.for_samples(10).schedule.steps == 8
    assert recipe.for_samples(10).schedule.epochs is None
    assert Recipe().for_samples(10) == Recipe()


def test_training_offline_names_the_weights_to_fetch(monkeypatch, data, tmp_path):
    url = "http://127.0.0.1:9/resnet18-f37072fd.pth"
    monkeypatch.setattr(pretrained, "IMAGENET", {"resnet18": Published(url, "f37072fd")})
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path))
    recipe = shrunk(read_recipe("pare")).model_copy(update={"backbone_weights": "imagenet"})
    (tmp_path / "tiny.toml").write_text(recipe_to_toml(recipe))

    with pytest.raises(MissingFileError, match=url):
        train(data, tmp_path / "run", recipe=str(tmp_path / "tiny.toml"))

    torch.hub.set_dir(before)
