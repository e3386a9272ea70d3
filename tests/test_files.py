"""Arrays that stay on disk until they are looked at."""

import numpy as np
import pytest

from smplcli.errors import (
    HostileFileError,
    MissingFileError,
    ResourceError,
    UnreadableFileError,
)
from smplcli.files import map_npz, read_json, write_json, write_npz

ARRAYS = {
    "numbers": np.arange(24.0).reshape(2, 3, 4),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "none": np.empty((0, 5), np.uint8),
}


@pytest.fixture
def file(tmp_path):
    write_npz(tmp_path / "a.npz", ARRAYS)
    return tmp_path / "a.npz"


@pytest.mark.parametrize("key", ARRAYS)
def test_a_mapped_array_is_the_one_that_was_written(file, key):
    mapped = map_npz(file, key)

    np.testing.assert_array_equal(mapped, ARRAYS[key])
    assert mapped.dtype == ARRAYS[key].dtype


def test_a_mapped_array_cannot_be_written_to(file):
    with pytest.raises(ValueError, match="read-only"):
        map_npz(file, "numbers")[0] = 1


def test_a_compressed_array_is_read_instead(tmp_path):
    np.savez_compressed(tmp_path / "b.npz", **ARRAYS)

    np.testing.assert_array_equal(map_npz(tmp_path / "b.npz", "numbers"), ARRAYS["numbers"])


def test_a_missing_file_or_key_is_named(file):
    with pytest.raises(MissingFileError, match="file not found: .*b.npz"):
        map_npz(file.with_name("b.npz"), "numbers")
    with pytest.raises(UnreadableFileError, match="npz lacks letters"):
        map_npz(file, "letters")


def test_python_objects_are_refused(tmp_path):
    np.savez(tmp_path / "b.npz", numbers=np.array([{}], dtype=object))

    with pytest.raises(HostileFileError, match="Python objects in numbers"):
        map_npz(tmp_path / "b.npz", "numbers")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_file_that_was_cut_off_is_refused(file, share):
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])

    with pytest.raises(UnreadableFileError, match="not a readable npz file"):
        map_npz(file, "numbers")


def test_a_header_that_claims_more_than_there_is_is_refused(file):
    data = file.read_bytes()
    file.write_bytes(data.replace(b"(2, 3, 4)", b"(9, 3, 4)"))

    with pytest.raises(UnreadableFileError, match="header disagrees with numbers"):
        map_npz(file, "numbers")


def test_a_file_name_that_is_no_text_can_be_written_as_json(tmp_path):
    name = b"image_\xff.jpg".decode(errors="surrogateescape")
    write_json(tmp_path / "a.json", [name])

    assert read_json(tmp_path / "a.json") == [name]


def test_writing_below_a_file_names_the_file(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ResourceError, match=r"in folder: .*x/y: .*file is a file") as caught:
        write_json(tmp_path / "file" / "x" / "y" / "z.json", {})

    assert caught.value.hint == "Choose a folder, or move that file away."
