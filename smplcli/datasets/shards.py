"""Prepared data sets on disk: shards of samples, and a manifest that vouches for them."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from smplcli.datasets.jpeg_pieces import Window, decode_window, encode_pieces
from smplcli.datasets.schema import (
    CONTEXT,
    CROP_SIZE,
    FIELDS,
    JPEG_BYTES,
    JPEG_OFFSETS,
    LATER_FIELDS,
    MANIFEST_FILE,
    RAW_CROPS,
)
from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.files import map_npz, npz_names, read_json, read_npz, write_npz
from smplcli.types import Floats, Ints, Pixels

FORMAT = "smplcli-prepared-1"
JPEG_QUALITY = 95

OPEN_SHARDS = 512
"""Shards whose labels are kept in memory per process, 1 to 2 MB each, with their files open."""

COMPRESSED = ("part_map",)
"""What shards hold compressed: most of a part map is background."""

UNTOLD: Ints = np.full(24, -1, np.int8)
"""``is_visible`` where nobody says anything."""

Store = Literal["jpeg", "raw"]
"""How crops are kept: as JPEG, or as they are."""


class PreparedSample(NamedTuple):
    """One person; see `schema.FIELDS` for units."""

    imgname: str
    person_id: int
    gender: str
    image_size: Floats
    center: Floats
    scale: float
    cam_int: Floats
    has_smpl: int
    pose: Floats
    shape: Floats
    transl: Floats
    part: Floats
    S: Floats
    openpose: Floats
    head_size: float
    activity: str
    keypoints: Floats
    detected: Floats
    part_map: Pixels
    crop_to_image: Floats
    image: Pixels
    """(S, S, 3) the stored crop, RGB."""

    is_visible: Ints = UNTOLD


class PreparedSplit:
    """Samples of one split, read from their shards when asked for."""

    def __init__(self, folder: Path, name: str, manifest: Mapping[str, Any]) -> None:
        self.name = name
        self.is_synthetic = manifest.get("source") == "synthetic"
        self._store = store_of(manifest)
        crop = _crop_settings(manifest)
        self.crop_size = int(crop.get("size", CROP_SIZE))
        """Side of a stored crop, pixels."""
        context = float(crop.get("context", CONTEXT))
        self.part_share = float(crop.get("part_context", context)) / context
        """Side of a part map over that of the stored crop; both have the same centre."""
        shards = [shard for shard in manifest["shards"] if shard["split"] == name]
        self._paths = [folder / shard["name"] for shard in shards]
        self._stamps = [_stamp(path) for path in self._paths]
        self._starts = np.cumsum([0, *(shard["count"] for shard in shards)]).tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> PreparedSample:
        arrays, row = self._find(index)
        with self._named(index):
            return unpack_sample(arrays, row)

    def labels(self, index: int) -> PreparedSample:
        """One sample without its crop: ``image`` is empty."""
        return unpack_labels(*self._find(index))

    def crop_window(self, index: int, window: Window) -> tuple[Pixels, tuple[int, int]]:
        """Part of a crop, and where its first pixel is, as from `read_crop`."""
        arrays, row = self._find(index)
        with self._named(index):
            return read_crop(arrays, row, window)

    @contextmanager
    def _named(self, index: int) -> Iterator[None]:
        """Say of a damaged sample which shard it is in."""
        try:
            yield
        except UnreadableFileError as error:
            path = self._paths[bisect_right(self._starts, index) - 1]
            raise UnreadableFileError(
                f"{error.message}: {path}",
                hint=f"'smplcli prepare --check {path.parent}' lists all damage; prepare the data "
                "set again with --overwrite.",
            ) from error

    def _find(self, index: int) -> tuple[Mapping[str, np.ndarray], int]:
        """The shard of a sample, and its row there."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        shard = bisect_right(self._starts, index) - 1
        path, row = self._paths[shard], index - self._starts[shard]
        arrays = _read_shard(path, self._store, self._stamps[shard])
        if len(arrays["pose"]) != self._starts[shard + 1] - self._starts[shard]:
            raise UnreadableFileError(f"shard and manifest disagree on its size: {path}")
        return arrays, row

    def shard_rows(self) -> Iterator[tuple[Path, range]]:
        """Each shard, and the places of its samples in the split."""
        for path, start, stop in zip(self._paths, self._starts, self._starts[1:], strict=False):
            yield path, range(start, stop)

    def field(self, name: str) -> np.ndarray:
        """One field of all samples, (N, ...)."""
        return np.concatenate([read_npz(path, keys=[name])[name] for path in self._paths])


