import pickle
import resource
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from smplcli.body.unpickle import load_pickle, load_pickle_bytes
from smplcli.errors import HostileFileError, MissingFileError, SmplCliError, UnreadableFileError
from tests.body.official import Ch, Select, official_fields, python2_dumps, random_body

MEMORY_LIMIT = 300 << 10
"""Kilobytes; the bombs below would take gigabytes, or for ever, or the interpreter's stack."""

ARRAYS = {
    "matrix": np.arange(12.0).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "turned": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    "unsigned": np.array([4294967295, 0], dtype=np.uint32),
    "big endian": np.arange(3, dtype=">i4"),
    "empty": np.zeros((0, 3)),
    "flags": np.array([True, False]),
    "zero dimensions": np.array(5.0),
    "text": np.array("courtyard_arguing_00"),
    "bytes": np.array([b"m", b"f"]),
    "scalar": np.float32(3.5),
}
PLAIN = {
    "numbers": [0, 1, 255, 256, -1, 2**31, -(2**40), 1.5, True, False, None],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "nested": {"genders": ["m", "f"], "empty": {}, 3: []},
    "ordered": OrderedDict(a=1, b=2),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ARRAYS)
def test_array_of_python_3_comes_back_under_every_protocol(protocol, name):
    array = ARRAYS[name]

    read = load_pickle_bytes(pickle.dumps([array], protocol), "x.pkl")[0]

    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array, strict=True)


@pytest.mark.parametrize("protocol", range(6))
def test_array_of_objects_comes_back_as_a_list_of_them(protocol):
    array = np.array([{"a": np.arange(3)}, "text", None, 2.5], dtype=object)

    read = load_pickle_bytes(pickle.dumps(array, protocol), "x.pkl")

    np.testing.assert_array_equal(read[0]["a"], [0, 1, 2])
    assert read[1:] == ["text", None, 2.5]


def test_no_bytes_become_objects():
    honest = pickle.dumps(np.zeros(2), 2)
    forged = honest.replace(b"f8", b"O8")

    assert forged != honest
    with pytest.raises(HostileFileError, match="array of objects"):
        load_pickle_bytes(forged, "x.pkl")


@pytest.mark.parametrize("protocol", range(3))
@pytest.mark.parametrize("name", ARRAYS)
def test_array_of_python_2_comes_back_under_every_protocol(protocol, name):
    array = ARRAYS[name]

    read = load_pickle_bytes(python2_dumps([array], protocol), "x.pkl")[0]

    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array, strict=True)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back_under_every_protocol(protocol):
    assert load_pickle_bytes(pickle.dumps(PLAIN, protocol), "x.pkl") == PLAIN


@pytest.mark.parametrize("protocol", range(3))
def test_plain_data_of_python_2_comes_back(protocol):
    assert load_pickle_bytes(python2_dumps(PLAIN, protocol), "x.pkl") == PLAIN


@pytest.mark.parametrize("protocol", range(3))
def test_text_of_python_2_is_latin1(protocol):
    written = {"key\xe9": "\xe9\n'\\\x00"}

    assert load_pickle_bytes(python2_dumps(written, protocol), "x.pkl") == written


