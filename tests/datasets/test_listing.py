from smplcli.datasets.listing import Listing, subfolders, what_is_there


def test_each_folder_is_read_once(tmp_path):
    (tmp_path / "1.jpg").touch()
    listing, fresh = Listing(), Listing()
    assert listing.has(tmp_path / "1.jpg")

    (tmp_path / "2.jpg").touch()

    assert not listing.has(tmp_path / "2.jpg")
    assert fresh.has(tmp_path / "2.jpg")


def test_only_files_count(tmp_path):
    (tmp_path / "1.jpg").mkdir()
    (tmp_path / "2.jpg").symlink_to(tmp_path / "nowhere")

    assert not Listing().has(tmp_path / "1.jpg")
    assert not Listing().has(tmp_path / "2.jpg")
    assert Listing().count(tmp_path) == 0


def test_folder_that_is_not_there_holds_nothing(tmp_path):
    assert Listing().count(tmp_path / "no") == 0
    assert subfolders(tmp_path / "no") == []
    assert what_is_there(tmp_path / "no") == "no such folder"


def test_content_is_told_in_a_few_words(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").touch()
    few = what_is_there(tmp_path)
    for number in range(20):
        (tmp_path / f"c{number:02d}").touch()

    assert few == "a.txt, b/"
    assert what_is_there(tmp_path).endswith("c05 and 14 more")
    assert what_is_there(tmp_path / "a.txt") == "a file"
    assert what_is_there(tmp_path / "b") == "nothing"
