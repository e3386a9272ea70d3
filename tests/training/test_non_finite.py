"""A NaN in one sample: found before it reaches a weight, and named."""

import itertools
import json
import logging

import numpy as np
import pytest

from smplcli.errors import UnstableTrainingError
from smplcli.training.checkpoints import checkpoints
from tests.people import FewPeople, few_people
from tests.training.tiny import (
    RECIPE,
    STEPS,
    tensors,
    tiny_run,
    train_whole,
    weights,
    with_schedule,
)

NAN = np.float32("nan")


def _planted(*places):
    """People, some of whose labels hold a NaN."""
    people = list(few_people().samples)
    for place in places:
        shape = people[place].shape.copy()
        shape[3] = NAN
        people[place] = people[place]._replace(shape=shape)
    return FewPeople(people)


def _run(tmp_path, policy, *places, **schedule):
    recipe = with_schedule(RECIPE, **schedule)
    conduct = recipe.conduct.model_copy(update={"non_finite": policy, "keep_every": 1})
    recipe = recipe.model_copy(update={"conduct": conduct})
    return tiny_run(tmp_path / "run", samples=_planted(*places), recipe=recipe)


def _is_finite(run_dir):
    return all(
        value.isfinite().all()
        for folder in checkpoints(run_dir)
        for value in tensors(run_dir, int(folder.name[5:])).values()
    )


def test_steps_with_the_sample_are_skipped_and_it_is_named(tmp_path, caplog):
    run = _run(tmp_path, "skip", 2)

    with caplog.at_level(logging.WARNING):
        train_whole(run)

    assert run.skipped
    assert len(run.skipped) < STEPS
    assert _is_finite(run.run_dir)
    lines = [json.loads(line) for line in (run.run_dir / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "non_finite" in line] == run.skipped
    assert all(line["non_finite"] == ["s/2.jpg"] for line in lines if "non_finite" in line)
    assert "on one of: s/2.jpg; the step is skipped" in caplog.text


def test_a_skipped_step_changes_nothing(tmp_path):
    run = _run(tmp_path, "skip", *range(6), steps=1, validate_every=1)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}

    train_whole(run)

    after = run.network.state_dict()
    assert run.skipped == [0]
    floats = [name for name, value in before.items() if value.is_floating_point()]
    assert all((after[name] == before[name]).all() for name in floats)


def test_too_many_skips_stop_the_run(tmp_path):
    run = _run(tmp_path, "skip", *range(6), steps=20)

    with pytest.raises(UnstableTrainingError, match="11 of the last 1000 steps were skipped"):
        train_whole(run)

    assert _is_finite(run.run_dir)


def test_rollback_goes_on_from_the_weights_of_the_last_checkpoint(tmp_path):
    run = _run(tmp_path, "rollback", 2, validate_every=1)

    train_whole(run)

    assert 0 < len(run.rollbacks) <= 3
    assert _is_finite(run.run_dir)
    for step in run.rollbacks:
        assert weights(run.run_dir, step) == weights(run.run_dir, step + 1)


def test_rollback_needs_a_checkpoint(tmp_path):
    with pytest.raises(UnstableTrainingError, match="there is no checkpoint to go back to"):
        train_whole(_run(tmp_path, "rollback", *range(6)))


def test_stop_stops_at_once_and_keeps_what_was_learned(tmp_path):
    run = _run(tmp_path, "stop", 2)

    with pytest.raises(UnstableTrainingError, match=r"at step \d, on one of: s/2\.jpg"):
        train_whole(run)

    assert _is_finite(run.run_dir)


def test_without_a_nan_nothing_is_skipped(tmp_path):
    run = _run(tmp_path, "stop")

    train_whole(run)

    assert (run.skipped, run.rollbacks) == ([], [])


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    run, best = _run(tmp_path, "skip"), []
    run.network.mean_rot6d[0] = float(NAN)
    run.on_best = lambda *_: best.append(None)

    with pytest.raises(UnstableTrainingError):
        train_whole(run)

    assert not checkpoints(run.run_dir)
    assert not best


def test_weights_whose_errors_are_no_numbers_are_not_the_best(tmp_path):
    run, best = tiny_run(tmp_path / "run", validate=lambda *_: {"pa_mpjpe": float(NAN)}), []
    run.on_best = lambda *_: best.append(None)

    with pytest.raises(UnstableTrainingError, match="errors are not finite after step 2"):
        train_whole(run)

    assert not best


def test_an_average_that_gives_no_numbers_does_not_stop_the_run(tmp_path):
    answers = itertools.cycle([NAN, np.float32(90)])
    run = tiny_run(tmp_path / "run", validate=lambda *_: {"pa_mpjpe": float(next(answers))})

    train_whole(run)

    assert [(entry["weights"], entry["pa_mpjpe"]) for entry in run.history] == [("ema", 90)] * 3
