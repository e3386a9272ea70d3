"""Paths given as texts; files and folders that have to be there, or must not, before any work."""

import os
from collections.abc import Callable
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_args

from smplcli.errors import MissingFileError, OutputExistsError, ResourceError

P = ParamSpec("P")
R = TypeVar("R")


def takes_texts(function: Callable[P, R]) -> Callable[P, R]:
    """Let whoever calls a function give its paths, or sequences of them, as texts."""
    shape = signature(function)
    names = [name for name, each in shape.parameters.items() if _holds_paths(each.annotation)]

    @wraps(function)
    def called(*args: P.args, **options: P.kwargs) -> R:
        given = shape.bind(*args, **options)
        for name in names:
            if name in given.arguments:
                given.arguments[name] = _to_paths(given.arguments[name])
        return function(*given.args, **given.kwargs)

    return called


def _holds_paths(annotation: Any) -> bool:
    """Whether an annotation has paths in it, and no texts that are something else."""
    parts = get_args(annotation)
    return annotation is Path or (str not in parts and any(map(_holds_paths, parts)))


def _to_paths(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_to_paths, value))
    return Path(value) if isinstance(value, str) else value


def check_file(*files: Path) -> None:
    """Stop before the work rather than after it began.

    Raises:
        MissingFileError: One of the files is not there.
    """
    for file in files:
        if not file.is_file():
            problem = "not a file" if file.exists() else "file not found"
            raise MissingFileError(f"{problem}: {file}")


def refuse_existing(*files: Path, overwrite: bool) -> None:
    """Stop before the work rather than after it.

    Raises:
        OutputExistsError: One of the files is there and ``overwrite`` is false.
    """
    for file in files:
        if file.exists() and not overwrite:
            raise OutputExistsError(
                f"output exists: {file}", hint="Choose another path or pass --overwrite."
            )


def check_folder(folder: Path) -> None:
    """Find out whether files can be written in a folder, which need not exist yet.

    Raises:
        ResourceError: It is a file or in one, or may not be written in.
    """
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not nearest.is_dir():
        raise ResourceError(
            f"cannot write in folder: {folder}: {nearest} is a file",
            hint="Choose a folder, or move that file away.",
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ResourceError(
            f"cannot write in folder: {folder}: permission denied: {nearest}",
            hint="Choose a folder that you may write to.",
        )


def make_folder(folder: Path) -> Path:
    """Make a folder and those that it is in, unless they are there, and return it.

    Raises:
        ResourceError: It cannot be made; the message says which path is a file, if one is.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        check_folder(folder)
        raise ResourceError(
            f"cannot write in folder: {folder}: {error.strerror}",
            hint="Choose a folder that you may write to.",
        ) from error
    return folder
