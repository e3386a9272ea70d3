"""`smplcli predict`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from smplcli.cli._options import BodyOption, DeviceOption, JsonOption, OverwriteOption
from smplcli.cli._output import (
    counted,
    exit_if_incomplete,
    is_first_process,
    note,
    print_result,
    print_table,
    show_progress,
    show_table,
)
from smplcli.cli._predict_options import (
    AUTO,
    AverageOption,
    BatchSizeOption,
    BoxesOption,
    BvhOption,
    DetectorOption,
    DetectorWeightsOption,
    EveryOption,
    FlipTestOption,
    FocalLengthOption,
    FpsOption,
    InputArgument,
    IntrinsicsOption,
    MaxPeopleOption,
    MergeOption,
    MeshFormatOption,
    MeshOption,
    MinScoreOption,
    NetworkOption,
    NprocOption,
    OutOption,
    OverlayOption,
    OverlayStyleOption,
    PrecisionOption,
    ProfileOption,
    RecursiveOption,
    RefineOption,
    ResumeOption,
    ShardOption,
    SmoothOption,
    TableOption,
    TrackOption,
    VerticesOption,
    WholeImageOption,
)
from smplcli.errors import ConfigError

if TYPE_CHECKING:
    from smplcli.workflows.predict_report import PredictReport

STDIN = Path("-")
OUT = Path("preds.npz")

MERGING = {"inputs", "merge", "out", "table", "body", "overwrite", "as_json"}
"""Parameters that mean something where shards are merged."""

NEEDED = {"overlay_style": "overlay", "mesh_format": "mesh"}
"""Parameters that mean nothing without another."""


def predict(
    ctx: typer.Context,
    inputs: InputArgument,
    *,
    out: OutOption = None,
    table: TableOption = None,
    overlay: OverlayOption = None,
    overlay_style: OverlayStyleOption = "mesh",
    mesh: MeshOption = None,
    mesh_format: MeshFormatOption = "glb",
    bvh: BvhOption = None,
    vertices: VerticesOption = False,
    boxes: BoxesOption = None,
    whole_image: WholeImageOption = False,
    detector: DetectorOption = "movenet",
    detector_weights: DetectorWeightsOption = None,
    min_score: MinScoreOption = None,
    max_people: MaxPeopleOption = None,
    focal_length: FocalLengthOption = None,
    intrinsics: IntrinsicsOption = None,
    recursive: RecursiveOption = False,
    every: EveryOption = 1,
    track: TrackOption = False,
    smooth: SmoothOption = False,
    fps: FpsOption = 30.0,
    network: NetworkOption = None,
    average: AverageOption = None,
    flip_test: FlipTestOption = False,
    refine: RefineOption = None,
    body: BodyOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    batch_size: BatchSizeOption = AUTO,  # type: ignore[assignment]
    shard: ShardOption = None,
    merge: MergeOption = False,
    nproc: NprocOption = 1,
    resume: ResumeOption = False,
    profile: ProfileOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the people in pictures and estimate their bodies."""
    from smplcli.workflows.predict import predict as run
    from smplcli.workflows.project import find_project
    from smplcli.workflows.shards import parse_shard

    body = body or find_project().settings.body.path
    _refuse_unused(ctx)
    if merge:
        _merge(inputs, out or OUT, table, body, overwrite=overwrite, as_json=as_json)
        return
    part = parse_shard(shard) if shard else None
    report = run(
        _with_stdin(inputs),
        out or (OUT.with_stem(f"{OUT.stem}-{part.number}-of-{part.size}") if part else OUT),
        boxes=boxes,
        whole_image=whole_image,
        network=network,
        average=average or (),
        flip_test=flip_test,
        refine=refine,
        body=body,
        overlay_dir=overlay,
        overlay_style=overlay_style,
        table_format=table,
        mesh_dir=mesh,
        mesh_format=mesh_format,
        bvh_dir=bvh,
        vertices=vertices,
        device=device,
        precision=precision,
        batch_size=batch_size or None,
        detector=detector,
        detector_weights=detector_weights,
        min_score=min_score,
        max_people=max_people,
        focal_length=focal_length,
        intrinsics=intrinsics,
        recursive=recursive,
        every=every,
        track=track,
        smooth=smooth,
        fps=fps,
        shard=part,
        nproc=nproc,
        resume=resume,
        overwrite=overwrite,
        progress=show_progress,
    )
    if is_first_process():
        print_result(report, _print_report, as_json=as_json)
        if profile:
            _show_profile(report)
    exit_if_incomplete(report)


