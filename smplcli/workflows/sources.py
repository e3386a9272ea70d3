"""Raw data sets: which there are, and how their labels are read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from smplcli.body.files import load_body
from smplcli.body.model import BodyModel
from smplcli.datasets.annotations import Dropped, Picture, RawSet, Remade
from smplcli.datasets.cutting import CUT_SIZE
from smplcli.datasets.eth import read_eth
from smplcli.datasets.mpii import holds_mpii, read_mpii
from smplcli.datasets.shards import Store
from smplcli.datasets.spin import holds_spin, read_spin
from smplcli.datasets.threedpw import BoxSource, read_3dpw
from smplcli.errors import ConfigError, MissingFileError
from smplcli.evaluation.regressors import find_regressors

Source = Literal["3dpw", "mpii", "eth", "spin"]
SPLITS = ("train", "validation", "test")
NAMES = ", ".join(get_args(Source))
GENDERS = {"n": "neutral", "m": "male", "f": "female"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """How a raw data set is read and cut."""

    splits: tuple[str, ...] = SPLITS
    """Splits to prepare."""

    stride: int = 1
    """Every so many frames of each sequence of 3DPW, the first among them."""

    box: BoxSource = "keypoints"
    """What the squares of 3DPW's people are around."""

    val_list: Path | None = None
    """Whom of MPII to validate on."""

    images: Path | None = None
    """Folder that the image names of files in SPIN's form start from; that of the files if not
    said."""

    crop_size: int = CUT_SIZE
    """Side of a stored crop, pixels."""

    store: Store = "jpeg"
    """How crops are stored."""

    parts: bool = True
    """Whether part maps are rendered."""

    limit: int | None = None
    """People per split, for a quick look."""

    max_failures: float = 0.01
    """Share of people that may fail before the data set is refused."""


def find_bodies(path: Path | None) -> dict[str, BodyModel]:
    """Bodies by ``n``, ``m`` and ``f``: those that a folder has, one for all from a file.

    Args:
        path: SMPL file, or folder to search; ``None`` for the demo body, which stands in for all.

    Raises:
        MissingFileError: ``path`` does not exist, or there is none in the folder.
        UnreadableFileError: One that is there is damaged.
    """
    if path is None or not path.is_dir():
        return dict.fromkeys(GENDERS, load_body(path))
    bodies = {}
    for letter, gender in GENDERS.items():
        try:
            bodies[letter] = load_body(path, gender=gender)
        except MissingFileError as error:
            missing = error
    if not bodies:
        raise missing
    return bodies


def read_raw(
    source: Source,
    root: Path,
    options: PrepareOptions,
    bodies: Mapping[str, BodyModel],
    body: Path | None = None,
) -> RawSet:
    """Read the labels of a raw data set.

    Args:
        source: Which it is.
        root: The folder that holds it.
        options: How it is read.
        bodies: Bodies by gender, for 3D joints.
        body: Where they came from; SPIN's J_regressor_extra.npy may lie beside them.

    Raises:
        ConfigError: There is no such source.
        MissingFileError: ``root`` does not hold the data set.
        UnreadableFileError: Its labels are damaged.
        HostileFileError: A file of it asks for anything but data.
    """
    if not root.exists():
        raise MissingFileError(
            f"root of {source} not found: {root}", hint=f"Pass --root {source}=DIR."
        )
    if source == "3dpw":
        return read_3dpw(
            root,
            splits=options.splits,
            stride=options.stride,
            box=options.box,
            bodies={
                letter: model
                for letter, model in bodies.items()
                if model.gender == GENDERS[letter] and not model.is_demo
            },
            extra_regressor=find_regressors([], body).get("spin49"),
        )
    if source == "mpii" and not holds_mpii(root) and holds_spin(root):
        return replace(read_spin(root, images=options.images), source="mpii")
    if source == "mpii":
        return read_mpii(root, val_list=options.val_list)
    if source == "eth":
        return read_eth(root)
    if source == "spin":
        return read_spin(root, images=options.images)
    raise ConfigError(f"no such raw data set: {source}", hint=f"Choose from {NAMES}.")


def choose(raw: RawSet, options: PrepareOptions) -> RawSet:
    """The splits and as many people as were asked for."""
    published = {k: v for k, v in raw.published.items() if k in options.splits}
    sequences = {k: v for k, v in raw.sequences.items() if k in options.splits}
    dropped: Iterable[Dropped] = Remade(
        lambda: (who for who in raw.dropped if who.split in options.splits)
    )
    if options.limit is not None:
        dropped, published = (), {}
    return replace(
        raw,
        pictures=Remade(lambda: _first(raw.pictures, options)),
        dropped=dropped,
        sequences=sequences,
        published=published,
    )


def _first(pictures: Iterable[Picture], options: PrepareOptions) -> Iterator[Picture]:
    """Pictures of the chosen splits, with the first people of each."""
    left = dict.fromkeys(options.splits, options.limit)
    for picture in pictures:
        limit = left.get(picture.split, 0)
        if limit is None:
            yield picture
        elif people := picture.people[:limit]:
            left[picture.split] = limit - len(people)
            yield picture._replace(people=people)
