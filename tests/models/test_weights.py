import json

import pytest
import torch
from safetensors.torch import save_file

from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import load_network, read_provenance, save_network

CONFIG = ModelConfig(backbone="resnet18", head="baseline", input_size=64, hidden=8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network(CONFIG).eval()


def test_a_network_comes_back_as_it_was_written(network, tmp_path):
    save_network(tmp_path / "net.safetensors", network, {"steps": 3})

    loaded = load_network(tmp_path / "net.safetensors")

    assert loaded.network.config == CONFIG
    assert loaded.provenance == {"steps": 3}
    torch.testing.assert_close(loaded.network.state_dict(), network.state_dict(), rtol=0, atol=0)


def test_half_precision_halves_the_file_and_hardly_moves_the_body(network, tmp_path):
    save_network(tmp_path / "full.safetensors", network, {})
    save_network(tmp_path / "half.safetensors", network, {}, half=True)
    image = torch.rand(1, 3, 64, 64)

    half = load_network(tmp_path / "half.safetensors").network

    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.52 * sizes[0]
    torch.testing.assert_close(half(image).rotmat, network(image).rotmat, atol=1e-3, rtol=0)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="checkpoint not found: .*none.safetensors"):
        load_network(tmp_path / "none.safetensors")


@pytest.mark.parametrize("cut", [0, 4, 100, -10])
def test_a_cut_file_is_refused(network, tmp_path, cut):
    path = tmp_path / "net.safetensors"
    save_network(path, network, {})
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(UnreadableFileError, match="not a weights file, or cut off"):
        load_network(path)


def test_tensors_of_another_tool_are_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "net.safetensors")

    with pytest.raises(UnreadableFileError, match="another tool"):
        load_network(tmp_path / "net.safetensors")


@pytest.mark.parametrize("model", ["{", json.dumps({"backbone": "resnet18", "unknown": 1})])
def test_a_header_without_a_network_is_refused(tmp_path, model):
    header = {"format": "smplcli-network-1", "model": model, "provenance": "{}"}
    save_file({"a": torch.zeros(1)}, tmp_path / "net.safetensors", metadata=header)

    with pytest.raises(UnreadableFileError, match="damaged weights file"):
        load_network(tmp_path / "net.safetensors")


def test_the_same_network_gives_the_same_bytes(network, tmp_path):
    contents = set()
    for number in range(8):  # safetensors' own order of the header changes from call to call
        save_network(tmp_path / f"{number}.safetensors", network, {"steps": 3})
        contents.add((tmp_path / f"{number}.safetensors").read_bytes())

    assert len(contents) == 1


def test_how_a_network_was_made_is_read_without_its_weights(network, tmp_path):
    save_network(tmp_path / "net.safetensors", network, {"steps": 3})

    assert read_provenance(tmp_path / "net.safetensors") == {"steps": 3}


@pytest.mark.parametrize("header", [{}, {"provenance": "[]"}, {"provenance": "{"}])
def test_a_header_that_does_not_say_how_a_network_was_made_is_refused(tmp_path, header):
    save_file({"x": torch.zeros(1)}, tmp_path / "net.safetensors", metadata=header)

    with pytest.raises(UnreadableFileError):
        read_provenance(tmp_path / "net.safetensors")
