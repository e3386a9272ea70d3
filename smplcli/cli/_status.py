"""What `smplcli` alone says about the current directory."""

import os
from pathlib import Path

from smplcli.cli._options import DATA_VARIABLE
from smplcli.cli._output import print_line


def print_status() -> None:
    """Print which settings count here, what there is already, and which command is next."""
    from smplcli.workflows.project import (
        data_sets,
        find_project,
        finished_runs,
        next_step,
        submission_files,
    )

    named = os.environ.get(DATA_VARIABLE)
    project = find_project(Path(named) if named else None)
    paths = project.settings.paths
    data = Path(named) if named else paths.data
    print_line(f"\n{project.notice}")
    for name, folder, found in (
        ("data sets", data, [manifest.parent for manifest in data_sets(data)]),
        ("runs", paths.runs, [best.parent for best in finished_runs(paths.runs)]),
        ("submissions", paths.submissions, submission_files(paths.submissions)),
    ):
        print_line(f"  {name:<12} {_listed(found) or f'none in {folder}'}")
    step = next_step(project, data)
    arguments = " PHOTOS --out preds.npz" if step == "predict" else ""
    print_line(f"Next: smplcli {step}{arguments}")


def _listed(found: list[Path], most: int = 3) -> str:
    names = ", ".join(map(str, found[-most:]))
    return f"{names} and {len(found) - most} more" if len(found) > most else names
