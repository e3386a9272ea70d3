"""Weights of the convolutions of an ONNX file, which torch cannot read.

Source:
    ONNX's ``onnx.proto`` for the numbers of the fields, Protocol Buffers' encoding of messages.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from smplcli.errors import MissingFileError, UnreadableFileError

MODEL_GRAPH, GRAPH_NODE, GRAPH_INITIALIZER = 7, 1, 5
NODE_INPUT, NODE_OPERATOR = 1, 4
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_BYTES = 1, 2, 8, 9
FLOAT32 = 1

NUMBER, BLOCK = 0, 2
FIXED = {1: 8, 5: 4}
"""How values are stored; the bytes of those of fixed length."""

MAX_BYTES = 10
"""Of a number."""


def read_convolutions(path: Path) -> dict[str, Tensor]:
    """Weights and biases of a file's convolutions by name, in the order of their use.

    Args:
        path: ONNX file that holds its float32 weights itself.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is something else.
    """
    if not path.is_file():
        raise MissingFileError(f"ONNX file not found: {path}")
    tensors: dict[str, Tensor] = {}
    used: list[str] = []
    try:
        for graph in _blocks(memoryview(path.read_bytes()), MODEL_GRAPH):
            for message in _blocks(graph, GRAPH_INITIALIZER):
                tensors |= _float_tensor(message)
            for node in _blocks(graph, GRAPH_NODE):
                if [*map(bytes, _blocks(node, NODE_OPERATOR))] == [b"Conv"]:
                    used += [str(name, "utf-8") for name in _blocks(node, NODE_INPUT)]
    except (ValueError, IndexError) as error:
        raise UnreadableFileError(f"not an ONNX file: {path}") from error
    return {name: tensors[name] for name in used if name in tensors}


def _float_tensor(message: memoryview) -> dict[str, Tensor]:
    """A tensor by its name; nothing if it is not one of float32."""
    content = b"".join(_blocks(message, TENSOR_BYTES))
    if [*_numbers(message, TENSOR_TYPE)] != [FLOAT32] or not content:
        return {}
    shape = [*_numbers(message, TENSOR_DIMS)]
    if 4 * math.prod(shape) != len(content):
        raise ValueError("a tensor's bytes are not those of its shape")
    (name,) = _blocks(message, TENSOR_NAME)
    values = torch.frombuffer(bytearray(content), dtype=torch.float32)
    return {str(name, "utf-8"): values.reshape(shape)}


def _blocks(message: memoryview, number: int) -> Iterator[memoryview]:
    return (x for found, x in _fields(message) if found == number and isinstance(x, memoryview))


def _numbers(message: memoryview, number: int) -> Iterator[int]:
    return (x for found, x in _fields(message) if found == number and isinstance(x, int))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Numbers of a message's fields, and what is in them.

    Raises:
        ValueError: The message is cut off, or is none.
        IndexError: Likewise.
    """
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        kind = key & 7
        if kind == NUMBER:
            value, at = _number(message, at)
            yield key >> 3, value
            continue
        if kind == BLOCK:
            length, at = _number(message, at)
        elif kind in FIXED:
            length = FIXED[kind]
        else:
            raise ValueError(f"no such kind of value: {kind}")
        if at + length > len(message):
            raise ValueError("a value is cut off")
        yield key >> 3, message[at : at + length]
        at += length


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first; and where it ends."""
    value = 0
    for index in range(MAX_BYTES):
        byte = message[at + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, at + index + 1
    raise ValueError("a number is too long")
