"""ONNX files: the weights of their convolutions, and nothing worse from damaged ones."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.files import asset
from smplcli.models.onnx_weights import read_convolutions


def _number(value):
    low = [value >> 7 * k & 127 for k in range(10) if k == 0 or value >> 7 * k]
    return bytes([x | 128 for x in low[:-1]] + low[-1:])


def _field(number, value):
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    return _number(number << 3 | 2) + _number(len(value)) + value


def _tensor(name, values):
    dims = b"".join(_field(1, side) for side in values.shape)
    return dims + _field(2, 1) + _field(8, name) + _field(9, values.tobytes())


def _file(*, kernel=None, kind=b"Conv"):
    """An ONNX file of one operation, whose bias is listed before its weights."""
    kernel = np.arange(6, dtype=np.float32).reshape(3, 2, 1, 1) if kernel is None else kernel
    bias = np.arange(3, dtype=np.float32)
    node = b"".join(_field(1, name) for name in (b"x", b"kernel", b"bias")) + _field(4, kind)
    tensors = [_field(5, _tensor(b"bias", bias)), _field(5, _tensor(b"kernel", kernel))]
    return _field(1, 8) + _field(7, b"".join([*tensors, _field(1, node)]))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


def test_weights_come_in_the_order_of_their_use(path):
    path.write_bytes(_file())

    found = read_convolutions(path)

    assert list(found) == ["kernel", "bias"]
    assert found["kernel"].shape == (3, 2, 1, 1)
    assert found["kernel"].flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_other_operations_have_no_weights(path):
    path.write_bytes(_file(kind=b"MatMul"))

    assert read_convolutions(path) == {}


def test_the_detector_has_a_kernel_of_48_filters_first():
    found = list(read_convolutions(asset("detector.onnx")).values())

    assert found[0].shape == (48, 3, 3, 3)
    assert found[1].shape == (48,)


def test_every_cut_off_file_is_refused(path):
    whole = _file()

    for length in range(3, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableFileError, match=r"not an ONNX file: .*net\.onnx"):
            read_convolutions(path)


def test_a_tensor_that_lies_about_its_shape_is_refused(path):
    path.write_bytes(_file().replace(_field(1, 3) + _field(1, 2), _field(1, 3) + _field(1, 99)))

    with pytest.raises(UnreadableFileError):
        read_convolutions(path)


@given(st.binary(max_size=200))
def test_any_bytes_give_weights_or_a_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "net.onnx"
    path.write_bytes(content)

    with suppress(UnreadableFileError):
        assert read_convolutions(path) == {}


def test_a_missing_file_is_named(path):
    with pytest.raises(MissingFileError, match=r"net\.onnx"):
        read_convolutions(path)
