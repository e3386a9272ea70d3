"""A raw data set of a few pictures of noise in SPIN's form, and the call that prepares it."""

from functools import partial

import cv2
import numpy as np

from smplcli.files import sha256_of
from smplcli.workflows.prepare import prepare
from smplcli.workflows.sources import PrepareOptions

SIZES = ((96, 64), (64, 96))
"""Width and height of pictures in turn: landscape and portrait."""


def write_raw(folder, *, pictures=6, people=2, **changes):
    """Write pictures with so many people each, side by side; ``changes`` are arrays of the npz."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names, centers = [], []
    for number in range(pictures):
        width, height = SIZES[number % len(SIZES)]
        noise = cv2.resize(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), (width, height))
        cv2.imwrite(str(folder / f"{number}.jpg"), noise)
        names += [f"{number}.jpg"] * people
        centers += [[width * (0.3 + 0.4 * k / people), height / 2] for k in range(people)]
    rows = len(names)
    part = np.zeros((rows, 24, 3))
    part[:, 6:12, :2] = np.array(centers)[:, None] + rng.normal(size=(rows, 6, 2))
    part[:, 6:12, 2] = 1
    arrays = {
        "imgname": np.array(names),
        "center": np.array(centers),
        "scale": np.full(rows, 0.2),
        "part": part,
        "pose": 0.1 * rng.normal(size=(rows, 72)) + [np.pi, *[0] * 71],
        "shape": rng.normal(size=(rows, 10)),
    }
    np.savez(folder / "train.npz", **{**arrays, **changes})
    return folder


def prepare_raw(root, out, *, jobs=1, max_failures=0.01, crop_size=64, **changes):
    """Prepare such a data set, small and in this process unless said otherwise."""
    chosen = PrepareOptions(
        crop_size=crop_size, max_failures=max_failures, **changes.pop("options", {})
    )
    return partial(prepare, "spin", root, out, options=chosen, jobs=jobs)(**changes)


def hashes(folder):
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
