"""Pickles of SMPL and 3DPW, read without running anything that they ask for and without chumpy."""

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from smplcli.body.pickle_machine import (
    Builder,
    ByteSource,
    Name,
    Pending,
    PickleMachine,
    Refusal,
    checked_key,
)
from smplcli.errors import HostileFileError, MissingFileError, SmplCliError, UnreadableFileError

MAX_FILE_BYTES = 1 << 30
"""Four times the largest official file, SMPL 1.1.0 with 300 betas."""

MAX_DEPTH = 64
MAX_ITEMS = 10_000_000
"""Values in the result if everything that occurs twice were written out twice."""

COPY_RATIO = 4
COPY_MINIMUM = 1 << 20
BYTES_PER_ENTRY = 128
"""Bytes that may be made from a file beside those in it: a multiple of its size, but this much."""

DTYPE_CODE = re.compile(r"[biufc][1-9]\d?|[SU][1-9]\d{0,6}")
OBJECT_CODES = ("O", "O4", "O8")
"""Of arrays of Python objects, which are read as lists of what is in them."""

BYTE_ORDERS: dict[object, Literal["<", ">", "="]] = {"<": "<", ">": ">", "=": "=", "|": "="}
SPARSE_FORMATS = ("csc", "csr", "coo")
MAX_DIMENSIONS = 32

Resolve = Callable[[object], Any]


def load_pickle(path: Path) -> Any:
    """Read a pickle of plain data, numpy arrays, scipy's sparse matrices and chumpy's arrays.

    Args:
        path: Written by Python 2 or 3 under any protocol.

    Returns:
        What the file describes: text of Python 2 as ``latin1``, arrays read-only, chumpy's objects
        as the arrays that they stand for, sets and arrays of objects as lists.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no pickle, damaged, or too large.
        HostileFileError: It asks for anything but data, or for far more memory than its size.
    """
    return _read(path, partial(_read_file, path))


def load_pickle_bytes(content: bytes, name: str) -> Any:
    """Read a pickle like `load_pickle`, from memory.

    Args:
        content: The pickle.
        name: What errors call it.

    Raises:
        UnreadableFileError: It is no pickle, or damaged.
        HostileFileError: It asks for anything but data, or for far more memory than its size.
    """
    return _read(name, partial(_read_stream, BytesIO(content), len(content)))


