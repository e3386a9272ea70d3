"""What all tests share: how hypothesis searches, and which tests this machine can run."""

import os

import pytest
from hypothesis import settings

# The first call of torch takes longer than any deadline, and a run must repeat itself.
settings.register_profile("smplcli", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("smplcli")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("licensed") and not os.environ.get("SMPLCLI_BODY"):
            item.add_marker(pytest.mark.skip("SMPLCLI_BODY names no official SMPL file"))
        if item.get_closest_marker("gpu") and not has_gpu():
            item.add_marker(pytest.mark.skip("there is no CUDA device"))


def has_gpu():
    import torch

    return torch.cuda.is_available()
