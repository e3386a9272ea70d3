from pathlib import Path

import pytest

from smplcli.errors import ConfigError, MissingFileError, ResourceError
from smplcli.workflows.pictures import Drawings, claim_outputs, find_pictures


@pytest.fixture
def folder(tmp_path):
    for name in ("b10.jpg", "b9.JPG", "notes.data"):
        (tmp_path / name).touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "c.png").touch()
    return tmp_path


def test_folders_and_files_mix_in_the_order_given(folder):
    found = find_pictures([folder / "inner" / "c.png", folder, folder / "notes.data"])

    assert [Path(name).name for name in found] == ["c.png", "b9.JPG", "b10.jpg", "notes.data"]


def test_a_picture_named_twice_is_one(folder):
    found = find_pictures([folder / "b9.JPG", folder, folder / "inner" / ".." / "b10.jpg"])

    assert [Path(name).name for name in found] == ["b9.JPG", "b10.jpg"]


def test_all_missing_inputs_are_named(folder):
    with pytest.raises(MissingFileError, match=r"x\.jpg, .*y"):
        find_pictures([folder / "x.jpg", folder / "b9.JPG", folder / "y"])


def test_no_input_is_an_error():
    with pytest.raises(MissingFileError, match="none was given"):
        find_pictures([])


def test_an_empty_folder_is_an_error_that_says_what_was_looked_for(tmp_path):
    with pytest.raises(MissingFileError, match=r"\.jpeg .*in folder: ") as caught:
        find_pictures([tmp_path])
    assert caught.value.hint is None


def test_subfolders_are_looked_into_on_request(folder):
    for name in ("inner/deep/a10.jpg", "inner/deep/a9.jpg", ".hidden/d.jpg", "inner/deep2/x.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "inner" / "loop").symlink_to(folder, target_is_directory=True)

    found = find_pictures([folder], recursive=True)

    names = [Path(name).relative_to(folder).as_posix() for name in found]
    assert names == ["b9.JPG", "b10.jpg", "inner/c.png", "inner/deep/a9.jpg", "inner/deep/a10.jpg"]


def test_patterns_are_expanded_in_natural_order(folder):
    found = find_pictures([folder / "**" / "*.[jJpP]*"])

    assert [Path(name).name for name in found] == ["b9.JPG", "b10.jpg", "c.png"]


def test_a_pattern_without_match_is_missing_input(folder):
    with pytest.raises(MissingFileError, match=r"\*\.bmp"):
        find_pictures([folder / "*.bmp"])


def test_a_file_with_the_name_of_a_pattern_is_that_file(folder):
    (folder / "b[1].jpg").touch()

    assert [Path(name).name for name in find_pictures([folder / "b[1].jpg"])] == ["b[1].jpg"]


def test_a_text_file_lists_paths(folder):
    lines = [folder / "inner" / "c.png", "", folder / "b9.JPG", folder / "inner" / "c.png"]
    (folder / "list.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(map(str, lines)).encode())

    found = find_pictures([folder / "list.txt", folder / "b10.jpg"])

    assert [Path(name).name for name in found] == ["c.png", "b9.JPG", "b10.jpg"]


def test_listed_paths_that_are_not_there_are_counted(folder):
    names = ["x" * 5000, "nul\0", *(f"gone{i}" for i in range(6))]
    (folder / "list.txt").write_text("\n".join(names))

    with pytest.raises(MissingFileError, match="gone2 and 3 more"):
        find_pictures([folder / "list.txt"])


def test_a_listed_path_that_is_not_there_comes_with_its_line(folder):
    (folder / "list.txt").write_text(f"{folder / 'b9.JPG'}\n\ngone.jpg\n")

    with pytest.raises(MissingFileError, match=r"not found: .*list\.txt, line 3: gone\.jpg$"):
        find_pictures([folder / "list.txt"])


def test_a_folder_of_folders_is_an_error_that_says_so(tmp_path):
    (tmp_path / "inner").mkdir()

    with pytest.raises(MissingFileError) as caught:
        find_pictures([tmp_path])
    assert "subfolders" in caught.value.hint


def test_drawings_have_the_names_of_their_pictures():
    drawings = Drawings(Path("out"), ["a.png", "b.c.jpg"])

    assert list(drawings) == [Path("out/a.jpg"), Path("out/b.c.jpg")]


def test_drawings_of_pictures_of_the_same_name_differ():
    pictures = ["s1/a.jpg", "s2/A.png", "b.jpg"]

    names = [path.name for path in Drawings(Path("out"), pictures)]

    assert len({name.casefold() for name in names}) == 3
    assert names[0].startswith("a-")
    assert names[2] == "b.jpg"


def test_drawings_of_pictures_with_long_names_have_shorter_ones():
    drawings = Drawings(Path("out"), ["ä" * 120 + ".jpg", "ä" * 121 + ".jpg"])

    assert len(set(drawings)) == 2
    assert max(len(path.name.encode()) for path in drawings) < 255


def test_missing_folders_of_outputs_are_made_and_nothing_is_left_in_them(tmp_path):
    claim_outputs([tmp_path / "new" / "er" / "p.npz"], [])

    assert list((tmp_path / "new" / "er").iterdir()) == []


def test_an_output_may_not_be_an_input(folder):
    with pytest.raises(ConfigError, match="output is an input"):
        claim_outputs([folder / "inner" / ".." / "b9.JPG"], [str(folder / "b9.JPG")])


def test_an_output_may_not_be_a_folder(folder):
    with pytest.raises(ConfigError, match="output is a folder"):
        claim_outputs([folder / "inner"], [])


def test_a_folder_that_cannot_be_written_in_is_named(folder):
    with pytest.raises(ResourceError, match=r"notes\.data"):
        claim_outputs([folder / "notes.data" / "p.npz"], [])
