"""Things to put before people in training samples: pieces of other samples, or of pictures."""

from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.jpeg_pieces import Window
from smplcli.datasets.shards import PreparedSplit
from smplcli.errors import MissingFileError
from smplcli.images import list_images, read_image
from smplcli.types import Pixels

NUM_CUTOUTS = 256
"""How many different ones there are; they stay in memory, 37 kB each."""

SIDE = 96
"""Of a cut-out, pixels."""

STREAM = 1 << 62
"""Where the keys of the cut-outs' chance begin, past those of all samples."""


class Cutouts:
    """Cut-outs by number: the same number gives the same one, whoever asks and whenever.

    Args:
        crops: Whose surroundings the cut-outs are taken from.
        seed: Of all chance.
        folder: Pictures to take them from instead.

    Raises:
        MissingFileError: ``folder`` is not there, or holds no picture.
        UnreadableFileError: A picture is damaged, when it is asked for.
    """

    def __init__(
        self, crops: PreparedSplit | JoinedSplits, *, seed: int, folder: Path | None = None
    ) -> None:
        self._crops = crops
        self._seed = seed
        self._made: dict[int, tuple[Pixels, Pixels]] = {}
        self._folder = folder
        if folder is not None and not self._files:
            raise MissingFileError(
                f"no pictures of occluders: {folder}", hint="Put PNG, JPEG or WebP files there."
            )

    def __len__(self) -> int:
        return NUM_CUTOUTS

    def __getitem__(self, number: int) -> tuple[Pixels, Pixels]:
        """A piece of a picture (96, 96, 3) RGB, and where it covers what is behind, 0 to 255."""
        if number not in self._made:
            rng = np.random.Generator(np.random.Philox(key=[self._seed, STREAM + number]))
            self._made[number] = self._of_folder(rng) if self._files else self._of_crops(rng)
        return self._made[number]

    @cached_property
    def _files(self) -> list[Path]:
        if self._folder is None:
            return []
        return list_images(self._folder) if self._folder.is_dir() else []

    def _of_crops(self, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        """From the left or right edge of a stored crop, where people seldom are."""
        split, row = self._crops, int(rng.integers(len(self._crops)))
        if isinstance(split, JoinedSplits):
            split, row = split.find(row)
        whole = split.crop_size
        side = int(rng.uniform(0.12, 0.3) * whole)
        top = int(rng.integers(whole - side))
        left = int(rng.integers(whole // 20 + 1))
        left = left if rng.random() < 0.5 else whole - side - left
        seen, (x, y) = split.crop_window(row, Window(left, top, left + side, top + side))
        piece = seen[top - y : top - y + side, left - x : left - x + side]
        return _to_side(piece), _draw_shape(rng)

    def _of_folder(self, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        path = self._files[int(rng.integers(len(self._files)))]
        piece = _to_side(read_image(path, orientation="stored"))
        whole = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)  # safe: it has just been read
        if whole is None or whole.ndim != 3 or whole.shape[2] != 4 or whole.dtype != np.uint8:
            return piece, _draw_shape(rng)
        return piece, _to_side(np.ascontiguousarray(whole[..., 3]))


def _to_side(piece: Pixels) -> Pixels:
    small = cv2.resize(piece, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def _draw_shape(rng: np.random.Generator) -> Pixels:
    """A bent blob that fills most of the square, with a soft edge."""
    corners = int(rng.integers(4, 12))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = SIDE / 2 * rng.uniform(0.55, 0.98, (corners, 1))
    points = SIDE / 2 + reach * np.column_stack([np.cos(angles), np.sin(angles)])
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [points.astype(np.int32)], (255,))
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.5), dtype=np.uint8)
