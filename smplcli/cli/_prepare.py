"""`smplcli prepare`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smplcli.cli._options import BodyOption, JsonOption, OverwriteOption
from smplcli.cli._output import (
    file_size,
    note,
    print_json,
    print_line,
    print_result,
    print_table,
    show_progress,
)
from smplcli.cli._prepare_options import (
    BackendOption,
    BackgroundsOption,
    BoxOption,
    CheckOption,
    ContactSheetOption,
    CountOption,
    CropSizeOption,
    DryRunOption,
    ImagesOption,
    JobsOption,
    LayoutOption,
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
from smplcli.cli._work import show_project

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from smplcli.config import PrepareSettings
    from smplcli.workflows.check_prepared import CheckReport
    from smplcli.workflows.prepare_report import PrepareReport, SplitCounts
    from smplcli.workflows.project import Project
    from smplcli.workflows.render import RenderReport


def prepare(
    sources: SourceArgument = None,
    *,
    out: OutOption = None,
    check: CheckOption = None,
    root: RootOption = None,
    split: SplitOption = None,
    stride: StrideOption = None,
    box: BoxOption = None,
    val_list: ValListOption = None,
    images: ImagesOption = None,
    limit: LimitOption = None,
    max_failures: MaxFailuresOption = 0.01,
    crop_size: CropSizeOption = None,
    store: StoreOption = None,
    no_parts: NoPartsOption = False,
    contact_sheet: ContactSheetOption = None,
    count: CountOption = None,
    poses: PosesOption = None,
    backgrounds: BackgroundsOption = None,
    seed: SeedOption = None,
    layout: LayoutOption = None,
    body: BodyOption = None,
    dry_run: DryRunOption = False,
    jobs: JobsOption = None,
    backend: BackendOption = "loky",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Prepare raw data sets, or render people. The same command goes on after an interruption."""
    from smplcli.workflows.project import find_project, raw_sources

    names = list(map(str, sources or ()))
    stated = [*(root or ()), *(name for name in names if name != "synthetic")]
    project = find_project(check or (Path(stated[0]) if stated else None))
    is_data_given = check is not None or bool(root or names)
    show_project(project, is_data_given=is_data_given, is_out_given=out is not None)
    body = body or project.settings.body.path
    roots = raw_sources(project, names, root or ())
    if check is not None:
        sheets = _sheets({"": check}, contact_sheet, overwrite=overwrite)
        _check(check, as_json=as_json)
        _draw(sheets, body, overwrite=overwrite)
        return
    from smplcli.workflows.sources import SPLITS, PrepareOptions

    cut: dict[str, Any] = {"stride": stride, "box": box, "val_list": val_list}
    cut |= {"crop_size": crop_size, "store": store, "parts": False if no_parts else None}
    scene: dict[str, Any] = {"poses": poses, "backgrounds": backgrounds, "seed": seed}
    _refuse_idle({**cut, **scene, "images": images, "count": count}, roots)
    settings = _override(project.settings.prepare, {**cut, **scene, "count": count})
    scene = {name: getattr(settings, name) for name in scene} | {"body": body}
    if layout is not None:
        _write_layout(layout, project, roots, out, {**scene, "count": count}, as_json=as_json)
        return
    options = PrepareOptions(
        **{name: getattr(settings, name) for name in cut},
        splits=tuple(map(str, split)) if split else SPLITS,
        images=images,
        limit=limit,
        max_failures=max_failures,
    )
    work = {"jobs": jobs, "overwrite": overwrite, "progress": show_progress}
    rendered = {**scene, **work, "count": settings.count}
    cut_out = {"body": body, **work, "options": options, "backend": backend, "dry_run": dry_run}
    folders = _folders(project, roots, out)
    sheets = {} if dry_run else _sheets(folders, contact_sheet, overwrite=overwrite)
    reports: dict[str, PrepareReport | RenderReport] = {}
    for name, raw in roots.items():
        note(f"data: {folders[name]}")
        if raw is None:
            reports[name] = _render(folders[name], rendered, dry_run=dry_run)
        else:
            reports[name] = _prepare(name, raw, folders[name], cut_out)
        if not as_json:
            _print_report(reports[name])
    if as_json:
        whole = {name: report.to_dict() for name, report in reports.items()}
        print_json(whole if len(whole) > 1 else next(iter(whole.values())))
    for report in reports.values():
        _refuse(report)
    _draw(sheets, body, overwrite=overwrite)


_TAKERS = {
    **dict.fromkeys(("stride", "box"), ("3dpw",)),
    "val_list": ("mpii",),
    "images": ("spin", "mpii"),
    **dict.fromkeys(("count", "poses", "backgrounds", "seed"), ("synthetic",)),
}
"""Sources that an option says something about."""


def _refuse_idle(options: dict[str, Any], sources: "Collection[str]") -> None:
    """Refuse options that no source would look at."""
    from smplcli.errors import ConfigError

    for name, takers in _TAKERS.items():
        if options[name] is not None and not set(takers) & set(sources):
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(
                f"{flag} is for {' and '.join(takers)}, not for {' and '.join(sources)}",
                hint=f"Leave {flag} out.",
            )


def _override(settings: "PrepareSettings", flags: dict[str, Any]) -> "PrepareSettings":
    given = {name: value for name, value in flags.items() if value is not None}
    return settings.model_copy(update=given)


