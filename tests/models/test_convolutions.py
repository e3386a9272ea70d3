"""Convolutions of doubled pictures by their products, beside the plain form."""

import pytest
import torch
from torch.nn import functional

from smplcli.models.config import ModelConfig
from smplcli.models.convolutions import convolve_doubled
from smplcli.models.heads import Branch
from tests.pretend_device import pretended_device

SIZES = [(1, 1), (1, 4), (3, 5)]


def plain(x, weight):
    return functional.conv2d(functional.interpolate(x, scale_factor=2.0), weight, padding=1)


def drawn(size):
    torch.manual_seed(0)
    return torch.randn(2, 5, *size).double(), torch.randn(3, 5, 3, 3).double()


@pytest.mark.parametrize("size", SIZES)
def test_a_doubled_picture_is_convolved_as_if_it_were_doubled(size):
    torch.testing.assert_close(convolve_doubled(*drawn(size)), plain(*drawn(size)))


@pytest.mark.parametrize("size", SIZES)
def test_its_gradients_are_those_of_the_plain_form(size):
    inputs = [tensor.requires_grad_() for tensor in drawn(size)]
    weights = torch.randn(2, 3, 2 * size[0], 2 * size[1]).double()

    ours = torch.autograd.grad((convolve_doubled(*inputs) * weights).sum(), inputs)

    torch.testing.assert_close(ours, torch.autograd.grad((plain(*inputs) * weights).sum(), inputs))


def test_other_devices_compute_the_same_in_their_way():
    here = convolve_doubled(*drawn((3, 5)))

    with pretended_device() as device:
        there = convolve_doubled(*(tensor.to(device) for tensor in drawn((3, 5)))).cpu()

    torch.testing.assert_close(there, here)


def test_a_branch_in_training_computes_what_it_does_afterwards():
    torch.manual_seed(0)
    config = ModelConfig(upsample_mode="nearest", channels=8, upsamplings=2)
    branch, features = Branch(config, [16]), [torch.randn(2, 16, 3, 3)]
    after = branch.eval()(features)
    branch.training = True  # and nothing in it, as batch norms differ

    torch.testing.assert_close(branch(features), after)
