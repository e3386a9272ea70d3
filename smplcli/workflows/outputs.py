"""Where a step writes when nobody says: always a new place, unless it goes on with its work."""

import os
from collections.abc import Iterable
from pathlib import Path

from smplcli.errors import ConfigError, MissingFileError, OutputExistsError
from smplcli.training.checkpoints import LAST_FILE, began_with, checkpoints
from smplcli.training.config import read_recipe
from smplcli.training.resume import is_finished
from smplcli.workflows.prepared_folder import PLAN_FILE
from smplcli.workflows.project import (
    CONFIG_FILE,
    EVALUATION_DIR,
    is_checkpoint,
    last_number,
    next_free,
)
from smplcli.workflows.submission_report import COURSE_FILE, DEMO_PREFIX, FormatName

SUBMISSION_NAMES: dict[FormatName, tuple[str, str, str]] = {
    "3dpw-challenge": ("3dpw", ".zip", ""),
    "eth-mp": ("eth-mp", "", COURSE_FILE),
    "emdb": ("emdb", "", ""),
    "agora": ("agora", ".zip", ""),
}
"""Beginning and end of the name, and the file in it where a folder must be around one."""


def default_data_dir(data_dir: Path, source: str) -> Path:
    """Folder to prepare a data set in: that of the last one if it is not finished, else a new one.

    Args:
        data_dir: Folder of all data sets; those of a source are called ``<source>-1`` and so on.
        source: What is prepared.
    """
    last = data_dir / f"{source}-{last_number(data_dir, source)}"
    return last if (last / PLAN_FILE).is_file() else next_free(data_dir, source)


def data_dirs(data_dir: Path, sources: Iterable[str], given: Path | None) -> dict[str, Path]:
    """Folder to prepare each source in.

    Args:
        data_dir: Folder of all data sets.
        sources: What is prepared.
        given: Folder that the user named, which holds one data set.

    Raises:
        ConfigError: There are several sources for one folder.
    """
    names = list(sources)
    if given is None:
        return {name: default_data_dir(data_dir, name) for name in names}
    if len(names) > 1:
        raise ConfigError(
            f"one folder is given for {len(names)} data sets: {given}",
            hint="Leave --out away, or prepare them one by one.",
        )
    return dict.fromkeys(names, given)


def default_run_dir(runs_dir: Path, recipe: str) -> Path:
    """Folder to train a recipe in: of its last run if that is unfinished, else a new one.

    Args:
        runs_dir: Folder of all runs; those of a recipe are called ``<recipe>-1``, ``<recipe>-2``.
        recipe: Name of a shipped recipe, or a TOML file.

    Raises:
        ConfigError: There is no such recipe, or it has mistakes.
        MissingFileError: There is no such file.
    """
    read_recipe(recipe)
    return unfinished_run(runs_dir, recipe) or next_free(runs_dir, Path(recipe).stem)


def choose_run_dir(runs_dir: Path, recipe: str, *, out: Path | None, resume: str) -> Path:
    """Folder of the run that is wanted.

    Args:
        runs_dir: Folder of all runs.
        recipe: Name of a shipped recipe, or a TOML file.
        out: Folder that the user named.
        resume: ``auto`` goes on with an unfinished run, ``must`` needs one, ``never`` begins; any
            other text is the folder of a run, or of a checkpoint: a run's newest, to go on with
            it, or any other, with which a new run begins.

    Raises:
        ConfigError: The recipe has mistakes, or two runs are named.
        MissingFileError: There is no run to go on with.
        OutputExistsError: There is one, and none was to be.
    """
    if resume in ("auto", "never"):
        default = default_run_dir(runs_dir, recipe) if resume == "auto" else None
        chosen = out or default or next_free(runs_dir, Path(recipe).stem)
        if resume == "never" and (chosen / CONFIG_FILE).exists():
            raise OutputExistsError(
                f"run folder holds a run: {chosen}",
                hint="Choose another with --out, or go on with it by leaving --resume never out.",
            )
        return chosen
    if resume == "must":
        found = out or unfinished_run(runs_dir, recipe)
    elif is_checkpoint(Path(resume)):
        return out or _run_to_go_on(Path(resume), runs_dir, recipe)
    elif out is not None:
        raise ConfigError(
            "--out and --resume both name a run",
            hint="Give one of them, or a checkpoint of the run after --resume, to begin with it.",
        )
    else:
        found = Path(resume)
        if not found.is_dir():
            raise MissingFileError(f"run folder not found: {found}")
    if found is None or not checkpoints(found):
        place = f"of {Path(recipe).stem} in {runs_dir}" if found is None else str(found)
        raise MissingFileError(
            f"no run to go on with: {place}", hint="Leave --resume out to begin one."
        )
    return found


def checkpoint_to_begin_with(resume: str, run_dir: Path) -> Path | None:
    """The checkpoint that a run is to begin with; ``None`` where it goes on with its newest.

    Args:
        resume: As for `choose_run_dir`.
        run_dir: What that chose.
    """
    folder = Path(resume)
    return folder if is_checkpoint(folder) and not _is_newest(folder, run_dir) else None


def _run_to_go_on(checkpoint: Path, runs_dir: Path, recipe: str) -> Path:
    """The run whose newest checkpoint this is, or that has begun with it, or a new one."""
    own = Path(os.path.relpath(checkpoint.resolve().parent.parent))
    if _is_newest(checkpoint, own):
        return own
    last = unfinished_run(runs_dir, recipe)
    if last is not None and began_with(last, checkpoint):
        return last
    return next_free(runs_dir, Path(recipe).stem)


def _is_newest(checkpoint: Path, run_dir: Path) -> bool:
    return checkpoints(run_dir.resolve())[:1] == [checkpoint.resolve()]


def unfinished_run(runs_dir: Path, recipe: str) -> Path | None:
    """The last run of a recipe, if it has steps to take, and its checkpoints are not gone.

    Raises:
        ConfigError: Its own copy of the recipe has mistakes.
    """
    name = Path(recipe).stem
    last = runs_dir / f"{name}-{last_number(runs_dir, name)}"
    if not (last / CONFIG_FILE).is_file() or is_complete_run(last):
        return None
    return last if checkpoints(last) or not (last / LAST_FILE).exists() else None


def is_complete_run(run_dir: Path) -> bool:
    """Whether a run has taken all steps of its recipe.

    Raises:
        ConfigError: Its own copy of the recipe has mistakes.
    """
    return is_finished(run_dir, read_recipe(str(run_dir / CONFIG_FILE)).schedule.steps)


def default_evaluation_dir(target: Path, split: str) -> Path | None:
    """Folder for an evaluation: in the run that a checkpoint belongs to, ``None`` without one."""
    run_dir = target.parent
    if is_checkpoint(target):
        run_dir = Path(os.path.relpath(target.absolute().parent.parent))
    return next_free(run_dir / EVALUATION_DIR, split) if (run_dir / CONFIG_FILE).exists() else None


def default_submission_file(submissions_dir: Path, format_name: FormatName) -> Path:
    """Leaderboard file after the last one of its format, be that of a demo or not."""
    name, suffix, inside = SUBMISSION_NAMES[format_name]
    last = max(last_number(submissions_dir, prefix + name, suffix) for prefix in ("", DEMO_PREFIX))
    return submissions_dir / f"{name}-{last + 1}{suffix}" / inside
