"""The networks of the seed report, each trained on the same budget, beside one another.

``python -m tests.benchmarks.ladder DATA OUT WEIGHTS [STEPS]`` trains one network after the other,
goes on where it was interrupted, and prints the table of docs/ladder.md at the end. DATA is a
prepared synthetic data set, WEIGHTS the ImageNet weights of EfficientNet-Lite0. Errors are those
of the last step's weights on the test split, whose poses are of clips that training never shows.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from smplcli.body.files import load_body
from smplcli.datasets.shards import PreparedSplit, open_prepared
from smplcli.evaluation.inference import index_batches, predict_samples
from smplcli.evaluation.protocols import SMPL24
from smplcli.evaluation.scoring import neutral_posers, score_predictions, truth_of
from smplcli.files import write_json
from smplcli.models.network import Network, build_network
from smplcli.training.averaging import weights_of
from smplcli.training.checkpoints import AVERAGED_FILE, load_weights
from smplcli.training.config import Recipe, recipe_to_toml
from smplcli.training.memory import keep_freed_memory
from smplcli.workflows.train import train

STEPS, BATCH = 500, 32
METRICS = ("mpjpe", "pa_mpjpe")

MODEL = {
    "backbone": "tf_efficientnet_lite0",
    "input_size": 96,
    "channels": 64,
    "upsamplings": 3,
    "upsample_mode": "nearest",
    "hidden": 64,
}
BASELINE = {"head": "baseline", "hidden": 512}
ONE_PERCEPTRON = {"joint_perceptrons": False, "hidden": 256}
FULL = "full head, 24 perceptrons"

RUNGS: dict[str, dict[str, Any]] = {
    "baseline": {"model": BASELINE},
    "shallow head, one perceptron": {"model": {"upsamplings": 2, **ONE_PERCEPTRON}},
    "full head, one perceptron": {"model": ONE_PERCEPTRON},
    FULL: {},
    f"{FULL}, parts unsupervised": {"losses": {"parts": 0.0}},
    "baseline, random start": {"model": BASELINE, "backbone_weights": "none"},
}


def main(data: Path, out: Path, weights: Path, steps: int = STEPS) -> None:
    """Train and measure what is not yet done, then print everything."""
    keep_freed_memory()
    test = open_prepared(data, "test")
    for name, changes in RUNGS.items():
        result = out / f"{_slug(name)}.json"
        if not result.is_file():
            recipe = _recipe(changes, weights, steps)
            started = time.monotonic()
            run_dir = _train(data, out, name, recipe)
            minutes = (time.monotonic() - started) / 60
            errors = {
                kind: _measure(network, test)
                for kind, network in _networks(run_dir, recipe).items()
            }
            write_json(
                result, {"name": name, "steps": steps, "minutes": minutes, "errors": errors}
            )
    for name in RUNGS:
        _print_row(json.loads((out / f"{_slug(name)}.json").read_text()), out)


def _recipe(changes: dict[str, Any], weights: Path, steps: int) -> Recipe:
    return Recipe.model_validate(
        {
            "backbone_weights": changes.get("backbone_weights", weights),
            "model": MODEL | changes.get("model", {}),
            "losses": changes.get("losses", {}),
            "schedule": {
                "steps": steps,
                "batch_size": BATCH,
                "learning_rate": 5e-4,
                "warmup": 50,
                "flat": 0.4,
                "average": 0.99,
                "swa_from": 0.4,
                "swa_every": max(1, steps // 25),
                "validate_every": max(1, steps // 2),
            },
        }
    )


def _train(data: Path, out: Path, name: str, recipe: Recipe) -> Path:
    run_dir = out / _slug(name)
    run_dir.mkdir(parents=True, exist_ok=True)
    file = out / f"{_slug(name)}.toml"
    file.write_text(recipe_to_toml(recipe))
    train(data, run_dir, recipe=str(file))
    return run_dir


def _networks(run_dir: Path, recipe: Recipe) -> dict[str, Network]:
    """The weights of the last step, and their averages with batch norms measured for them."""
    checkpoint = max((run_dir / "checkpoints").iterdir())
    averages = load_file(checkpoint / AVERAGED_FILE)
    weights = {
        "last step": load_weights(checkpoint, averaged=False),
        "EMA": weights_of(averages, "ema"),
        "SWA": weights_of(averages, "swa"),
    }
    networks = {}
    for kind, tensors in weights.items():
        networks[kind] = build_network(recipe.model).eval()
        networks[kind].load_state_dict(tensors)
    return networks


def _measure(network: Network, split: PreparedSplit) -> dict[str, list[float]]:
    """Errors of every person, mm."""
    batches = index_batches(len(split), 64)
    predictions = predict_samples(network, split, batches)
    posers = neutral_posers(load_body(), SMPL24)
    scores = score_predictions(SMPL24, posers, predictions, truth_of(split), batches)
    return {name: scores.errors[name].tolist() for name in METRICS}


def _print_row(result: dict[str, Any], out: Path) -> None:
    full = json.loads((out / f"{_slug(FULL)}.json").read_text())["errors"]["last step"]
    for kind, errors in result["errors"].items():
        cells = [f"{np.mean(errors[name]):.1f}" for name in METRICS]
        cells.append(beside(errors, full))
        print(f"| {result['name']}, {kind} | {' | '.join(cells)} | {result['minutes']:.0f} |")


def beside(errors: dict[str, list[float]], full: dict[str, list[float]]) -> str:
    """By how much MPJPE is worse than the full head's, person by person, and standard error."""
    more = np.subtract(errors["mpjpe"], full["mpjpe"])
    return f"{more.mean():+.1f} ± {more.std() / len(more) ** 0.5:.1f}"


def _slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), *map(int, sys.argv[4:]))
