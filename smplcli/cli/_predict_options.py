"""Options of `smplcli predict`, by what they are about."""

from pathlib import Path
from typing import Annotated, Literal

import typer

INPUT = "Pictures"
TIME = "Videos and numbered pictures"
PEOPLE = "People"
BETTER = "Better poses"
RESULTS = "Results beside the file"
WORK = "Work"

AUTO = "auto"


def _batch_size(text: str) -> int:
    """A number, or 0 for ``auto``."""
    if text == AUTO:
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is neither {AUTO} nor a number from 1")
    return int(text)


InputArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT",
        show_default=False,
        help="Pictures, videos, folders of pictures, 'patterns*', lists (.txt) of paths, "
        "or - for paths on stdin.",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File of predictions (npz) to write.  [default: preds.npz]"),
]
RecursiveOption = Annotated[
    bool,
    typer.Option(
        "--recursive", rich_help_panel=INPUT, help="Look into the subfolders of folders as well."
    ),
]
FocalLengthOption = Annotated[
    float | None,
    typer.Option(
        metavar="PX",
        rich_help_panel=INPUT,
        help="Of the camera, in pixels.  [default: by the picture's Exif data, else its diagonal]",
    ),
]
IntrinsicsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=INPUT,
        help="Camera matrices (json, npz, txt): one for all pictures, or by their names.",
    ),
]
EveryOption = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        rich_help_panel=TIME,
        help="Take every Nth frame of videos.",
    ),
]
TrackOption = Annotated[
    bool,
    typer.Option(
        "--track",
        rich_help_panel=TIME,
        help="Follow people over numbered pictures as well; over videos they always are.",
    ),
]
SmoothOption = Annotated[
    bool,
    typer.Option(
        "--smooth",
        rich_help_panel=TIME,
        help="Filter the motion of who is followed; implies --track.",
    ),
]
FpsOption = Annotated[
    float,
    typer.Option(
        metavar="X",
        min=0.001,
        max=1000,
        rich_help_panel=TIME,
        help="Frames per second of numbered pictures; videos know their own.",
    ),
]
BoxesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=PEOPLE,
        help="Boxes of people (csv, COCO's JSON, npz) to use.",
    ),
]
WholeImageOption = Annotated[
    bool,
    typer.Option(
        "--whole-image",
        rich_help_panel=PEOPLE,
        help="Each picture shows one person, and little else.",
    ),
]
DetectorOption = Annotated[
    str,
    typer.Option(
        metavar="movenet|torchvision:NAME",
        rich_help_panel=PEOPLE,
        help="What detects people: the shipped one, or torchvision's of that name.",
    ),
]
DetectorWeightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=PEOPLE,
        help="Weights of torchvision's detector; nothing is downloaded.",
    ),
]
MinScoreOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        min=0,
        max=1,
        rich_help_panel=PEOPLE,
        help="Least score of who is detected.  [default: 0.2; 0.5 for torchvision]",
    ),
]
MaxPeopleOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        rich_help_panel=PEOPLE,
        help="Detect N people in a picture at most, the surest.",
    ),
]
NetworkOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Weights file of 'smplcli train'.  [default: the shipped one]"
    ),
]
AverageOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=BETTER,
        help="Average the answers with this network's as well; may be given several times.",
    ),
]
FlipTestOption = Annotated[
    bool,
    typer.Option(
        "--flip-test",
        rich_help_panel=BETTER,
        help="Average the answers with those to the mirror images.",
    ),
]
RefineOption = Annotated[
    bool | None,
    typer.Option(
        "--refine/--no-refine",
        rich_help_panel=BETTER,
        help="Fit bodies to the keypoints; the default without --network and --average.",
    ),
]
TableOption = Annotated[
    Literal["jsonl", "csv"] | None,
    typer.Option(
        "--format", rich_help_panel=RESULTS, help="Also write the rows beside that file, as text."
    ),
]
OverlayOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=RESULTS,
        help="Draw the bodies over the photos, from the side and from above; "
        "videos become videos.",
    ),
]
OverlayStyleOption = Annotated[
    Literal["mesh", "skeleton"],
    typer.Option(rich_help_panel=RESULTS, help="What is drawn there."),
]
BvhOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=RESULTS,
        help="Write the motion of each who is followed, or the pose of each person, as BVH.",
    ),
]
MeshOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=RESULTS,
        help="Write a mesh file of the bodies in each picture, or one that moves of a video.",
    ),
]
MeshFormatOption = Annotated[
    Literal["glb", "obj", "ply"],
    typer.Option(
        rich_help_panel=RESULTS,
        help="Of mesh files; glb has skin and skeleton, the others are surfaces.",
    ),
]
VerticesOption = Annotated[
    bool,
    typer.Option(
        "--vertices",
        rich_help_panel=RESULTS,
        help="Put the surfaces into the file as well, 83 kB per person.",
    ),
]
BatchSizeOption = Annotated[
    int,
    typer.Option(
        metavar="auto|N",
        parser=_batch_size,
        rich_help_panel=WORK,
        help="People whose bodies are computed at once.",
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16"],
    typer.Option(
        rich_help_panel=WORK,
        help="Of convolutions; auto: bf16 for MoveNet and large networks, where it is fast.",
    ),
]
ProfileOption = Annotated[
    bool, typer.Option("--profile", rich_help_panel=WORK, help="Say where the time went.")
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        rich_help_panel=WORK,
        help="Do the Ith of N parts of the pictures, for --merge to put together.",
    ),
]
MergeOption = Annotated[
    bool,
    typer.Option(
        "--merge",
        rich_help_panel=WORK,
        help="INPUT are the files of all shards: put them together into one.",
    ),
]
NprocOption = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        rich_help_panel=WORK,
        help="Processes to share the work: one for each GPU.  [default: 1]",
        show_default=False,
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", rich_help_panel=WORK, help="Go on where an interrupted run stopped."),
]
