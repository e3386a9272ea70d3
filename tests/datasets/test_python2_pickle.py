import pickle

import numpy as np
import pytest

from smplcli.body.unpickle import load_pickle_bytes
from smplcli.datasets.python2_pickle import python2_pickle
from smplcli.errors import ShapeError

VALUES = {
    "numbers": [0, -1, 2**31 - 1, True, False, None],
    "text": "caf\xe9",
    "empty": [[], {}, ""],
}
ARRAYS = [
    np.arange(12.0).reshape(3, 4),
    np.arange(12.0).reshape(3, 4).T,
    np.array([1, 0], np.uint8),
    np.array([65535], np.uint16),
    np.array("downtown_bus_00"),
    np.array([b"m", b"f"]),
    np.zeros((0, 3), np.float32),
]


def load_python(content):
    return pickle.loads(content, encoding="latin1")


def load_ours(content):
    return load_pickle_bytes(content, "x.pkl")


@pytest.mark.parametrize("load", [load_python, load_ours])
def test_plain_values_come_back(load):
    assert load(python2_pickle(VALUES)) == VALUES


@pytest.mark.parametrize("load", [load_python, load_ours])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_come_back(load, array):
    np.testing.assert_array_equal(load(python2_pickle([array]))[0], array, strict=True)


def test_content_is_what_python_2_wrote():
    content = python2_pickle({"poses": [np.zeros(2)]})

    assert content.startswith(b"\x80\x02}(T\x05\x00\x00\x00poses")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content
    assert b"_codecs" not in content


@pytest.mark.parametrize("value", [1.5, {1, 2}, np.array([None]), np.zeros(1, "M8[s]")])
def test_anything_else_is_refused(value):
    with pytest.raises(ShapeError):
        python2_pickle([value])
