"""The detector's trunk as a backbone: the same numbers, from the same file."""

import numpy as np
import pytest
import torch

from smplcli.models.backbones import Backbone
from smplcli.models.pretrained import pretrained_file

# Of onnxruntime 1.32 running assets/detector.onnx on `_gradients`, the outputs of block_5_add and
# block_16_project: the first four channels in the upper left corner, mean and spread.
GOLDEN = {
    1: ((48, 8, 8), [1.50914, -1.3421235, 8.300375, 0.93427], 0.2559552, 2.2894235),
    3: ((480, 2, 2), [1.6994281, -0.5224962, 1.0348707, 0.25470448], 0.06803248, 2.4126992),
}


@pytest.fixture(scope="module")
def backbone():
    backbone = Backbone("movenet")
    backbone.load_pretrained(pretrained_file("movenet", "detector"))
    return backbone.eval()


def _gradients():
    y, x = np.mgrid[0:64, 0:64]
    picture = np.stack([4 * x, 4 * y, 2 * (x + y)]).astype(np.float32)
    return torch.from_numpy(picture)[None] / 255


@pytest.mark.parametrize("tap", GOLDEN)
def test_features_are_those_that_the_detector_computes(backbone, tap):
    shape, corner, mean, spread = GOLDEN[tap]

    with torch.no_grad():
        (features,) = backbone(_gradients())[tap]

    assert features.shape == shape
    torch.testing.assert_close(features[:4, 0, 0], torch.tensor(corner), rtol=1e-4, atol=1e-4)
    assert features.mean().item() == pytest.approx(mean, abs=1e-4)
    assert features.std(correction=0).item() == pytest.approx(spread, rel=1e-4)


def test_features_halve_from_stride_4_to_32(backbone):
    features = backbone(torch.rand(1, 3, 64, 96))

    assert [f.shape[1:] for f in features] == [
        (40, 16, 24),
        (48, 8, 12),
        (144, 4, 6),
        (480, 2, 3),
    ]


def test_only_what_is_frozen_computes_in_16_bits(backbone):
    learning = Backbone("movenet")
    learning.load_state_dict(backbone.state_dict())
    learning.train()
    learning.net.frozen_dtype = torch.bfloat16
    picture = _gradients()

    learns = [f.detach() for f in learning(picture)]
    learning.net.stem.requires_grad_(requires_grad=False)
    for block in learning.net.blocks[:6]:
        block.requires_grad_(requires_grad=False)
    frozen = learning(picture)

    exact = backbone(picture)
    assert all(torch.equal(a, b) for a, b in zip(learns, exact, strict=True))
    assert not torch.equal(frozen[3], exact[3])
    torch.testing.assert_close(frozen[3], exact[3], rtol=0.2, atol=0.3)
    assert {f.dtype for f in frozen} == {torch.float32}
