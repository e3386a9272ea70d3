"""A run that was killed anywhere, and went on, is the run that was never killed."""

import hashlib
import json
import logging
import os
import random
import shutil
import signal

import pytest

from smplcli.errors import ConfigError, IntegrityError, ResourceError
from smplcli.training.checkpoints import adopt, checkpoint_dir, checkpoints
from smplcli.training.config import Recipe
from smplcli.training.loop import run_training
from smplcli.training.resume import check_changes, run_facts
from tests.training.tiny import (
    STEPS,
    ended,
    forked,
    raising,
    tensors,
    tiny_run,
    train_whole,
    weights,
    whole,
    with_schedule,
)

FILES = ("model.safetensors", "averaged.safetensors", "optimizer.safetensors")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    run = tiny_run(tmp_path_factory.mktemp("unbroken") / "run")
    train_whole(run)
    return run


def _same(ours, theirs):
    return all(
        weights(ours.run_dir, name=name) == weights(theirs.run_dir, name=name) for name in FILES
    )


def _killed_at(run, step):
    code, _ = ended(forked(run_training, run, raising(signal.SIGKILL, step)))
    assert code == -signal.SIGKILL


def test_the_same_seed_twice_gives_the_same_weights(unbroken, tmp_path):
    run = tiny_run(tmp_path / "run")
    train_whole(run)

    assert _same(run, unbroken)
    assert run.history == unbroken.history


def test_another_seed_gives_other_weights(unbroken, tmp_path):
    run = tiny_run(tmp_path / "run", recipe=unbroken.recipe.model_copy(update={"seed": 1}))
    train_whole(run)

    assert not _same(run, unbroken)


@pytest.mark.parametrize("workers", [0, 2])
def test_kills_at_any_step_change_no_bit(unbroken, tmp_path, workers):
    rng = random.Random(workers)
    for step in sorted(rng.sample(range(1, STEPS), 3)):
        _killed_at(tiny_run(tmp_path / "run", workers=workers), step)
    run = tiny_run(tmp_path / "run", workers=workers)

    train_whole(run)

    assert _same(run, unbroken)
    assert run.history == unbroken.history


def test_a_damaged_newest_checkpoint_costs_time_and_no_bit(unbroken, tmp_path, caplog):
    _killed_at(tiny_run(tmp_path / "run"), 5)
    file = checkpoint_dir(tmp_path / "run", 4) / "optimizer.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    run = tiny_run(tmp_path / "run")

    with caplog.at_level(logging.WARNING):
        steps = train_whole(run)

    assert steps.start == 2
    assert "damaged, the one before is used" in caplog.text
    assert _same(run, unbroken)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "averaged.safetensors").write_bytes(b""),
        lambda folder: os.truncate(folder / "model.safetensors", 1000),
        lambda folder: (folder / "state.json").write_text("{"),
        lambda folder: (folder / "state.json").write_text(
            (folder / "state.json").read_text().replace('"step": 4', '"step": 5')
        ),
        lambda folder: shutil.copy(folder.parent / "step_00000002/state.json", folder),
    ],
    ids=["missing", "empty", "cut", "no json", "other step", "other state"],
)
def test_no_damage_goes_unnoticed(unbroken, tmp_path, damage):
    run_dir = tmp_path / "run"
    shutil.copytree(unbroken.run_dir, run_dir)
    shutil.rmtree(checkpoint_dir(run_dir, STEPS))
    damage(checkpoint_dir(run_dir, 4))
    run = tiny_run(run_dir)

    with pytest.raises(KeyboardInterrupt):
        run_training(run, raising(signal.SIGINT, 2))

    assert [folder.name for folder in checkpoints(run_dir)] == ["step_00000003", "step_00000002"]


def test_a_run_stops_where_every_checkpoint_is_damaged(unbroken, tmp_path):
    shutil.copytree(unbroken.run_dir, tmp_path / "run")
    for state in (tmp_path / "run").glob("checkpoints/*/state.json"):
        state.write_text("{")

    with pytest.raises(IntegrityError, match="no sound checkpoint"):
        train_whole(tiny_run(tmp_path / "run"))


def test_a_finished_run_has_nothing_left_to_do(unbroken, caplog):
    before = weights(unbroken.run_dir)

    with caplog.at_level(logging.INFO):
        steps = train_whole(tiny_run(unbroken.run_dir))

    assert len(steps) == 0
    assert "nothing is left to do" in caplog.text
    assert weights(unbroken.run_dir) == before


