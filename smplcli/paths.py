"""Files and folders that have to be there, or must not, before any work begins."""

import os
from pathlib import Path

from smplcli.errors import MissingFileError, OutputExistsError, ResourceError


def check_file(*files: Path) -> None:
    """Stop before the work rather than after it began.

    Raises:
        MissingFileError: One of the files is not there.
    """
    for file in files:
        if not file.is_file():
            raise MissingFileError(f"file not found: {file}")


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
