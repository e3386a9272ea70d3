"""A pickle interpreter that builds data and can do nothing else.

Python's unpickler imports and calls whatever a file names. This one imports nothing: a name is
looked up in a table of builders, and a name that is not there ends the reading. The builders and
the opcodes together cover what numpy, scipy and chumpy write under any protocol, 0 to 5, from
Python 2 or 3. What else pickle can do is refused.

Nothing recurses, nothing from the file is ever hashed but short text and integers, and no length
is believed before that many bytes are known to be there. So time and memory stay within a small
multiple of the file's size.
"""

import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

MAX_OPCODES = 1_000_000
MAX_KEY_LENGTH = 256
MAX_INTEGER_BYTES = 16

Builder = Callable[[tuple[object, ...]], object]


class Refusal(Exception):  # noqa: N818
    """The file asks for something that no honest file of its kind asks for."""


@dataclass(frozen=True, slots=True)
class Name:
    """Something that the file names, and what may be built by it; ``None`` builds nothing."""

    module: str
    name: str
    builder: Builder | None


class Pending:
    """An object that a file describes in two steps: what it is, then its state."""

    state: object = None


class ByteSource:
    """The bytes of a file, which never promise more than there are.

    Args:
        file: Opened for reading, at its start.
        size: Its length, bytes.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def take(self, count: int) -> bytes:
        """Read exactly ``count`` bytes.

        Raises:
            EOFError: There are fewer.
        """
        if count < 0 or count > self._left:
            raise EOFError(f"{count} bytes announced, {self._left} left")
        data = self._file.read(count)
        self._left -= count
        if len(data) != count:
            raise EOFError("file became shorter while it was read")
        return data

    def number(self, layout: str) -> int:
        """Read one integer in a layout of ``struct``."""
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return int(value)

    def counted(self, layout: str) -> bytes:
        """Read a length in a layout of ``struct``, then as many bytes."""
        return self.take(self.number(layout))

    def line(self) -> bytes:
        """Read up to the next line feed, and leave that out.

        Raises:
            EOFError: There is none.
        """
        data = self._file.readline(self._left)
        self._left -= len(data)
        if not data.endswith(b"\n"):
            raise EOFError("line without end")
        return data[:-1]


def _text_integer(source: ByteSource) -> object:
    line = source.line()
    if line in (b"00", b"01"):
        return line == b"01"
    return int(line.removesuffix(b"L"))


def _quoted(source: ByteSource) -> bytes:
    """Python 2's ``repr`` of a byte string."""
    line = source.line()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise ValueError("string without quotes")
    return line[1:-1].decode("unicode_escape").encode("latin1")


def _utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _long(data: bytes) -> int:
    if len(data) > MAX_INTEGER_BYTES:  # arithmetic with it could take for ever
        raise Refusal(f"integer of {len(data)} bytes")
    return int.from_bytes(data, "little", signed=True)


LITERALS: dict[bytes, Callable[[ByteSource], object]] = {
    pickle.NONE: lambda _: None,
    pickle.NEWTRUE: lambda _: True,
    pickle.NEWFALSE: lambda _: False,
    pickle.INT: _text_integer,
    pickle.LONG: _text_integer,
    pickle.BININT: lambda source: source.number("<i"),
    pickle.BININT1: lambda source: source.number("<B"),
    pickle.BININT2: lambda source: source.number("<H"),
    pickle.LONG1: lambda source: _long(source.counted("<B")),
    pickle.LONG4: lambda source: _long(source.counted("<i")),
    pickle.FLOAT: lambda source: float(source.line()),
    pickle.BINFLOAT: lambda source: struct.unpack(">d", source.take(8))[0],
    pickle.STRING: _quoted,
    pickle.BINSTRING: lambda source: source.counted("<i"),
    pickle.SHORT_BINSTRING: lambda source: source.counted("<B"),
    pickle.BINBYTES: lambda source: source.counted("<I"),
    pickle.SHORT_BINBYTES: lambda source: source.counted("<B"),
    pickle.BINBYTES8: lambda source: source.counted("<Q"),
    pickle.BYTEARRAY8: lambda source: source.counted("<Q"),
    pickle.UNICODE: lambda source: source.line().decode("raw-unicode-escape"),
    pickle.BINUNICODE: lambda source: _utf8(source.counted("<I")),
    pickle.SHORT_BINUNICODE: lambda source: _utf8(source.counted("<B")),
    pickle.BINUNICODE8: lambda source: _utf8(source.counted("<Q")),
    pickle.EMPTY_LIST: lambda _: [],
    pickle.EMPTY_TUPLE: lambda _: (),
    pickle.EMPTY_DICT: lambda _: {},
    pickle.EMPTY_SET: lambda _: [],  # a list: what a set holds would have to be hashed
}
"""Opcodes that push one value."""

