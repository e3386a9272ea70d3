"""Two processes train as one: the same batches, losses and metrics."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from smplcli.body.files import load_body
from smplcli.errors import ConfigError, LostProcessError
from smplcli.models.config import ModelConfig
from smplcli.training.config import Recipe, ScheduleConfig
from smplcli.training.distributed import Ranks, check_shares, trained_together
from smplcli.training.loop import run_training
from smplcli.workflows.validation import validator
from tests.people import FewPeople, few_people
from tests.training.tiny import ended, forked, raising, tensors, tiny_run, whole

STEPS = 6
SOON = 30.0
"""Seconds within which processes have ended, whatever has happened to one of them."""

# Without batch norms, whose means are of what each process sees.
RECIPE = Recipe(
    model=ModelConfig(
        backbone="test_efficientnet", head="baseline", input_size=64, hidden=8, fold_norm=True
    ),
    schedule=ScheduleConfig(
        steps=STEPS, batch_size=4, lifting_batch=4, warmup=0, validate_every=STEPS, average=0
    ),
)


def _people():
    """People of whom every other has no body: each process sees its own number of labels."""
    people = few_people().samples
    return FewPeople([p._replace(has_smpl=index % 2) for index, p in enumerate(people)])


def _summed(network, through):
    for _ in through(range(2), "validate"):
        pass
    return {"pa_mpjpe": sum(float(p.detach().double().sum()) for p in network.parameters())}


def _train(folder, ranks, progress=whole):
    run = tiny_run(folder / "run", samples=_people(), recipe=RECIPE, validate=_summed, ranks=ranks)
    seen = folder / f"seen-{ranks.number}"

    class Noted(type(run.samples)):
        def __getitem__(self, keys):
            with seen.open("a") as file:
                file.write(json.dumps(keys) + "\n")
            return super().__getitem__(keys)

    run.samples.__class__ = Noted
    run_training(run, progress)


def _rank(number, port, work):
    os.environ.update(
        RANK=str(number),
        LOCAL_RANK=str(number),
        WORLD_SIZE="2",
        MASTER_ADDR="localhost",
        MASTER_PORT=str(port),
        TORCHELASTIC_RUN_ID="test",
        TORCHELASTIC_RESTART_COUNT="0",
    )
    with trained_together(torch.device("cpu")) as (ranks, _):
        work(ranks)


def _in_two(work):
    """Exit codes of two processes that work together."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    processes = [forked(_rank, number, port, work) for number in (0, 1)]
    return [ended(process, SOON)[0] for process in processes]


def _two(folder, progress=whole):
    """Exit codes of two processes that train together; the second has a progress of its own."""
    return _in_two(lambda ranks: _train(folder, ranks, progress if ranks.number else whole))


def _seen(folder, number):
    return [json.loads(line) for line in (folder / f"seen-{number}").read_text().splitlines()]


def _losses(folder):
    lines = map(json.loads, (folder / "run/log.jsonl").read_text().splitlines())
    return next(line["losses"] for line in lines if "losses" in line)


@pytest.fixture(scope="module")
def one_and_two(tmp_path_factory):
    """Folders of the same run in one process, and in two."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    _train(one, Ranks())
    assert _two(two) == [0, 0]
    return one, two


def test_two_processes_see_the_batches_of_one(one_and_two):
    one, two = one_and_two

    shares = zip(_seen(two, 0), _seen(two, 1), strict=True)
    together = [sorted(even + odd) for even, odd in shares]

    assert together == [sorted(batch) for batch in _seen(one, 0)]


def test_two_processes_have_the_losses_and_weights_of_one_within_rounding(one_and_two):
    one, two = one_and_two

    assert _losses(two) == pytest.approx(_losses(one), rel=1e-4)
    ours, theirs = tensors(two / "run"), tensors(one / "run")
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("count", [5, 6])
def test_validation_is_the_same_to_the_last_digit(tmp_path, count):
    def measure(ranks):
        run = tiny_run(tmp_path / "run", ranks=ranks)
        people = few_people(count)
        validate = validator(people, load_body(), ranks, batch_size=2)
        errors = validate(run.network.eval(), whole)
        (tmp_path / f"{ranks.number}-of-{ranks.size}").write_text(repr(errors))

    assert _in_two(measure) == [0, 0]
    measure(Ranks())

    alone, first, second = (
        (tmp_path / name).read_text() for name in ("0-of-1", "0-of-2", "1-of-2")
    )
    assert "pa_mpjpe" in alone
    assert first == second == alone


def test_a_process_that_is_killed_ends_the_other_which_says_so(tmp_path, capfd):
    assert _two(tmp_path, raising(signal.SIGKILL, 3)) == [1, -signal.SIGKILL]
    assert LostProcessError.__name__ in capfd.readouterr().err


def test_a_signal_to_one_process_stops_both_at_the_same_step(tmp_path):
    assert _two(tmp_path, raising(signal.SIGTERM, 3)) == [0, -signal.SIGTERM]
    assert [p.name for p in (tmp_path / "run/checkpoints").iterdir()] == ["step_00000004"]


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    with pytest.raises(ConfigError, match="batch_size cannot be shared by 3 processes: 4"):
        check_shares(RECIPE, Ranks(0, 3))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with a few rendered people and a tiny recipe."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "tiny.toml").write_text(
        '[model]\nbackbone = "test_efficientnet"\nhead = "baseline"\ninput_size = 64\nhidden = 8\n'
        "[schedule]\nsteps = 40\nbatch_size = 4\nwarmup = 1\nvalidate_every = 10\naverage = 0\n"
    )
    _smplcli(folder, "prepare", "--count", "6", "--jobs", "1")
    return folder


def _smplcli(folder, *arguments, check=True):
    done = subprocess.run(
        [sys.executable, "-m", "smplcli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def _kill_second_rank(launcher, when):
    """Kill the second process of a launcher once a file is there."""
    while not when.exists():
        time.sleep(0.05)
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    ranks = [pid for pid in children if b"\0RANK=1\0" in Path(f"/proc/{pid}/environ").read_bytes()]
    os.kill(int(ranks[0]), signal.SIGKILL)


@pytest.mark.slow
def test_the_command_trains_in_two_processes_and_goes_on_after_one_was_killed(project):
    command = [sys.executable, "-m", "smplcli", "train", "--recipe", "tiny.toml", "--nproc", "2"]
    with subprocess.Popen(
        [*command, "--max-restarts", "1", "--json"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as launched:
        _kill_second_rank(launched.pid, project / "smplcli-demo/runs/tiny-1/last")
        output, messages = launched.communicate(timeout=300)

    assert launched.returncode == 0, messages
    assert json.loads(output)["reached"] == 40
    assert "it goes on" in messages
