import tomllib
from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from smplcli.errors import ConfigError
from smplcli.models import inference
from smplcli.models.backbones import Backbone
from smplcli.models.config import ModelConfig
from smplcli.models.convolutions import (
    MOST_SIZES,
    Convolution,
    Doubling,
    merge_doubling,
    merge_padding,
)
from smplcli.models.inference import (
    has_fast_bf16,
    is_large,
    prepare_network,
    resolve_precision,
)
from smplcli.models.network import build_network

RECIPES = Path(inference.__file__).parent.parent / "recipes"
SIZE = 64
CPU = torch.device("cpu")


def random_network(config):
    """A network that tells pictures apart, with norms that do something."""
    torch.manual_seed(0)
    network = build_network(config).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
            nn.init.uniform_(module.weight, 0.6, 1.0)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return network


def small(**changes):
    return ModelConfig(
        **{"backbone": "resnet18", "input_size": SIZE, "channels": 8, "hidden": 8} | changes
    )


def recipe(name):
    table = tomllib.loads((RECIPES / f"{name}.toml").read_text())["model"]
    return ModelConfig(**table | {"input_size": SIZE, "channels": 16, "hidden": 16})


CONFIGS = {
    "baseline": recipe("baseline"),
    "pare": recipe("pare"),
    "lite": recipe("lite"),
    "nearest": small(upsample_mode="nearest"),
    "bilinear": small(upsample_mode="bilinear"),
    "transposed": small(upsample_mode="transposed"),
    "laterals": small(upsample_mode="nearest", laterals=True),
    "published head": small(head="pare"),
}


@torch.inference_mode()
def see(network):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 3, SIZE, SIZE, generator=generator)
    keypoints = torch.rand(2, 17, 3, generator=generator)
    seen = network.look(image)
    output = network(image, keypoints)
    return [x for x in (*seen, *output) if x is not None and x.numel()]


@pytest.mark.parametrize("name", CONFIGS)
def test_prepared_network_answers_as_before(name):
    network = random_network(CONFIGS[name])

    pairs = list(zip(see(prepare_network(network)), see(network), strict=True))

    # Rounding is relative to the largest numbers that are summed up.
    assert all((a - b).abs().max() <= 1e-5 * max(1, b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", CONFIGS)
def test_bf16_answers_nearly_as_before(name):
    network = random_network(CONFIGS[name])

    pairs = list(zip(see(prepare_network(network, precision="bf16")), see(network), strict=True))

    assert all(a.dtype == torch.float32 for a, _ in pairs)
    assert all((a - b).norm() <= 0.03 * b.norm() for a, b in pairs)


def test_another_doubling_would_not_go_unnoticed():
    network = random_network(CONFIGS["nearest"])
    other = random_network(CONFIGS["bilinear"])

    (logits, expected) = see(prepare_network(other))[2], see(network)[2]

    assert (logits - expected).abs().max() > 1e-2 * expected.abs().max()


def test_norms_activations_and_doublings_are_gone():
    prepared = prepare_network(random_network(CONFIGS["nearest"]))

    left = {type(module) for module in prepared.modules()}
    steps = [module for module in prepared.modules() if isinstance(module, Doubling)]
    calls = [str(node.target) for node in prepared.head.part_branch.graph.nodes]
    assert not left & {nn.BatchNorm2d, nn.Upsample}
    assert len(steps) == 6
    assert not [call for call in calls if "interpolate" in call or "relu" in call.lower()]


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("activation", [("none", []), ("relu", []), ("hardtanh", [0.0, 0.5])])
def test_a_doubling_is_what_the_convolution_makes_of_repeated_pixels(activation, has_bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 5, 3, padding=1, bias=has_bias)
    x = torch.randn(2, 6, 3, 4)

    with torch.inference_mode():
        expected = conv(functional.interpolate(x, scale_factor=2.0))
        if activation[0] != "none":
            expected = expected.clamp(0, 0.5 if activation[1] else None)
        found = Doubling(conv, torch.float32, activation)(x)

    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_a_transposed_convolution_doubles_as_well():
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 5, 3, padding=1)
    x = torch.randn(2, 6, 3, 4)

    with torch.inference_mode():
        expected = conv(functional.interpolate(x, scale_factor=2.0))
        found = merge_doubling(conv)(x)

    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
def test_padding_below_and_at_the_right_may_be_part_of_the_kernel(size):
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 5, 3, stride=2)
    x = torch.randn(2, 6, *size)

    with torch.inference_mode():
        expected = conv(functional.pad(x, (0, 1, 0, 1)))
        merge_padding(conv)
        found = conv(x)

    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_weights_are_kept_for_a_few_sizes_of_pictures_only():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3)
    pictures = [torch.rand(1, 3, 4, side) for side in range(4, 10 + MOST_SIZES)]

    with torch.inference_mode():
        expected = [conv(picture) for picture in pictures]
        prepared = Convolution(conv, torch.float32, ("none", []))
        found = [prepared(picture) for picture in pictures]

    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert len(prepared._packed) <= MOST_SIZES


