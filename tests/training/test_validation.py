import json
import signal

import pytest
import torch

from smplcli.errors import ConfigError
from smplcli.training.averaging import weights_of
from smplcli.training.checkpoints import (
    AVERAGED_FILE,
    checkpoint_dir,
    load_weights,
    read_checkpoint,
)
from smplcli.training.loop import run_training
from tests.training.tiny import STEPS, raising, tiny_run, train_whole, weights, with_schedule

RECIPE = with_schedule(swa_from=0.0, swa_every=2, average=0.5, validate_every=3)
NORM = "head.part_branch.blocks.0.1.running_mean"


def entries(run):
    return [json.loads(line) for line in (run.run_dir / "log.jsonl").read_text().splitlines()]


def averaged(run, kind, step=STEPS):
    files = read_checkpoint(checkpoint_dir(run.run_dir, step))[1]
    return weights_of(files[AVERAGED_FILE], kind)


def preferring(kind):
    """A validation that likes the weights of one kind: the second, say, of those it is shown."""
    order = {"raw": 0, "ema": 1, "swa": 2}
    calls = []

    def validate(_network, _through):
        calls.append(None)
        return {"pa_mpjpe": float((len(calls) - 1) % len(order) != order[kind])}

    return validate


def test_the_best_of_raw_weights_and_averages_is_kept_and_named(tmp_path):
    kept = []
    run = tiny_run(tmp_path / "run", recipe=RECIPE, validate=preferring("swa"))
    run.on_best = lambda network, facts: kept.append(
        (facts["step"], facts["weights"], network.head.pool.weight.clone())
    )

    train_whole(run)

    ((step, kind, weight),) = kept
    assert (step, kind) == (3, "swa")
    assert torch.equal(weight, averaged(run, "swa", 3)["head.pool.weight"])
    assert [(e["step"], e["weights"]) for e in run.history] == [(3, "swa"), (6, "swa")]


def test_the_log_holds_the_errors_of_all_weights(tmp_path):
    run = tiny_run(tmp_path / "run", recipe=RECIPE, validate=preferring("raw"))

    train_whole(run)

    (first, second) = [entry for entry in entries(run) if "validation" in entry]
    assert first["weights"] == second["weights"] == "raw"
    assert first["by_weights"] == {
        "raw": {"pa_mpjpe": 0.0},
        "ema": {"pa_mpjpe": 1.0},
        "swa": {"pa_mpjpe": 1.0},
    }


def test_averages_have_norms_of_their_own(tmp_path):
    run = tiny_run(tmp_path / "run", recipe=RECIPE)

    train_whole(run)

    own = run.network.state_dict()[NORM]
    assert not torch.equal(averaged(run, "ema")[NORM], own)
    assert not torch.equal(averaged(run, "swa")[NORM], averaged(run, "ema")[NORM])


def test_judging_averages_changes_nothing_of_the_training(tmp_path):
    often = tiny_run(tmp_path / "often", recipe=with_schedule(RECIPE, validate_every=2))
    seldom = tiny_run(tmp_path / "seldom", recipe=with_schedule(RECIPE, validate_every=STEPS))

    train_whole(often)
    train_whole(seldom)

    for name in ("model.safetensors", "averaged.safetensors"):
        assert weights(often.run_dir, name=name) == weights(seldom.run_dir, name=name)


def test_an_interrupted_run_ends_with_the_same_averages_to_the_bit(tmp_path):
    unbroken = tiny_run(tmp_path / "unbroken", recipe=RECIPE)
    train_whole(unbroken)
    with pytest.raises(KeyboardInterrupt):
        run_training(tiny_run(tmp_path / "broken", recipe=RECIPE), raising(signal.SIGINT, 3))

    broken = tiny_run(tmp_path / "broken", recipe=RECIPE)
    train_whole(broken)

    name = "averaged.safetensors"
    assert weights(broken.run_dir, name=name) == weights(unbroken.run_dir, name=name)
    assert broken.history == unbroken.history


def test_a_run_without_averages_is_judged_by_its_own_weights(tmp_path):
    run = tiny_run(tmp_path / "run", recipe=with_schedule(average=0.0))

    train_whole(run)

    assert {entry["weights"] for entry in run.history} == {"raw"}
    with pytest.raises(ConfigError, match="no averaged weights"):
        load_weights(checkpoint_dir(run.run_dir, STEPS), averaged=True)
