"""How the network does on groups of people: ``python -m tests.benchmarks.groups --help``.

Skin is compared in pairs of pictures that differ by the skin alone; age by the same poses of a
body with the proportions of a child of about six, whose errors are divided by its size. Build is
compared by grouping the people of one set by the height and the volume of their bodies at rest.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import NUM_JOINTS, PELVIS, SMPL_JOINTS
from smplcli.datasets.backgrounds import load_photos
from smplcli.datasets.colouring import ANY_SKIN
from smplcli.datasets.poses import clips_of_split, load_poses
from smplcli.datasets.scenes import Occasion, Studio
from smplcli.datasets.schema import MANIFEST_FILE
from smplcli.datasets.shards import PreparedSplit, open_prepared
from smplcli.evaluation.inference import index_batches, predict_samples
from smplcli.evaluation.metrics import pa_mpjpe
from smplcli.files import asset
from smplcli.models.keypoints import MIN_SCORE
from smplcli.models.weights import load_network
from smplcli.rotations import aa_to_rotmat
from smplcli.types import Floats
from tests.benchmarks.yardstick import ALONE, BATCH, UPRIGHT, render_set

NUMBER = 100
"""Of the sets' chance, beside those of the yardstick."""

THIRD = ANY_SKIN[1] // 3
SKINS = {"light": (0, THIRD), "medium": (THIRD, 2 * THIRD), "dark": (2 * THIRD, ANY_SKIN[1])}

CHILD_SIZE = 0.68
"""Of the child, over that of the adult, ..."""

CHILD_HEAD, CHILD_LEGS = 1.3, 0.94
"""... whose head is larger against the rest, and whose legs are shorter."""

HEAD = SMPL_JOINTS.index("head")
LEGS = [
    index
    for index, name in enumerate(SMPL_JOINTS)
    if name.split("_")[-1] in {"hip", "knee", "ankle", "foot"}
]


def main() -> None:
    """Render the sets that are not there, and print a table."""
    arguments = _parse()
    poses = clips_of_split(load_poses(arguments.poses), "test")
    photos, body = load_photos(arguments.backgrounds), load_body()
    bodies = dict.fromkeys(SKINS, body) | {"child": _child(body)}
    for name, pictured in bodies.items():
        if not (arguments.folder / name / MANIFEST_FILE).exists():
            occasion = Occasion(posing=UPRIGHT, skins=SKINS.get(name, SKINS["medium"]), **ALONE)
            studio = Studio(pictured, poses.clips, photos, occasion)
            render_set(arguments.folder / name, studio, arguments.count, NUMBER)
    print("| people | n | found | PA-MPJPE, detector's keypoints | picture alone |")
    print("|---|---|---|---|---|")
    errors = {}
    for name, pictured in bodies.items():
        samples = open_prepared(arguments.folder / name, "test")
        errors[name] = _score(samples, arguments.network, pictured)
        label = name if name == "child" else f"{name} skin"
        _print_row(label, samples, errors[name], np.arange(len(samples)))
    _compare(errors, "dark", "light")
    _compare(errors, "child", "medium")
    samples, pooled = open_prepared(arguments.folder / "medium", "test"), errors["medium"]
    for label, rows in _builds(body, samples).items():
        _print_row(label, samples, pooled, rows)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder of the sets.")
    parser.add_argument("--network", type=Path, default=asset("network.safetensors"))
    parser.add_argument("--poses", type=Path, required=True)
    parser.add_argument("--backgrounds", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300, help="People per set.")
    return parser.parse_args()


def _child(body: BodyModel) -> BodyModel:
    """The body with a child's size and proportions."""
    template = body.v_template.copy()
    head, legs = body.weights[:, HEAD, None], body.weights[:, LEGS].sum(axis=1)
    joints = body.joint_regressor @ template
    template += (CHILD_HEAD - 1) * head * (template - joints[HEAD])
    template[:, 1] += (CHILD_LEGS - 1) * legs * (template[:, 1] - joints[PELVIS, 1])
    return replace(
        body,
        v_template=CHILD_SIZE * template,
        shapedirs=CHILD_SIZE * body.shapedirs,
        posedirs=CHILD_SIZE * body.posedirs,
    )


def _score(samples: PreparedSplit, network_file: Path, pictured: BodyModel) -> dict[str, Floats]:
    """PA-MPJPE (N,) over the size of who is pictured, with detected keypoints and without."""
    network, batches = load_network(network_file).network, index_batches(len(samples), BATCH)
    labels = [samples.labels(row) for row in range(len(samples))]
    shape = torch.from_numpy(np.stack([label.shape for label in labels])).float()
    pose = torch.from_numpy(np.stack([label.pose for label in labels])).float()
    truth = _joints(pictured, aa_to_rotmat(pose.view(-1, NUM_JOINTS, 3)), shape)
    size = np.ptp(pictured.v_template[:, 1]) / np.ptp(load_body().v_template[:, 1])
    errors = {}
    for source in ("detected", "none"):
        found = predict_samples(network, samples, batches, keypoints=source)
        answer = torch.from_numpy(found.full_pose), torch.from_numpy(found.betas)
        errors[source] = pa_mpjpe(_joints(load_body(), *answer), truth) / size
    return errors


def _joints(body: BodyModel, full_pose: Tensor, betas: Tensor) -> Floats:
    with torch.inference_mode():
        return JointsLayer(body)(full_pose, betas)[:, :NUM_JOINTS].numpy()


def _builds(body: BodyModel, samples: PreparedSplit) -> dict[str, np.ndarray]:
    """Rows of the shortest, tallest, slightest and heaviest third."""
    shapes = np.stack([samples.labels(row).shape for row in range(len(samples))])
    vertices = body.v_template + np.einsum("vak,nk->nva", body.shapedirs, shapes)
    tall = np.ptp(vertices[..., 1], axis=1)
    a, b, c = (vertices[:, body.faces[:, corner]] for corner in range(3))
    heavy = np.abs(np.einsum("nfi,nfi->n", a, np.cross(b, c))) / 6 / tall**2
    third = len(shapes) // 3
    orders = {"short": np.argsort(tall), "tall": np.argsort(-tall)}
    orders |= {"slight for their height": np.argsort(heavy)}
    orders |= {"heavy for their height": np.argsort(-heavy)}
    return {f"{name} (a third)": order[:third] for name, order in orders.items()}


def _print_row(
    label: str, samples: PreparedSplit, errors: Mapping[str, Floats], rows: np.ndarray
) -> None:
    found = [bool((samples.labels(row).detected[:, 2] >= MIN_SCORE).any()) for row in rows]
    cells = [_mean(errors[source][rows]) for source in ("detected", "none")]
    print(f"| {label} | {len(rows)} | {np.mean(found):.0%} | {' | '.join(cells)} |", flush=True)


def _compare(errors: Mapping[str, Mapping[str, Floats]], one: str, other: str) -> None:
    differences = [_mean(errors[one][s] - errors[other][s]) for s in ("detected", "none")]
    print(f"| {one} beside {other}, one by one | | | {' | '.join(differences)} |", flush=True)


def _mean(values: Floats) -> str:
    error = np.nanstd(values) / np.sqrt(np.isfinite(values).sum())
    return f"{np.nanmean(values):.1f} ± {error:.1f}"


if __name__ == "__main__":
    main()
