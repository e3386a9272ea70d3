"""The course of a run for TensorBoard, which need not be installed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smplcli.errors import ConfigError
from smplcli.types import Pixels


class Events:
    """Writes TensorBoard events beside a run's log, and of the same lines.

    Args:
        folder: The run.

    Raises:
        ConfigError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional
        except ImportError as error:
            raise ConfigError(
                "TensorBoard is not installed", hint="Run 'pip install tensorboard'."
            ) from error
        self._open: Any = SummaryWriter
        self._folder = folder
        self._writer: Any = None

    def add_line(self, entry: Mapping[str, Any]) -> None:
        """Take over a line of the log."""
        step = int(entry["step"])
        for name, value in scalars(entry).items():
            self._begun(step).add_scalar(name, value, step)

    def add_pictures(self, pictures: Mapping[str, Pixels], step: int) -> None:
        """Take over pictures (H, W, 3) RGB by name."""
        for name, picture in pictures.items():
            self._begun(step).add_image(name, picture, step, dataformats="HWC")
        self._begun(step).flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()

    def _begun(self, step: int) -> Any:
        if self._writer is None:
            # What an interrupted run wrote of this step and of later ones is not shown any more.
            self._writer = self._open(log_dir=str(self._folder), purge_step=step)
        return self._writer


def scalars(entry: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of a line of the log, by names whose beginnings group them."""
    found: dict[str, float] = {}
    for name, value in entry.items():
        if name in {"losses", "validation"} and isinstance(value, Mapping):
            found |= {f"{name}/{key}": float(number) for key, number in value.items()}
        elif name == "by_weights":
            found |= {
                f"pa_mpjpe/{kind}": float(errors["pa_mpjpe"]) for kind, errors in value.items()
            }
        elif isinstance(value, int | float) and name != "step":
            found[f"conduct/{name}"] = float(value)
    return found
