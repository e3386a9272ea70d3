"""What an evaluation stands on: the samples, the bodies, and the protocols that they allow."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smplcli.body.files import load_body
from smplcli.body.joint_sets import JointSet
from smplcli.body.model import BodyModel
from smplcli.config import did_you_mean
from smplcli.datasets.shards import PreparedSplit, open_prepared, read_manifest
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.evaluation.matching import Places
from smplcli.evaluation.posing import GenderedPoser, Poser
from smplcli.evaluation.predictions import Predictions, SampleId, sample_ids
from smplcli.evaluation.protocols import PROTOCOLS, Labels, Protocol, default_protocols
from smplcli.evaluation.regressors import find_regressors, known_joints
from smplcli.evaluation.scoring import Posers, Truth, is_labelled_for, truth_of
from smplcli.workflows.devices import choose_device

GENDERS = {"f": "female", "m": "male"}

NO_LABELS: dict[Labels, tuple[str, str]] = {
    "body": (
        "no sample of the split has a pose and a shape",
        "Choose a split whose labels are public.",
    ),
    "challenge": (
        "no sample of the split has a body and keypoints detected in 2D",
        "Prepare 3DPW from its own files, which hold them.",
    ),
    "head": (
        "no sample of the split has a head size and joints in 2D",
        "Prepare MPII from its own .mat, which holds them.",
    ),
}
NO_CAMERA = (
    "the predictions do not say where in the picture the bodies are",
    "Give cam_t, focal_length and principal_point, or a checkpoint.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEvaluated:
    """A protocol that was wanted and could not be applied."""

    protocol: str
    reason: str
    remedy: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What everything of one evaluation is measured on."""

    data: Path
    source: str
    samples: PreparedSplit
    ids: list[SampleId]
    truth: Truth
    has_sequences: bool
    """Whether the samples are frames of videos."""

    body: BodyModel
    gendered: dict[str, BodyModel]
    """Bodies that the labels are of, by ``f`` and ``m``; empty where the neutral one stands in."""

    protocols: tuple[Protocol, ...]
    not_evaluated: tuple[NotEvaluated, ...]
    joint_sets: dict[str, JointSet]
    regressors: dict[str, Path]
    device: torch.device

    @property
    def places(self) -> Places:
        """Where people are in their pictures."""
        center, size = (self.samples.field(name) for name in ("center", "image_size"))
        return Places(center.astype(np.float64), self.truth.side, size.astype(np.float64))

    @property
    def has_genders(self) -> bool:
        """Whether labels are of other bodies than the neutral one."""
        return bool(np.isin(self.truth.gender[self.truth.is_labelled], list(GENDERS)).any())


def open_ground(
    data: Path,
    split: str,
    *,
    body: Path | None,
    protocols: Sequence[str] = (),
    joint_regressors: Sequence[Path] = (),
    device: str = "auto",
) -> Ground:
    """Open data and bodies, and find out what can be measured on them.

    Args:
        data: Prepared data set.
        split: Which part of it.
        body: SMPL file or folder; the demo body without one.
        protocols: Names; those that suit the source of the data without any.
        joint_regressors: Files of joint regressors beside those that lie beside the body.
        device: ``auto``, ``cpu``, or a CUDA device.

    Raises:
        ConfigError: There is no such protocol or regressor.
        MissingFileError: Data, split or body are not there.
        UnreadableFileError: One of them is not what it should be.
    """
    manifest = read_manifest(data)
    samples, source = open_prepared(data, split), str(manifest.get("source"))
    truth, model = truth_of(samples), load_body(body)
    wanted = [PROTOCOLS[name] for name in _chosen(protocols, source)]
    regressors = find_regressors(joint_regressors, body)
    names = {"coco17", *(name for protocol in wanted for name in protocol.joint_sets)}
    known = known_joints(model, sorted(names), regressors)
    ids = sample_ids(samples.field("imgname"), samples.field("person_id"))
    allowed, refused = [], []
    for protocol in wanted:
        obstacle = _obstacle(protocol, truth, dict(known.obstacles))
        if obstacle is None:
            allowed.append(protocol)
        else:
            reason, remedy = obstacle
            refused.append(NotEvaluated(protocol=protocol.name, reason=reason, remedy=remedy))
    return Ground(
        data=data,
        source=source,
        samples=samples,
        ids=ids,
        truth=truth,
        has_sequences=_has_sequences(manifest, samples, ids),
        body=model,
        gendered=_gendered(body, model, truth),
        protocols=tuple(allowed),
        not_evaluated=tuple(refused),
        joint_sets=dict(known.sets),
        regressors=regressors,
        device=choose_device(device),
    )


