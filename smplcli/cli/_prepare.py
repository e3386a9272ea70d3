"""`smplcli prepare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from smplcli.cli._options import BodyOption, JsonOption, OverwriteOption
from smplcli.cli._output import note, print_json, print_table, show_progress
from smplcli.cli._prepare_options import (
    BackendOption,
    BackgroundsOption,
    BoxOption,
    CountOption,
    CropSizeOption,
    DryRunOption,
    JobsOption,
    LimitOption,
    MaxFailuresOption,
    NoPartsOption,
    OutOption,
    PosesOption,
    RootOption,
    SeedOption,
    SourceArgument,
    SplitOption,
    StoreOption,
    StrideOption,
    ValListOption,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smplcli.config import PrepareSettings
    from smplcli.workflows.prepare_report import PrepareReport, SplitCounts
    from smplcli.workflows.render import RenderReport


def prepare(
    sources: SourceArgument = None,
    *,
    out: OutOption = None,
    root: RootOption = None,
    split: SplitOption = None,
    stride: StrideOption = None,
    box: BoxOption = None,
    val_list: ValListOption = None,
    limit: LimitOption = None,
    max_failures: MaxFailuresOption = 0.01,
    crop_size: CropSizeOption = None,
    store: StoreOption = None,
    no_parts: NoPartsOption = False,
    count: CountOption = None,
    poses: PosesOption = None,
    backgrounds: BackgroundsOption = None,
    seed: SeedOption = None,
    body: BodyOption = None,
    dry_run: DryRunOption = False,
    jobs: JobsOption = None,
    backend: BackendOption = "loky",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Prepare raw data sets, or render people. The same command goes on after an interruption."""
    from smplcli.workflows.outputs import data_dirs
    from smplcli.workflows.project import find_project, raw_sources
    from smplcli.workflows.sources import SPLITS, PrepareOptions

    project = find_project()
    note(project.notice)
    roots = raw_sources(project, list(map(str, sources or ())), root or ())
    cut: dict[str, Any] = {"stride": stride, "box": box, "val_list": val_list}
    cut |= {"crop_size": crop_size, "store": store, "parts": False if no_parts else None}
    drawn: dict[str, Any] = {
        "count": count,
        "poses": poses,
        "backgrounds": backgrounds,
        "seed": seed,
    }
    settings = _override(project.settings.prepare, cut | drawn)
    options = PrepareOptions(
        **{name: getattr(settings, name) for name in cut},
        splits=tuple(map(str, split)) if split else SPLITS,
        limit=limit,
        max_failures=max_failures,
    )
    shared = {
        "body": body or project.settings.body.path,
        "jobs": jobs,
        "overwrite": overwrite,
        "progress": show_progress,
    }
    reports: dict[str, PrepareReport | RenderReport] = {}
    for name, folder in data_dirs(project.settings.paths.data, roots, out).items():
        note(f"data: {folder}")
        if (raw := roots[name]) is None:
            reports[name] = _render(folder, settings, shared)
        else:
            work = {"options": options, "backend": backend, "dry_run": dry_run}
            reports[name] = _prepare(name, raw, folder, {**shared, **work})
    _print_reports(reports, as_json=as_json)


def _override(settings: "PrepareSettings", flags: dict[str, Any]) -> "PrepareSettings":
    given = {name: value for name, value in flags.items() if value is not None}
    return settings.model_copy(update=given)


def _render(folder: Path, settings: "PrepareSettings", shared: dict[str, Any]) -> "RenderReport":
    from smplcli.workflows.render import render

    return render(
        folder,
        count=settings.count,
        seed=settings.seed,
        poses=settings.poses,
        backgrounds=settings.backgrounds,
        **shared,
    )


def _prepare(source: Any, raw: Path, folder: Path, work: dict[str, Any]) -> "PrepareReport":
    from smplcli.workflows.prepare import prepare as run

    note(f"{source}: {raw}")
    return run(source, raw, folder, **work)


def _print_reports(reports: "dict[str, PrepareReport | RenderReport]", *, as_json: bool) -> None:
    """Print one report, or several by source."""
    from smplcli.workflows.prepare_report import PrepareReport

    raw = [report for report in reports.values() if isinstance(report, PrepareReport)]
    if as_json:
        whole = {name: report.to_dict() for name, report in reports.items()}
        print_json(whole if len(whole) > 1 else next(iter(whole.values())))
    for report in () if as_json else reports.values():
        if isinstance(report, PrepareReport):
            _print_prepared(report)
        else:
            _print_rendered(report)
    for report in raw:
        _refuse(report)


def _print_rendered(report: "RenderReport") -> None:
    print_table(
        f"{report.out}: {report.num_bytes / 1e6:.0f} MB",
        ("split", "people"),
        report.counts.items(),
    )
    total = sum(report.counts.values())
    note(f"the detector finds {report.found_by_detector} of {total} people in their pictures")


def _print_prepared(report: "PrepareReport") -> None:
    for text in report.notes:
        note(text)
    columns = ("split", "people", "published", "frames", "dropped", "why")
    print_table(_title(report), columns, _rows(report.counts))


def _refuse(report: "PrepareReport") -> None:
    """Say what failed, and fail if that is too much."""
    from smplcli.errors import RefusedError

    if not report.num_kept:
        raise RefusedError(f"nobody is left: {report.source}")
    failed = f"{report.num_failed} of {report.num_kept + report.num_failed} people failed"
    if not report.is_complete:
        raise RefusedError(
            f"{failed}, more than {report.max_failures:.1%}: {report.source}",
            hint="Mend what errors.jsonl lists and run the same command, or pass a larger "
            "--max-failures.",
        )
    if report.num_failed:
        note(f"{failed}: see {report.out / 'errors.jsonl'}")


def _title(report: "PrepareReport") -> str:
    if report.is_dry_run:
        return f"{report.source}: nothing is written"
    rate = report.images_per_second
    speed = f", {rate:.0f} images/s" if rate else ""
    return f"{report.out}: {report.num_bytes / 1e6:.0f} MB{speed}"


def _rows(counts: "dict[str, SplitCounts]") -> "Iterator[tuple[object, ...]]":
    """A row per split with the people in it, and one per reason why others are not."""
    for split, found in counts.items():
        published = "" if found.published is None else found.published
        yield split, found.kept, published, found.frames, "", ""
        for reason, number in found.dropped.items():
            yield "", "", "", "", number, reason