def _read(name: Path | str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Refusal as refusal:
        raise HostileFileError(
            f"pickle refused: {name}: {refusal}",
            hint="Get the file from its official source again; nothing of this one was run.",
        ) from refusal
    except (SmplCliError, MemoryError):
        raise
    except Exception as error:  # damaged bytes raise a dozen kinds
        raise UnreadableFileError(
            f"not a readable pickle: {name}", hint="Download or copy the file again."
        ) from error


def _read_file(path: Path) -> Any:
    if not path.is_file():
        raise MissingFileError(f"file not found: {path}")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise UnreadableFileError(f"pickle is larger than {MAX_FILE_BYTES} bytes: {path}")
    with path.open("rb") as file:
        return _read_stream(file, size)


def _read_stream(file: BinaryIO, size: int) -> Any:
    allowance = _Allowance(COPY_RATIO * size + COPY_MINIMUM)
    described = PickleMachine(ByteSource(file, size), _builders(allowance)).run()
    return _Resolver(allowance).resolve(described)


class _Allowance:
    """Bytes that may still be made beside those in the file."""

    def __init__(self, size: int) -> None:
        self._left = size

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Refusal("it unfolds to many times its size")


class _Object(Pending):
    """What a file describes as an instance of an allowed class."""

    def value(self, resolve: Resolve, allowance: _Allowance) -> object:
        """The plain data that the object stands for."""
        raise NotImplementedError


class _DType(_Object):
    def __init__(self, code: object) -> None:
        name = _text(code)
        self.is_objects = name in OBJECT_CODES
        if self.is_objects:
            return
        if not DTYPE_CODE.fullmatch(name):
            raise Refusal(f"array of type {name[:20]!a}")
        self._dtype = np.dtype(name)

    @property
    def dtype(self) -> np.dtype[Any]:
        if self.is_objects:
            raise Refusal("array of objects")
        if self.state is None:
            return self._dtype
        _, order, subarray, names, fields, *_ = _tuple(self.state)
        if (subarray, names, fields) != (None, None, None):
            raise Refusal("array of structures")
        return self._dtype.newbyteorder(BYTE_ORDERS[_text(order)])

    def value(self, resolve: Resolve, allowance: _Allowance) -> object:  # noqa: ARG002
        return self.dtype


class _Array(_Object):
    @property
    def objects(self) -> list[object] | None:
        """What an array of objects holds; ``None`` for one of numbers or text."""
        _, shape, dtype, _, data = _tuple(self.state)
        if not (isinstance(dtype, _DType) and dtype.is_objects):
            return None
        if not isinstance(data, list) or math.prod(_lengths(shape)) != len(data):
            raise Refusal("array of objects that are not there")
        return data

    def value(self, resolve: Resolve, allowance: _Allowance) -> object:  # noqa: ARG002
        _, shape, dtype, is_fortran, data = _tuple(self.state)
        return _array(data, dtype, shape, "F" if is_fortran else "C")


class _Sparse(_Object):
    def __init__(self, layout: str) -> None:
        self._layout = layout

    def value(self, resolve: Resolve, allowance: _Allowance) -> object:
        from scipy import sparse  # noqa: PLC0415 - slow to import, and seldom needed

        state = resolve(_dict(self.state))
        shape = _lengths(state["_shape"])
        if self._layout == "coo":
            places = state["coords"] if "coords" in state else (state["row"], state["col"])
        else:
            places = (state["indices"], state["indptr"])
        arrays = [_as_array(part) for part in (state["data"], *places)]
        allowance.spend(sum(array.nbytes for array in arrays))
        if self._layout == "coo":  # scipy checks its indices without being told to
            return sparse.coo_matrix((arrays[0], tuple(arrays[1:])), shape=shape)
        matrix = getattr(sparse, f"{self._layout}_matrix")(tuple(arrays), shape=shape)
        matrix.check_format(full_check=True)
        return matrix


class _Chumpy(_Object):
    """``chumpy.ch.Ch``, an array with a history."""

    def value(self, resolve: Resolve, allowance: _Allowance) -> object:  # noqa: ARG002
        return _as_array(resolve(_dict(self.state)["x"]))


class _ChumpySelect(_Object):
    """``chumpy.reordering.Select``, entries of another array."""

    def value(self, resolve: Resolve, allowance: _Allowance) -> object:
        state = _dict(self.state)
        source, places = (_as_array(resolve(state[key])) for key in ("a", "idxs"))
        allowance.spend(source.nbytes + places.size * source.itemsize)
        selected = source.ravel()[places]
        shape = state.get("preferred_shape")
        return selected if shape is None else selected.reshape(resolve(shape))


class _Resolver:
    """Replaces the objects of a described value by the data they stand for, each only once."""

    def __init__(self, allowance: _Allowance) -> None:
        self._allowance = allowance
        self._known: dict[int, tuple[object, int] | None] = {}
        self._depth = 0

    def resolve(self, item: object) -> Any:
        """Plain data for ``item``, which must stay alive as long as this resolver."""
        return self._resolve(item)[0]

    def _resolve(self, item: object) -> tuple[object, int]:
        """The plain data, and the number of values in it."""
        if not isinstance(item, list | tuple | dict | bytes | Pending | Name):
            return item, 1
        if id(item) not in self._known:
            if self._depth == MAX_DEPTH:
                raise Refusal(f"more than {MAX_DEPTH} levels deep")
            self._known[id(item)] = None
            self._depth += 1
            self._known[id(item)] = self._unfold(item)
            self._depth -= 1
        known = self._known[id(item)]
        if known is None:
            raise Refusal("it contains itself")
        return known

    def _unfold(self, item: object) -> tuple[object, int]:
        if isinstance(item, bytes):
            return item.decode("latin1"), 1
        if isinstance(item, _Array) and item.objects is not None:
            return self._unfold_all(item.objects)
        if isinstance(item, _Object):
            return item.value(self.resolve, self._allowance), 1
        if isinstance(item, dict):
            values, count = self._unfold_all(list(item.values()))
            return dict(zip(item, values, strict=True)), count
        if isinstance(item, list | tuple):
            values, count = self._unfold_all(item)
            return type(item)(values), count
        raise Refusal("a name without an object")

    def _unfold_all(self, items: list[object] | tuple[object, ...]) -> tuple[list[object], int]:
        pairs = [self._resolve(item) for item in items]
        count = 1 + sum(count for _, count in pairs)
        if count > MAX_ITEMS:
            raise Refusal(f"it unfolds to more than {MAX_ITEMS} values")
        return [value for value, _ in pairs], count


def _array(data: object, dtype: object, shape: object, order: object) -> Any:
    """An array over bytes of the file, which must be exactly as many as it needs."""
    if not (isinstance(data, bytes) and isinstance(dtype, _DType)):
        raise Refusal("array of objects")
    lengths = _lengths(shape)
    if math.prod(lengths) * dtype.dtype.itemsize != len(data):
        raise Refusal(f"array of shape {lengths} over {len(data)} bytes")
    return np.ndarray(lengths, dtype.dtype, buffer=data, order="F" if order == "F" else "C")


def _lengths(shape: object) -> tuple[int, ...]:
    """A shape that arithmetic can be done with."""
    lengths = _tuple(shape)
    if len(lengths) > MAX_DIMENSIONS or not all(
        isinstance(length, int | np.integer) and 0 <= length < 1 << 63 for length in lengths
    ):
        raise Refusal("array of impossible shape")
    return tuple(map(int, lengths))


def _as_array(value: object) -> Any:
    """An array as it is; making one from anything else could take any amount of memory."""
    if not isinstance(value, np.ndarray | np.generic):
        raise Refusal(f"{type(value).__name__} in place of an array")
    return np.asarray(value)


def _text(value: object) -> str:
    """Text of Python 3, or of Python 2, where it is bytes."""
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, str):
        return value
    raise Refusal(f"{type(value).__name__} in place of text")


