"""What the commands after 'prepare' begin with."""

from pathlib import Path
from typing import TYPE_CHECKING

from smplcli.cli._output import note

if TYPE_CHECKING:
    from smplcli.workflows.project import Project


def show_project(project: "Project", *, is_data_given: bool, is_out_given: bool = False) -> None:
    """Say what a command works on, unless that is what its arguments name."""
    if project.origin != "folder" or not is_data_given:
        note(project.notice_for(is_out_given=is_out_given))


def open_project(
    data: Path | None, target: Path | None = None, out: Path | None = None
) -> "tuple[Project, Path]":
    """Find the project and the data set to work on, and say which they are."""
    from smplcli.workflows.project import data_set, evaluation_target, find_project

    project = find_project(data)
    show_project(project, is_data_given=data is not None, is_out_given=out is not None)
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
