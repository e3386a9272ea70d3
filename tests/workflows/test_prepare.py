"""Raw data to prepared data: what is kept, what is dropped, and what an interruption costs."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import time

import numpy as np
import pytest

from smplcli.datasets.shards import open_prepared
from smplcli.errors import (
    ConfigError,
    MissingFileError,
    OutputExistsError,
    ResourceError,
    UnreadableFileError,
)
from smplcli.files import write_json
from smplcli.workflows import parallel
from smplcli.workflows import prepare as module
from smplcli.workflows.check_prepared import check_prepared
from smplcli.workflows.prepare import prepare
from tests.workflows.raw import hashes, prepare_raw, write_raw


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD_SIZE", 4)


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw")


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def errors_of(folder):
    return [json.loads(line) for line in (folder / "errors.jsonl").read_text().splitlines()]


def test_everybody_is_prepared_in_the_order_of_the_labels(raw, tmp_path):
    report = prepare_raw(raw, tmp_path / "out")

    split = open_prepared(tmp_path / "out", "train")
    names = [
        (sample.imgname, int(sample.person_id)) for sample in map(split.__getitem__, range(12))
    ]
    assert names == [(f"{number}.jpg", person) for number in range(6) for person in range(2)]
    assert report.counts["train"].kept == len(split) == 12
    assert report.counts["train"].frames == 6
    assert split[0].image.shape == (64, 64, 3)


def test_the_manifest_says_what_was_done(raw, tmp_path):
    prepare_raw(raw, tmp_path / "out", options={"parts": False})

    manifest = manifest_of(tmp_path / "out")
    assert manifest["source"] == "spin"
    assert manifest["counts"]["train"]["kept"] == 12
    assert manifest["options"]["parts"] is False
    assert manifest["crop"]["context"] == 2.4
    assert len(manifest["joint_sets"]["part"]) == 24
    assert sum(shard["count"] for shard in manifest["shards"]) == 12
    assert check_prepared(tmp_path / "out").faults == ()


def test_shards_hold_whole_pictures(tmp_path):
    prepare_raw(write_raw(tmp_path / "three", people=3), tmp_path / "out")

    counts = [shard["count"] for shard in manifest_of(tmp_path / "out")["shards"]]
    assert counts == [6, 6, 6]


def test_each_picture_is_read_once_for_all_its_people(raw, tmp_path, monkeypatch):
    read, paths = module.read_reduced, []

    def counted(path, **options):
        paths.append(path)
        return read(path, **options)

    monkeypatch.setattr(module, "read_reduced", counted)
    prepare_raw(raw, tmp_path / "out")

    assert len(paths) == len(set(paths)) == 6


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_same_data_gives_the_same_bytes(raw, tmp_path, jobs):
    prepare_raw(raw, tmp_path / "one")
    prepare_raw(raw, tmp_path / "two", jobs=jobs)

    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_raw_crops_come_back_exactly(raw, tmp_path):
    prepare_raw(raw, tmp_path / "jpeg")
    prepare_raw(raw, tmp_path / "raw_crops", options={"store": "raw"})

    coded, exact = (open_prepared(tmp_path / name, "train")[3] for name in ("jpeg", "raw_crops"))
    assert 0 < np.abs(coded.image.astype(float) - exact.image).mean() < 3
    assert check_prepared(tmp_path / "raw_crops").faults == ()


def test_part_maps_follow_the_body(tmp_path):
    """A body that stands straight before the camera has its head above its feet."""
    transl = np.tile([0.0, 0, 12], (12, 1))
    camera = np.tile([[200.0, 0, 40], [0, 200, 32], [0, 0, 1]], (12, 1, 1))
    raw = write_raw(tmp_path / "raw", trans_cam=transl, cam_int=camera)

    prepare_raw(raw, tmp_path / "out")

    part_map = open_prepared(tmp_path / "out", "train")[0].part_map
    rows = {part: np.argwhere(part_map == part)[:, 0].mean() for part in (16, 1, 8)}
    assert rows[16] < rows[1] < rows[8]  # head, pelvis, left foot


def test_labels_without_a_place_get_part_maps_where_their_keypoints_are(raw, tmp_path):
    report = prepare_raw(raw, tmp_path / "out")

    split = open_prepared(tmp_path / "out", "train")
    assert (split.field("part_map") < 255).all()
    assert (split.field("transl")[:, 2] > 0).all()
    assert "12 people have a pose and no place" in " ".join(report.notes)


def test_without_parts_nobody_is_placed_and_maps_are_unknown(raw, tmp_path):
    prepare_raw(raw, tmp_path / "out", options={"parts": False})

    split = open_prepared(tmp_path / "out", "train")
    assert (split.field("part_map") == 255).all()
    assert not split.field("transl").any()


def test_a_limit_takes_the_first_people_of_each_split(raw, tmp_path):
    report = prepare_raw(raw, tmp_path / "out", options={"limit": 5})

    assert report.counts["train"].kept == 5
    assert report.counts["train"].published is None


def test_a_dry_run_counts_and_writes_nothing(raw, tmp_path):
    (raw / "3.jpg").unlink()

    report = prepare_raw(raw, tmp_path / "out", dry_run=True)

    assert report.counts["train"].kept == 10
    assert list(report.counts["train"].dropped.values()) == [2]
    assert not (tmp_path / "out").exists()


def break_missing(raw):
    (raw / "3.jpg").unlink()


def break_truncated(raw):
    data = (raw / "3.jpg").read_bytes()
    (raw / "3.jpg").write_bytes(data[: len(data) // 2])


def break_text(raw):
    (raw / "3.jpg").write_text("<html>not found</html>")


def break_empty(raw):
    (raw / "3.jpg").write_bytes(b"")


@pytest.mark.parametrize("damage", [break_missing, break_truncated, break_text, break_empty])
def test_a_bad_picture_costs_its_people_and_nobody_else(raw, tmp_path, damage):
    damage(raw)

    report = prepare_raw(raw, tmp_path / "out", max_failures=0.5)

    assert report.counts["train"].kept == 10
    assert report.counts["train"].failed == 2
    assert {entry["imgname"] for entry in errors_of(tmp_path / "out")} == {"3.jpg"}
    assert check_prepared(tmp_path / "out").faults == ()


def test_a_name_of_bytes_that_are_no_text_is_listed_like_any_other(tmp_path):
    names = np.array([b"0.jpg", b"\xff\x1b[31m.jpg", b"1.jpg"])
    raw = write_raw(tmp_path / "raw", pictures=3, people=1, imgname=names)

    report = prepare_raw(raw, tmp_path / "out", max_failures=0.5)

    assert report.counts["train"].failed == 1
    assert [entry["imgname"] for entry in errors_of(tmp_path / "out")] == ["\udcff\x1b[31m.jpg"]


def test_sound_data_leaves_no_list_of_errors(raw, tmp_path):
    prepare_raw(raw, tmp_path / "out")

    assert not (tmp_path / "out" / "errors.jsonl").exists()


def test_too_many_failures_leave_no_data_set_but_what_was_sound(raw, tmp_path):
    out = tmp_path / "out"
    picture = (raw / "3.jpg").read_bytes()
    break_truncated(raw)

    report = prepare_raw(raw, out)

    assert not report.is_complete
    assert len(errors_of(out)) == 2
    assert not (out / "manifest.json").exists()
    assert sorted(path.name for path in out.glob("*.npz")) == [
        "train-00000.npz",
        "train-00002.npz",
    ]

    (raw / "3.jpg").write_bytes(picture)
    mended = prepare_raw(raw, out)

    assert mended.is_complete
    assert mended.resumed_shards == 2
    prepare_raw(raw, tmp_path / "undisturbed")
    assert hashes(out) == hashes(tmp_path / "undisturbed")


def test_a_plan_that_names_files_elsewhere_removes_none_of_them(raw, tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine-0.npz"
    mine.touch()
    break_truncated(raw)
    prepare_raw(raw, out)
    plan = json.loads((out / "plan.json").read_text())
    plan["shards"]["../mine-0.npz"] = "0"
    write_json(out / "plan.json", plan)

    prepare_raw(raw, out)

    assert mine.exists()


@pytest.mark.parametrize(("name", "num_kept"), [("5.jpg", 2), ("2.jpg", 1), ("0.jpg", 0)])
def test_a_picture_that_is_found_again_costs_the_shards_from_there_on(
    raw, tmp_path, name, num_kept
):
    out, picture = tmp_path / "out", (raw / name).read_bytes()
    (raw / name).unlink()
    assert not prepare_raw(raw, out).is_complete

    (raw / name).write_bytes(picture)
    mended = prepare_raw(raw, out)

    assert mended.is_complete
    assert mended.resumed_shards == num_kept
    prepare_raw(raw, tmp_path / "undisturbed")
    assert hashes(out) == hashes(tmp_path / "undisturbed")


def test_what_cannot_be_replaced_is_named(raw, tmp_path):
    (tmp_path / "out" / "manifest.json").mkdir(parents=True)

    with pytest.raises(ResourceError, match=r"cannot remove: .*manifest\.json"):
        prepare_raw(raw, tmp_path / "out", overwrite=True)


def test_labels_of_mpii_may_come_in_spins_form(raw, tmp_path):
    report = prepare("mpii", raw, tmp_path / "out", jobs=1)

    assert report.counts["train"].kept == 12
    assert manifest_of(tmp_path / "out")["source"] == "mpii"


def test_a_data_set_is_never_replaced_unasked(raw, tmp_path):
    prepare_raw(raw, tmp_path / "out")

    with pytest.raises(OutputExistsError, match="data set exists"):
        prepare_raw(raw, tmp_path / "out")

    prepare_raw(raw, tmp_path / "out", overwrite=True, crop_size=32)
    assert open_prepared(tmp_path / "out", "train")[0].image.shape == (32, 32, 3)


def stop(items, _label):
    for number, item in enumerate(items):
        if number == 1:
            raise KeyboardInterrupt
        yield item


def test_another_plan_does_not_go_on_with_an_unfinished_set(raw, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        prepare_raw(raw, tmp_path / "out", progress=stop)

    with pytest.raises(ConfigError, match="beginning of another data set"):
        prepare_raw(raw, tmp_path / "out", crop_size=32)


def test_other_labels_do_not_go_on_with_an_unfinished_set(raw, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        prepare_raw(raw, tmp_path / "out", progress=stop)
    other = write_raw(tmp_path / "other", scale=np.full(12, 0.3))

    with pytest.raises(ConfigError, match="beginning of another data set"):
        prepare_raw(other, tmp_path / "out")


@pytest.mark.skipif(os.name != "posix", reason="locks folders")
def test_two_processes_do_not_prepare_in_one_folder(raw, tmp_path):
    def meanwhile(items, _label):
        with pytest.raises(ResourceError, match="another process is at work in"):
            prepare_raw(raw, tmp_path / "out")
        return items

    assert prepare_raw(raw, tmp_path / "out", progress=meanwhile).is_complete


def test_a_folder_that_cannot_be_made_is_an_error(raw, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ResourceError, match="cannot write"):
        prepare_raw(raw, tmp_path / "file" / "out")


def test_a_root_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="root of spin not found: .*nowhere"):
        prepare_raw(tmp_path / "nowhere", tmp_path / "out")

    assert not (tmp_path / "out").exists()


def _work(raw, out, shard_size):
    module.SHARD_SIZE = shard_size
    prepare_raw(raw, out)


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_ten_kills_at_random_moments_do_not_change_a_byte(tmp_path):
    raw, out = write_raw(tmp_path / "raw", pictures=40), tmp_path / "out"
    start = time.monotonic()
    _work(raw, tmp_path / "undisturbed", 2)
    seconds = time.monotonic() - start
    # Processes made by a server that has imported everything start in milliseconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.workflows.test_prepare"])
    moments, kills = random.Random(0), 0

    while kills < 10 or not (out / "manifest.json").exists():
        process = context.Process(target=_work, args=(raw, out, 2))
        process.start()
        process.join(moments.uniform(0.1, 0.4) * seconds if kills < 10 else None)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
        if kills < 10 and (out / "manifest.json").exists():
            assert hashes(out) == hashes(tmp_path / "undisturbed")
            shutil.rmtree(out)

    assert hashes(out) == hashes(tmp_path / "undisturbed")


def _die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def _hang(_):
    time.sleep(60)


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_the_death_of_a_process_says_what_to_do():
    with pytest.raises(ResourceError, match="a working process was ended") as caught:
        list(
            parallel.run_tasks(
                _die, [1, 2], count=2, jobs=2, progress=lambda items, _: items, label="x"
            )
        )

    assert "run the same command again" in caught.value.hint


def test_a_process_that_hangs_is_noticed(monkeypatch):
    monkeypatch.setattr(parallel, "TIMEOUT", 0.5)

    with pytest.raises(ResourceError, match="no process has got anything done for 0"):
        list(
            parallel.run_tasks(
                _hang, [1, 2], count=2, jobs=2, progress=lambda items, _: items, label="x"
            )
        )


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
def test_a_full_disk_keeps_what_is_done(raw, tmp_path):
    import resource

    with pytest.raises(KeyboardInterrupt):
        prepare_raw(raw, tmp_path / "out", progress=stop)
    done = len(list((tmp_path / "out").glob("*.npz")))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(ResourceError, match="disk full: .*npz"):
            prepare_raw(raw, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert not list((tmp_path / "out").glob(".writing-*"))
    assert prepare_raw(raw, tmp_path / "out").resumed_shards == done > 0


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_backend_that_is_not_installed_says_how_to_get_it(backend, raw, tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(parallel, "import_module", missing)

    with pytest.raises(ConfigError, match=f"backend is not installed: {backend}") as caught:
        prepare_raw(raw, tmp_path / "out", backend=backend)

    assert f"pip install '.[{backend}]'" in caught.value.hint


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_any_backend_gives_the_same_bytes(backend, package, raw, tmp_path):
    pytest.importorskip(package, reason=f"the extra '{backend}' is not installed")
    prepare_raw(raw, tmp_path / "one")

    prepare_raw(raw, tmp_path / "two", jobs=2, backend=backend)

    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda arrays: arrays["crop_jpeg"].fill(0), "crop 0 is damaged"),
        (lambda arrays: arrays["pose"].fill(np.nan), "pose holds values that are not finite"),
        (lambda arrays: arrays.update(shape=arrays["shape"][:, :9]), "shape has another type"),
        (lambda arrays: arrays["crop_offsets"].fill(7), "crops do not fit together"),
    ],
)
def test_a_check_finds_damage_that_no_hash_tells(raw, tmp_path, damage, fault):
    prepare_raw(raw, tmp_path / "out")
    shard = tmp_path / "out" / "train-00001.npz"
    with np.load(shard) as file:
        arrays = dict(file)
    damage(arrays)
    np.savez(shard, **arrays)
    manifest = manifest_of(tmp_path / "out")
    manifest["shards"][1]["sha256"] = hashes(tmp_path / "out")["train-00001.npz"]
    write_json(tmp_path / "out" / "manifest.json", manifest)

    faults = check_prepared(tmp_path / "out").faults

    assert len(faults) == 1
    assert faults[0].startswith("train-00001.npz: ")
    assert fault in faults[0]


def test_a_check_finds_a_single_flipped_bit(raw, tmp_path):
    prepare_raw(raw, tmp_path / "out")
    shard = tmp_path / "out" / "train-00000.npz"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)

    assert check_prepared(tmp_path / "out").faults == (
        "train-00000.npz: its bytes are not those that were written",
    )


def test_labels_in_pieces_are_refused(raw, tmp_path):
    (raw / "train.npz").write_bytes((raw / "train.npz").read_bytes()[:900])

    with pytest.raises(UnreadableFileError, match="train.npz"):
        prepare_raw(raw, tmp_path / "out")