def _refuse_unused(ctx: typer.Context) -> None:
    """Say of options that they make no difference, rather than ignore them."""
    for param in ctx.command.params:
        name = param.name or ""
        source = ctx.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        if ctx.params["merge"] and name not in MERGING:
            raise ConfigError(f"--merge and {param.opts[0]} exclude each other")
        if name in NEEDED and ctx.params[NEEDED[name]] is None:
            raise ConfigError(
                f"{param.opts[0]} makes no difference without --{NEEDED[name]}",
                hint=f"Add --{NEEDED[name]} DIR, or leave it out.",
            )


def _merge(
    shards: list[Path],
    out: Path,
    table: Literal["jsonl", "csv"] | None,
    body: Path | None,
    *,
    overwrite: bool,
    as_json: bool,
) -> None:
    from smplcli.paths import check_file

    check_file(*shards)
    from smplcli.workflows.merge import merge_shards

    report = merge_shards(
        shards,
        out,
        body=body,
        table_format=table,
        overwrite=overwrite,
        progress=show_progress,
    )
    print_result(report, _print_report, as_json=as_json)
    exit_if_incomplete(report)


def _with_stdin(inputs: list[Path]) -> list[Path]:
    """The inputs, with the paths on stdin in place of ``-``."""
    if STDIN not in inputs:
        return inputs
    from smplcli.workflows.pictures import listed_paths

    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    listed = [path for _, path in listed_paths(text)]
    return [path for item in inputs for path in (listed if item == STDIN else [item])]


def _print_report(report: "PredictReport") -> None:
    from smplcli.workflows.people import OK

    print_table(
        f"{report.out}\npeople: {report.num_people}, body: {report.body}",
        ("pictures", "number"),
        report.counts.items(),
    )
    if report.num_tracks:
        note(f"people followed over frames: {report.num_tracks}")
    for when, jitter in report.jitter.items():
        note(
            f"jitter {when} smoothing: {jitter.pose:.1f} mm/frame² of joints about the pelvis, "
            f"{jitter.place:.1f} of the pelvis"
        )
    for failed in report.failed:
        problem = "left out" if failed.status == OK else failed.status
        note(f"{problem}: {failed.detail}")
    if report.num_unused_boxes:
        note(f"note: boxes of pictures that are no inputs: {report.num_unused_boxes}")
    if report.overlays:
        videos = sum(path.suffix == ".mp4" for path in report.overlays)
        drawn = (("picture", len(report.overlays) - videos), ("video", videos))
        parts = " and ".join(counted(number, name) for name, number in drawn if number)
        note(f"drew {parts} in {report.overlays[0].parent}")
    if report.meshes:
        note(f"wrote {counted(len(report.meshes), 'mesh file')} in {report.meshes[0].parent}")
    if report.motions:
        note(f"wrote {counted(len(report.motions), 'motion file')} in {report.motions[0].parent}")


def _show_profile(report: "PredictReport") -> None:
    seconds = sum(report.stages.values())
    show_table(
        f"{report.seconds:.1f} s in all; {report.threads} threads worked for {seconds:.1f} s",
        ("stage", "seconds", "share", "per picture"),
        [
            (
                stage,
                f"{spent:.2f}",
                f"{100 * spent / seconds:.0f} %",
                f"{1000 * spent / max(1, report.num_images - report.num_resumed):.1f} ms",
            )
            for stage, spent in report.stages.items()
        ],
    )
