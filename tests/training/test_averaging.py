import copy
import ctypes

import pytest
import torch
from torch import nn

from smplcli.models.backbones import Backbone
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.training.averaging import (
    Average,
    Averages,
    has_norms,
    measure_norms,
    set_training,
    weights_of,
)
from smplcli.training.config import ScheduleConfig
from smplcli.training.schedule import learning_rate

SWA = ScheduleConfig(steps=10, warmup=0, swa_from=0.5, swa_every=2, average=0.9)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def take_steps(network, averages, steps):
    """Random weights after each step, as the averages see them."""
    weights = []
    for step in range(1, steps + 1):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn_like(parameter))
        averages.update(network, step)
        weights.append([parameter.detach().clone() for parameter in network.parameters()])
    return weights


def worn(network, average):
    with average.worn_by(network):
        return [parameter.detach().clone() for parameter in network.parameters()]


def test_the_mean_of_snapshots_is_their_mean_to_the_last_bit(network):
    averages = Averages(network, SWA)

    weights = take_steps(network, averages, 10)

    snapshots = [weights[step - 1] for step in (7, 9, 10)]
    means = [torch.stack(v).double().mean(0).float() for v in zip(*snapshots, strict=True)]
    assert averages.by_kind["swa"].count == 3
    for found, mean in zip(worn(network, averages.by_kind["swa"]), means, strict=True):
        assert torch.equal(found, mean)


def test_the_exponential_mean_forgets_by_its_decay(network):
    averages = Averages(network, SWA)

    first, second, third = take_steps(network, averages, 3)

    found = worn(network, averages.by_kind["ema"])
    for value, a, b, c in zip(found, first, second, third, strict=True):
        torch.testing.assert_close(value, 0.81 * a + 0.09 * b + 0.1 * c)


def test_a_network_that_cannot_be_copied_is_averaged(network):
    network.handle = ctypes.pointer(ctypes.c_int(1))
    averages = Averages(network, SWA)

    take_steps(network, averages, 10)

    assert averages.by_kind["swa"].count == 3
    # What the report's authors met when their library copied the network for its average.
    with pytest.raises(ValueError, match="ctypes objects containing pointers cannot be pickled"):
        copy.deepcopy(network)


def test_there_is_no_mean_of_snapshots_before_the_first(network):
    averages = Averages(network, SWA)

    take_steps(network, averages, 6)

    assert set(averages.begun()) == {"ema"}


def test_a_schedule_without_averages_keeps_none(network):
    averages = Averages(network, ScheduleConfig(average=0))

    take_steps(network, averages, 2)

    assert averages.begun() == averages.state_dict() == {}


def test_the_network_has_its_own_weights_again_to_the_bit(network):
    averages = Averages(network, SWA)
    take_steps(network, averages, 3)
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def fail(_batch):
        network(torch.randn(2, 3, 8, 8))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), averages.by_kind["ema"].worn_by(network):
        measure_norms(network, [None], fail)

    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_averages_go_on_from_their_state_to_the_bit(network):
    whole, first, second = (Averages(network, SWA) for _ in range(3))
    torch.manual_seed(1)
    take_steps(network, whole, 10)
    torch.manual_seed(1)
    take_steps(network, first, 7)
    second.load_state_dict(first.state_dict())

    for step in (8, 9, 10):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn_like(parameter))
        second.update(network, step)

    found = second.state_dict()
    assert all(torch.equal(found[name], value) for name, value in whole.state_dict().items())
    assert int(found["swa.count"]) == 3


def test_weights_of_a_kind_fit_the_network(network):
    averages = Averages(network, SWA)
    take_steps(network, averages, 10)

    weights = weights_of(averages.state_dict(), "swa")

    network.load_state_dict(weights)
    for parameter, mean in zip(
        network.parameters(), worn(network, averages.by_kind["swa"]), strict=True
    ):
        assert torch.equal(parameter, mean)


def test_norms_are_measured_where_averaging_left_them_wrong(network):
    torch.manual_seed(2)
    batches = [5 * torch.randn(16, 3, 12, 12) + 2 for _ in range(8)]
    norm = network[1]
    average = Average(network, 0.5)
    with torch.no_grad():
        network[0].weight.mul_(3)
    average.add(network)

    with average.worn_by(network):
        true = network[0](torch.cat(batches)).detach()
        stale = (norm.running_mean - true.mean((0, 2, 3))).abs().max()
        measure_norms(network, batches, network)
        average.keep_buffers(network)

    measured = average.state_dict()
    assert stale > 1
    torch.testing.assert_close(
        measured["1.running_mean"], true.mean((0, 2, 3)), rtol=1e-5, atol=1e-4
    )
    # The mean of variances within batches, which is what training normalised by.
    torch.testing.assert_close(measured["1.running_var"], true.var((0, 2, 3)), rtol=0.02, atol=0)


def test_measuring_norms_changes_neither_mode_nor_momentum(network):
    network.eval()

    measure_norms(network, [torch.randn(2, 3, 8, 8)], network)

    assert not network.training
    assert network[1].momentum == 0.1


def test_frozen_norms_keep_their_statistics_in_training_and_in_measuring(network):
    for parameter in network[1].parameters():
        parameter.requires_grad_(False)
    before = network[1].running_mean.clone()
    set_training(network)

    network(torch.randn(4, 3, 8, 8))
    measure_norms(network, [torch.randn(4, 3, 8, 8)], network)

    assert network[0].training
    assert torch.equal(network[1].running_mean, before)
    assert not has_norms(network)


def test_a_backbone_with_folded_norms_has_nothing_to_measure():
    backbone = Backbone("resnet18")
    assert has_norms(backbone)

    backbone.fold_norm()

    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    measure_norms(backbone, [torch.rand(2, 3, 64, 64)], backbone)
    assert not has_norms(backbone)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_the_norms_of_the_keypoint_encoder_are_measured_on_bodies():
    torch.manual_seed(0)
    config = ModelConfig(
        backbone="resnet18", input_size=64, channels=8, upsamplings=1, hidden=8, keypoints=8
    )
    network = build_network(config)
    keypoints = torch.rand(64, 17, 3)

    measure_norms(network, [keypoints], network.lift)

    once = [layer.norm.running_mean.clone() for layer in network.encoder.layers]
    measure_norms(network, [keypoints, keypoints, keypoints], network.lift)
    assert all(mean.abs().max() > 0 for mean in once)
    for layer, mean in zip(network.encoder.layers, once, strict=True):
        torch.testing.assert_close(layer.norm.running_mean, mean)


def test_snapshots_may_have_a_constant_learning_rate():
    constant = SWA.model_copy(update={"swa_rate": 1e-4})

    rates = [learning_rate(constant, step) for step in range(10)]

    assert rates[:5] == [learning_rate(SWA, step) for step in range(5)]
    assert rates[5:] == [1e-4] * 5
