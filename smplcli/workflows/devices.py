"""Where a workflow computes."""

import torch

from smplcli.errors import ConfigError, UnreadableFileError


def choose_device(name: str) -> torch.device:
    """Device of a name; ``auto`` takes a GPU where there is one.

    Raises:
        ConfigError: No such name.
        UnreadableFileError: The device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"unknown device: {name}", hint="Choose auto, cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UnreadableFileError(
            f"device not available: {name}", hint="Run 'smplcli doctor' to see why, or use cpu."
        )
    return device
