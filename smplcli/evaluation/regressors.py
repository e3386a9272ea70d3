"""Joint sets that protocols need, from regressors that are given or lie beside the body."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from smplcli.body.joint_sets import GIVEN_REGRESSORS, JointSet, joint_set
from smplcli.body.model import BodyModel
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError


class KnownJoints(NamedTuple):
    """Joint sets of a body, and why others are not known."""

    sets: Mapping[str, JointSet]
    obstacles: Mapping[str, tuple[str, str]]
    """Reason and remedy, by the name of the set."""


def find_regressors(given: Sequence[Path], body: Path | None) -> dict[str, Path]:
    """Regressor files by the name of the joint set.

    Args:
        given: Files, told apart by their names.
        body: Body file or folder, in or beside which others may lie.

    Raises:
        ConfigError: A file given has a name that no joint set's file has.
    """
    files = {name: file for name, (file, _) in GIVEN_REGRESSORS.items()}
    found: dict[str, Path] = {}
    if body is not None:
        folder = body if body.is_dir() else body.parent
        for name, file in files.items():
            places = (folder / file, folder.parent / file)
            beside = next((place for place in places if place.is_file()), None)
            found |= {} if beside is None else {name: beside}
    for path in given:
        fitting = {name: path for name, file in files.items() if path.name == file}
        if not fitting:
            known = ", ".join(dict.fromkeys(files.values()))
            raise ConfigError(f"no known joint regressor: {path}", hint=f"Name it one of {known}.")
        found |= fitting
    return found


def known_joints(
    model: BodyModel, names: Iterable[str], regressors: Mapping[str, Path]
) -> KnownJoints:
    """Joint sets by name, as far as body and files allow.

    Raises:
        UnreadableFileError: A regressor is there and does not fit.
    """
    sets: dict[str, JointSet] = {}
    obstacles: dict[str, tuple[str, str]] = {}
    for name in names:
        try:
            sets[name] = joint_set(model, name, given=regressors.get(name))
        except UnreadableFileError:
            raise
        except MissingFileError:
            if name in regressors:
                raise
            file, _ = GIVEN_REGRESSORS[name]
            remedy = f"Give SPIN's {file} by --joint-regressor, or put it beside the body."
            obstacles[name] = (f"needs {file}, which is not there", remedy)
        except ConfigError as error:
            obstacles[name] = (error.message, error.hint or "")
    return KnownJoints(sets, obstacles)
