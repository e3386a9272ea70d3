"""Taking a folder for a run: an empty one, or the one in which the same run was begun."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from smplcli.errors import OutputExistsError, SmplCliError
from smplcli.files import atomic_write
from smplcli.models.weights import read_provenance
from smplcli.training.checkpoints import LAST_FILE, adopt, checkpoints, sweep
from smplcli.training.config import Recipe, read_recipe, recipe_to_toml
from smplcli.training.logs import LOG_FILE
from smplcli.training.resume import FREE, changes_since, check_changes
from smplcli.workflows.project import BEST_FILE, CONFIG_FILE

logger = logging.getLogger(__name__)

SAME = ("recipe", "data_sha256", "body_sha256")
"""Facts about best weights that make them this run's."""


def claim(
    run_dir: Path,
    recipe: Recipe,
    facts: Mapping[str, Any],
    provenance: Mapping[str, Any],
    *,
    allowed: Collection[str] = (),
    begin_with: Path | None = None,
) -> None:
    """Write the recipe into a run's folder, if it is the one that the run was begun with.

    Args:
        run_dir: The run.
        recipe: What is trained.
        facts: What checkpoints say of the run.
        provenance: What its best weights say of it.
        allowed: Keys of what may differ.
        begin_with: Checkpoint of another run from which a new one goes on.

    Raises:
        ConfigError: The run was begun otherwise.
        OutputExistsError: The folder holds files that are not of this run, or results of a run
            whose checkpoints are gone.
        IntegrityError: The checkpoint of the other run is damaged.
        ResourceError: The disk is full.
    """
    if not checkpoints(run_dir):
        _refuse_results(run_dir, provenance)
        before = _recipe_of_begun(run_dir)
        if before is not None:
            changes_since({**facts, "recipe": before}, facts, allowed, place=run_dir)
    if begin_with is not None:
        adopt(run_dir, begin_with)
    for change in check_changes(run_dir, facts, allowed):
        logger.warning("changed: %s", change)
    sweep(run_dir)
    with atomic_write(run_dir / CONFIG_FILE) as stream:
        stream.write(recipe_to_toml(recipe).encode())


def _refuse_results(run_dir: Path, provenance: Mapping[str, Any]) -> None:
    """Refuse files that a run would replace and that it has not written before a checkpoint."""
    names = (CONFIG_FILE, LOG_FILE, BEST_FILE, LAST_FILE)
    found = [name for name in names if (run_dir / name).exists()]
    if not found or _is_beginning(run_dir, provenance):
        return
    raise OutputExistsError(
        f"run folder holds {', '.join(found)} and no checkpoints to go on from: {run_dir}",
        hint="Choose another folder with --out.",
    )


def _is_beginning(run_dir: Path, provenance: Mapping[str, Any]) -> bool:
    """Whether files may be those of this run, killed before its first checkpoint."""
    try:
        recipe = read_recipe(str(run_dir / CONFIG_FILE))
        best = run_dir / BEST_FILE
        found = read_provenance(best) if best.exists() else None
    except SmplCliError:
        return False
    if (run_dir / LAST_FILE).exists():
        return False
    return found is None or (
        _same(found) == _same(provenance) and found.get("step", 0) <= recipe.save_every
    )


def _same(provenance: Mapping[str, Any]) -> list[Any]:
    facts = [provenance.get(name) for name in SAME]
    return [
        {key: value for key, value in fact.items() if key != FREE}
        if isinstance(fact, dict)
        else fact
        for fact in facts
    ]


def _recipe_of_begun(run_dir: Path) -> dict[str, Any] | None:
    """Recipe of a run that has taken steps, and has no checkpoint yet."""
    if not (run_dir / LOG_FILE).exists():
        return None
    return read_recipe(str(run_dir / CONFIG_FILE)).model_dump(mode="json")
