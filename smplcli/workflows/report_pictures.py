"""The part of a report that is pictures: people, attention, and what a patch does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from smplcli.conventions import SMPL_JOINTS
from smplcli.evaluation.charts import Series, line_chart, spoken
from smplcli.evaluation.heat_maps import lay_over
from smplcli.evaluation.markup import Html, element, figure, join, picture, table
from smplcli.evaluation.portraits import (
    Attention,
    Portrait,
    attention_of,
    draw_portrait,
    subject_of,
    worst_median_best,
)
from smplcli.evaluation.predictions import ImageCamera
from smplcli.evaluation.protocols import SMPL24
from smplcli.evaluation.summaries import Measurement
from smplcli.models.network import Network
from smplcli.types import Floats, Ints
from smplcli.workflows.evaluation_ground import posers_of
from smplcli.workflows.evaluation_report import Evaluation
from smplcli.workflows.occlusion import (
    NetworkOcclusion,
    Occlusion,
    OcclusionReport,
    heat_limits,
)
from smplcli.workflows.report_numbers import main_number, people, sentence

COUNTS = {"worst": 4, "median": 2, "best": 2}
TITLES = {"worst": "Worst", "median": "In the middle", "best": "Best"}
MIN_CROPS = 10
"""Crops whose mean is worth a point of a curve."""

KEYS = (("truth", "label"), ("prediction", "prediction"))


class Gallery(NamedTuple):
    """Who is shown."""

    rows: dict[str, Ints]
    """Places in the split, by ``worst``, ``median`` and ``best``."""

    number: Measurement
    """What they are ordered by."""

    errors: Floats
    """(N,) of everybody."""


def choose_people(evaluation: Evaluation) -> Gallery | None:
    """Whom to show; nobody where nothing was measured."""
    number = main_number(evaluation.report)
    if number is None:
        return None
    errors = evaluation.samples[number.protocol].errors[number.metric]
    rows = worst_median_best(errors, higher_is_better=number.higher_is_better, counts=COUNTS)
    return Gallery(rows, number, errors)


def portraits(evaluation: Evaluation, gallery: Gallery) -> Html:
    """The people with their bodies, drawn over and from the side."""
    drawn = _draw(evaluation, np.concatenate(list(gallery.rows.values())))
    keys = (element("span", element("i", class_=f"key {kind}"), name) for kind, name in KEYS)
    groups = [
        join(
            [
                element("h3", TITLES[name]),
                element(
                    "div",
                    *(_figure(evaluation, gallery, row, drawn[row]) for row in rows.tolist()),
                    class_="people",
                ),
            ]
        )
        for name, rows in gallery.rows.items()
        if rows.size
    ]
    about = (
        f"Ordered by {gallery.number.label}. Both bodies are drawn with the pelvis at the same"
        " place, as errors are measured; the last view is from the side."
    )
    return join([element("p", about), element("p", *keys, class_="legend"), *groups])


def _draw(evaluation: Evaluation, rows: Ints) -> dict[int, Portrait]:
    ground, predictions = evaluation.ground, evaluation.predictions
    # Of all protocols, this one makes posers bring the vertices along.
    posers = posers_of(replace(ground, protocols=(SMPL24,), joint_sets={}))
    gender, truth = ground.truth.gender[rows], ground.truth
    gt = posers.gendered(truth.full_pose[rows], truth.betas[rows], gender)
    pred = posers.neutral(predictions.full_pose[rows], predictions.betas[rows], gender)
    camera = predictions.camera
    taken = None if camera is None else ImageCamera(*(field[rows] for field in camera))
    return {
        row: draw_portrait(
            subject_of(ground.samples[row], gt, pred, index, taken), ground.body.faces
        )
        for index, row in enumerate(rows.tolist())
    }


def _figure(evaluation: Evaluation, gallery: Gallery, row: int, portrait: Portrait) -> Html:
    imgname, person_id = evaluation.ground.ids[row]
    views = zip(("picture", "label", "prediction", "both from the side"), portrait, strict=True)
    pictures = [picture(image, name) for name, image in views if image is not None]
    number = gallery.number
    return figure(
        element("div", *pictures, class_="strip"),
        f"{number.label} {gallery.errors[row]:.1f} {number.unit} · {imgname}, person {person_id}",
    )


def attention(evaluation: Evaluation, gallery: Gallery, network: Network) -> Html | None:
    """Where the network looks for the best, the median and the worst person."""
    rows = [(name, rows[0].item()) for name, rows in gallery.rows.items() if rows.size]
    maps = attention_of(network, [evaluation.ground.samples[row] for _, row in rows])
    if not maps:
        return None
    about = (
        "Each joint reads the picture where its own attention lies, here for the first person of"
        " each group above. Each map is as bright as its own largest value."
    )
    shown = [
        join([element("h3", TITLES[name]), _maps(looked)])
        for (name, _), looked in zip(rows, maps, strict=True)
    ]
    return join([element("p", about), *shown])


def _maps(looked: Attention) -> Html:
    named = {"parts": looked.parts, **looked.joints}
    return element(
        "div",
        *(figure(picture(image, spoken(name)), spoken(name)) for name, image in named.items()),
        class_="maps",
    )


def occlusion_section(occlusion: Occlusion) -> Html:
    """What the patch does: numbers, the mean map, the curve, and maps of joints."""
    report, (mean_limit, joint_limit) = occlusion.report, heat_limits(occlusion)
    numbers = table(
        ("network", "without patch", "mean of places", "worst place"),
        (
            (n.name, *(f"{v:.1f} mm" for v in (n.mean.unoccluded, n.mean.occluded, n.mean.worst)))
            for n in report.networks
        ),
    )
    pairs = list(zip(report.networks, occlusion.maps, strict=True))
    means = [
        figure(
            _heat(occlusion, maps.mean(axis=-1) / mean_limit, f"{network.name}: mean of joints"),
            f"{network.name}: error added by the patch there, black 0 to white"
            f" {mean_limit:.0f} mm, mean of all joints.",
        )
        for network, maps in pairs
    ]
    joints = [_joint_maps(occlusion, network, maps, joint_limit) for network, maps in pairs]
    notes = [element("p", sentence(note), class_="soft") for note in report.notes]
    return join(
        [
            element("p", _about(report)),
            numbers,
            element(
                "div",
                element("div", *means, class_="networks"),
                *_curve(report.networks),
                class_="pair",
            ),
            *joints,
            *notes,
        ]
    )


def _about(report: OcclusionReport) -> str:
    patches = report.patches
    return (
        f"A grey patch of {patches.size} of {report.crop} pixels slides over the crops in steps of"
        f" {patches.stride}. {report.metric} ({report.unit}) over {report.joint_set}, root"
        f" {report.root}; {report.split} split, {people(report.people)}; the networks see the"
        " picture alone."
    )


def _heat(occlusion: Occlusion, values: Floats, description: str) -> Html:
    drawn = lay_over(occlusion.people.mean_crop, values, centres=occlusion.centres)
    return picture(drawn, description)


def _joint_maps(
    occlusion: Occlusion, network: NetworkOcclusion, maps: Floats, limit: float
) -> Html:
    shown = [
        figure(
            _heat(occlusion, maps[..., joint] / limit, f"{network.name}: {spoken(name)}"),
            spoken(name),
        )
        for joint, name in enumerate(SMPL_JOINTS)
    ]
    return element(
        "details",
        element("summary", f"{network.name}: each joint, black 0 to white {limit:.0f} mm"),
        element("div", *shown, class_="maps"),
    )


def _curve(networks: Sequence[NetworkOcclusion]) -> list[Html]:
    curves = {
        network.name: [part for part in network.curve if part.num_crops >= MIN_CROPS]
        for network in networks
    }
    series = [
        Series(
            name,
            np.array([100 * (part.low + part.high) / 2 for part in curve]),
            np.array([part.increase for part in curve]),
        )
        for name, curve in curves.items()
        if curve
    ]
    if not series:
        return []
    chart = line_chart(
        series,
        x_label="hidden share of the person, %",
        y_label="added error, mm",
        description="error against hidden share",
    )
    caption = (
        "Error added by the patch against the share of the person that it hides; the first point"
        f" is of patches beside the person. Shares that fewer than {MIN_CROPS} crops have are"
        " left out."
    )
    return [figure(chart, caption)]


def training_section(log: Sequence[Mapping[str, object]]) -> Html | None:
    """How training went, if its log says so."""
    losses, errors = _losses(log), _validations(log)
    charts = []
    if losses is not None:
        chart = line_chart([losses], x_label="step", y_label="loss", description="training loss")
        charts.append(figure(chart, "Sum of the training losses."))
    if errors:
        chart = line_chart(
            errors, x_label="step", y_label="mm", description="errors on the validation split"
        )
        charts.append(figure(chart, "Errors on the validation split while training, mm."))
    return element("div", *charts, class_="pair") if charts else None


def _losses(log: Sequence[Mapping[str, object]]) -> Series | None:
    sums: dict[float, float] = {}
    for entry in log:
        step, losses = entry.get("step"), entry.get("losses")
        if isinstance(step, int) and isinstance(losses, dict):
            values = [v for v in losses.values() if isinstance(v, int | float)]
            sums[step] = float(sum(values))
    return _series("loss", sums)


def _validations(log: Sequence[Mapping[str, object]]) -> list[Series]:
    found: dict[str, dict[float, float]] = {"mpjpe": {}, "pa_mpjpe": {}}
    for entry in log:
        step, errors = entry.get("step"), entry.get("validation")
        if isinstance(step, int) and isinstance(errors, dict):
            for name, values in found.items():
                if isinstance(errors.get(name), int | float):
                    values[step] = float(errors[name])
    labels = {"mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE"}
    return [s for name, values in found.items() if (s := _series(labels[name], values))]


def _series(label: str, values: Mapping[float, float]) -> Series | None:
    finite = {step: value for step, value in values.items() if np.isfinite(value)}
    if not finite:
        return None
    return Series(label, np.array(list(finite), dtype=float), np.array(list(finite.values())))
