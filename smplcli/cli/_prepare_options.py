"""Options of `smplcli prepare`, by what they are about."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

RAW = "Raw data"
CROPS = "Crops"
SYNTHETIC = "Synthetic people"
WORK = "Work"


class SourceName(StrEnum):
    """What can be prepared; typer knows no list of literals."""

    THREEDPW = "3dpw"
    MPII = "mpii"
    ETH = "eth"
    SPIN = "spin"
    SYNTHETIC = "synthetic"


class SplitName(StrEnum):
    """Splits of raw data."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


SourceArgument = Annotated[
    list[SourceName] | None,
    typer.Argument(show_default=False, help="What to prepare.  [default: what the project has]"),
]
RootOption = Annotated[
    list[str] | None,
    typer.Option(
        "--root",
        metavar="NAME=DIR",
        rich_help_panel=RAW,
        show_default=False,
        help="Where a raw data set lies; may be repeated.  [default: data/3DPW, data/mpii]",
    ),
]
SplitOption = Annotated[
    list[SplitName] | None,
    typer.Option(
        "--split",
        rich_help_panel=RAW,
        show_default=False,
        help="Prepare this split only; may be repeated.  [default: all]",
    ),
]
StrideOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, rich_help_panel=RAW, help="Every Nth frame of 3DPW."),
]
BoxOption = Annotated[
    Literal["keypoints", "projected"] | None,
    typer.Option(rich_help_panel=RAW, help="What 3DPW's boxes are around.  [default: keypoints]"),
]
ValListOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", rich_help_panel=RAW, help="Whom of MPII to validate on."),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=RAW,
        help="Where image names of spin start from.  [default: beside its files]",
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, rich_help_panel=RAW, help="N people per split, for a quick look."
    ),
]
MaxFailuresOption = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        min=0.0,
        max=1.0,
        rich_help_panel=RAW,
        help="People that may fail before the data set is refused, over all.",
    ),
]
CropSizeOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=32,
        max=2048,
        rich_help_panel=CROPS,
        help="Side in pixels, 2.4 times that of the person's square.  [default: 256]",
    ),
]
StoreOption = Annotated[
    Literal["jpeg", "raw"] | None,
    typer.Option(
        rich_help_panel=CROPS, help="JPEG of quality 95, or as they are.  [default: jpeg]"
    ),
]
NoPartsOption = Annotated[
    bool, typer.Option("--no-parts", rich_help_panel=CROPS, help="Render no maps of body parts.")
]
ContactSheetOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=CROPS,
        help="Draw 64 crops with keypoints and bodies into a picture.",
    ),
]
CountOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        rich_help_panel=SYNTHETIC,
        help="People to train on; up to 500 each are held out on top.",
    ),
]
PosesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        rich_help_panel=SYNTHETIC,
        help="Pose file (npz), or folder of them, such as AMASS.",
    ),
]
BackgroundsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", rich_help_panel=SYNTHETIC, help="Photographs to stand in front of."
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=0, rich_help_panel=SYNTHETIC, help="Another seed, other people."
    ),
]
LayoutOption = Annotated[
    Literal["3dpw", "mpii"] | None,
    typer.Option(
        rich_help_panel=SYNTHETIC, help="Write raw data in this layout, to be prepared in turn."
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Data set folder.  [default: a new one of the project]"),
]
CheckOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write nothing: look for damage in a prepared data set."),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", rich_help_panel=WORK, help="Count and look for pictures only."),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, rich_help_panel=WORK, help="Processes.  [default: one per core]"
    ),
]
BackendOption = Annotated[
    Literal["loky", "dask", "ray"],
    typer.Option(rich_help_panel=WORK, help="What runs the processes."),
]
