"""Requests to stop: the state is saved, and another process goes on to the same weights."""

import os
import signal
import threading
import time

import pytest

from smplcli.training.checkpoints import checkpoints
from smplcli.training.loop import run_training
from tests.training.tiny import (
    STEPS,
    ended,
    forked,
    raising,
    shape_of_head,
    tiny_run,
    train_whole,
    weights,
    whole,
    with_schedule,
)

SOON = 20.0
"""Seconds within which a run has stopped, on a busy machine."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    run = tiny_run(tmp_path_factory.mktemp("unbroken") / "run")
    train_whole(run)
    return run


def _assert_goes_on_to_the_same(run_dir, unbroken):
    run = tiny_run(run_dir)
    train_whole(run)
    assert weights(run_dir) == weights(unbroken.run_dir)
    assert run.history == unbroken.history


def _newest(run_dir):
    return checkpoints(run_dir)[0].name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_signal_to_all_processes_saves_and_ends(unbroken, tmp_path, number, workers):
    def train():
        os.setsid()
        run_training(tiny_run(tmp_path / "run", workers=workers), group_signal)

    def group_signal(items, _label):
        for step in items:
            if step == 3:
                os.killpg(os.getpgrp(), number)
            yield step

    code, took = ended(forked(train), SOON)

    assert code == (130 if number == signal.SIGINT else -signal.SIGTERM)
    assert took < SOON
    assert _newest(tmp_path / "run") == "step_00000004"
    _assert_goes_on_to_the_same(tmp_path / "run", unbroken)


def test_a_signal_during_validation_ends_it_and_validates_later(unbroken, tmp_path):
    def validate(network, through):
        for batch in through(range(1000), "validate"):
            if batch == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            assert batch < 3
        return shape_of_head(network, through)

    code, _ = ended(forked(train_whole, tiny_run(tmp_path / "run", validate=validate)), SOON)

    assert code == -signal.SIGTERM
    assert _newest(tmp_path / "run") == "step_00000002"
    _assert_goes_on_to_the_same(tmp_path / "run", unbroken)


def test_a_signal_while_saving_waits_until_all_is_saved(unbroken, tmp_path):
    def train():
        run = tiny_run(tmp_path / "run")
        run.on_best = lambda *_: threading.Timer(
            0.02, os.kill, (os.getpid(), signal.SIGTERM)
        ).start()
        train_whole(run)

    code, _ = ended(forked(train), SOON)

    assert code == -signal.SIGTERM
    assert not list((tmp_path / "run/checkpoints").glob(".writing-*"))
    _assert_goes_on_to_the_same(tmp_path / "run", unbroken)


def test_a_second_signal_is_obeyed_at_once(tmp_path):
    def validate(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1000)

    code, took = ended(forked(train_whole, tiny_run(tmp_path / "run", validate=validate)), SOON)

    assert code == -signal.SIGTERM
    assert took < SOON
    assert not checkpoints(tmp_path / "run")


def test_a_run_that_is_out_of_time_stops_saved_and_goes_on_later(unbroken, tmp_path):
    late = run_training(tiny_run(tmp_path / "run"), whole, deadline=time.monotonic())

    assert late == range(1)
    assert _newest(tmp_path / "run") == "step_00000001"
    _assert_goes_on_to_the_same(tmp_path / "run", unbroken)


def test_a_run_with_time_left_takes_all_its_steps(tmp_path):
    deadline = time.monotonic() + 1000

    assert run_training(tiny_run(tmp_path / "run"), whole, deadline=deadline) == range(STEPS)


@pytest.mark.parametrize("best", [1, 12])
def test_old_checkpoints_go_but_for_the_best_and_every_nth(tmp_path, best):
    recipe = with_schedule(steps=12, validate_every=1, average=0)
    conduct = recipe.conduct.model_copy(update={"keep_every": 4})
    run = tiny_run(tmp_path / "run", recipe=recipe.model_copy(update={"conduct": conduct}))
    seen = iter(range(1000))
    run.validate = lambda *_: {"pa_mpjpe": abs(next(seen) + 1 - best)}

    train_whole(run)

    kept = [int(folder.name[5:]) for folder in reversed(checkpoints(run.run_dir))]
    assert kept == sorted({4, 8, 10, 11, 12, best})
    assert (run.run_dir / "last").read_text() == "checkpoints/step_00000012\n"


def test_a_worker_that_dies_is_replaced_and_no_bit_changes(unbroken, tmp_path, caplog):
    marker = tmp_path / "killed"

    class DeadlyOnce(type(unbroken.samples)):
        def __getitem__(self, key):
            if not marker.exists() and os.getpid() != parent:
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__getitem__(key)

    parent = os.getpid()
    run = tiny_run(tmp_path / "run", workers=2)
    run.samples.__class__ = DeadlyOnce

    train_whole(run)

    assert marker.exists()
    assert "worker died" in caplog.text
    assert weights(run.run_dir) == weights(unbroken.run_dir)


def test_the_first_signal_lets_the_step_be_finished(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_training(tiny_run(tmp_path / "run"), raising(signal.SIGINT, 0))

    assert _newest(tmp_path / "run") == "step_00000001"
