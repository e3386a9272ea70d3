import numpy as np
import pytest

from smplcli.datasets.eth import read_eth
from smplcli.errors import MissingFileError, UnreadableFileError

LABELS = {
    "3dpw_train_subset": (
        "3dpw",
        ["imageFiles/a_00/image_00000.jpg", "imageFiles/a_00/image_00002.jpg"],
    ),
    "mpii_train_eft": ("mpii", ["images/1.jpg", "images/2.jpg", "images/1.jpg"]),
    "3dpw_validation_subset": ("3dpw", ["imageFiles/b_00/image_00000.jpg"]),
    "3dpw_test_subset_cleaned": (
        "3dpw",
        ["imageFiles/z_00/image_00007.jpg", "imageFiles/c_00/image_00000.jpg"],
    ),
}


def course(folder):
    """The course's data with a few people."""
    (folder / "dataset_extras").mkdir(parents=True)
    for stem, (dataset, names) in LABELS.items():
        count = len(names)
        arrays = {
            "imgname": np.array(names),
            "center": np.full((count, 2), 100.0),
            "scale": np.arange(1, count + 1) / 2,
        }
        if "test" not in stem:
            arrays |= {"pose": np.ones((count, 72)), "shape": np.ones((count, 10))}
        if dataset == "3dpw":
            arrays["gender"] = np.array(["f"] * count)
        else:
            arrays |= {"part": np.ones((count, 24, 3)), "S": np.ones((count, 24, 4))}
        np.savez(folder / "dataset_extras" / f"{stem}.npz", **arrays)
        for name in names:
            path = folder / "dataset_folders" / dataset / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return folder


def samples(raw, split):
    return [
        (picture.imgname, person)
        for picture in raw.pictures
        if picture.split == split
        for person in picture.people
    ]


def test_splits_hold_the_rows_in_the_order_of_the_files(tmp_path):
    raw = read_eth(course(tmp_path))

    assert raw.source == "eth"
    for split, stems in {
        "train": ["3dpw_train_subset", "mpii_train_eft"],
        "validation": ["3dpw_validation_subset"],
        "test": ["3dpw_test_subset_cleaned"],
    }.items():
        expected = [name for stem in stems for name in LABELS[stem][1]]
        assert [name for name, _ in samples(raw, split)] == expected
    assert all(picture.path.is_file() for picture in raw.pictures)
    assert [person.person_id for _, person in samples(raw, "train")] == [0, 0, 0, 0, 1]


def test_test_split_has_no_poses(tmp_path):
    raw = read_eth(course(tmp_path))

    assert all(person.pose is None for _, person in samples(raw, "test"))
    assert all(person.pose is not None for _, person in samples(raw, "validation"))
    assert [person.scale for _, person in samples(raw, "test")] == [0.5, 1.0]


def test_mpii_has_joints_and_no_gender(tmp_path):
    raw = read_eth(course(tmp_path))

    mpii = [person for name, person in samples(raw, "train") if name.startswith("images/")]
    assert {person.gender for person in mpii} == {"n"}
    assert all(person.part.all() and person.S.all() for person in mpii)
    assert {person.gender for _, person in samples(raw, "test")} == {"f"}


def test_published_counts_are_those_of_the_files_that_are_there(tmp_path):
    folder = course(tmp_path)
    full = read_eth(folder)
    (folder / "dataset_extras" / "mpii_train_eft.npz").unlink()

    part = read_eth(folder)

    assert full.published == {"train": 11368 + 14667, "validation": 3471, "test": 5074}
    assert part.published == {"train": 11368, "validation": 3471, "test": 5074}
    assert any("mpii_train_eft" in note for note in part.notes)
    assert full.notes == []


def test_labels_without_their_images_folder_are_left_out_and_said_so(tmp_path):
    folder = course(tmp_path)
    (folder / "dataset_folders" / "mpii").rename(folder / "elsewhere")

    raw = read_eth(folder)

    assert len(samples(raw, "train")) == 2
    assert list(raw.dropped) == []
    assert "mpii_train_eft.npz is left out" in " ".join(raw.notes)


def test_labels_without_any_images_folder_are_no_course_data(tmp_path):
    folder = course(tmp_path)
    for name in ("3dpw", "mpii"):
        (folder / "dataset_folders" / name).rename(folder / name)

    with pytest.raises(MissingFileError, match="there is no dataset_folders/mpii"):
        read_eth(folder)


def test_missing_pictures_are_failures(tmp_path):
    folder = course(tmp_path)
    (folder / "dataset_folders/3dpw/imageFiles/z_00/image_00007.jpg").unlink()

    raw = read_eth(folder)

    (drop,) = raw.dropped
    assert (drop.split, drop.imgname) == ("test", "imageFiles/z_00/image_00007.jpg")
    assert (drop.reason, drop.is_failure) == ("picture not found", True)


@pytest.mark.parametrize("part", ["", "..", "dataset_extras"])
def test_folder_above_or_below_will_do(tmp_path, part):
    folder = course(tmp_path / "data")
    given = {"": folder, "..": tmp_path}.get(part, folder / part)

    assert len(list(read_eth(given).pictures)) == 8


def test_wrong_root_says_what_was_expected_and_what_was_found(tmp_path):
    (tmp_path / "videos").mkdir()

    with pytest.raises(MissingFileError) as error:
        read_eth(tmp_path)

    assert "dataset_extras/*.npz" in error.value.message
    assert "found videos/" in error.value.message


def test_damaged_labels_are_named(tmp_path):
    folder = course(tmp_path)
    path = folder / "dataset_extras" / "3dpw_train_subset.npz"
    path.write_bytes(path.read_bytes()[:200])

    with pytest.raises(UnreadableFileError, match="3dpw_train_subset"):
        read_eth(folder)


def test_file_of_the_course_without_labels_is_refused(tmp_path):
    folder = course(tmp_path)
    path = folder / "dataset_extras" / "3dpw_test_subset_cleaned.npz"
    np.savez(path, center=np.ones((2, 2)), scale=np.ones(2))

    with pytest.raises(UnreadableFileError, match="imgname.*3dpw_test_subset_cleaned.npz"):
        read_eth(folder)


def test_other_file_beside_those_of_the_course_is_passed_over(tmp_path):
    folder = course(tmp_path)
    np.savez(folder / "dataset_extras" / "3dpw_notes.npz", hours=np.ones(2))

    assert len(samples(read_eth(folder), "test")) == 2
