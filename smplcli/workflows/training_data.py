"""Which prepared data sets a run trains on when nobody says."""

from pathlib import Path

from smplcli.datasets.shards import prepared_splits, read_manifest
from smplcli.workflows.project import Project, data_set, data_sets

SYNTHETIC = "synthetic"


def training_data(project: Project, given: list[Path]) -> list[Path]:
    """Data sets to train on: those given, else the newest of each source in the project.

    Rendered people stand in for real ones, so they are left out where there are real ones.

    Raises:
        MissingFileError: There is none.
        UnreadableFileError: A data set's manifest is damaged.
    """
    if given:
        return [data_set(project, folder) for folder in given]
    newest: dict[str, Path] = {}
    manifests = data_sets(project.settings.paths.data)
    for manifest in sorted(manifests, key=lambda path: (path.stat().st_mtime_ns, path)):
        folder = manifest.parent
        if "train" in prepared_splits(folder):
            newest[str(read_manifest(folder)["source"])] = folder
    real = [folder for source, folder in sorted(newest.items()) if source != SYNTHETIC]
    return real or [data_set(project)]