def test_object_that_occurs_twice_is_read_once():
    array = np.arange(3)

    first, second = load_pickle_bytes(pickle.dumps([array, array]), "x.pkl")

    assert first is second


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("layout", ["csc", "csr", "coo"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_sparse_matrix_comes_back(protocol, layout, kind):
    dense = np.diag([1.0, 0, 2])[:2]
    matrix = getattr(sparse, f"{layout}_{kind}")(dense)

    read = load_pickle_bytes(pickle.dumps(matrix, protocol), "x.pkl")

    np.testing.assert_array_equal(read.toarray(), dense, strict=True)


def test_sparse_matrix_of_old_scipy_comes_back():
    matrix = sparse.csc_matrix(np.diag([1.0, 0, 2])[:2])
    content = python2_dumps(matrix)

    read = load_pickle_bytes(content, "x.pkl")

    assert b"cscipy.sparse.csc\ncsc_matrix\n" in content
    np.testing.assert_array_equal(read.toarray(), matrix.toarray())


@pytest.mark.parametrize("protocol", range(3))
def test_chumpy_array_is_read_as_its_value(protocol):
    content = python2_dumps(Ch(Ch(np.arange(3.0))), protocol)

    np.testing.assert_array_equal(load_pickle_bytes(content, "x.pkl"), [0.0, 1.0, 2.0])


def test_chumpy_selection_is_read_as_its_value():
    content = python2_dumps(Select(Ch(np.arange(6.0).reshape(2, 3)), np.array([5, 0]), (2, 1)))

    np.testing.assert_array_equal(load_pickle_bytes(content, "x.pkl"), [[5.0], [0.0]])


def test_official_layout_is_read_where_chumpy_is_not_installed(tmp_path):
    content = python2_dumps(official_fields(random_body(30)))
    (tmp_path / "smpl.pkl").write_bytes(content)

    fields = load_pickle(tmp_path / "smpl.pkl")

    assert "chumpy" not in sys.modules
    assert fields["shapedirs"].shape == (30, 3, 10)
    assert fields["J_regressor"].shape == (24, 30)
    assert fields["pose_training_info"] == {"expid": "tj10smooth", "J_regressor_prior_wt": 10.0}


def text(content):
    return pickle.BINUNICODE + len(content).to_bytes(4, "little") + content.encode()


def call(module, name, *arguments):
    """Opcodes that call ``module.name`` with texts."""
    return f"c{module}\n{name}\n(".encode() + b"".join(map(text, arguments)) + b"tR"


def attacks(canary):
    """Pickles that create the file ``canary`` when Python's own unpickler reads them."""
    shell, code = f"touch {canary}", f"open({str(canary)!r}, 'w')"
    system = call("os", "system", shell)
    import_os = call("importlib", "import_module", "os")
    partial = b"cfunctools\npartial\n(cos\nsystem\n" + text(shell) + b"t}\x92"
    namespace = b"ctypes\nSimpleNamespace\n)R}" + text("__setstate__") + b"cos\nsystem\nsb"
    return {
        "os.system": system + b".",
        "posix.system": call("posix", "system", shell) + b".",
        "subprocess": call("subprocess", "getoutput", shell) + b".",
        "eval": call("builtins", "eval", code) + b".",
        "eval of Python 2": call("__builtin__", "eval", code) + b".",
        "exec": call("builtins", "exec", code) + b".",
        "hidden in a dictionary": b"}" + text("f") + system + b"s.",
        "nested reduce": b"cnumpy\ndtype\n(" + system + b"tR.",
        "getattr": b"cbuiltins\ngetattr\n("
        + import_os
        + text("system")
        + b"tR("
        + text(shell)
        + b"tR.",
        "name from the stack": b"\x8c\x02os\x8c\x06system\x93" + text(shell) + b"\x85R.",
        "dotted name": b"\x80\x04\x8c\x06shutil\x8c\x09os.system\x93" + text(shell) + b"\x85R.",
        "INST": b"(" + text(shell) + b"ios\nsystem\n.",
        "OBJ": b"(cos\nsystem\n" + text(shell) + b"o.",
        "NEWOBJ_EX": b"\x80\x04" + partial + b")R.",
        "BUILD": namespace + text(shell) + b"b.",
        "EXT1": b"\x80\x02\x82\xf0" + text(shell) + b"\x85R.",
    }


ATTACKS = list(attacks("canary"))

PYTHONS_OWN_UNPICKLER = """
import copyreg, pathlib, pickle, sys
copyreg.add_extension("os", "system", 0xF0)
for path in pathlib.Path(sys.argv[1]).glob("*.pkl"):
    try:
        pickle.loads(path.read_bytes())
    except Exception:
        pass
"""


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused_before_anything_of_it_runs(tmp_path, name):
    canary = tmp_path / "canary"
    (tmp_path / "smpl.pkl").write_bytes(attacks(canary)[name])

    with pytest.raises(HostileFileError, match=r"smpl\.pkl") as caught:
        load_pickle(tmp_path / "smpl.pkl")

    assert caught.value.exit_code == 5
    assert not canary.exists()


def test_every_attack_succeeds_on_pythons_own_unpickler(tmp_path):
    for number, name in enumerate(ATTACKS):
        canary = tmp_path / f"{number}.canary"
        (tmp_path / f"{number}.pkl").write_bytes(attacks(canary)[name])

    subprocess.run([sys.executable, "-c", PYTHONS_OWN_UNPICKLER, tmp_path], check=True)

    assert [not (tmp_path / f"{n}.canary").exists() for n in range(len(ATTACKS))] == [
        False for _ in ATTACKS
    ]


def array(shape, data, code=b"f8"):
    """Opcodes of an array of any claimed shape over any data."""
    dtype = b"cnumpy\ndtype\n(U" + bytes([len(code)]) + code + b"K\0K\1tR"
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tU\1btR(K\1"
        + pickle.dumps(shape, 2)[2:-1].replace(b"q\0", b"")
        + dtype
        + b"\x89"
        + data
        + b"tb"
    )


def doubling_arrays(depth):
    """An array that holds one array twice, which holds one array twice, and so on."""
    inner = np.array([0, 0], dtype=object)
    for _ in range(depth):
        outer = np.empty(2, dtype=object)
        outer[:] = [inner, inner]
        inner = outer
    return inner


BOMBS = {
    "memo index that asks for a huge table": b"]r\xff\xff\xff\x7f.",
    "lists that double": b"]q\0" + b"](h\0h\0eq\0" * 60 + b".",
    "tuples that double as a key": b"})" + b"q\0h\0\x86" * 60 + b"Ns.",
    "deep lists": b"]" * 1_000_000 + b"a" * 1_000_000 + b".",
    "deep tuples": b")" + b"\x85" * 200_000 + b".",
    "deep tuples as a key": b"})" + b"\x85" * 200_000 + b"Ns.",
    "list in itself": b"]q\0h\0a.",
    "dictionary in itself": b"}q\0" + text("a") + b"h\0s.",
    "huge integer": b"\x8b\x00\x00\x10\x00" + b"\x7f" * (1 << 20) + b".",
    "long key": b"}" + text("k" * 100_000) + b"Ns.",
    "number as a key": b"}G" + b"\0" * 8 + b"Ns.",
    "array larger than its bytes": array((1 << 40,), b"U\x08" + b"\0" * 8) + b".",
    "array of negative shape": array((-1, -1), b"U\x08" + b"\0" * 8) + b".",
    "array of endless shape": array((1 << 62,) * 40, b"U\0") + b".",
    "array of objects that are not there": array((2,), b"]Na", b"O8") + b".",
    "arrays of objects that double": pickle.dumps(doubling_arrays(60)),
    "array of pointers": array((1,), b"U\x08" + b"A" * 8, b"O8") + b".",
    "array of structures": array((1,), b"U\x08" + b"A" * 8, b"V8") + b".",
    "real structured array": pickle.dumps(np.zeros(1, dtype=[("a", "f4")])),
    "bytes encoded again and again": (
        text("x" * (1 << 20))
        + b"q\0c_codecs\nencode\nq\x01h\0"
        + text("latin1")
        + b"q\x02\x86R]("
        + b"h\x01h\0h\x02\x86R" * 1000
        + b"e\x86."
    ),
    "selections of the same array": (
        array((1 << 17,), b"T\0\0\x10\0" + b"\0" * (1 << 20), b"i8")
        + b"q\0]("
        + (b"cchumpy.reordering\nSelect\n)\x81}(" + text("a") + b"h\0" + text("idxs") + b"h\0ub")
        * 1000
        + b"e\x86."
    ),
    "chumpy over a list of long texts": (
        b"cchumpy.ch\nCh\n)\x81}"
        + text("x")
        + b"]("
        + text("x" * (1 << 20))
        + b"q\0"
        + b"h\0" * 10_000
        + b"esb."
    ),
    "call of data": b")K\1)R.",
    "state of data": b"]}b.",
    "items of a list": b"]K\1K\2s.",
    "name for its own sake": b"cnumpy\nndarray\n.",
    "persistent id": b"Pevil\n.",
}
"""Pickles that take all memory or time, or for which no honest file has a use."""


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_within_bounded_memory(name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(HostileFileError):
        load_pickle_bytes(BOMBS[name], "bomb.pkl")

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_LIMIT


outside = sparse.csc_matrix(np.eye(3))
outside.indices[1] = 7
DAMAGED = {
    "nothing": b"",
    "no pickle": b"<html>Please log in</html>",
    "announces more bytes than there are": b"\x8e" + b"\xff" * 7 + b"\x0fabc",
    "announces more text than there is": b"\x8d" + b"\xff" * 7 + b"\x0fabc",
    "negative length": b"T\xff\xff\xff\xffabc",
    "reads an empty stack": b".",
    "reads an unknown memo": b"h\x07.",
    "ends in the middle": pickle.dumps(ARRAYS)[:-20],
    "matrix whose indices lie outside": pickle.dumps(outside),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_pickle_is_called_unreadable_by_name(tmp_path, name):
    (tmp_path / "smpl.pkl").write_bytes(DAMAGED[name])

    with pytest.raises(UnreadableFileError, match=r"not a readable pickle: .*smpl\.pkl"):
        load_pickle(tmp_path / "smpl.pkl")


def test_missing_pickle_is_called_missing(tmp_path):
    with pytest.raises(MissingFileError, match="no\\.pkl"):
        load_pickle(tmp_path / "no.pkl")


HONEST = python2_dumps(official_fields(random_body(5)))


def exit_code(content):
    try:
        load_pickle_bytes(content, "x.pkl")
    except SmplCliError as error:
        return error.exit_code
    return 0


@given(st.binary(max_size=64))
def test_any_bytes_end_in_data_or_in_an_error_with_an_exit_code(content):
    assert exit_code(content) in (0, 3, 5)


@given(
    position=st.integers(0, len(HONEST) - 1),
    byte=st.integers(0, 255),
    end=st.integers(0, len(HONEST)),
)
def test_any_damage_ends_in_data_or_in_an_error_with_an_exit_code(position, byte, end):
    content = bytearray(HONEST)
    content[position] = byte

    assert exit_code(bytes(content)) in (0, 3, 5)
    assert exit_code(bytes(content[:end])) in (0, 3, 5)
