import json

import cv2
import numpy as np
import pytest
import torch

from smplcli.datasets.shards import open_prepared, prepared_splits
from smplcli.errors import ConfigError, MissingFileError, OutputExistsError, UnreadableFileError
from smplcli.files import sha256_of
from smplcli.workflows import render as module
from smplcli.workflows.render import render

COUNT = 6


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD_SIZE", 4)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHARD_SIZE", 4)
        out = tmp_path_factory.mktemp("prepared") / "synthetic"
        return render(out, count=COUNT, jobs=1)


def _hashes(folder):
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def test_people_are_split_for_training_and_two_held_out_sets(prepared):
    assert prepared.counts == {"train": 6, "validation": 1, "test": 1}
    assert prepared_splits(prepared.out) == ("train", "validation", "test")


def test_no_picture_is_in_two_splits(prepared):
    names = [
        str(name)
        for split in prepared.counts
        for name in open_prepared(prepared.out, split).field("imgname")
    ]

    assert len(set(names)) == len(names)


def test_the_manifest_vouches_for_every_shard(prepared):
    manifest = json.loads((prepared.out / "manifest.json").read_text())

    for shard in manifest["shards"]:
        assert sha256_of(prepared.out / shard["name"]) == shard["sha256"]
    assert manifest["options"]["seed"] == 0


def test_a_second_run_goes_on_where_a_killed_one_stopped(prepared, tmp_path):
    out = tmp_path / "synthetic"

    def killed(items, _label):
        for number, item in enumerate(items):
            if number == 2:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        render(out, count=COUNT, jobs=1, progress=killed)
    report = render(out, count=COUNT, jobs=1)

    assert report.resumed_shards >= 2
    assert _hashes(out) == _hashes(prepared.out)


def test_the_number_of_processes_does_not_matter(prepared, tmp_path):
    render(tmp_path / "two", count=COUNT, jobs=2)

    # Other processes do not know of the smaller shards, but the people must be the same.
    ours = open_prepared(tmp_path / "two", "train").field("pose")
    np.testing.assert_array_equal(ours, open_prepared(prepared.out, "train").field("pose"))


def test_another_seed_renders_other_people(prepared, tmp_path):
    render(tmp_path / "other", count=1, seed=1, jobs=1)

    ours = open_prepared(tmp_path / "other", "train").field("pose")
    assert not np.allclose(ours, open_prepared(prepared.out, "train").field("pose")[:1])


def test_a_finished_data_set_is_not_overwritten(prepared):
    before = _hashes(prepared.out)

    with pytest.raises(OutputExistsError):
        render(prepared.out, count=COUNT, jobs=1)

    assert _hashes(prepared.out) == before


def test_the_beginning_of_another_data_set_is_not_continued(tmp_path):
    (tmp_path / "plan.json").write_text("{}")

    with pytest.raises(ConfigError, match="beginning of another"):
        render(tmp_path, count=COUNT, jobs=1)


def test_missing_poses_are_named_before_anything_is_written(tmp_path):
    with pytest.raises(MissingFileError, match="nowhere.npz"):
        render(tmp_path / "out", count=1, poses=tmp_path / "nowhere.npz")

    assert not (tmp_path / "out").exists()


def test_a_file_without_poses_is_refused_before_anything_is_written(tmp_path):
    np.savez(tmp_path / "poses.npz", betas=np.zeros(10))

    with pytest.raises(UnreadableFileError, match="no poses"):
        render(tmp_path / "out", count=1, poses=tmp_path / "poses.npz")

    assert not (tmp_path / "out").exists()


def test_other_poses_under_the_same_name_are_not_mixed_in(tmp_path):
    out, poses = tmp_path / "out", tmp_path / "poses.npz"

    def killed(_items, _label):
        raise KeyboardInterrupt

    np.savez(poses, poses=np.zeros((20, 72)), clip=np.arange(20))
    with pytest.raises(KeyboardInterrupt):
        render(out, count=1, poses=poses, jobs=1, progress=killed)
    np.savez(poses, poses=np.ones((20, 72)), clip=np.arange(20))

    with pytest.raises(ConfigError, match="beginning of another"):
        render(out, count=1, poses=poses, jobs=1)


def test_poses_and_backgrounds_are_shared_by_all_processes(tmp_path):
    np.savez(tmp_path / "poses.npz", poses=np.zeros((2000, 72)), clip=np.arange(2000) // 20)
    (tmp_path / "photos").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (500, 700, 3), dtype=np.uint8)
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"photos/{number}.png"), noise)
    supplies = {"poses": tmp_path / "poses.npz", "backgrounds": tmp_path / "photos"}

    one = render(tmp_path / "one", count=2, jobs=1, **supplies)
    two = render(tmp_path / "two", count=2, jobs=2, **supplies)

    assert _hashes(one.out) == _hashes(two.out)


def test_torch_gets_its_threads_back(prepared, tmp_path):
    torch.set_num_threads(2)

    render(tmp_path / "out", count=1, jobs=1)

    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
