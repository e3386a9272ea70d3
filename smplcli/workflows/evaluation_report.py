"""What an evaluation says: numbers, what they mean, and what could not be measured."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import smplcli
from smplcli.datasets.schema import MANIFEST_FILE
from smplcli.datasets.shards import read_manifest
from smplcli.evaluation.bootstrap import LEVEL, RESAMPLES, SEED, Units
from smplcli.evaluation.comparison import Difference
from smplcli.evaluation.frames import is_occluded, sequence_of
from smplcli.evaluation.predictions import Predictions
from smplcli.evaluation.scoring import FAILED, LEFT_OUT, MISSING, OK, UNLABELLED, SampleErrors
from smplcli.evaluation.summaries import (
    Breakdown,
    Measurement,
    MissingRule,
    break_down,
    summarise,
)
from smplcli.files import sha256_of
from smplcli.workflows.evaluation_ground import Ground, NotEvaluated, truth_label
from smplcli.workflows.occlusion import OcclusionReport

OCCLUDED, OTHERS = "3DPW-OCC", "other sequences"
OF_3DPW = ("3dpw", "eth")
"""Sources whose pictures are frames of 3DPW, in folders of its sequences' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """How the 95 % intervals of an evaluation were made."""

    level: int
    resamples: int
    seed: int
    unit: str
    """What was drawn: ``sequence`` or ``sample``."""

    num_units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """What was measured, on what, and what could not be."""

    measurements: tuple[Measurement, ...]
    """Every number with its protocol, joint set, root, split, bodies and count."""

    protocols: dict[str, str]
    """Name and one line of explanation of every protocol measured, in order."""

    not_evaluated: tuple[NotEvaluated, ...]
    breakdowns: tuple[Breakdown, ...]
    """Means by joint, by sequence and by group."""

    interval: Interval
    differences: tuple[Difference, ...]
    """From another evaluation, sample by sample; empty unless asked for."""

    exceeded: tuple[str, ...]
    """Limits that were asked for and are not kept, in sentences."""

    missing: MissingRule
    """What people without a usable prediction count as."""

    target: str
    """The checkpoint or predictions, or the name of a control."""

    target_sha256: str
    data: Path
    data_sha256: str
    """Hash of the data set's manifest, which holds those of its shards."""

    split: str
    keypoints: str
    """What the network was given beside the picture; ``given`` for predictions from a file."""

    body: str
    body_sha256: str
    is_comparable: bool
    """False where synthetic people or the demo body stand in: published numbers are of others."""

    n_expected: int
    """Samples that the first protocol is for: the sum of the next three."""

    n_evaluated: int
    n_failed: int
    """Samples whose prediction is not finite."""

    n_missing: int
    """Samples without a prediction."""

    n_unlabelled: int
    """Samples of the split that have nothing to compare with, or that the protocol leaves out."""

    notes: tuple[str, ...]
    """Sentences that belong beside the numbers."""

    occlusion: OcclusionReport | None = None
    """What a patch does to the network; ``None`` unless asked for."""

    written: tuple[Path, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every sample counts, something was measured, and all limits are kept."""
        is_counted = self.n_evaluated == self.n_expected or self.missing == "worst"
        return is_counted and bool(self.measurements) and not self.exceeded

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {
            "smplcli": smplcli.__version__,
            **asdict(self),
            "data": str(self.data),
            "written": [str(path) for path in self.written],
        }


class Evaluation(NamedTuple):
    """A report and the arrays that it sums up, in the order of the split's samples."""

    report: EvaluationReport
    ground: Ground
    predictions: Predictions
    samples: dict[str, SampleErrors]
    """By protocol, in the order of the report."""

    is_first: bool = True
    """Whether this process is the one that writes, where several work together."""


class Source(NamedTuple):
    """Where predictions come from."""

    target: str
    sha256: str
    keypoints: str
    notes: tuple[str, ...] = ()


def units_of(ground: Ground) -> Units:
    """What intervals are drawn from: sequences, or samples where there are none."""
    if not ground.has_sequences:
        return Units(np.arange(len(ground.ids)), len(ground.ids), "sample")
    names, of_sample = np.unique(
        [sequence_of(name) for name, _ in ground.ids], return_inverse=True
    )
    return Units(of_sample.reshape(-1), len(names), "sequence")


def build_report(
    ground: Ground,
    samples: dict[str, SampleErrors],
    source: Source,
    *,
    missing: MissingRule,
) -> EvaluationReport:
    """Sum up the errors of samples.

    Args:
        ground: What was measured on.
        samples: The errors, by protocol.
        source: Where the predictions come from.
        missing: What people without a usable prediction count as.
    """
    units, counts = units_of(ground), _counts(samples, len(ground.ids))
    measured = [protocol for protocol in ground.protocols if protocol.name in samples]
    return EvaluationReport(
        measurements=tuple(
            measurement
            for protocol in measured
            for measurement in summarise(
                protocol,
                samples[protocol.name],
                split=ground.samples.name,
                body=ground.body.label,
                truth=truth_label(ground, protocol),
                missing=missing,
                units=units,
            )
        ),
        protocols={protocol.name: protocol.summary for protocol in measured},
        not_evaluated=ground.not_evaluated,
        breakdowns=tuple(
            part
            for protocol in measured
            for part in break_down(
                protocol, samples[protocol.name], groups_of(ground), missing=missing
            )
        ),
        interval=Interval(
            level=LEVEL, resamples=RESAMPLES, seed=SEED, unit=units.kind, num_units=units.size
        ),
        differences=(),
        exceeded=(),
        missing=missing,
        target=source.target,
        target_sha256=source.sha256,
        data=ground.data,
        data_sha256=sha256_of(ground.data / MANIFEST_FILE),
        split=ground.samples.name,
        keypoints=source.keypoints,
        body=ground.body.label,
        body_sha256=ground.body.sha256,
        is_comparable=not (ground.samples.is_synthetic or ground.body.is_demo),
        n_expected=counts[OK] + counts[FAILED] + counts[MISSING],
        n_evaluated=counts[OK],
        n_failed=counts[FAILED],
        n_missing=counts[MISSING],
        n_unlabelled=counts[UNLABELLED] + counts[LEFT_OUT],
        notes=(*source.notes, *_state_notes(counts, missing), *_ground_notes(ground)),
    )


def groups_of(
    ground: Ground,
) -> dict[Literal["sequence", "group"], list[tuple[str, NDArray[np.bool_]]]]:
    """Names and members of sequences, and of groups: occluded sequences, activities."""
    groups: dict[Literal["sequence", "group"], list[tuple[str, NDArray[np.bool_]]]] = {}
    sequences = np.array([sequence_of(imgname) for imgname, _ in ground.ids])
    if ground.has_sequences:
        groups["sequence"] = _members(sequences)
    if ground.source in OF_3DPW:
        occluded = np.array([is_occluded(sequence) for sequence in sequences])
        groups["group"] = [(OCCLUDED, occluded), (OTHERS, ~occluded)]
    elif ground.source == "mpii":
        groups["group"] = _members(ground.samples.field("activity"))
    return groups


def _members(labels: NDArray[np.str_]) -> list[tuple[str, NDArray[np.bool_]]]:
    return [(str(label), labels == label) for label in np.unique(labels) if label]


def _counts(samples: Mapping[str, SampleErrors], size: int) -> dict[str, int]:
    """Samples by their state under the first protocol."""
    states = next((s.states for s in samples.values()), np.full(size, UNLABELLED))
    kinds = (OK, FAILED, MISSING, UNLABELLED, LEFT_OUT)
    return {kind: int((states == kind).sum()) for kind in kinds}


def _state_notes(counts: Mapping[str, int], missing: MissingRule) -> tuple[str, ...]:
    place = "in no mean" if missing == "exclude" else "counted as badly as the worst"
    notes = {
        MISSING: f"samples {place}, for want of a prediction",
        FAILED: f"samples {place}, because their prediction is not finite",
        UNLABELLED: "samples in no mean, for want of a label",
    }
    return tuple(f"{note}: {counts[state]}" for state, note in notes.items() if counts[state])


def _ground_notes(ground: Ground) -> Iterator[str]:
    if ground.samples.is_synthetic or ground.body.is_demo:
        yield "synthetic people or the demo body: not comparable with published numbers"
    if ground.has_genders and not ground.gendered:
        yield (
            "the labels are of gendered bodies, posed here with: "
            f"{ground.body.label}; give a folder that holds the bodies of both by --body"
        )
    elif ground.gendered:
        names = sorted(body.name for body in ground.gendered.values())
        yield f"labels are posed with gendered bodies: {', '.join(names)}"
    labelled = read_manifest(ground.data).get("body")
    if labelled and labelled["sha256"] != ground.body.sha256 and not ground.gendered:
        yield f"the labels were made with another body: {labelled['name']}"