def open_prepared(folder: Path, split: str) -> PreparedSplit:
    """Open one split of a prepared data set.

    Raises:
        MissingFileError: The folder holds no prepared data set, or not this split.
        UnreadableFileError: Its manifest is of another format, or a shard of it is not there.
    """
    manifest = read_manifest(folder)
    splits = sorted({shard["split"] for shard in manifest["shards"]})
    if split not in splits:
        raise MissingFileError(
            f"split not found: {split} in {folder}", hint=f"Choose one of {', '.join(splits)}."
        )
    return PreparedSplit(folder, split, manifest)


def prepared_splits(folder: Path) -> tuple[str, ...]:
    """Names of the splits of a prepared data set, in the order of its manifest."""
    return tuple(dict.fromkeys(shard["split"] for shard in read_manifest(folder)["shards"]))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a prepared data set.

    Raises:
        MissingFileError: The folder holds no prepared data set.
        UnreadableFileError: Its manifest is of another format, or a shard of it is not there.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise MissingFileError(
            f"no prepared data set: {folder}", hint="Run 'smplcli prepare' to make one."
        )
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UnreadableFileError(f"not the manifest of a prepared data set: {path}")
    shards = manifest.get("shards")
    numbers = (value for key, value in _crop_settings(manifest).items() if key != "store")
    if not all(isinstance(value, int | float) and value > 0 for value in numbers):
        raise UnreadableFileError(f"manifest does not tell the size of its crops: {path}")
    if not isinstance(shards, list) or not all(map(_is_shard_entry, shards)):
        raise UnreadableFileError(f"manifest does not list its shards: {path}")
    for shard in shards:
        if not (folder / shard["name"]).is_file():
            raise UnreadableFileError(
                f"shard is missing: {folder / shard['name']}",
                hint="Run 'smplcli prepare' again with --overwrite.",
            )
    return manifest


def store_of(manifest: Mapping[str, Any]) -> Store:
    """How the crops of a prepared data set are kept."""
    return "raw" if _crop_settings(manifest).get("store") == "raw" else "jpeg"


