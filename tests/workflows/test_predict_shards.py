"""A run of `predict` in parts, and the parts put together."""

import json
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smplcli.errors import (
    ConfigError,
    MissingFileError,
    OutputExistsError,
    ResourceError,
    UnreadableFileError,
)
from smplcli.files import write_npz
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from smplcli.workflows.merge import merge_shards
from smplcli.workflows.predict import predict
from smplcli.workflows.shards import Shard, parse_shard
from smplcli.workflows.unfinished import claim_part

TINY = ModelConfig(
    backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8, keypoints=8
)
NUM_PICTURES = 37
PEOPLE = {1: 2, 5: 1, 16: 3, 20: 1, 36: 1}
"""Boxes by picture; the blocks of two shards begin at 0, 16 and 32."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    (folder / "imgs").mkdir()
    for number in range(NUM_PICTURES):
        noise = np.random.default_rng(number).integers(0, 255, (32, 40, 3), np.uint8)
        Image.fromarray(noise).save(folder / "imgs" / f"p{number}.png")
    (folder / "imgs" / "p18.png").write_text("I am text")
    rows = [f"p{x}.png,{i},0,{20 + i},30" for x, count in PEOPLE.items() for i in range(count)]
    (folder / "boxes.csv").write_text("\n".join(["imgname,x1,y1,x2,y2", *rows, "q.png,0,0,9,9"]))
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_network(folder / f"{seed}.safetensors", build_network(TINY), {})
    return folder


def run(folder, out, shard=None, **changes):
    options = {"network": folder / "0.safetensors", "boxes": folder / "boxes.csv", "batch_size": 2}
    return predict(folder / "imgs", out, shard=shard, **options | changes)


@pytest.fixture(scope="module")
def whole(folder):
    run(folder, folder / "whole.npz", table_format="csv")
    return folder / "whole.npz"


@pytest.fixture(scope="module")
def shards(folder):
    paths = [folder / "s1.npz", folder / "s2.npz"]
    for number, path in enumerate(paths, 1):
        run(folder, path, Shard(number, 2))
    return paths


def changed(path, out, **changes):
    """A copy of a shard with other arrays."""
    write_npz(out, dict(np.load(path)) | changes)
    return out


def changed_facts(path, out, **changes):
    meta = json.loads(str(np.load(path)["meta"]))
    meta["shard"] |= changes
    return changed(path, out, meta=np.array(json.dumps(meta)))


def test_merged_shards_are_the_file_of_one_run(whole, shards, tmp_path):
    report = merge_shards(shards[::-1], tmp_path / "p.npz", table_format="csv")

    assert (tmp_path / "p.npz").read_bytes() == whole.read_bytes()
    assert (tmp_path / "p.csv").read_bytes() == whole.with_suffix(".csv").read_bytes()
    assert (report.num_images, report.num_people) == (NUM_PICTURES, sum(PEOPLE.values()))
    assert report.counts == {"ok": 5, "no person": 31, "unreadable": 1}
    assert report.num_unused_boxes == 1
    assert "p18.png" in report.failed[0].imgname
    assert sorted(x.name for x in tmp_path.iterdir()) == ["p.csv", "p.npz"]


def test_a_shard_has_every_other_block(shards):
    names = [np.load(path)["status_imgname"] for path in shards]

    numbers = [[int(x.rsplit("/p")[-1].removesuffix(".png")) for x in part] for part in names]
    assert numbers == [[*range(16), *range(32, 37)], [*range(16, 32)]]


def test_more_shards_than_blocks_merge_as_well(folder, whole, tmp_path):
    paths = [tmp_path / f"{number}.npz" for number in range(1, 5)]
    for number, path in enumerate(paths, 1):
        run(folder, path, Shard(number, 4))

    merge_shards(paths, tmp_path / "p.npz")

    assert len(np.load(paths[3])["status"]) == 0
    assert (tmp_path / "p.npz").read_bytes() == whole.read_bytes()


def test_a_missing_shard_is_named(shards, tmp_path):
    with pytest.raises(MissingFileError, match="shards are missing: 2/2"):
        merge_shards(shards[:1], tmp_path / "p.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_shard_that_is_there_twice_is_refused(shards, tmp_path):
    with pytest.raises(ConfigError, match="shard 1/2 is there twice: .*s1.npz, .*s1.npz"):
        merge_shards([shards[0], *shards], tmp_path / "p.npz")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"network": "1.safetensors"}, "network name was 0.safetensors, is 1.safetensors"),
        ({"min_score": 0.5}, "min_score was .*, is 0.5"),
    ],
)
def test_shards_of_different_runs_are_refused(folder, shards, tmp_path, changes, what):
    if "network" in changes:
        changes = {"network": folder / changes["network"]}
    run(folder, tmp_path / "other.npz", Shard(2, 2), **changes)

    with pytest.raises(ConfigError, match=what):
        merge_shards([shards[0], tmp_path / "other.npz"], tmp_path / "p.npz")


def test_a_file_that_is_no_shard_is_refused(whole, shards, tmp_path):
    with pytest.raises(UnreadableFileError, match="not the file of a shard: .*whole.npz"):
        merge_shards([whole, shards[1]], tmp_path / "p.npz")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, out: changed(path, out, status=np.full(16, "ok")),
        lambda path, out: changed(path, out, status=np.full(16, "fine")),
        lambda path, out: changed(path, out, imgname=np.full(4, "x.png")),
        lambda path, out: changed(path, out, status_imgname=np.full(16, "x.png")),
        lambda path, out: changed(path, out, pose=np.zeros((4, 3), np.float32)),
        lambda path, out: changed_facts(path, out, number=3),
        lambda path, out: changed_facts(path, out, number="two"),
        lambda path, out: changed_facts(path, out, count=0),
        lambda path, out: changed_facts(path, out, plan=[]),
        lambda path, out: changed_facts(path, out, plan={"inputs": 3}),
    ],
)
def test_a_damaged_shard_is_refused(shards, tmp_path, damage):
    bad = damage(shards[1], tmp_path / "bad.npz")

    with pytest.raises((UnreadableFileError, ConfigError)):
        merge_shards([shards[0], bad], tmp_path / "p.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_a_merger_replaces_nothing_unless_told(shards, whole, tmp_path):
    (tmp_path / "p.npz").write_text("precious")

    with pytest.raises(OutputExistsError):
        merge_shards(shards, tmp_path / "p.npz")
    merge_shards(shards, tmp_path / "p.npz", overwrite=True)

    assert (tmp_path / "p.npz").read_bytes() == whole.read_bytes()


def test_shards_draw_into_one_folder(folder, tmp_path):
    drawn = tmp_path / "drawn"

    reports = [
        run(folder, tmp_path / f"{number}.npz", Shard(number, 2), overlay_dir=drawn)
        for number in (1, 2)
    ]

    assert [len(report.overlays) for report in reports] == [3, 2]
    assert len(list(drawn.iterdir())) == len(PEOPLE)
    with pytest.raises(OutputExistsError, match="drawn"):
        run(folder, tmp_path / "3.npz", Shard(2, 2), overlay_dir=drawn)


@pytest.mark.slow
def test_processes_share_the_work_and_give_the_same_file(folder, whole, tmp_path):
    drawn = tmp_path / "drawn"

    report = run(folder, tmp_path / "p.npz", nproc=2, overlay_dir=drawn, table_format="csv")

    assert (tmp_path / "p.npz").read_bytes() == whole.read_bytes()
    assert (tmp_path / "p.csv").read_bytes() == whole.with_suffix(".csv").read_bytes()
    assert sorted(report.overlays) == sorted(drawn.iterdir())
    assert len(report.overlays) == len(PEOPLE)
    assert {"decode", "network", "draw"} <= set(report.stages)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["drawn", "p.csv", "p.npz"]


def test_no_more_processes_begin_than_have_something_to_do(folder, tmp_path):
    imgs = [folder / "imgs" / f"p{number}.png" for number in PEOPLE]

    report = predict(imgs, tmp_path / "p.npz", network=folder / "0.safetensors", nproc=12)

    assert report.threads == torch.get_num_threads()


def test_two_runs_do_not_write_the_same_file_at_once(folder, tmp_path):
    out = tmp_path / "p.npz"

    with (
        claim_part(out, {}, resume=False),
        pytest.raises(ResourceError, match="another process is at work in: .*p.npz.part"),
    ):
        run(folder, out, overwrite=True)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/", "-1/2", "1/2/3", "one/two", ""])
def test_what_is_no_shard_is_said_to_be_none(text):
    with pytest.raises(ConfigError, match="1/N to N/N, got"):
        parse_shard(text)


@given(pictures=st.integers(0, 200), size=st.integers(1, 9), block=st.integers(1, 40))
def test_shards_have_each_picture_once(pictures, size, block):
    chosen = [Shard(number, size).choose(pictures, block) for number in range(1, size + 1)]

    assert sorted(chain(*chosen)) == list(range(pictures))
    assert parse_shard(str(Shard(1, size))) == Shard(1, size)
