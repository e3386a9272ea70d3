"""What `predict` is to do, with every mistake found that can be found before torch is imported."""

from pathlib import Path
from typing import NamedTuple

from smplcli.body.files import REGISTRATION
from smplcli.detection.boxes import GivenBox, assign_boxes, read_boxes
from smplcli.errors import ConfigError, MissingFileError
from smplcli.workflows.lenses import Lenses
from smplcli.workflows.pictures import PictureInputs, Pictures, open_pictures
from smplcli.workflows.predict_outputs import (
    Conduct,
    Outputs,
    is_begun,
    name_files,
    name_outputs,
    refuse_outputs,
)
from smplcli.workflows.predict_settings import PredictSettings
from smplcli.workflows.stages import StageClock


class Task(NamedTuple):
    """A checked run, or shard of one, that has not begun."""

    inputs: PictureInputs
    pictures: Pictures
    out: Path | None
    outputs: Outputs
    settings: PredictSettings
    conduct: Conduct
    boxes: list[list[GivenBox]] | None
    """Given ones of each picture."""

    num_unused_boxes: int
    lenses: Lenses
    clock: StageClock

    @property
    def is_finished(self) -> bool:
        """Whether it is to go on, but a run has written its file."""
        goes_on = self.conduct.resume and not self.conduct.overwrite
        return goes_on and any(path.exists() for path in self.outputs.files[:1])


def open_task(
    inputs: PictureInputs, out: Path | None, settings: PredictSettings, conduct: Conduct
) -> Task:
    """List the pictures of a run, read what is given of them, and check where it writes.

    Raises:
        ConfigError: The arguments contradict each other.
        MissingFileError: An input or a file of the settings is not there.
        UnreadableFileError: Boxes or intrinsics are not what they should be.
        OutputExistsError: A result is there that may not be replaced.
        ResourceError: A folder is a file, or may not be written in.
    """
    clock = StageClock()
    name_files(out, settings)
    _check_files(settings)
    lenses = Lenses(settings.focal_length, settings.intrinsics)
    with clock.stage("list"):
        pictures = open_pictures(inputs, recursive=settings.recursive, every=settings.every)
    outputs = name_outputs(pictures.names, out, settings)
    # Where nothing was begun, nothing that is there is this run's.
    conduct = conduct._replace(resume=conduct.resume and is_begun(out))
    # What a shard draws depends on the device, which only torch knows.
    refuse_outputs(outputs, conduct, () if settings.shard else None)
    boxes, num_unused = None, 0
    if settings.boxes is not None:
        paths = [Path(name) for name in pictures.names]
        boxes, num_unused = assign_boxes(read_boxes(settings.boxes), paths)
    return Task(
        inputs, pictures, out, outputs, settings, conduct, boxes, num_unused, lenses, clock
    )


def shared_file(task: Task, size: int) -> Path:
    """The file by which so many processes share a task.

    Raises:
        ConfigError: The task cannot be shared.
    """
    if task.out is None:
        raise ConfigError("processes share a run by files, so there must be one to write")
    if task.settings.shard:
        raise ConfigError(f"a shard is for one process, got {size}")
    return task.out


def _check_files(settings: PredictSettings) -> None:
    for network in filter(None, (settings.network, *settings.average)):
        if not network.is_file():
            raise MissingFileError(
                f"checkpoint not found: {network}",
                hint="Give a .safetensors file written by 'train'.",
            )
    if settings.body is not None and not settings.body.exists():
        raise MissingFileError(
            f"body model not found: {settings.body}", hint=f"Check the path. {REGISTRATION}."
        )
    weights = settings.detector_weights
    if weights is not None and not weights.is_file():
        raise MissingFileError(f"detector weights not found: {weights}")