def test_a_longer_run_goes_on_after_the_end_of_a_shorter_one(unbroken, tmp_path):
    shutil.copytree(unbroken.run_dir, tmp_path / "run")

    steps = train_whole(tiny_run(tmp_path / "run", recipe=with_schedule(steps=STEPS + 1)))

    assert steps == range(STEPS, STEPS + 1)


def test_lines_of_steps_that_are_taken_again_leave_the_log(tmp_path):
    _killed_at(tiny_run(tmp_path / "run"), 3)
    with (tmp_path / "run/log.jsonl").open("a") as file:
        file.write('{"step": 3, "losses": {}}\n{"step": 4, "los')

    run_training(tiny_run(tmp_path / "run"), whole)

    lines = (tmp_path / "run/log.jsonl").read_text().splitlines()
    assert [line[:10] for line in lines if '"validation"' in line] == [
        '{"step": 2',
        '{"step": 4',
        '{"step": 6',
    ]
    assert not any('"los' in line and "losses" not in line for line in lines)


def test_lines_of_a_run_killed_before_its_first_checkpoint_leave_the_log(unbroken, tmp_path):
    _killed_at(tiny_run(tmp_path / "run"), 1)
    (tmp_path / "run/log.jsonl").write_text('{"step": 1, "validation": {}}\n')

    run_training(tiny_run(tmp_path / "run"), whole)

    assert _steps(tmp_path / "run") == _steps(unbroken.run_dir)


