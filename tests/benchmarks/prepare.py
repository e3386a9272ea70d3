"""Cutting people out of frames as large as 3DPW's, and reading them back as training samples."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from smplcli.conventions import IMAGE_MEAN, IMAGE_STD
from smplcli.crops import crop_matrix
from smplcli.datasets.augmentation import AugmentationConfig
from smplcli.datasets.samples import SampleSet
from smplcli.datasets.shards import Store, open_prepared
from smplcli.files import asset
from smplcli.images import read_image
from smplcli.training.config import read_recipe
from smplcli.workflows import prepare as workflow
from smplcli.workflows.sources import PrepareOptions
from tests.benchmarks.duel import Duel

FRAME = (1920, 1080)
NUM_FRAMES = 64
NUM_MANY = 2560
"""Frames shared out among processes: so many that what only one of them does is little."""

SQUARE = 600.0
"""Side of a person's square, pixels: somebody who fills half of the frame's height."""

INPUT = 224
"""Side of a training sample, pixels."""


def duels() -> Iterator[Duel]:
    """Frames beside decoding alone, samples beside cutting them from frames, two jobs and one."""
    folder = Path(tempfile.mkdtemp(prefix="smplcli-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    frames = _write_frames(folder / "raw")
    workflow.SHARD_SIZE = NUM_MANY // 8  # enough pieces for two processes
    out = folder / "out"
    decode = functools.partial(_decode_all, frames)
    for parts in (False, True):
        yield Duel(
            f"prepare {NUM_FRAMES} frames, {'with' if parts else 'without'} part maps",
            functools.partial(_prepare, folder / "raw", out, parts=parts, jobs=1),
            "decode them",
            decode,
            reach=0.85,
        )
    many = _repeat_frames(folder / "raw", folder / "many")
    yield Duel(
        f"prepare {NUM_MANY} frames, two jobs",
        functools.partial(_prepare, many, out, parts=True, jobs=2),
        "one job",
        functools.partial(_prepare, many, out, parts=True, jobs=1),
        reach=1.9,
    )
    stores: tuple[Store, ...] = ("jpeg", "raw")
    for store in stores:
        _prepare(folder / "raw", folder / store, parts=True, jobs=1, store=store)
        yield from _reading(folder / store, frames, store)


AUGMENTATIONS = {
    "plain": None,
    "augmented": AugmentationConfig(),
    "augmented as for pare": read_recipe("pare").augmentation,
}


def _reading(prepared: Path, frames: list[Path], store: Store) -> Iterator[Duel]:
    """A batch of samples from either store beside what SPIN's loader does for each."""
    split = open_prepared(prepared, "train")
    order = np.random.default_rng(0).permutation(NUM_FRAMES).tolist()
    for label, augmentation in AUGMENTATIONS.items():
        samples = SampleSet(split, size=INPUT, part_size=56, augmentation=augmentation)
        yield Duel(
            f"read {NUM_FRAMES} training samples, {store}, {label}",
            lambda samples=samples: samples[[(0, index) for index in order]],
            "cut them from their frames",
            lambda: np.stack([_cut_from_frame(frames[index]) for index in order]),
            reach=None if augmentation else 50,
        )


def _write_frames(folder: Path) -> list[Path]:
    """Frames with one person each, and their labels in SPIN's form."""
    folder.mkdir()
    photos = [
        read_image(path, orientation="displayed") for path in asset("photos").glob("*.[jp]*")
    ]
    names = [f"{number:03d}.jpg" for number in range(NUM_FRAMES)]
    for number, name in enumerate(names):
        photo = np.roll(photos[number % len(photos)], 10 * number, axis=1)
        frame = cv2.resize(photo[..., ::-1], FRAME, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / name), frame, [cv2.IMWRITE_JPEG_QUALITY, 92])
    centre = np.array(FRAME) / 2
    camera = np.array([[1960.0, 0, centre[0]], [0, 1960, centre[1]], [0, 0, 1]])
    np.savez(
        folder / "train.npz",
        imgname=names,
        center=np.tile(centre, (NUM_FRAMES, 1)),
        scale=np.full(NUM_FRAMES, SQUARE / 200),
        pose=np.tile([np.pi, *[0.0] * 71], (NUM_FRAMES, 1)),
        shape=np.zeros((NUM_FRAMES, 10)),
        trans_cam=np.tile([0.0, 0, 6], (NUM_FRAMES, 1)),
        cam_int=np.tile(camera, (NUM_FRAMES, 1, 1)),
    )
    return [folder / name for name in names]


def _repeat_frames(root: Path, folder: Path) -> Path:
    """A data set of many more frames, each of which is read on its own."""
    folder.mkdir()
    rows = np.arange(NUM_MANY) % NUM_FRAMES
    with np.load(root / "train.npz") as labels:
        arrays = {name: labels[name][rows] for name in labels}
    names = [f"{number:03d}.jpg" for number in range(NUM_MANY)]
    for name, original in zip(names, arrays["imgname"], strict=True):
        (folder / name).symlink_to(root / str(original))
    np.savez(folder / "train.npz", **{**arrays, "imgname": np.array(names)})
    return folder


def _prepare(root: Path, out: Path, *, parts: bool, jobs: int, store: Store = "jpeg") -> None:
    options = PrepareOptions(parts=parts, store=store)
    workflow.prepare("spin", root, out, options=options, jobs=jobs, overwrite=True)


def _decode_all(frames: list[Path]) -> None:
    for frame in frames:
        cv2.imread(str(frame), cv2.IMREAD_COLOR_RGB)


def _cut_from_frame(frame: Path) -> np.ndarray:
    """What SPIN's loader does for every sample: the whole frame, in float, then the crop."""
    image = cv2.imread(str(frame))[:, :, ::-1].copy().astype(np.float32)
    matrix = crop_matrix(np.array(FRAME) / 2, SQUARE, INPUT)
    crop = cv2.warpAffine(image, matrix, (INPUT, INPUT), flags=cv2.INTER_LINEAR)
    normalised = (crop / 255 - np.float32(IMAGE_MEAN)) / np.float32(IMAGE_STD)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1))
