"""Score networks on six kinds of rendered people: ``python -m tests.benchmarks.yardstick --help``.

The sets are a function of the poses, the photographs and the code; nothing trains on them.
Their keypoints are what the shipped detector finds; training leaves the clips of their poses out.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from smplcli.body.files import load_body
from smplcli.conventions import COCO17_JOINTS, SMPL_JOINTS
from smplcli.datasets.backgrounds import load_photos
from smplcli.datasets.poses import Posing, clips_of_split, load_poses
from smplcli.datasets.scenes import Occasion, Studio
from smplcli.datasets.schema import CONTEXT, CROP_SIZE, MANIFEST_FILE, PART_SIZE
from smplcli.datasets.shards import FORMAT, open_prepared, write_shard
from smplcli.evaluation.inference import index_batches, predict_samples
from smplcli.evaluation.protocols import SMPL24
from smplcli.evaluation.scoring import neutral_posers, score_predictions, truth_of
from smplcli.files import asset, sha256_of, write_json
from smplcli.models.network import Network
from smplcli.models.weights import load_network
from smplcli.types import Floats
from smplcli.workflows.evaluation_controls import predict_mean_pose

SEED = 8
BATCH = 64
METRICS = ("mpjpe", "pa_mpjpe", "pve", "height")

UPRIGHT = Posing(made_up=0.1, lying=0.0, steep=0.0)
ALONE = {"cut_off": 0.0, "other_person": 0.0, "occluder": 0.0, "edge": 0.0}
OCCASIONS = {
    "easy": Occasion(posing=UPRIGHT, is_tight=True, **ALONE),
    "clothed": Occasion(posing=UPRIGHT, **ALONE),
    "occluded": Occasion(posing=UPRIGHT, **{**ALONE, "occluder": 1.0, "other_person": 0.3}),
    "truncated": Occasion(posing=UPRIGHT, **{**ALONE, "cut_off": 1 / 0.3}),
    "seated": Occasion(posing=Posing(made_up=1.0, is_seated=True, lying=0.0, steep=0.0), **ALONE),
    "lying": Occasion(posing=Posing(lying=1.0), **ALONE),
}
"""All whole, alone and upright except for what the name says; only the easy wear tight clothes."""


def main() -> None:
    """Render the sets that are not there, and print a table per network."""
    arguments = _parse()
    poses = clips_of_split(load_poses(arguments.poses), "test")
    photos = load_photos(arguments.backgrounds)
    for number, (name, occasion) in enumerate(OCCASIONS.items()):
        if not (arguments.folder / name / MANIFEST_FILE).exists():
            studio = Studio(load_body(), poses.clips, photos, occasion)
            render_set(arguments.folder / name, studio, arguments.count, number)
    posers = neutral_posers(load_body(), SMPL24)
    print("| MPJPE / PA-MPJPE / PVE / height, mm | " + " | ".join(OCCASIONS) + " |")
    print("|---" * (len(OCCASIONS) + 1) + "|")
    for path in arguments.networks or [asset("network.safetensors")]:
        network = load_network(path).network
        for label, source in (("detector's keypoints", "detected"), ("picture alone", "none")):
            cells = [
                _score(arguments.folder / name, posers, network, source) for name in OCCASIONS
            ]
            _print_row(f"{path.name}, {label}", cells)
    _print_row(
        "mean pose (control)",
        [_score(arguments.folder / name, posers, network, None) for name in OCCASIONS],
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder of the six sets.")
    parser.add_argument("networks", type=Path, nargs="*", help="Weights files.")
    parser.add_argument("--poses", type=Path, required=True)
    parser.add_argument("--backgrounds", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200, help="People per set.")
    return parser.parse_args()


def render_set(out: Path, studio: Studio, count: int, number: int) -> None:
    """Write a prepared data set of one kind of people, all in the split ``test``.

    Args:
        out: Its folder.
        studio: What is photographed.
        count: How many.
        number: Decides the chance; sets of the same number differ only by the studio.
    """
    samples = []
    for index in range(count):
        rng = np.random.Generator(np.random.Philox(key=[SEED, (number << 32) + index]))
        samples.append(studio.take_picture(rng, f"{out.name}/image_{index:05d}.jpg"))
    shard = out / "test-00000.npz"
    out.mkdir(parents=True, exist_ok=True)
    write_shard(shard, samples)
    body = load_body()
    write_json(
        out / MANIFEST_FILE,
        {
            "format": FORMAT,
            "source": "synthetic",
            "body": {"name": body.name, "sha256": body.sha256},
            "joint_sets": {"pose": SMPL_JOINTS, "keypoints": COCO17_JOINTS},
            "crop": {"size": CROP_SIZE, "context": CONTEXT, "part_size": PART_SIZE},
            "shards": [
                {"name": shard.name, "split": "test", "count": count, "sha256": sha256_of(shard)}
            ],
        },
    )


def _score(folder: Path, posers, network: Network, keypoints: str | None) -> dict[str, Floats]:
    samples = open_prepared(folder, "test")
    batches = index_batches(len(samples), BATCH)
    if keypoints is None:
        predictions = predict_mean_pose(network, len(samples))
    else:
        predictions = predict_samples(network, samples, batches, keypoints=keypoints)
    return score_predictions(SMPL24, posers, predictions, truth_of(samples), batches).errors


def _print_row(label: str, cells: Iterable[dict[str, Floats]]) -> None:
    means = [" / ".join(f"{np.nanmean(cell[m]):.1f}" for m in METRICS) for cell in cells]
    print(f"| {label} | " + " | ".join(means) + " |", flush=True)


if __name__ == "__main__":
    main()
