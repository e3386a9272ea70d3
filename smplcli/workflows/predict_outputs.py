"""Where `predict` writes, and what keeps it from writing there."""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from smplcli.errors import ConfigError, OutputExistsError
from smplcli.paths import check_folder, refuse_existing
from smplcli.workflows.pictures import Drawings
from smplcli.workflows.predict_settings import PredictSettings
from smplcli.workflows.progress import Progress
from smplcli.workflows.sequences import sequence_names

TableFormat = Literal["jsonl", "csv"]

OUT_SUFFIX = ".npz"
PART_SUFFIX = ".part"


class Outputs(NamedTuple):
    """Where results go."""

    files: list[Path]
    """npz, and a table beside it if one is wanted."""

    drawings: Drawings | None
    meshes: Drawings | None
    motions: Drawings | None
    """Names without the numbers of tracks and people, who are not known before."""

    def paths(self, chosen: Sequence[int] | None = None) -> Iterator[Path]:
        """All of them, of which there may be millions, or those of some pictures."""
        drawn = [each for each in (self.drawings, self.meshes) if each is not None]
        if chosen is None:
            return chain(self.files, *drawn)
        return chain(self.files, *((x[at] for at in chosen if x.is_now(at)) for x in drawn))

    def folders(self) -> Iterator[Path]:
        """Folders that files are written in."""
        yield from (file.parent for file in self.files[:1])
        drawn = (self.drawings, self.meshes, self.motions)
        yield from (each.folder for each in drawn if each is not None)


class Conduct(NamedTuple):
    """How a run behaves towards what is there, and towards who waits for it."""

    resume: bool
    overwrite: bool
    progress: Progress


def table_files(out: Path, table_format: TableFormat | None) -> list[Path]:
    """A file of predictions, and the table beside it if one is wanted.

    Raises:
        ConfigError: ``out`` is called as if it were something else.
    """
    if out.suffix.lower() != OUT_SUFFIX:
        raise ConfigError(f"predictions are written as {OUT_SUFFIX}, not: {out}")
    return [out, *([out.with_suffix(f".{table_format}")] if table_format else [])]


def name_files(out: Path | None, settings: PredictSettings) -> list[Path]:
    """Name the file of predictions and the table beside it.

    Raises:
        ConfigError: ``out`` has another suffix than it should, or is missing.
    """
    if out is None and settings.table_format:
        raise ConfigError(f"there is no file to write {settings.table_format} beside")
    return table_files(out, settings.table_format) if out else []


def name_outputs(names: Sequence[str], out: Path | None, settings: PredictSettings) -> Outputs:
    """Name everything that is to be written.

    Raises:
        ConfigError: ``out`` has another suffix than it should, or is missing.
    """
    files = name_files(out, settings)
    if not (settings.overlay_dir or settings.mesh_dir or settings.bvh_dir):
        return Outputs(files, None, None, None)
    sequences = sequence_names(names, numbered=settings.track)
    videos = [name for name, is_video in sequences.items() if is_video]

    def drawn(folder: Path | None, suffix: str, joined: Collection[str]) -> Drawings | None:
        if folder is None:
            return None
        last = ".mp4" if suffix == ".jpg" else suffix
        return Drawings(folder, names, suffix, later=sequences, joined=joined, joined_suffix=last)

    return Outputs(
        files,
        drawn(settings.overlay_dir, ".jpg", videos),
        drawn(
            settings.mesh_dir,
            f".{settings.mesh_format}",
            sequences if settings.mesh_format == "glb" else (),
        ),
        drawn(settings.bvh_dir, "", sequences),
    )


def refuse_outputs(
    outputs: Outputs, conduct: Conduct, chosen: Sequence[int] | None = None
) -> None:
    """Keep what is there, if nobody said that it may go.

    Args:
        outputs: What is to be written.
        conduct: Says what may go.
        chosen: Numbers of the pictures that are drawn, if they are not all.

    Raises:
        OutputExistsError: Something is there.
        ResourceError: A folder is a file, or may not be written in.
    """
    overwrite = conduct.overwrite or conduct.resume
    for path in outputs.paths(chosen):
        refuse_existing(path, overwrite=overwrite)
    if outputs.motions and outputs.motions.folder.is_dir():
        refuse_existing(*outputs.motions.folder.glob("*.bvh"), overwrite=overwrite)
    for folder in outputs.folders():
        check_folder(folder)


def part_folder(out: Path) -> Path:
    """Folder of what is done of a file, until the file is written."""
    return out.with_name(out.name + PART_SUFFIX)


def is_begun(out: Path | None) -> bool:
    """Whether a run has begun to write a file, or has written it."""
    return out is not None and (out.exists() or part_folder(out).exists())


def refuse_unfinished(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Keep what an interrupted run has done from being lost by oversight.

    Raises:
        OutputExistsError: There is some, and nobody said what is to become of it.
    """
    if part_folder(out).exists() and not (resume or overwrite):
        raise OutputExistsError(
            f"an interrupted run is there: {part_folder(out)}",
            hint="Pass --resume to go on with it, or --overwrite to begin again.",
        )
