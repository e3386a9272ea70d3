import re
import shutil

import pytest
import torch

from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.schema import JPEG_BYTES, JPEG_OFFSETS
from smplcli.datasets.shards import PreparedSplit, write_shard
from smplcli.errors import ResourceError, UnreadableFileError
from smplcli.files import read_npz, write_npz
from smplcli.training.checkpoints import checkpoint_dir
from smplcli.training.config import ComputeConfig
from smplcli.training.memory import available_memory, peak_memory
from smplcli.training.preflight import (
    check_disk,
    check_memory,
    check_samples,
    largest_that_fits,
    state_bytes,
)
from smplcli.training.run import begin_state
from tests.people import few_people
from tests.training.tiny import RECIPE, STEPS, tiny_run, train_whole, with_schedule

CPU = torch.device("cpu")


def prepared(folder, shards=2):
    """A split of some shards on disk, each of four people."""
    folder.mkdir()
    names = [f"train-{number:05d}.npz" for number in range(shards)]
    for name in names:
        write_shard(folder / name, few_people().samples[:4])
    entries = [{"name": name, "split": "train", "count": 4} for name in names]
    return PreparedSplit(folder, "train", {"shards": entries})


def damage(file, crop):
    arrays = read_npz(file)
    start, stop = arrays[JPEG_OFFSETS][crop : crop + 2]
    arrays[JPEG_BYTES][start:stop] = 0
    write_npz(file, arrays)


def test_sound_samples_pass(tmp_path):
    split = prepared(tmp_path / "data")

    check_samples(split)
    check_samples(JoinedSplits([split, split]))


def test_samples_that_cannot_be_decoded_are_named_with_their_shards(tmp_path):
    split = prepared(tmp_path / "data")
    damage(tmp_path / "data/train-00001.npz", 3)

    with pytest.raises(UnreadableFileError, match="1 of the samples") as caught:
        check_samples(split)

    assert re.search(r"crop 3 is damaged: .*train-00001\.npz", caught.value.message)
    assert "train-00000" not in caught.value.message
    assert caught.value.exit_code == 3


def test_a_shard_that_is_no_npz_is_named(tmp_path):
    split = prepared(tmp_path / "data")
    (tmp_path / "data/train-00000.npz").write_text("hello")

    with pytest.raises(UnreadableFileError, match="train-00000"):
        check_samples(split)


def test_the_estimate_of_a_checkpoint_is_its_size(tmp_path):
    recipe = with_schedule(swa_from=0.0, swa_every=1)
    run = tiny_run(tmp_path / "run", recipe=recipe)
    begin_state(run)  # freezes what the recipe freezes

    estimate = state_bytes(run.network, recipe)

    train_whole(run)
    folder = checkpoint_dir(run.run_dir, STEPS)
    actual = sum(file.stat().st_size for file in folder.iterdir())
    # Names and shapes take a little beside the numbers.
    assert actual == pytest.approx(estimate, rel=0.1, abs=200_000)


def test_checkpoints_without_room_are_refused_before_the_first_step(tmp_path, monkeypatch):
    run = tiny_run(tmp_path / "run")
    check_disk(run.run_dir, run.network, run.recipe)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)

    with pytest.raises(ResourceError, match="no room for 5 checkpoints") as caught:
        check_disk(run.run_dir, run.network, run.recipe)

    assert caught.value.exit_code == 6
    assert str(run.run_dir) in caught.value.message


def test_what_earlier_checkpoints_take_is_not_asked_for_again(tmp_path, monkeypatch):
    run = tiny_run(tmp_path / "run")
    needed = 6 * state_bytes(run.network, run.recipe)
    (run.run_dir / "old.safetensors").write_bytes(bytes(needed))
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)

    check_disk(run.run_dir, run.network, run.recipe)


def test_a_batch_that_fits_changes_nothing_of_the_network(tmp_path):
    run = tiny_run(tmp_path / "run")
    run.network.eval()
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    chance = torch.get_rng_state()

    check_memory(run.network, run.recipe, CPU)

    after = run.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), chance)
    assert not run.network.training
    assert all(parameter.grad is None for parameter in run.network.parameters())


def refusal(run, recipe, free):
    with pytest.raises(ResourceError) as caught:
        check_memory(run.network, recipe, CPU, free=free)
    return caught.value


def test_a_batch_that_does_not_fit_is_refused_and_the_largest_that_does_is_named(tmp_path):
    run = tiny_run(tmp_path / "run")
    recipe = with_schedule(batch_size=100_000)

    free = 500 << 20

    error = refusal(run, recipe, free)

    largest = int(error.message.split("at most ")[1].split()[0])
    assert 10 < largest < 100_000
    assert error.exit_code == 6
    check_memory(run.network, with_schedule(batch_size=largest), CPU, free=free)
    parts = int(error.hint.split("accumulate = ")[1].split(",")[0])
    compute = ComputeConfig(accumulate=parts)
    check_memory(run.network, recipe.model_copy(update={"compute": compute}), CPU, free=free)


def test_without_room_for_a_single_picture_the_network_is_too_large(tmp_path):
    run = tiny_run(tmp_path / "run")

    error = refusal(run, RECIPE, 1)

    assert "not even one picture" in error.message


@pytest.mark.parametrize("limit", [0, 1, 7, 63, 64, 100])
def test_the_largest_number_that_fits_is_found(limit):
    asked = []

    def fits(count):
        asked.append(count)
        return count <= limit

    assert largest_that_fits(64, fits) == min(limit, 64)
    assert len(asked) <= 8


def test_memory_is_what_the_machine_has_or_what_its_container_may(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    cgroup = tmp_path / "cgroup"
    cgroup.mkdir()
    for name, text in (("max", "max"), ("current", "2048000"), ("stat", "inactive_file 48000")):
        (cgroup / f"memory.{name}").write_text(f"{text}\n")

    assert available_memory(meminfo, cgroup) == 8000 << 10
    (cgroup / "memory.max").write_text("3000000\n")
    assert available_memory(meminfo, cgroup) == 1_000_000
    assert available_memory(tmp_path / "none", tmp_path / "none") is None


def test_this_process_takes_some_memory():
    assert 50 << 20 < peak_memory(CPU) < 1 << 40


@pytest.mark.gpu
def test_a_gpu_says_how_many_pictures_it_holds(tmp_path):
    run = tiny_run(tmp_path / "run")
    device = torch.device("cuda")
    run.network.to(device)

    check_memory(run.network, RECIPE, device)
    with pytest.raises(ResourceError, match="at most"):
        check_memory(run.network, with_schedule(batch_size=10_000_000), device)
