"""The occlusion analysis: several networks behind one patch, side by side."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from smplcli.body.layer import Skeleton
from smplcli.conventions import PELVIS, SMPL_JOINTS
from smplcli.errors import ConfigError, UnreadableFileError
from smplcli.evaluation.heat_maps import contact_sheet, lay_over
from smplcli.evaluation.inference import network_crops
from smplcli.evaluation.occlusion import (
    REFERENCE_SIDE,
    OcclusionErrors,
    PatchEffect,
    Patches,
    ShareBin,
    answered,
    increase_maps,
    joint_effects,
    knows_parts,
    occluded_share,
    occlusion_errors,
    patch_effect,
    person_area,
    share_curve,
    spread_rows,
)
from smplcli.files import write_json, write_npz
from smplcli.images import write_image
from smplcli.models.weights import LoadedNetwork
from smplcli.types import Floats, Ints, Pixels
from smplcli.workflows.evaluation_ground import Ground, posers_of
from smplcli.workflows.progress import Progress
from smplcli.workflows.targets import (
    Weights,
    is_predictions,
    load_checkpoint,
    short_name,
)

JSON_FILE, ARRAYS_FILE = "occlusion.json", "occlusion.npz"
PANEL_COLUMNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class OcclusionSettings:
    """How the occlusion analysis is done."""

    patches: Patches = field(default_factory=Patches)
    people: int = 100
    """People to analyse at most, evenly spread over the split."""

    against: tuple[Path, ...] = ()
    """Further checkpoints to analyse beside the first."""

    def __post_init__(self) -> None:
        if self.people < 1:
            raise ConfigError(f"occlusion needs people, got {self.people}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOcclusion:
    """What the patch did to one network. Millimetres, means over people."""

    name: str
    target: str
    sha256: str
    mean: PatchEffect
    """Mean over joints."""

    joints: dict[str, PatchEffect]
    curve: tuple[ShareBin, ...]
    """Error against the hidden share of the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OcclusionReport:
    """Errors of networks behind a grey patch, and what they were measured on."""

    metric: str = "MPJPE"
    unit: str = "mm"
    joint_set: str = "SMPL-24"
    root: str = SMPL_JOINTS[PELVIS]
    keypoints: str = "none"
    crop: int = REFERENCE_SIDE
    """Side of the crop in whose pixels the patches are measured."""

    patches: Patches
    split: str
    body: str
    people: int
    """Whom all networks answered for behind every patch."""

    n_failed: int
    """People left out because an answer was not finite."""

    networks: tuple[NetworkOcclusion, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return asdict(self)


class Occlusion(NamedTuple):
    """A report and the arrays that it sums up."""

    report: OcclusionReport
    people: "People"
    errors: tuple[OcclusionErrors, ...]
    """By network, of ``people``."""

    @property
    def centres(self) -> Floats:
        """Centres of the patches along either axis of the crop, (P,), pixels."""
        patches = self.report.patches
        return patches.starts() + (patches.size - 1) / 2

    @property
    def maps(self) -> Floats:
        """Increase of each joint's error by network and place, (K, P, P, 24), millimetres."""
        return np.stack([increase_maps(errors) for errors in self.errors])


class People(NamedTuple):
    """Whom the analysis is about, N of them, and what they look like."""

    rows: Ints
    """(N,) place in the split."""

    shares: Floats
    """(N, P, P) share of the person that the patch hides, NaN where unknown."""

    joints3d: Floats
    """(N, 24, 3) true joints, metres."""

    mean_crop: Pixels
    """(224, 224, 3)."""

    num_boxes: int
    """People whose area is that of a box, for want of a part map."""


class Target(NamedTuple):
    """A network to analyse."""

    path: Path
    loaded: LoadedNetwork


def open_targets(
    checkpoint: Path | None, settings: OcclusionSettings, weights: Weights, device: torch.device
) -> tuple[Target, ...]:
    """Load the networks to analyse.

    Args:
        checkpoint: The first.
        settings: Names the others.
        weights: Which of the first's are meant.
        device: Where to compute.

    Raises:
        ConfigError: One is no network.
        MissingFileError: One is not there.
        UnreadableFileError: One is damaged.
    """
    for target in (checkpoint, *settings.against):
        if target is None or is_predictions(target):
            raise ConfigError(
                f"only a network can be asked again behind a patch: {target}",
                hint="Give the checkpoint that made the predictions.",
            )
    first = () if checkpoint is None else ((checkpoint, weights),)
    others: tuple[tuple[Path, Weights], ...] = tuple((p, "averaged") for p in settings.against)
    return tuple(Target(path, load_checkpoint(path, w, device)) for path, w in (*first, *others))


def analyse_occlusion(
    targets: Sequence[Target],
    ground: Ground,
    settings: OcclusionSettings,
    *,
    batch_size: int,
    progress: Progress,
) -> Occlusion:
    """Slide a grey patch over the people of a split and measure what networks make of it.

    Args:
        targets: The networks, all of which see the same people.
        ground: The data, and the bodies that pose labels and predictions.
        settings: Patch and people.
        batch_size: Crops computed at a time.
        progress: Shows the people.

    Raises:
        ConfigError: The split has no labelled people.
        UnreadableFileError: There is nobody for whom all networks' answers are finite.
    """
    people = _people(ground, settings)
    skeleton = Skeleton(ground.body).to(ground.device)
    errors = [
        _sweep(target.loaded, skeleton, ground, people, settings.patches, batch_size, progress)
        for target in targets
    ]
    usable = np.all([answered(each) for each in errors], axis=0)
    if not usable.any():
        paths = ", ".join(str(target.path) for target in targets)
        raise UnreadableFileError(f"no answer is finite: {paths}")
    whole = tuple(OcclusionErrors(*(array[usable] for array in each)) for each in errors)
    shares = people.shares[usable]
    report = OcclusionReport(
        patches=settings.patches,
        split=ground.samples.name,
        body=ground.body.label,
        people=int(usable.sum()),
        n_failed=int((~usable).sum()),
        networks=tuple(
            _summarise(target, each, shares) for target, each in zip(targets, whole, strict=True)
        ),
        notes=_notes(targets, people),
    )
    kept = people._replace(
        rows=people.rows[usable], shares=shares, joints3d=people.joints3d[usable]
    )
    return Occlusion(report, kept, whole)


def occlusion_files(out: Path, settings: OcclusionSettings) -> tuple[Path, ...]:
    """Files that an analysis writes: numbers, arrays, and a picture per network."""
    numbers = range(1, len(settings.against) + 2)
    pictures = (out / f"occlusion-{number}.png" for number in numbers)
    return (out / JSON_FILE, out / ARRAYS_FILE, *pictures)


def write_occlusion(
    occlusion: Occlusion, ground: Ground, files: Sequence[Path], *, overwrite: bool
) -> None:
    """Write an analysis into the files of `occlusion_files`.

    Raises:
        OutputExistsError: One of them is there and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    json_file, arrays_file, *pictures = files
    people, (mean_limit, joint_limit) = occlusion.people, heat_limits(occlusion)
    imgname, person_id = zip(*(ground.ids[row] for row in people.rows), strict=True)
    arrays: dict[str, np.ndarray] = {
        "imgname": np.array(imgname),
        "person_id": np.array(person_id),
        "center": occlusion.centres,
        "share": people.shares,
        "mean_crop": people.mean_crop,
    }
    for number, errors in enumerate(occlusion.errors, 1):
        arrays |= {f"{name}_{number}": array for name, array in errors._asdict().items()}
    for picture, maps in zip(pictures, occlusion.maps, strict=True):
        panels = [(f"mean, 0 to {mean_limit:.0f} mm", maps.mean(axis=-1) / mean_limit)]
        panels += [
            (f"{name}, 0 to {joint_limit:.0f} mm", maps[..., joint] / joint_limit)
            for joint, name in enumerate(SMPL_JOINTS)
        ]
        drawn = [
            (name, lay_over(people.mean_crop, values, centres=occlusion.centres))
            for name, values in panels
        ]
        write_image(picture, contact_sheet(drawn, columns=PANEL_COLUMNS), overwrite=overwrite)
    write_npz(arrays_file, arrays, overwrite=overwrite)
    write_json(json_file, occlusion.report.to_dict(), overwrite=overwrite)


def heat_limits(occlusion: Occlusion) -> tuple[float, float]:
    """Increase of the error that is hottest in maps of the mean and of joints, millimetres.

    All networks share them, so that their maps can be compared.
    """
    maps = occlusion.maps
    return max(float(maps.mean(axis=-1).max()), 1.0), max(float(maps.max()), 1.0)


def _people(ground: Ground, settings: OcclusionSettings) -> People:
    rows = spread_rows(np.flatnonzero(ground.truth.is_labelled), settings.people)
    if not rows.size:
        raise ConfigError(f"split has no labelled people: {ground.samples.name}")
    masks, samples = settings.patches.masks(REFERENCE_SIDE), ground.samples
    shares, total, num_boxes = [], np.zeros((REFERENCE_SIDE, REFERENCE_SIDE, 3)), 0
    for row in rows.tolist():
        sample = samples[row]
        area = person_area(sample, REFERENCE_SIDE, part_share=samples.part_share)
        shares.append(occluded_share(area, masks))
        total += network_crops([sample], REFERENCE_SIDE)[0][0]
        num_boxes += not knows_parts(sample)
    truth, places = ground.truth, len(settings.patches.starts())
    without_protocols = posers_of(replace(ground, protocols=(), joint_sets={}))
    posed = without_protocols.gendered(
        truth.full_pose[rows], truth.betas[rows], truth.gender[rows]
    )
    return People(
        rows=rows,
        shares=np.reshape(shares, (-1, places, places)),
        joints3d=posed.joints["smpl24"],
        mean_crop=np.asarray((total / len(rows)).round(), dtype=np.uint8),
        num_boxes=num_boxes,
    )


def _sweep(  # noqa: PLR0917 - private
    loaded: LoadedNetwork,
    skeleton: Skeleton,
    ground: Ground,
    people: People,
    patches: Patches,
    batch_size: int,
    progress: Progress,
) -> OcclusionErrors:
    side, places = loaded.network.config.input_size, len(patches.starts())
    masks = patches.masks(side)
    masks = torch.cat([torch.zeros_like(masks[:1]), masks])
    errors = np.empty((len(people.rows), len(masks), len(SMPL_JOINTS)))
    for index in progress(range(len(people.rows)), "occlude"):
        crop = network_crops([ground.samples[int(people.rows[index])]], side)[0][0]
        errors[index] = occlusion_errors(
            loaded.network, skeleton, crop, people.joints3d[index], masks, batch_size=batch_size
        )
    return OcclusionErrors(
        errors[:, 0], errors[:, 1:].reshape(len(errors), places, places, len(SMPL_JOINTS))
    )


def _summarise(target: Target, errors: OcclusionErrors, shares: Floats) -> NetworkOcclusion:
    return NetworkOcclusion(
        name=short_name(target.path),
        target=str(target.path),
        sha256=target.loaded.sha256,
        mean=patch_effect(errors),
        joints=joint_effects(errors),
        curve=share_curve(errors, shares),
    )


def _notes(targets: Sequence[Target], people: People) -> tuple[str, ...]:
    notes = []
    if any(target.loaded.network.encoder is not None for target in targets):
        notes.append(
            "occlusion is measured on the picture alone: keypoints of a detector that saw the"
            " whole picture would tell what the patch hides"
        )
    if people.num_boxes:
        notes.append(
            "people whose hidden share is that of the box around their keypoints, for want of a"
            f" part map: {people.num_boxes}"
        )
    return tuple(notes)
