"""What the commands after 'prepare' begin with."""

from pathlib import Path
from typing import TYPE_CHECKING

from smplcli.cli._output import note

if TYPE_CHECKING:
    from smplcli.workflows.project import Project


def open_project(data: Path | None, target: Path | None = None) -> "tuple[Project, Path]":
    """Find the project and the data set to work on, and say which they are."""
    from smplcli.workflows.project import data_set, evaluation_target, find_project

    project = find_project(data)
    note(project.notice)
    if target is not None:
        evaluation_target(project, target)  # a wrong path is named before any data is asked for
    found = data_set(project, data)
    note(f"data: {found}")
    return project, found


def open_target(project: "Project", target: Path | None) -> Path:
    """Find the checkpoint or predictions to work on, and say which they are."""
    from smplcli.workflows.project import evaluation_target

    found = evaluation_target(project, target)
    note(f"target: {found}")
    return found
