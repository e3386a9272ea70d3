"""What a command without arguments works on: the settings, the data and the runs of a folder.

The nearest `smplcli.toml` upwards decides. Without one, what lies in the customary places is used.
Without that either, the folder runs the demo, and everything of it stays under `smplcli-demo/`.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from smplcli.config import (
    SETTINGS_FILE,
    PathSettings,
    PrepareSettings,
    RootSettings,
    Settings,
    TrainSettings,
    parse_toml,
)
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError

MANIFEST_FILE = "manifest.json"
BEST_FILE = "best.safetensors"
CONFIG_FILE = "config.toml"
STATE_FILE = "state.json"
"""What makes a folder one of the checkpoints that training goes on from."""

EVALUATION_DIR = "eval"
RAW_DATA_DIRS = {"3dpw": Path("data/3DPW"), "mpii": Path("data/mpii")}
"""Customary folders of raw data sets."""

DEMO_DIR = Path("smplcli-demo")
DEMO_SETTINGS = Settings(
    paths=PathSettings(
        data=DEMO_DIR / "data", runs=DEMO_DIR / "runs", submissions=DEMO_DIR / "submissions"
    ),
    prepare=PrepareSettings(count=300),
    train=TrainSettings(recipe="demo"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Settings of a folder and where they come from."""

    settings: Settings
    """Checked settings; their paths are relative to the current directory."""

    origin: Literal["file", "folder", "demo"]
    """A settings file, what was found in the folder, or nothing at all."""

    settings_file: Path | None = None
    """The file, if the settings come from one."""

    raw_data: Mapping[str, Path] = field(default_factory=dict)
    """Raw data sets that are there: those of the settings file, else the customary folders."""

    @property
    def is_demo(self) -> bool:
        """Whether synthetic people stand in for data that nobody named."""
        return self.origin == "demo"

    @property
    def notice(self) -> str:
        """One line about what the commands work on."""
        return self.notice_for()

    def notice_for(self, *, is_out_given: bool = False) -> str:
        """The same line for a command that may have been told where to write."""
        if self.origin == "file":
            return f"settings: {self.settings_file}"
        if self.origin == "demo":
            place = "" if is_out_given else f", all under {DEMO_DIR}{os.sep}"
            return (
                f"demo: no {SETTINGS_FILE} and no data here, so synthetic people are used{place}; "
                "the numbers are not comparable with published ones"
            )
        found = (*self.raw_data.values(), *_outputs(self.settings.paths))
        return f"using {', '.join(map(str, found)) or 'the data given'}"


def find_project(data: Path | None = None) -> Project:
    """Find what the commands in the current directory work on.

    Args:
        data: Data that the user named. It is no demo then, whatever the folder holds.

    Raises:
        ConfigError: The settings file holds mistakes.
        UnreadableFileError: There is a settings file that cannot be read.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if os.path.lexists(folder / SETTINGS_FILE):
            file = folder / SETTINGS_FILE
            settings = read_settings(file)
            return Project(
                settings=settings,
                origin="file",
                settings_file=file,
                raw_data=_stated_roots(settings),
            )
    raw_data = {name: folder for name, folder in RAW_DATA_DIRS.items() if folder.is_dir()}
    settings = Settings()
    if raw_data or data is not None or any(_outputs(settings.paths)):
        return Project(settings=settings, origin="folder", raw_data=raw_data)
    return Project(settings=DEMO_SETTINGS, origin="demo")


def read_settings(file: Path) -> Settings:
    """Read a `smplcli.toml`.

    Raises:
        ConfigError: The file holds mistakes.
        UnreadableFileError: The file cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableFileError(f"settings not readable: {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: not UTF-8 text") from error
    return parse_toml(Settings, text, source=str(file))


def _stated_roots(settings: Settings) -> dict[str, Path]:
    roots = settings.roots.model_dump(by_alias=True)
    return {name: root for name, root in roots.items() if root is not None}


def raw_sources(
    project: Project, sources: Sequence[str], given: Sequence[str]
) -> dict[str, Path | None]:
    """What to prepare and where it lies.

    Args:
        project: What the commands work on.
        sources: Names that the user gave; without any, those of the roots given, else of the
            project, else synthetic people.
        given: ``NAME=DIR`` as the user gave them.

    Returns:
        Folders of raw data by source, ``None`` for synthetic people.

    Raises:
        ConfigError: A root is of no known source, or of one that is not prepared.
        MissingFileError: Nobody says where a source lies.
    """
    roots = dict(map(_parse_root, given))
    wanted = dict.fromkeys(sources or roots or project.raw_data or ("synthetic",))
    unused = [name for name in roots if name not in wanted]
    if unused:
        raise ConfigError(
            f"a root is given for what is not prepared: {unused[0]}",
            hint=f"Add {unused[0]} to what to prepare, or leave its root out.",
        )
    known = {**RAW_DATA_DIRS, **project.raw_data, **roots}
    for name in wanted:
        if name != "synthetic" and name not in known:
            raise MissingFileError(
                f"nobody says where the raw data is: {name}", hint=f"Pass --root {name}=DIR."
            )
    return {name: None if name == "synthetic" else known[name] for name in wanted}