def test_network_itself_stays_as_it_was():
    network = random_network(CONFIGS["pare"])
    before = {name: value.clone() for name, value in network.state_dict().items()}

    prepare_network(network, precision="bf16")

    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("count", [1, 5])
def test_batch_may_have_any_size(count):
    network = random_network(CONFIGS["nearest"])
    image = torch.rand(count, 3, SIZE, SIZE)

    with torch.inference_mode():
        attention = prepare_network(network).attention(image)

    assert attention.shape == network.attention(image).shape


@pytest.mark.parametrize("name", ["hrnet_w18_small", "mobilenetv3_small_050", "regnetx_002"])
def test_backbones_of_others_answer_as_before(name):
    torch.manual_seed(0)
    config = small(backbone=name, head="baseline")
    network = random_network(config)

    first, second = see(prepare_network(network)), see(network)

    assert timm.is_model(name)
    for a, b in zip(first, second, strict=True):
        assert (a - b).abs().max() <= 1e-5 * max(1, b.abs().max())


def test_what_cannot_be_taken_apart_stays_whole():
    class Stubborn(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Conv2d(3, 8, 1)

        def forward(self, x):
            return [self.net(x) * (2 if x.sum() > 0 else 1)] * 4

    network = random_network(small(head="baseline"))
    network.backbone.net, network.backbone.channels = Stubborn(), [8] * 4
    image = torch.rand(1, 3, SIZE, SIZE)

    prepared = prepare_network(network)
    half = prepare_network(network, precision="bf16")

    features = network.backbone(image)[0]
    assert torch.equal(prepared.backbone(image)[0], features)
    assert (half.backbone(image)[0] - features).abs().max() < 0.03 * features.abs().max()


def test_what_is_quick_is_computed_exactly_unless_it_is_said_otherwise():
    chosen = {x: resolve_precision(x, CPU, takes_long=False) for x in ("auto", "fp32", "bf16")}

    assert chosen == {"auto": "fp32", "fp32": "fp32", "bf16": "bf16"}


def test_what_takes_long_is_computed_in_bf16_where_the_processor_is_made_for_it():
    chosen = resolve_precision("auto", CPU, takes_long=True)

    assert chosen == ("bf16" if has_fast_bf16(CPU) else "fp32")


def test_a_resnet50_takes_long():
    assert is_large(random_network(CONFIGS["baseline"]))
    assert not is_large(random_network(CONFIGS["lite"]))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_pictures_of_another_size_than_the_first_are_answered_alike(precision):
    network = random_network(CONFIGS["nearest"])
    fresh, used = (prepare_network(network, precision=precision) for _ in range(2))
    picture = torch.rand(3, 3, SIZE, SIZE)

    with torch.inference_mode():
        used(torch.rand(1, 3, 2 * SIZE, 2 * SIZE))
        answers = [prepared(picture).rotmat for prepared in (fresh, used)]

    torch.testing.assert_close(*answers, rtol=0, atol=1e-5 if precision == "fp32" else 0.02)


def test_bf16_is_refused_where_there_is_none():
    with pytest.raises(ConfigError, match="bf16: meta"):
        resolve_precision("bf16", torch.device("meta"), takes_long=True)


def test_prepared_features_are_those_of_the_backbone():
    torch.manual_seed(0)
    backbone = Backbone("resnet18").eval()
    image = torch.rand(1, 3, SIZE, SIZE)

    shapes = [x.shape for x in backbone(image)]

    config = small(head="baseline")
    network = random_network(config)
    with torch.inference_mode():
        prepared = prepare_network(network).backbone(image)
    assert [x.shape for x in prepared] == shapes