def _folders(project: "Project", roots: dict[str, Any], out: Path | None) -> dict[str, Path]:
    from smplcli.workflows.outputs import data_dirs

    return data_dirs(project.settings.paths.data, roots, out)


def _render(folder: Path, options: dict[str, Any], *, dry_run: bool) -> "RenderReport":
    from smplcli.errors import ConfigError
    from smplcli.workflows.render import render

    if dry_run:
        raise ConfigError(
            "there is no raw data to look at for synthetic people", hint="Leave --dry-run out."
        )
    return render(folder, **options)


def _prepare(source: Any, raw: Path, folder: Path, options: dict[str, Any]) -> "PrepareReport":
    from smplcli.workflows.prepare import prepare as run

    note(f"{source}: {raw}")
    return run(source, raw, folder, **options)


def _write_layout(
    layout: Any,
    project: "Project",
    roots: dict[str, Path | None],
    out: Path | None,
    options: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Write a raw data set instead of preparing one."""
    from smplcli.errors import ConfigError
    from smplcli.workflows.project import next_free
    from smplcli.workflows.raw_layouts import write_layout

    if any(raw is not None for raw in roots.values()):
        raise ConfigError(
            "only synthetic people are written in a layout",
            hint="Run 'smplcli prepare synthetic --layout ...'.",
        )
    out = out or next_free(project.settings.paths.data.parent, f"raw-{layout}")
    report = write_layout(layout, out, **options)
    root = f"--root {layout}={shlex.quote(str(report.out))}"
    print_result(report, lambda report: print_line(report.out), as_json=as_json)
    note(f"prepare it: smplcli prepare {layout} {root}")


def _check(data: Path, *, as_json: bool) -> None:
    """Look for damage in a prepared data set."""
    from smplcli.errors import IntegrityError
    from smplcli.workflows.check_prepared import check_prepared

    report = check_prepared(data, progress=show_progress)
    print_result(report, _print_check, as_json=as_json)
    if report.faults:
        raise IntegrityError(
            f"{len(report.faults)} damaged files: {data}",
            hint="Copy the data set again, or prepare it again with --overwrite.",
        )


def _print_check(report: "CheckReport") -> None:
    for fault in report.faults:
        print_line(fault)
    state = "damaged" if report.faults else "sound"
    print_table(f"{report.data}: {state}", ("split", "people"), report.counts.items())


def _sheets(folders: dict[str, Path], file: Path | None, *, overwrite: bool) -> dict[Path, Path]:
    """Contact sheets and their data sets, whose names they have in theirs if there are several."""
    from smplcli.images import check_image_name
    from smplcli.paths import check_folder, refuse_existing

    if file is None:
        return {}
    check_image_name(file)
    check_folder(file.parent)
    several = len(folders) > 1
    sheets = {
        file.with_stem(f"{file.stem}-{name}") if several else file: folder
        for name, folder in folders.items()
    }
    refuse_existing(*sheets, overwrite=overwrite)
    return sheets


def _draw(sheets: dict[Path, Path], body: Path | None, *, overwrite: bool) -> None:
    from smplcli.workflows.contact_sheet import draw_contact_sheet

    for sheet, folder in sheets.items():
        draw_contact_sheet(folder, sheet, body=body, overwrite=overwrite)
        note(f"contact sheet: {sheet}")


def _print_report(report: "PrepareReport | RenderReport") -> None:
    from smplcli.workflows.render import RenderReport

    if isinstance(report, RenderReport):
        _print_rendered(report)
    else:
        _print_prepared(report)


def _print_rendered(report: "RenderReport") -> None:
    print_table(
        f"{report.out}: {file_size(report.num_bytes)}",
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


def _refuse(report: "PrepareReport | RenderReport") -> None:
    """Say what failed, and fail if that is too much."""
    from smplcli.errors import HostileFileError, RefusedError
    from smplcli.workflows.render import RenderReport

    if isinstance(report, RenderReport):
        return
    if report.num_refused:
        raise HostileFileError(
            f"files ask for more than data, and were left out: {report.source}",
            hint="Get the files that errors.jsonl lists from their official source again; nothing "
            "of them was run.",
        )
    if not report.num_kept:
        raise RefusedError(f"nobody is left: {report.source}")
    failed = f"{report.num_failed} of {report.num_kept + report.num_failed} people failed"
    if not report.is_complete:
        listed = "Mend what is wrong" if report.is_dry_run else "Mend what errors.jsonl lists"
        raise RefusedError(
            f"{failed}, more than {report.max_failures:.1%}: {report.source}",
            hint=f"{listed} and run the same command, or pass a larger --max-failures.",
        )
    if report.num_failed:
        where = "" if report.is_dry_run else f": see {report.out / 'errors.jsonl'}"
        note(f"{failed}{where}")


def _title(report: "PrepareReport") -> str:
    if report.is_dry_run:
        return f"{report.source}: nothing is written"
    rate = report.images_per_second
    speed = f", {rate:.0f} images/s" if rate else ""
    return f"{report.out}: {file_size(report.num_bytes)}{speed}"


def _rows(counts: "dict[str, SplitCounts]") -> "Iterator[tuple[object, ...]]":
    """A row per split with the people in it, and one per reason why others are not."""
    for split, found in counts.items():
        published = "" if found.published is None else found.published
        yield split, found.kept, published, found.frames, "", ""
        for reason, number in found.dropped.items():
            yield "", "", "", "", number, reason
