"""Which folders a run takes: what is lost where it is begun anew is nothing, or it is refused."""

import shutil

import pytest

from smplcli.errors import ConfigError, OutputExistsError
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from smplcli.training.checkpoints import checkpoint_dir
from smplcli.training.config import recipe_to_toml
from smplcli.training.resume import run_facts
from smplcli.workflows.run_folder import claim
from tests.training.tiny import RECIPE, STEPS, tiny_run, train_whole, with_schedule

SAVED_FIRST = RECIPE.schedule.validate_every
OTHER = with_schedule(learning_rate=0.5)


def facts(recipe=RECIPE):
    return run_facts(recipe, data={"set": "d" * 64}, body="b" * 64, versions={})


def provenance(recipe=RECIPE, **changes):
    known = {"data_sha256": "d" * 64, "body_sha256": "b" * 64}
    return {**known, "recipe": recipe.model_dump(mode="json"), **changes}


def take(run_dir, recipe=RECIPE, **options):
    claim(run_dir, recipe, facts(recipe), provenance(recipe), **options)


def write_best(run_dir, recipe=RECIPE, **changes):
    told = {"step": SAVED_FIRST, **provenance(recipe, **changes)}
    save_network(run_dir / "best.safetensors", build_network(recipe.model), told)


@pytest.fixture
def begun(tmp_path):
    """A run that was killed between its first best weights and its first checkpoint."""
    take(tmp_path)
    (tmp_path / "log.jsonl").write_text('{"step": 2}\n')
    write_best(tmp_path)
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_killed_before_its_first_checkpoint_begins_again(begun):
    take(begun)

    assert (begun / "config.toml").read_text() == recipe_to_toml(RECIPE)


def test_how_a_run_is_kept_may_change_before_its_first_checkpoint(begun):
    conduct = RECIPE.conduct.model_copy(update={"non_finite": "stop"})

    take(begun, RECIPE.model_copy(update={"conduct": conduct}))

    assert 'non_finite = "stop"' in (begun / "config.toml").read_text()


def test_a_recipe_that_never_took_a_step_may_be_mended(tmp_path):
    take(tmp_path)

    take(tmp_path, OTHER)

    assert "learning_rate = 0.5" in (tmp_path / "config.toml").read_text()


def test_another_recipe_is_refused_before_the_first_checkpoint_as_after_it(begun):
    (begun / "best.safetensors").unlink()

    with pytest.raises(ConfigError, match=r"begun otherwise.*\n  schedule\.learning_rate"):
        take(begun, OTHER)


def test_a_change_that_is_allowed_is_no_reason_to_refuse(begun):
    (begun / "best.safetensors").unlink()

    take(begun, OTHER, allowed=["schedule"])

    assert "learning_rate = 0.5" in (begun / "config.toml").read_text()


def test_results_whose_checkpoints_were_deleted_stay(tmp_path):
    run = tiny_run(tmp_path / "run")
    take(run.run_dir)
    train_whole(run)
    write_best(run.run_dir)
    shutil.rmtree(run.run_dir / "checkpoints")
    before = contents(run.run_dir)

    with pytest.raises(OutputExistsError, match="no checkpoints to go on from"):
        take(run.run_dir)

    assert contents(run.run_dir) == before


@pytest.mark.parametrize(
    "changes", [{"step": STEPS}, {"data_sha256": "e" * 64}, {"body_sha256": "e" * 64}]
)
def test_weights_that_this_run_would_not_write_again_stay(begun, changes):
    write_best(begun, **changes)
    before = contents(begun)

    with pytest.raises(OutputExistsError):
        take(begun)

    assert contents(begun) == before


@pytest.mark.parametrize("name", ["config.toml", "log.jsonl", "best.safetensors"])
def test_files_of_somebody_else_stay(tmp_path, name):
    (tmp_path / name).write_text("mine")

    with pytest.raises(OutputExistsError, match=f"holds {name} and no checkpoints"):
        take(tmp_path)

    assert contents(tmp_path) == {name: b"mine"}


def test_a_checkpoint_of_another_run_is_not_put_beside_results(tmp_path):
    other = tiny_run(tmp_path / "other")
    train_whole(other)
    (tmp_path / "mine").mkdir()
    write_best(tmp_path / "mine")

    with pytest.raises(OutputExistsError):
        take(tmp_path / "mine", begin_with=checkpoint_dir(other.run_dir, STEPS))

    assert list(contents(tmp_path / "mine")) == ["best.safetensors"]