def posers_of(ground: Ground, *, is_self_test: bool = False) -> Posers:
    """Bodies ready to be posed.

    Args:
        ground: The bodies, and the protocols that say what is needed of them.
        is_self_test: Whether the labels are compared with themselves.
    """
    with_vertices = any(
        metric.needs_vertices for p in ground.protocols for metric in p.metrics.values()
    )
    given = {
        name: known_joints(model, sorted(ground.joint_sets), ground.regressors).sets
        for name, model in ground.gendered.items()
    }

    def poser(model: BodyModel, joint_sets: dict[str, JointSet]) -> Poser:
        return Poser(model, joint_sets, with_vertices=with_vertices, device=ground.device)

    neutral = poser(ground.body, ground.joint_sets)
    others = {name: poser(model, dict(given[name])) for name, model in ground.gendered.items()}
    return Posers(
        neutral=GenderedPoser({"n": neutral}),
        gendered=GenderedPoser({"n": neutral, **others}),
        is_self_test=is_self_test,
    )


def truth_label(ground: Ground, protocol: Protocol) -> str:
    """The bodies that pose the labels of a protocol, for reports."""
    if protocol.labels == "head":
        return "2D labels"
    if protocol.truth == "neutral" or not ground.gendered:
        return "neutral"
    return ", ".join(GENDERS[letter] for letter in sorted(ground.gendered))


def without_camera(ground: Ground, predictions: Predictions) -> tuple[NotEvaluated, ...]:
    """Protocols of joints in 2D, where the predictions have no place in the picture."""
    if predictions.camera is not None:
        return ()
    reason, remedy = NO_CAMERA
    return tuple(
        NotEvaluated(protocol=protocol.name, reason=reason, remedy=remedy)
        for protocol in ground.protocols
        if all(metric.points for metric in protocol.metrics.values())
    )


def _chosen(names: Sequence[str], source: str) -> tuple[str, ...]:
    for name in names:
        if name not in PROTOCOLS:
            raise ConfigError(f"no such protocol: {name}: {did_you_mean(name, list(PROTOCOLS))}")
    return tuple(dict.fromkeys(names)) or default_protocols(source)


def _obstacle(
    protocol: Protocol, truth: Truth, unknown: dict[str, tuple[str, str]]
) -> tuple[str, str] | None:
    """Reason and remedy, if a protocol cannot be applied."""
    if not is_labelled_for(truth, protocol.labels).any():
        return NO_LABELS[protocol.labels]
    return next((unknown[name] for name in protocol.joint_sets if name in unknown), None)


def _gendered(path: Path | None, neutral: BodyModel, truth: Truth) -> dict[str, BodyModel]:
    """The bodies of all genders that the labels have; empty if one is not there."""
    wanted = sorted(set(truth.gender[truth.is_labelled].tolist()) & set(GENDERS))
    if path is None:
        return {}
    folder = path if path.is_dir() else path.parent
    try:
        bodies = {letter: load_body(folder, gender=GENDERS[letter]) for letter in wanted}
    except MissingFileError:
        return {}
    for body in bodies.values():
        if body.v_template.shape != neutral.v_template.shape:
            raise UnreadableFileError(
                f"bodies have different meshes: {neutral.name} and {body.name} in {folder}"
            )
    return bodies


def _has_sequences(
    manifest: dict[str, Any], samples: PreparedSplit, ids: Sequence[SampleId]
) -> bool:
    """Whether the data set says so, or pictures that nobody rendered lie in several folders."""
    if (manifest.get("sequences") or {}).get(samples.name):
        return True
    folders = {imgname.rpartition("/")[0] for imgname, _ in ids}
    return not samples.is_synthetic and len(folders) > 1