SKIPPED = {pickle.PROTO: 1, pickle.FRAME: 8}
"""Opcodes that mean nothing here, and the length of their arguments."""

MEMO_WRITES: dict[bytes, Callable[[ByteSource], int]] = {
    pickle.PUT: lambda source: int(source.line()),
    pickle.BINPUT: lambda source: source.number("<B"),
    pickle.LONG_BINPUT: lambda source: source.number("<I"),
}
MEMO_READS: dict[bytes, Callable[[ByteSource], int]] = {
    pickle.GET: lambda source: int(source.line()),
    pickle.BINGET: lambda source: source.number("<B"),
    pickle.LONG_BINGET: lambda source: source.number("<I"),
}


class PickleMachine:
    """Runs one pickle.

    Args:
        source: Where its bytes come from.
        builders: For each allowed (module, name) what builds it from its arguments.
    """

    def __init__(
        self, source: ByteSource, builders: Mapping[tuple[str, str], Builder | None]
    ) -> None:
        self._source = source
        self._builders = builders
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    def run(self) -> object:
        """Execute opcodes up to the one that ends the pickle.

        Returns:
            What it describes. Byte strings stay bytes, sets become lists, and objects are
            ``Pending``, with the state that the file gives them.

        Raises:
            Refusal: The file asks for something that no honest file asks for.
            Exception: The bytes are no pickle, or a damaged one.
        """
        for count in range(MAX_OPCODES):
            code = self._source.take(1)
            if code == pickle.STOP:
                return self._stack.pop()
            if code in LITERALS:
                self._stack.append(LITERALS[code](self._source))
            elif code in ACTIONS:
                ACTIONS[code](self)
            elif code in MEMO_WRITES:
                self._remember(MEMO_WRITES[code](self._source), count)
            elif code in MEMO_READS:
                self._stack.append(self._memo[MEMO_READS[code](self._source)])
            elif code in SKIPPED:
                self._source.take(SKIPPED[code])
            else:
                _refuse_opcode(code)
        raise Refusal(f"more than {MAX_OPCODES} instructions")

    def _remember(self, index: int, count: int) -> None:
        if not 0 <= index <= count:  # Python's own unpickler would make a table of this length
            raise Refusal(f"memo index {index} after {count} instructions")
        self._memo[index] = self._stack[-1]

    def mark(self) -> None:
        """Remember the height of the stack."""
        self._marks.append(len(self._stack))

    def pop_many(self) -> list[object]:
        """Take everything above the last mark."""
        height = self._marks.pop()
        items = self._stack[height:]
        del self._stack[height:]
        return items

    def memoize(self) -> None:
        """Put the top of the stack under the next free number."""
        self._memo[len(self._memo)] = self._stack[-1]

    def push_list(self) -> None:
        """Make a list of everything above the mark."""
        self._stack.append(self.pop_many())

    def push_tuple(self) -> None:
        """Make a tuple of everything above the mark."""
        self._stack.append(tuple(self.pop_many()))

    def push_short_tuple(self, length: int) -> None:
        """Make a tuple of the topmost values."""
        items = [self._stack.pop() for _ in range(length)]
        self._stack.append(tuple(reversed(items)))

    def push_dict(self) -> None:
        """Make a dictionary of everything above the mark."""
        items = self.pop_many()
        self._stack.append({})
        self._set_items(items)

    def append(self) -> None:
        """Add the top of the stack to the list below it."""
        self._extend([self._stack.pop()])

    def append_many(self) -> None:
        """Add everything above the mark to the list below it."""
        self._extend(self.pop_many())

    def _extend(self, items: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise Refusal(f"appends to {_kind(target)}")
        target.extend(items)

    def set_item(self) -> None:
        """Set one entry of the dictionary below key and value."""
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])

    def set_many(self) -> None:
        """Set entries of the dictionary below the mark."""
        self._set_items(self.pop_many())

    def _set_items(self, items: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise Refusal(f"sets items of {_kind(target)}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def push_name_from_text(self) -> None:
        """Look up a name that stands in the opcode."""
        self._push_name(_utf8(self._source.line()), _utf8(self._source.line()))

    def push_name_from_stack(self) -> None:
        """Look up a name that lies on the stack."""
        name, module = self._stack.pop(), self._stack.pop()
        self._push_name(module, name)

    def _push_name(self, module: object, name: object) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise Refusal("a name that is no text")
        if (module, name) not in self._builders:
            raise Refusal(f"it asks for {f'{module}.{name}'[:MAX_KEY_LENGTH]!a}")
        self._stack.append(Name(module, name, self._builders[module, name]))

    def build(self) -> None:
        """Let a name build from the arguments above it."""
        arguments, name = self._stack.pop(), self._stack.pop()
        if not isinstance(name, Name) or name.builder is None:
            raise Refusal(f"calls {_kind(name)}")
        if not isinstance(arguments, tuple):
            raise Refusal(f"calls {_kind(name)} with {_kind(arguments)}")
        self._stack.append(name.builder(arguments))

    def set_state(self) -> None:
        """Give the object below it the state on top of the stack."""
        state = self._stack.pop()
        target = self._stack[-1]
        if not isinstance(target, Pending):
            raise Refusal(f"sets the state of {_kind(target)}")
        target.state = state


ACTIONS: dict[bytes, Callable[[PickleMachine], None]] = {
    pickle.MARK: PickleMachine.mark,
    pickle.MEMOIZE: PickleMachine.memoize,
    pickle.LIST: PickleMachine.push_list,
    pickle.TUPLE: PickleMachine.push_tuple,
    pickle.TUPLE1: lambda machine: machine.push_short_tuple(1),
    pickle.TUPLE2: lambda machine: machine.push_short_tuple(2),
    pickle.TUPLE3: lambda machine: machine.push_short_tuple(3),
    pickle.DICT: PickleMachine.push_dict,
    pickle.APPEND: PickleMachine.append,
    pickle.APPENDS: PickleMachine.append_many,
    pickle.ADDITEMS: PickleMachine.append_many,
    pickle.SETITEM: PickleMachine.set_item,
    pickle.SETITEMS: PickleMachine.set_many,
    pickle.GLOBAL: PickleMachine.push_name_from_text,
    pickle.STACK_GLOBAL: PickleMachine.push_name_from_stack,
    pickle.REDUCE: PickleMachine.build,
    pickle.NEWOBJ: PickleMachine.build,
    pickle.BUILD: PickleMachine.set_state,
}
"""Opcodes that work on the stack."""

OPCODE_NAMES = {opcode.code.encode("latin1"): opcode.name for opcode in pickletools.opcodes}


def checked_key(key: object) -> str | int:
    """A key of a dictionary, byte strings as text.

    Raises:
        Refusal: Python might need for ever to hash it or to compare it with others.
    """
    if isinstance(key, str | bytes) and len(key) > MAX_KEY_LENGTH:
        raise Refusal(f"key of {len(key)} characters")
    if isinstance(key, bytes):
        return key.decode("latin1")
    if isinstance(key, str) or (isinstance(key, int) and abs(key) < 1 << 32):
        return key
    raise Refusal(f"{_kind(key)} as key")


def _refuse_opcode(code: bytes) -> None:
    if code not in OPCODE_NAMES:
        raise ValueError(f"no pickle instruction: {code!r}")
    raise Refusal(f"instruction {OPCODE_NAMES[code]}")


def _kind(value: object) -> str:
    return f"{value.module}.{value.name}" if isinstance(value, Name) else type(value).__name__
