"""Options that several commands share, each spelled once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

DATA_VARIABLE = "SMPLCLI_DATA"

TargetArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="TARGET",
        show_default=False,
        help="Checkpoint, run folder or predictions (npz).  [default: the newest run]",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar=DATA_VARIABLE,
        help="Folder written by 'smplcli prepare'.  [default: the newest of the project]",
    ),
]
BodyOption = Annotated[
    Path | None,
    typer.Option(
        "--body",
        metavar="PATH",
        envvar="SMPLCLI_BODY",
        help="SMPL file, or folder that holds one.  [default: the demo body]",
    ),
]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option("--device", help="Where to compute; auto takes a GPU if there is one."),
]
KeypointsOption = Annotated[
    Literal["detected", "none"] | None,
    typer.Option(
        "--keypoints", help="What the network is given beside the picture.  [default: detected]"
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of a table.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


def seconds(text: str) -> float:
    """Seconds of a duration: ``90``, ``90m``, ``47h``, ``2d``, ``1:30:00``, ``1-12:00:00``."""
    days, dash, clock = text.rpartition("-")
    number, unit = text[:-1], text[-1:]
    try:
        if ":" in text:
            parts = [int(part) for part in clock.split(":")]
            if any(not 0 <= part < 60 for part in parts[1:]):
                raise _no_duration(text)
            hours, minutes, rest = [0] * (3 - len(parts)) + parts
            total = 86400.0 * int(days if dash else 0) + 3600 * hours + 60 * minutes + rest
        elif unit in UNITS:
            total = float(number) * UNITS[unit]
        else:
            total = float(text)
    except ValueError as error:
        raise _no_duration(text) from error
    if not 0 < total < float("inf"):
        raise _no_duration(text)
    return total


def _no_duration(text: str) -> typer.BadParameter:
    return typer.BadParameter(f"{text!r} is no duration such as 90m, 47h, 2d or 1:30:00")
