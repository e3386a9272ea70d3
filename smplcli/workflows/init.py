"""Start a project: write its settings file."""

from pathlib import Path

from smplcli.config import SETTINGS_FILE, settings_template
from smplcli.errors import OutputExistsError
from smplcli.files import atomic_write


def init(folder: Path) -> Path:
    """Write a `smplcli.toml` that changes nothing and explains everything it could change.

    Returns:
        The file.

    Raises:
        OutputExistsError: The folder has one.
        ResourceError: The folder cannot be written.
    """
    file = folder / SETTINGS_FILE
    if file.exists():
        raise OutputExistsError(
            f"settings file exists: {file}", hint="Edit it, or delete it to start over."
        )
    with atomic_write(file, overwrite=False) as stream:
        stream.write(settings_template().encode())
    return file