def _parse_root(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    known = [info.alias or key for key, info in RootSettings.model_fields.items()]
    if not equals or not folder or name not in known:
        raise ConfigError(f"root is not NAME=DIR: {text}", hint=f"Names are {', '.join(known)}.")
    return name, Path(folder).expanduser()


def data_set(project: Project, given: Path | None = None) -> Path:
    """The prepared data set to work on: the newest in the folder given, else of the project.

    MPII, whose people have no bodies to compare with, is taken only where there is nothing else.

    Raises:
        MissingFileError: The folder given does not exist, or no data set is there.
    """
    folder = given or project.settings.paths.data
    found = data_sets(folder)
    newest = _newest([manifest for manifest in found if _has_bodies(manifest)] or found)
    if newest is not None:
        return newest.parent
    if given is not None and not given.exists():
        raise MissingFileError(f"data set not found: {given}", hint=_first("prepare"))
    raise MissingFileError(f"no prepared data set in: {folder}", hint=_first("prepare"))


def _has_bodies(manifest: Path) -> bool:
    from smplcli.files import read_json  # noqa: PLC0415 - numpy is too slow for a line of status

    try:
        content = read_json(manifest)
    except UnreadableFileError:
        return True
    return not (isinstance(content, dict) and content.get("source") == "mpii")


def data_sets(folder: Path) -> list[Path]:
    """Manifests of the data sets in a folder, which may itself be one."""
    own = folder / MANIFEST_FILE
    return [own] if own.is_file() else sorted(folder.glob(f"*/{MANIFEST_FILE}"))


def newest_run(project: Project) -> Path:
    """The run of the project that wrote its best checkpoint last.

    Raises:
        MissingFileError: No run has got that far.
    """
    newest = _newest(finished_runs(project.settings.paths.runs))
    if newest is None:
        folder = project.settings.paths.runs
        raise MissingFileError(f"no run found in: {folder}", hint=_first("train"))
    return newest.parent


def finished_runs(folder: Path) -> list[Path]:
    """Best checkpoints of the runs in a folder."""
    found = folder.glob(f"*/{BEST_FILE}")
    return sorted(file for file in found if not file.parent.is_symlink())  # such as `latest`


def best_checkpoint(run_dir: Path) -> Path:
    """The checkpoint of a run that did best on held-out samples.

    Raises:
        MissingFileError: The folder holds none.
    """
    file = run_dir / BEST_FILE
    if not file.is_file():
        raise MissingFileError(f"no {BEST_FILE} in run folder: {run_dir}", hint=_first("train"))
    return file


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is a checkpoint of a run."""
    return (folder / STATE_FILE).is_file()


def evaluation_target(project: Project, given: Path | None = None) -> Path:
    """The checkpoint or predictions to judge: as given, else of the newest run.

    Raises:
        ConfigError: It is something else that lies near them.
        MissingFileError: It does not exist, or nothing has been trained.
    """
    if given is None:
        return best_checkpoint(newest_run(project))
    _refuse_neighbours(given)
    if given.is_dir():
        is_run = (given / BEST_FILE).is_file() or (given / CONFIG_FILE).is_file()
        if is_checkpoint(given) or (not is_run and any(given.rglob("*.npz"))):
            return given
        return best_checkpoint(given)
    if not given.exists():
        raise MissingFileError(f"checkpoint or predictions not found: {given}")
    return given


def _refuse_neighbours(given: Path) -> None:
    if (given / MANIFEST_FILE).is_file():
        raise ConfigError(
            f"a data set, and no checkpoint or predictions: {given}", hint="Pass it with --data."
        )
    inside = sorted(given.glob(f"step_*/{STATE_FILE}"))
    if inside:
        raise ConfigError(
            f"folder of {len(inside)} checkpoints: {given}",
            hint=f"Give one of them, as {inside[-1].parent}, or their run.",
        )
    if given.is_file() and is_checkpoint(given.parent):
        raise ConfigError(
            f"part of a checkpoint: {given}", hint=f"Give its folder: {given.parent}"
        )


def next_step(project: Project, data: Path) -> str:
    """The first command whose output is still missing; after all of them, 'predict'.

    Args:
        project: What the commands work on.
        data: Folder of its prepared data sets.
    """
    paths = project.settings.paths
    runs = finished_runs(paths.runs)
    done = {
        "prepare": data_sets(data),
        "train": runs,
        "evaluate": [run for run in runs if (run.parent / EVALUATION_DIR).is_dir()],
        "submit": submission_files(paths.submissions),
    }
    return next((step for step, outputs in done.items() if not outputs), "predict")


def submission_files(folder: Path) -> list[Path]:
    """Leaderboard files in a folder, and folders that hold some."""
    entries = folder.glob("[!.]*")
    return sorted(entry for entry in entries if entry.suffix == ".zip" or entry.is_dir())


def next_free(folder: Path, name: str, suffix: str = "") -> Path:
    """The path ``<folder>/<name>-<number><suffix>`` after the last one that exists."""
    return folder / f"{name}-{last_number(folder, name, suffix) + 1}{suffix}"


def last_number(folder: Path, name: str, suffix: str = "") -> int:
    """Highest number of the paths ``<folder>/<name>-<number><suffix>``; 0 without any."""
    if not folder.is_dir():
        return 0
    pattern = re.compile(rf"{re.escape(name)}-(\d+){re.escape(suffix)}")
    matches = (pattern.fullmatch(path.name) for path in folder.iterdir())
    return max((int(match[1]) for match in matches if match), default=0)


def _outputs(paths: PathSettings) -> list[Path]:
    places = ((paths.data, data_sets(paths.data)), (paths.runs, finished_runs(paths.runs)))
    return [folder for folder, outputs in places if outputs]


def _newest(files: Iterable[Path]) -> Path | None:
    return max(files, key=lambda file: (file.stat().st_mtime_ns, file), default=None)


def _first(step: str) -> str:
    return f"Run 'smplcli {step}' first."