def _tuple(value: object) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise Refusal(f"{type(value).__name__} in place of a tuple")
    return value


def _dict(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(f"{type(value).__name__} in place of a dictionary")
    return value


def _builders(allowance: _Allowance) -> Mapping[tuple[str, str], Builder | None]:
    """Everything that a file may name, under the names of old and new versions."""
    builders: dict[tuple[str, str], Builder | None] = {
        ("numpy", "ndarray"): None,
        ("numpy", "dtype"): lambda arguments: _DType(arguments[0]),
        ("_codecs", "encode"): partial(_encode, allowance),
        ("collections", "OrderedDict"): partial(_ordered_dict, allowance),
        ("chumpy.ch", "Ch"): lambda _: _Chumpy(),
        ("chumpy.reordering", "Select"): lambda _: _ChumpySelect(),
    }
    for core in ("numpy.core", "numpy._core"):
        builders[f"{core}.multiarray", "_reconstruct"] = lambda _: _Array()
        builders[f"{core}.multiarray", "scalar"] = _scalar
        builders[f"{core}.numeric", "_frombuffer"] = _from_buffer
    for builtins in ("builtins", "__builtin__"):
        builders[builtins, "object"] = None
        builders[builtins, "set"] = _set
        builders[builtins, "bytes"] = _empty_bytes
    for copyreg in ("copyreg", "copy_reg"):
        builders[copyreg, "_reconstructor"] = _instance
    for layout in SPARSE_FORMATS:
        for module in ("scipy.sparse", f"scipy.sparse.{layout}", f"scipy.sparse._{layout}"):
            for kind in ("matrix", "array"):
                builders[module, f"{layout}_{kind}"] = partial(_sparse, layout)
    return builders


def _sparse(layout: str, _: tuple[Any, ...]) -> object:
    return _Sparse(layout)


def _from_buffer(arguments: tuple[Any, ...]) -> object:
    """An array in the way of protocol 5."""
    data, dtype, shape, order, *axes = arguments
    array = _array(data, dtype, shape, order)
    return array.transpose(_lengths(axes[0])) if axes else array


def _scalar(arguments: tuple[Any, ...]) -> object:
    dtype, data = arguments
    return _array(data, dtype, (), "C")[()]


def _encode(allowance: _Allowance, arguments: tuple[Any, ...]) -> object:
    """Bytes, in the way that Python 3 writes them for Python 2."""
    text, encoding = arguments
    if not isinstance(text, str) or encoding != "latin1":
        raise Refusal(f"encoding {ascii(encoding)[:20]}")
    allowance.spend(len(text))
    return text.encode("latin1")


def _ordered_dict(allowance: _Allowance, arguments: tuple[Any, ...]) -> object:
    if not arguments:
        return {}
    (pairs,) = arguments
    allowance.spend(BYTES_PER_ENTRY * len(pairs))
    return {checked_key(key): item for key, item in pairs}


def _set(arguments: tuple[Any, ...]) -> object:
    """The members as a list: hashing them could take for ever."""
    return arguments[0] if arguments else []


def _empty_bytes(arguments: tuple[Any, ...]) -> object:
    if arguments:
        raise Refusal("bytes made from something else")
    return b""


def _instance(arguments: tuple[Any, ...]) -> object:
    """An object of a class, in the way of protocols 0 and 1."""
    kind, _, _ = arguments
    if not isinstance(kind, Name) or kind.builder is None:
        raise Refusal("an object of no class")
    return kind.builder(())
