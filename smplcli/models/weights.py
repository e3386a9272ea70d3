"""Weights files: one safetensors file whose header says everything needed to use it."""

import json
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.files import atomic_write, sha256_of
from smplcli.models.config import ModelConfig
from smplcli.models.network import Network, build_network

FORMAT = "smplcli-network-1"

LENGTH, ALIGNMENT = Struct("<Q"), 8
"""Of a safetensors header."""


class LoadedNetwork(NamedTuple):
    """A network and where it came from."""

    network: Network
    """Ready for inference, float32."""

    provenance: dict[str, Any]
    """How it was made: data, steps, versions, measured errors."""

    sha256: str
    """Hash of the file."""


def save_network(
    path: Path, network: Network, provenance: dict[str, Any], *, half: bool = False
) -> None:
    """Write a network, whole or not at all.

    Args:
        path: The file.
        network: What to write.
        provenance: JSON-like facts about how it was made.
        half: Store float16 instead of float32; what is read back is float32 again.
    """
    tensors = {
        name: value.detach()
        .to("cpu", torch.float16 if half and value.is_floating_point() else None)
        .contiguous()
        for name, value in network.state_dict().items()
    }
    header = {
        "format": FORMAT,
        "model": network.config.model_dump_json(),
        "provenance": json.dumps(provenance, sort_keys=True),
    }
    with atomic_write(path) as file:
        file.write(_in_order(save(tensors, metadata=header)))


def _in_order(data: bytes) -> bytes:
    """The same file with its header in an order that does not change from run to run.

    Source:
        safetensors' format: 8 bytes say how long the header is, JSON padded with spaces.
    """
    start, end = LENGTH.size, LENGTH.size + LENGTH.unpack_from(data)[0]
    header = json.dumps(json.loads(data[start:end]), sort_keys=True, separators=(",", ":"))
    padded = header.encode()
    padded += b" " * (-len(padded) % ALIGNMENT)
    return LENGTH.pack(len(padded)) + padded + data[end:]


def read_provenance(path: Path) -> dict[str, Any]:
    """How the network of a weights file was made, as its header says.

    Raises:
        UnreadableFileError: It is no weights file of this tool, or a damaged one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found = json.loads((file.metadata() or {})["provenance"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UnreadableFileError(f"not a weights file, or cut off: {path}") from error
    if not isinstance(found, dict):
        raise UnreadableFileError(f"damaged weights file: {path}")
    return found


def load_network(path: Path, *, device: str | torch.device = "cpu") -> LoadedNetwork:
    """Read a network.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no weights file of this tool, or a damaged one.
    """
    if not path.is_file():
        raise MissingFileError(
            f"checkpoint not found: {path}", hint="Give a .safetensors file written by 'train'."
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UnreadableFileError(
            f"not a weights file, or cut off: {path}",
            hint="Give a .safetensors file written by 'train', or copy it again.",
        ) from error
    if header.get("format") != FORMAT:
        raise UnreadableFileError(f"weights file of another tool: {path}")
    try:
        network = build_network(ModelConfig.model_validate_json(header["model"]))
        provenance = json.loads(header["provenance"])
        network.load_state_dict(tensors)
    except (KeyError, ValueError, RuntimeError, ValidationError) as error:
        raise UnreadableFileError(f"damaged weights file: {path}") from error
    return LoadedNetwork(network.eval().to(device), provenance, sha256_of(path))
