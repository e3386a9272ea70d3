"""The page that an evaluation is shown around as: one file that loads nothing and runs nothing."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import smplcli
from smplcli.evaluation.markup import Html, element, join, page, table
from smplcli.files import atomic_write
from smplcli.models.weights import LoadedNetwork, load_network
from smplcli.training.loop import LOG_FILE
from smplcli.workflows.evaluation_report import Evaluation, EvaluationReport
from smplcli.workflows.occlusion import Occlusion
from smplcli.workflows.report_numbers import (
    by_group,
    by_joint,
    differences,
    measured,
    people,
    spread,
    tiles,
)
from smplcli.workflows.report_pictures import (
    attention,
    choose_people,
    occlusion_section,
    portraits,
    training_section,
)
from smplcli.workflows.targets import is_predictions

REPORT_FILE = "report.html"
MAX_LOG_BYTES = 64 << 20


def write_report(
    path: Path,
    evaluation: Evaluation,
    occlusion: Occlusion | None,
    *,
    target: Path | None,
    command: str,
    overwrite: bool,
) -> None:
    """Write the page of an evaluation.

    Args:
        path: The HTML file.
        evaluation: What was measured.
        occlusion: What a patch does, if that was asked for.
        target: What was evaluated; a checkpoint is asked where it looks.
        command: How the evaluation was started, for those who want to do it again.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    report = evaluation.report
    loaded = None if target is None or is_predictions(target) else load_network(target)
    gallery = choose_people(evaluation)
    log = read_log(target.parent / LOG_FILE) if loaded is not None and target is not None else []
    sections = {
        "Numbers": measured(report),
        "Beside the other evaluation": differences(report),
        "Spread": spread(report, evaluation.samples),
        "Joints": by_joint(report),
        "Sequences and groups": by_group(report),
        "People": portraits(evaluation, gallery) if gallery else None,
        "Attention": attention(evaluation, gallery, loaded.network)
        if gallery and loaded
        else None,
        "Occlusion": occlusion_section(occlusion) if occlusion else None,
        "Training": training_section(log),
        "Provenance": _provenance(report, loaded, command),
    }
    content = page(f"Evaluation of {report.target}", _body(report, sections))
    with atomic_write(path, overwrite=overwrite) as file:
        file.write(content)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Entries of a training log; lines that are none, as an interrupted run leaves, are skipped.

    Args:
        path: The file; without one, or with one too large to be a log, there are no entries.
    """
    if not path.is_file() or path.stat().st_size > MAX_LOG_BYTES:
        return []
    entries = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def _body(report: EvaluationReport, sections: Mapping[str, Html | None]) -> Html:
    shown = {name: content for name, content in sections.items() if content}
    places = {name: f"s{number}" for number, name in enumerate(shown)}
    links = (element("a", name, href=f"#{places[name]}") for name in shown)
    header = element(
        "header",
        element("h1", f"Evaluation of {report.target}"),
        element(
            "p",
            f"{report.data}, {report.split} split: {people(report.n_evaluated)} of"
            f" {report.n_expected:,} evaluated · body {report.body} · keypoints"
            f" {report.keypoints}",
        ),
        tiles(report),
        _notes(report),
        element("nav", *links),
    )
    parts = [
        element("section", element("h2", name, id=places[name]), content)
        for name, content in shown.items()
    ]
    footer = element("footer", f"Written by smplcli {smplcli.__version__}. Loads nothing.")
    return join([header, element("main", *parts), footer])


def _notes(report: EvaluationReport) -> Html | None:
    notes = (*report.notes, *report.exceeded)
    items = (element("li", note[:1].upper() + note[1:] + ".") for note in notes)
    return element("ul", *items, class_="notes") if notes else None


def _provenance(report: EvaluationReport, loaded: LoadedNetwork | None, command: str) -> Html:
    facts = {
        "evaluated": report.target,
        "its SHA-256": report.target_sha256,
        "data": f"{report.data}, {report.split} split",
        "manifest's SHA-256": report.data_sha256,
        "body": report.body,
        "its SHA-256 ": report.body_sha256,
        "keypoints": report.keypoints,
        "missing people": "left out" if report.missing == "exclude" else "as bad as the worst",
        "versions": f"smplcli {smplcli.__version__}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, numpy {np.__version__}",
    }
    if loaded is not None:
        facts["trained with"] = _training_facts(loaded.provenance)
    rows = [(name, element("code", value)) for name, value in facts.items()]
    if command:
        rows.append(("command", element("code", command)))
    return table(("", ""), rows, class_="facts")


def _training_facts(provenance: Mapping[str, Any]) -> str:
    names = ("smplcli", "torch", "step", "data_sha256")
    known = [f"{name} {provenance[name]}" for name in names if name in provenance]
    return ", ".join(known) or "nothing is known"