def _crop_settings(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    crop = manifest.get("crop")
    return crop if isinstance(crop, dict) else {}


def _is_shard_entry(entry: object) -> bool:
    """Whether this names a file in the folder of the manifest, its split and its size."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("split"), str)
        and isinstance(entry.get("count"), int)
        and isinstance(entry.get("name"), str)
        and Path(entry["name"]).name == entry["name"]
    )


def code_crop(image: Pixels, store: Store) -> np.ndarray:
    """A crop (S, S, 3) as it is stored."""
    if store == "raw":
        return image
    return encode_pieces(image, JPEG_QUALITY)


def join_crops(coded: Sequence[np.ndarray], store: Store, size: int) -> dict[str, np.ndarray]:
    """Arrays of the coded crops of a shard, whose side is ``size`` even if there are none."""
    if store == "raw":
        return {RAW_CROPS: np.stack(coded) if coded else np.empty((0, size, size, 3), np.uint8)}
    return {
        JPEG_BYTES: np.concatenate([np.empty(0, np.uint8), *coded]),
        JPEG_OFFSETS: np.cumsum([0, *map(len, coded)], dtype=np.int64),
    }


def pack_labels(samples: Sequence[PreparedSample]) -> dict[str, np.ndarray]:
    """Arrays of everything but the crops, in the order of the samples."""
    return {
        name: np.array([getattr(sample, name) for sample in samples], dtype).reshape(-1, *shape)
        for name, (dtype, shape) in FIELDS.items()
    }


def pack_samples(samples: Sequence[PreparedSample]) -> dict[str, np.ndarray]:
    """Arrays of a shard, in the order of the samples."""
    coded = [code_crop(sample.image, "jpeg") for sample in samples]
    return {**pack_labels(samples), **join_crops(coded, "jpeg", CROP_SIZE)}


def unpack_labels(arrays: Mapping[str, np.ndarray], row: int) -> PreparedSample:
    """One sample of a shard without its crop: ``image`` is empty."""
    return PreparedSample(**{name: arrays[name][row] for name in FIELDS}, image=_NO_IMAGE)


_NO_IMAGE: Pixels = np.empty((0, 0, 3), np.uint8)


def unpack_sample(arrays: Mapping[str, np.ndarray], row: int) -> PreparedSample:
    """One sample of a shard, its crop decoded.

    Raises:
        UnreadableFileError: The crop is damaged.
    """
    return unpack_labels(arrays, row)._replace(image=read_crop(arrays, row)[0])


def read_crop(
    arrays: Mapping[str, np.ndarray], row: int, window: Window | None = None
) -> tuple[Pixels, tuple[int, int]]:
    """Crop of one sample of a shard, or part of it.

    Args:
        arrays: The shard.
        row: Which sample.
        window: What is wanted; all of the crop if not said.

    Returns:
        RGB (rows, columns, 3), all of the window and maybe more, and where its first pixel is in
        the crop, x and y.

    Raises:
        UnreadableFileError: It is damaged.
    """
    if RAW_CROPS in arrays:
        if window is None:
            return np.array(arrays[RAW_CROPS][row]), (0, 0)
        left, top, right, bottom = window
        return np.array(arrays[RAW_CROPS][row, top:bottom, left:right]), (left, top)
    start, stop = arrays[JPEG_OFFSETS][row : row + 2]
    try:
        return decode_window(arrays[JPEG_BYTES][start:stop], window)
    except UnreadableFileError as error:
        raise UnreadableFileError(f"crop {row} is damaged") from error


def write_shard(path: Path, samples: Sequence[PreparedSample]) -> None:
    """Write a shard, whole or not at all; the same samples give the same bytes."""
    write_npz(path, pack_samples(samples), compressed=COMPRESSED)


def _stamp(path: Path) -> tuple[Path, int]:
    """What tells a file from another that had its name, in another folder or before."""
    return path.absolute(), path.stat().st_mtime_ns


@lru_cache(maxsize=OPEN_SHARDS)
def _read_shard(path: Path, store: Store, stamp: tuple[Path, int]) -> dict[str, np.ndarray]:  # noqa: ARG001 - of the cache
    """Arrays of a shard; its crops stay on disk until they are looked at."""
    is_raw = store == "raw"
    arrays = read_arrays(path, () if is_raw else (JPEG_OFFSETS,))
    crops = RAW_CROPS if is_raw else JPEG_BYTES
    arrays[crops] = map_npz(path, crops)
    check_shapes(path, arrays)
    return arrays


def read_arrays(path: Path, crops: Sequence[str]) -> dict[str, np.ndarray]:
    """Fields of a shard, with those that it is too old for, and what is asked for of its crops.

    Raises:
        UnreadableFileError: It is no npz, is damaged, or lacks a field.
        HostileFileError: It holds Python objects, or expands to any size.
    """
    missing = LATER_FIELDS.keys() - npz_names(path)
    arrays = read_npz(path, keys=[*(name for name in FIELDS if name not in missing), *crops])
    for name in missing:
        dtype, shape = FIELDS[name]
        arrays[name] = np.full((len(arrays["pose"]), *shape), LATER_FIELDS[name], dtype)
    return arrays


def check_shapes(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Make sure that the arrays of a shard fit together.

    Raises:
        UnreadableFileError: They do not.
    """
    is_raw = RAW_CROPS in arrays
    count = len(arrays[RAW_CROPS]) if is_raw else len(arrays[JPEG_OFFSETS]) - 1
    for name, (dtype, shape) in FIELDS.items():
        array = arrays[name]
        if array.shape != (count, *shape) or not np.issubdtype(array.dtype, dtype):
            raise UnreadableFileError(f"{name} has another type or shape: {path}")
    crops = arrays[RAW_CROPS if is_raw else JPEG_BYTES]
    if is_raw:
        fits = crops.ndim == 4 and crops.shape[1] == crops.shape[2] and crops.shape[3] == 3
    else:
        offsets = arrays[JPEG_OFFSETS]
        fits = crops.ndim == 1 and offsets.ndim == 1 and offsets.dtype == np.int64
        fits = (
            fits and offsets[0] == 0 and offsets[-1] == len(crops) and (np.diff(offsets) > 0).all()
        )
    if not fits or crops.dtype != np.uint8:
        raise UnreadableFileError(f"crops do not fit together: {path}")
