"""Options that several commands share, each spelled once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

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
