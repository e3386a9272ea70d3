"""The page that an evaluation is shown around as: one file that loads nothing and runs nothing."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import smplcli
from smplcli.evaluation.markup import Html, element, join, page, table
from smplcli.files import atomic_write
from smplcli.models.weights import LoadedNetwork
from smplcli.training.logs import LOG_FILE
from smplcli.workflows.evaluation_report import Evaluation, EvaluationReport
from smplcli.workflows.occlusion import Occlusion
from smplcli.workflows.report_numbers import (
    by_group,
    by_joint,
    differences,
    measured,
    people,
    sentence,
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
from smplcli.workflows.targets import short_name

REPORT_FILE = "report.html"
MAX_LOG_BYTES = 64 << 20


class Material(NamedTuple):
    """What a page is made of."""

    evaluation: Evaluation
    occlusion: Occlusion | None
    """What a patch does, if that was asked for."""

    target: Path | None
    """What was evaluated; ``None`` for the labels themselves."""

    network: LoadedNetwork | None
    """The same, if it is a network, on the processor; it is asked where it looks."""

    command: str
    """How the evaluation was started, for those who want to do it again; may be empty."""


def write_report(path: Path, material: Material, *, overwrite: bool) -> None:
    """Write the page of an evaluation.

    Args:
        path: The HTML file.
        material: What to show.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    evaluation, network = material.evaluation, material.network
    report, gallery = evaluation.report, choose_people(evaluation)
    sections = {
        "Numbers": measured(report),
        "Beside the other evaluation": differences(report),
        "Spread": spread(report, evaluation.samples),
        "Joints": by_joint(report),
        "Sequences and groups": by_group(report),
        "People": gallery and portraits(evaluation, gallery),
        "Attention": gallery and network and attention(evaluation, gallery, network.network),
        "Occlusion": material.occlusion and occlusion_section(material.occlusion),
        "Training": training_section(_log_of(material)),
        "Provenance": _provenance(material),
    }
    name = report.target if material.target is None else short_name(material.target)
    title = f"Evaluation of {name}"
    content = page(title, _body(title, report, sections))
    with atomic_write(path, overwrite=overwrite) as file:
        file.write(content)


def _log_of(material: Material) -> list[dict[str, Any]]:
    """What the run of a network wrote down: beside the file, or two folders above a checkpoint."""
    target = material.target
    if target is None or material.network is None:
        return []
    run_dir = target.absolute().parents[1] if target.is_dir() else target.parent
    return read_log(run_dir / LOG_FILE)


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


def _body(title: str, report: EvaluationReport, sections: Mapping[str, Html | None]) -> Html:
    shown = {name: content for name, content in sections.items() if content}
    places = {name: f"s{number}" for number, name in enumerate(shown)}
    links = (element("a", name, href=f"#{places[name]}") for name in shown)
    header = element(
        "header",
        element("h1", title),
        element(
            "p",
            f"{report.data.absolute().name}, {report.split} split: {people(report.n_evaluated)} of"
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
    items = (element("li", sentence(note)) for note in notes)
    return element("ul", *items, class_="notes") if notes else None


def _provenance(material: Material) -> Html:
    report = material.evaluation.report
    facts = [
        ("evaluated", report.target),
        ("its SHA-256", report.target_sha256),
        ("data", f"{report.data}, {report.split} split"),
        ("manifest's SHA-256", report.data_sha256),
        ("body", report.body),
        ("its SHA-256", report.body_sha256),
        ("keypoints", report.keypoints),
        ("missing people", "left out" if report.missing == "exclude" else "as bad as the worst"),
        ("versions", _versions()),
    ]
    if material.network is not None:
        facts.append(("trained with", _training_facts(material.network.provenance)))
    if material.command:
        facts.append(("command", material.command))
    return table((), ((name, element("code", value)) for name, value in facts), class_="facts")


def _versions() -> str:
    return (
        f"smplcli {smplcli.__version__}, Python {platform.python_version()},"
        f" torch {torch.__version__}, numpy {np.__version__}"
    )


def _training_facts(provenance: Mapping[str, Any]) -> str:
    names = ("smplcli", "torch", "step", "data_sha256")
    known = [f"{name} {provenance[name]}" for name in names if name in provenance]
    return ", ".join(known) or "nothing is known"
