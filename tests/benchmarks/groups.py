"""How the network does on groups of people: ``python -m tests.benchmarks.groups --help``.

Skin is compared in pairs of pictures that differ by the skin alone. Build and clothes are compared
by grouping the people of one set by the height and the volume of their bodies at rest.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from smplcli.body.files import load_body
from smplcli.body.model import BodyModel
from smplcli.datasets.backgrounds import load_photos
from smplcli.datasets.colouring import ANY_SKIN
from smplcli.datasets.poses import clips_of_split, load_poses
from smplcli.datasets.scenes import Occasion, Studio
from smplcli.datasets.schema import MANIFEST_FILE
from smplcli.datasets.shards import PreparedSplit, open_prepared
from smplcli.evaluation.inference import index_batches, predict_samples
from smplcli.evaluation.protocols import SMPL24
from smplcli.evaluation.scoring import neutral_posers, score_predictions, truth_of
from smplcli.files import asset
from smplcli.models.keypoints import MIN_SCORE
from smplcli.models.weights import load_network
from smplcli.types import Floats
from tests.benchmarks.yardstick import ALONE, BATCH, UPRIGHT, render_set

NUMBER = 100
"""Of the sets' chance, beside those of the yardstick."""

THIRD = ANY_SKIN[1] // 3
SKINS = {"light": (0, THIRD), "medium": (THIRD, 2 * THIRD), "dark": (2 * THIRD, ANY_SKIN[1])}


def main() -> None:
    """Render the sets that are not there, and print a table."""
    arguments = _parse()
    poses = clips_of_split(load_poses(arguments.poses), "test")
    photos, body = load_photos(arguments.backgrounds), load_body()
    for name, skins in SKINS.items():
        if not (arguments.folder / name / MANIFEST_FILE).exists():
            occasion = Occasion(posing=UPRIGHT, skins=skins, **ALONE)
            studio = Studio(body, poses.clips, photos, occasion)
            render_set(arguments.folder / name, studio, arguments.count, NUMBER)
    print("| people | n | found | PA-MPJPE, detector's keypoints | picture alone |")
    print("|---|---|---|---|---|")
    errors = {}
    for name in SKINS:
        samples = open_prepared(arguments.folder / name, "test")
        errors[name] = _score(samples, arguments.network)
        _print_row(f"{name} skin", samples, errors[name], np.arange(len(samples)))
    _compare_skins(errors)
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


def _score(samples: PreparedSplit, network_file: Path) -> dict[str, Floats]:
    """PA-MPJPE (N,) with the detector's keypoints, and of the picture alone."""
    network, batches = load_network(network_file).network, index_batches(len(samples), BATCH)
    posers, truth = neutral_posers(load_body(), SMPL24), truth_of(samples)
    return {
        source: score_predictions(
            SMPL24,
            posers,
            predict_samples(network, samples, batches, keypoints=source),
            truth,
            batches,
        ).errors["pa_mpjpe"]
        for source in ("detected", "none")
    }


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


def _compare_skins(errors: Mapping[str, Mapping[str, Floats]]) -> None:
    differences = [_mean(errors["dark"][s] - errors["light"][s]) for s in ("detected", "none")]
    print(f"| dark beside light, same people | | | {' | '.join(differences)} |", flush=True)


def _mean(values: Floats) -> str:
    error = np.nanstd(values) / np.sqrt(np.isfinite(values).sum())
    return f"{np.nanmean(values):.1f} ± {error:.1f}"


if __name__ == "__main__":
    main()