def _steps(run_dir):
    return [json.loads(line)["step"] for line in (run_dir / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def without_best(tmp_path):
    """A finished run that was best after its fourth step, and whose best weights are lost."""
    errors = iter([3.0, 9.0, 1.0, 9.0, 2.0, 9.0])  # of weights and average after each validation
    train_whole(tiny_run(tmp_path / "run", validate=lambda *_: {"pa_mpjpe": next(errors)}))
    run = tiny_run(tmp_path / "run", validate=lambda *_: {"pa_mpjpe": 2.0})
    run.has_best = lambda: False
    return run


def _train_for_best(run):
    """Go on with a run, and see what it writes as its best."""
    kept = []
    run.on_best = lambda network, facts: kept.append(
        (facts, {name: value.clone() for name, value in network.state_dict().items()})
    )
    train_whole(run)
    return kept


def test_best_weights_that_are_lost_are_taken_from_their_checkpoint(without_best, caplog):
    caplog.set_level(logging.INFO)
    ((facts, found),) = _train_for_best(without_best)

    assert facts == {"step": 4, "weights": "raw", "validation": {"pa_mpjpe": 1.0}}
    assert all(
        (found[name] == value).all() for name, value in tensors(without_best.run_dir, 4).items()
    )
    assert "best weights of step 4 are taken from its checkpoint" in caplog.text


def test_best_weights_whose_checkpoint_is_lost_too_are_looked_for_again(without_best, caplog):
    shutil.rmtree(checkpoint_dir(without_best.run_dir, 4))

    ((facts, _),) = _train_for_best(without_best)

    assert facts["step"] == STEPS
    assert "best weights of step 4 are gone" in caplog.text


def test_a_full_disk_does_not_keep_a_run_from_going_on_without_its_best(without_best, caplog):
    def refuse(*_):
        raise ResourceError("disk full")

    without_best.on_best = refuse
    train_whole(without_best)

    assert "best weights not saved, training goes on: disk full" in caplog.text


def test_regaining_the_best_weights_changes_no_bit_of_the_last(unbroken, without_best):
    _train_for_best(without_best)

    assert _same(without_best, unbroken)


DEFAULT = Recipe()


def _facts(recipe=DEFAULT, data="a", body="c"):
    return run_facts(recipe, data={"set": data * 64}, body=body * 64, versions={})


@pytest.fixture
def begun(tmp_path):
    """A run folder with a checkpoint of the recipe as it is by default."""
    run = tiny_run(tmp_path / "run")
    run.facts = _facts()
    with pytest.raises(KeyboardInterrupt):
        run_training(run, raising(signal.SIGINT, 0))
    return run.run_dir


def test_a_changed_recipe_is_refused_with_what_was_and_is(begun):
    recipe = with_schedule(DEFAULT, learning_rate=1e-2, steps=7)

    with pytest.raises(ConfigError) as refused:
        check_changes(begun, _facts(recipe))

    assert "schedule.learning_rate: 0.0003 -> 0.01" in str(refused.value)
    assert "schedule.steps: 1000 -> 7" in str(refused.value)
    assert "--allow-change schedule.steps" in refused.value.hint


def test_changed_data_and_another_body_are_refused(begun):
    with pytest.raises(ConfigError, match="data: a{12} -> b{12}\n  body: c{12} -> d{12}"):
        check_changes(begun, _facts(data="b", body="d"))


@pytest.mark.parametrize("allowed", [["schedule.steps", "data"], ["schedule", "data"]])
def test_what_may_change_is_let_through_and_told(begun, allowed):
    changes = check_changes(begun, _facts(with_schedule(DEFAULT, steps=7), data="b"), allowed)

    assert [change.key for change in changes] == ["schedule.steps", "data"]


def test_allowing_one_change_allows_no_other(begun):
    facts = _facts(with_schedule(DEFAULT, steps=7), data="b")

    with pytest.raises(ConfigError, match="data") as refused:
        check_changes(begun, facts, ["schedule.steps"])

    assert "steps" not in str(refused.value)


def test_a_change_of_something_that_does_not_exist_is_refused(begun):
    with pytest.raises(ConfigError, match=r"no such setting to change: schedule\.stepz"):
        check_changes(begun, _facts(), ["schedule.stepz"])


def test_how_a_run_is_kept_may_always_change(begun):
    recipe = Recipe.model_validate({"conduct": {"keep_every": 5}})

    assert [change.key for change in check_changes(begun, _facts(recipe))] == [
        "conduct.keep_every"
    ]


def test_the_same_data_in_another_place_is_the_same_data(begun):
    moved = {**_facts(), "data": {"elsewhere": "a" * 64}}

    assert check_changes(begun, moved) == []


@pytest.fixture
def older(unbroken, tmp_path):
    """A copy of a checkpoint that a test may change."""
    return shutil.copytree(checkpoint_dir(unbroken.run_dir, 4), tmp_path / "older")


def _rewrite(folder, **changes):
    """Change what a checkpoint says of itself, hashes and all, as somebody hostile may."""
    facts = json.loads((folder / "state.json").read_text()) | changes
    del facts["state_sha256"]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    (folder / "state.json").write_text(json.dumps({**facts, "state_sha256": digest}))


def test_a_run_that_adopts_a_checkpoint_ends_as_the_one_it_is_of(unbroken, older, tmp_path):
    run = tiny_run(tmp_path / "branch")
    adopt(run.run_dir, older)
    train_whole(run)

    assert _same(run, unbroken)


def test_a_run_with_a_checkpoint_of_its_own_adopts_none(unbroken, older, tmp_path):
    branch = tmp_path / "branch"
    shutil.copytree(checkpoint_dir(unbroken.run_dir, 2), checkpoint_dir(branch, 2))

    with pytest.raises(ConfigError, match="not begun with checkpoint"):
        adopt(branch, older)

    assert checkpoints(branch) == [checkpoint_dir(branch, 2)]


def test_a_damaged_checkpoint_is_not_adopted(older, tmp_path):
    (older / FILES[0]).write_bytes(b"x")

    with pytest.raises(IntegrityError, match="damaged: .*model"):
        adopt(tmp_path / "branch", older)

    assert not checkpoints(tmp_path / "branch")


def test_nothing_but_the_files_of_a_checkpoint_is_adopted(older, tmp_path):
    data = (older / FILES[0]).read_bytes()
    (older.parent / "evil.safetensors").write_bytes(data)
    hashes = json.loads((older / "state.json").read_text())["sha256"]
    digest = hashlib.sha256(data).hexdigest()
    _rewrite(older, sha256={**hashes, "../evil.safetensors": digest})

    adopt(tmp_path / "branch", older)

    found = {path.name for path in (tmp_path / "branch").rglob("*") if path.is_file()}
    assert found == {*FILES, "state.json", "last", "begun_with"}


def test_a_checkpoint_without_its_step_is_not_adopted(older, tmp_path):
    _rewrite(older, step="../../4")

    with pytest.raises(IntegrityError, match="does not say its step"):
        adopt(tmp_path / "branch", older)
