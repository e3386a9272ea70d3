"""A full disk costs a checkpoint, and neither the one before nor the run."""

import logging
import resource
import subprocess

import pytest

from smplcli.errors import ResourceError
from smplcli.training.checkpoints import checkpoints
from smplcli.training.loop import run_training
from tests.training.tiny import ended, forked, tiny_run, train_whole, weights

SMALL = 100_000
"""Bytes that a file may have: log and state may grow, weights do not fit."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    run = tiny_run(tmp_path_factory.mktemp("unbroken") / "run")
    train_whole(run)
    return run


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB, which root alone can have."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _between(first, last, begin, end):
    """Progress that does something before one step and undoes it before another."""

    def progress(items, _label):
        for step in items:
            if step == first:
                begin()
            if step == last:
                end()
            yield step

    return progress


def _names(run_dir):
    return [folder.name for folder in reversed(checkpoints(run_dir))]


def test_a_disk_that_is_full_for_a_while_costs_one_checkpoint(unbroken, small_disk, caplog):
    def fill():
        with (small_disk / "filler").open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(b"0" * 4096)
                except OSError:
                    return

    free = (small_disk / "filler").unlink

    with caplog.at_level(logging.WARNING):
        run_training(tiny_run(small_disk / "run"), _between(3, 5, fill, free))

    assert _names(small_disk / "run") == ["step_00000002", "step_00000006"]
    assert "checkpoint of step 4 not saved, training goes on: disk full" in caplog.text
    assert weights(small_disk / "run") == weights(unbroken.run_dir)


def test_files_that_may_not_grow_cost_one_checkpoint(unbroken, tmp_path):
    run = tiny_run(tmp_path / "run")
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def limit(soft):
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    progress = _between(3, 5, limit(SMALL), limit(hard))
    code, _ = ended(forked(run_training, run, progress))

    assert code == 0
    assert _names(run.run_dir) == ["step_00000002", "step_00000006"]
    assert weights(run.run_dir) == weights(unbroken.run_dir)


def test_a_run_whose_last_checkpoint_has_no_room_says_so_and_keeps_the_one_before(tmp_path):
    def train():
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        run = tiny_run(tmp_path / "run")
        small = _between(
            4, -1, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, hard)), None
        )
        with pytest.raises(ResourceError, match="disk full"):
            run_training(run, small)

    code, _ = ended(forked(train))

    assert code == 0
    assert _names(tmp_path / "run") == ["step_00000002", "step_00000004"]
    assert not list((tmp_path / "run/checkpoints").glob(".writing-*"))
