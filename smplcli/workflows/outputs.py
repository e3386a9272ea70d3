"""Where a step writes when nobody says: always a new place, unless it goes on with its work."""

from collections.abc import Iterable
from pathlib import Path

from smplcli.errors import ConfigError
from smplcli.training.config import read_recipe
from smplcli.training.resume import is_finished
from smplcli.workflows.prepared_folder import PLAN_FILE
from smplcli.workflows.project import EVALUATION_DIR, last_number, next_free
from smplcli.workflows.submission_report import COURSE_FILE, DEMO_PREFIX, FormatName
from smplcli.workflows.train import CONFIG_FILE

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


def unfinished_run(runs_dir: Path, recipe: str) -> Path | None:
    """The last run of a recipe, if it has steps to take.

    Raises:
        ConfigError: Its own copy of the recipe has mistakes.
    """
    name = Path(recipe).stem
    last = runs_dir / f"{name}-{last_number(runs_dir, name)}"
    config = last / CONFIG_FILE
    if not config.is_file():
        return None
    return None if is_finished(last, read_recipe(str(config)).schedule.steps) else last


def default_evaluation_dir(target: Path, split: str) -> Path | None:
    """Folder for an evaluation: in the run that a checkpoint belongs to, ``None`` without one."""
    run_dir = target.parent
    return next_free(run_dir / EVALUATION_DIR, split) if (run_dir / CONFIG_FILE).exists() else None


def default_submission_file(submissions_dir: Path, format_name: FormatName) -> Path:
    """Leaderboard file after the last one of its format, be that of a demo or not."""
    name, suffix, inside = SUBMISSION_NAMES[format_name]
    last = max(last_number(submissions_dir, prefix + name, suffix) for prefix in ("", DEMO_PREFIX))
    return submissions_dir / f"{name}-{last + 1}{suffix}" / inside
