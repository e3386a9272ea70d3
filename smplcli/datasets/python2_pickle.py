"""Plain data as Python 2 pickled it: byte strings, and the names that numpy had then."""

import pickle
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from smplcli.errors import ShapeError


def python2_pickle(value: object) -> bytes:
    """Pickle under protocol 2.

    Args:
        value: Dictionaries, lists, text in latin-1, whole numbers and numpy's arrays of numbers
            or text.

    Raises:
        ShapeError: There is anything else in it.
    """
    return b"".join([pickle.PROTO, b"\x02", *_pieces(value), pickle.STOP])


def _pieces(value: object) -> Iterator[bytes]:
    if isinstance(value, Mapping):
        yield pickle.EMPTY_DICT + pickle.MARK
        for key, item in value.items():
            yield from _pieces(key)
            yield from _pieces(item)
        yield pickle.SETITEMS
    elif isinstance(value, list):
        yield pickle.EMPTY_LIST + pickle.MARK
        for item in value:
            yield from _pieces(item)
        yield pickle.APPENDS
    elif isinstance(value, tuple):
        yield pickle.MARK
        for item in value:
            yield from _pieces(item)
        yield pickle.TUPLE
    elif isinstance(value, np.ndarray):
        yield from _array(value)
    else:
        yield _atom(value)


def _atom(value: object) -> bytes:
    if value is None:
        return pickle.NONE
    if isinstance(value, bool):
        return pickle.NEWTRUE if value else pickle.NEWFALSE
    if isinstance(value, int):
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, str | bytes):
        data = value.encode("latin1") if isinstance(value, str) else value
        return pickle.BINSTRING + struct.pack("<i", len(data)) + data
    raise ShapeError(f"cannot be written for Python 2: {type(value).__name__}")


def _array(array: np.ndarray[Any, Any]) -> Iterator[bytes]:
    yield _name("numpy.core.multiarray", "_reconstruct")
    yield pickle.MARK + _name("numpy", "ndarray")
    yield from _pieces((0,))
    yield _atom("b") + pickle.TUPLE + pickle.REDUCE
    yield pickle.MARK
    yield from _pieces(1)
    yield from _pieces(array.shape)
    yield from _dtype(array.dtype)
    yield from _pieces(False)
    yield from _pieces(array.tobytes())
    yield pickle.TUPLE + pickle.BUILD


def _dtype(dtype: np.dtype[Any]) -> Iterator[bytes]:
    if dtype.kind not in "biufSU":
        raise ShapeError(f"cannot be written for Python 2: array of {dtype}")
    is_text = dtype.kind in "SU"
    order = "|" if dtype.str[0] == "|" else "<"
    sizes = (dtype.itemsize, dtype.alignment) if is_text else (-1, -1)
    yield _name("numpy", "dtype")
    yield from _pieces((dtype.str[1:], 0, 1))
    yield pickle.REDUCE
    yield from _pieces((3, order, None, None, None, *sizes, 0))
    yield pickle.BUILD


def _name(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()
