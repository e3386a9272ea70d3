import json
import zipfile

import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.datasets.scenes import Studio
from smplcli.datasets.schema import FIELDS
from smplcli.datasets.shards import FORMAT, open_prepared, prepared_splits, write_shard
from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.files import sha256_of


@pytest.fixture(scope="module")
def pictures():
    studio = Studio(load_body(), [], [])
    return [studio.take_picture(np.random.default_rng(k), f"s/{k}.jpg") for k in range(5)]


@pytest.fixture
def folder(tmp_path, pictures):
    shards = []
    for name, samples in (("train-00000", pictures[:3]), ("train-00001", pictures[3:])):
        write_shard(tmp_path / f"{name}.npz", samples)
        shards.append({"name": f"{name}.npz", "split": "train", "count": len(samples)})
    manifest = {"format": FORMAT, "source": "synthetic", "shards": shards}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def test_samples_come_back_in_order_across_shards(folder, pictures):
    split = open_prepared(folder, "train")

    assert [split[k].imgname for k in range(len(split))] == [p.imgname for p in pictures]


def test_a_data_set_that_replaced_another_of_its_name_is_read(folder, pictures):
    assert open_prepared(folder, "train")[0].imgname == pictures[0].imgname

    write_shard(folder / "train-00000.npz", pictures[2::-1])

    assert open_prepared(folder, "train")[0].imgname == pictures[2].imgname


def test_labels_come_back_as_they_were(folder, pictures):
    sample = open_prepared(folder, "train")[4]

    for name, (dtype, _) in FIELDS.items():
        written = np.asarray(getattr(pictures[4], name), dtype=dtype)
        np.testing.assert_array_equal(getattr(sample, name), written)


def test_crops_come_back_almost_as_they_were(folder, pictures):
    sample = open_prepared(folder, "train")[0]

    error = sample.image.astype(float) - pictures[0].image
    assert np.sqrt((error**2).mean()) < 8


def test_a_field_of_all_samples_is_one_array(folder, pictures):
    pose = open_prepared(folder, "train").field("pose")

    np.testing.assert_array_equal(pose, np.float32([p.pose for p in pictures]))


def test_numpy_alone_reads_a_shard(folder):
    with np.load(folder / "train-00000.npz", allow_pickle=False) as shard:
        assert shard["part_map"].shape == (3, 56, 56)


def test_shards_of_before_a_field_was_thought_of_are_read(folder, pictures):
    path = folder / "train-00000.npz"
    with np.load(path) as shard:
        np.savez(path, **{name: shard[name] for name in shard if name != "is_visible"})

    sample = open_prepared(folder, "train")[0]

    np.testing.assert_array_equal(sample.is_visible, np.full(24, -1))
    np.testing.assert_array_equal(sample.pose, pictures[0].pose.astype(np.float32))


def test_part_maps_take_little_room(folder):
    with zipfile.ZipFile(folder / "train-00000.npz") as archive:
        member = archive.getinfo("part_map.npy")

    assert member.compress_size < member.file_size / 5


def test_the_same_samples_give_the_same_bytes(tmp_path, pictures):
    for name in ("a.npz", "b.npz"):
        write_shard(tmp_path / name, pictures[:2])

    assert sha256_of(tmp_path / "a.npz") == sha256_of(tmp_path / "b.npz")


def test_splits_are_listed_in_the_order_of_the_manifest(folder):
    assert prepared_splits(folder) == ("train",)


def test_an_unknown_split_names_the_known_ones(folder):
    with pytest.raises(MissingFileError, match="split not found: test") as caught:
        open_prepared(folder, "test")

    assert "train" in str(caught.value.hint)


def test_a_folder_without_manifest_says_what_to_run(tmp_path):
    with pytest.raises(MissingFileError, match="no prepared data set") as caught:
        open_prepared(tmp_path, "train")

    assert "smplcli prepare" in str(caught.value.hint)


def test_a_missing_shard_is_named(folder):
    (folder / "train-00001.npz").unlink()

    with pytest.raises(UnreadableFileError, match="shard is missing: .*train-00001.npz"):
        open_prepared(folder, "train")


def test_a_shard_with_another_shape_is_refused(folder):
    with np.load(folder / "train-00000.npz") as shard:
        arrays = dict(shard)
    arrays["pose"] = arrays["pose"][:, :69]
    np.savez(folder / "train-00000.npz", **arrays)

    with pytest.raises(UnreadableFileError, match=r"pose has another type or shape"):
        open_prepared(folder, "train")[0]


@pytest.mark.parametrize("manifest", ["[]", "{}", '{"format": "other"}', "{"])
def test_another_manifest_is_refused(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(manifest)

    with pytest.raises(UnreadableFileError):
        open_prepared(tmp_path, "train")


@pytest.mark.parametrize(
    "entry",
    [
        {"split": "train", "count": 1},
        {"name": "../train-00000.npz", "split": "train", "count": 1},
        {"name": "train-00000.npz", "split": "train", "count": "1"},
        "train-00000.npz",
    ],
)
def test_a_manifest_that_does_not_list_its_shards_is_refused(folder, entry):
    manifest = {"format": FORMAT, "shards": [entry]}
    (folder / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(UnreadableFileError, match="does not list its shards"):
        open_prepared(folder, "train")


def test_a_shard_of_another_size_than_the_manifest_says_is_refused(folder, pictures):
    write_shard(folder / "train-00001.npz", pictures[4:])

    with pytest.raises(UnreadableFileError, match="disagree on its size"):
        open_prepared(folder, "train")[4]


def test_a_damaged_crop_is_named(folder):
    with np.load(folder / "train-00000.npz") as shard:
        arrays = dict(shard)
    arrays["crop_jpeg"][:] = 0
    np.savez(folder / "train-00000.npz", **arrays)

    with pytest.raises(UnreadableFileError, match=r"crop 1 is damaged: .*train-00000\.npz"):
        open_prepared(folder, "train")[1]
