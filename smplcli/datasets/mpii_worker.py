"""Reads MPII's annotations out of its MATLAB file, in a process that may come to harm.

A damaged file can crash scipy's reader, hang it, or make it ask for any amount of memory. So
`smplcli.datasets.mpii_mat` runs this file as a program of its own, which sets itself limits and
leaves plain JSON. It imports nothing of smplcli, so that it starts quickly.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import mat_struct

RELEASE, HEAD_BOXES = "RELEASE", "headboxes_src"
NAME_LENGTH = 200
"""Longest text that is handed on; longer ones are no name of anything."""


class Rectangle(TypedDict):
    """One person as annotated; ``None`` for what is missing, pixels that count from 1."""

    scale: float | None
    objpos: list[float | None]
    head: list[float | None]
    points: list[list[float | None]]
    """Id, x, y and visibility of each point, in the order of the file."""


class Entry(TypedDict):
    """One picture as annotated."""

    name: str
    is_train: bool
    activity: str
    people: list[Rectangle]


def main(source: str, variable: str, target: str, memory: str, seconds: str) -> None:
    """Read a variable of ``source`` and write what it says to ``target``."""
    limit_resources(int(memory), int(seconds))
    content = loadmat(
        source, squeeze_me=True, struct_as_record=False, variable_names=[variable], appendmat=False
    )
    read = {RELEASE: read_release, HEAD_BOXES: read_head_boxes}[variable]
    Path(target).write_text(json.dumps(read(content.get(variable))), "utf-8")


def limit_resources(memory: int, seconds: int) -> None:
    """Allow this process so many bytes beside those it has, and so much time of a processor."""
    if sys.platform != "linux":  # elsewhere the kernel does not count, or there is no such call
        return
    import resource  # noqa: PLC0415  # there is none on Windows

    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + memory)
    _lower(resource.RLIMIT_CPU, seconds)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(kind: int, limit: int) -> None:
    import resource  # noqa: PLC0415

    _, most = resource.getrlimit(kind)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(kind, (limit, limit))


def read_release(release: object) -> list[Entry]:
    """The pictures of MPII's ``RELEASE``, as ``loadmat`` reads it.

    Args:
        release: Read with ``squeeze_me`` and without ``struct_as_record``: what is single in the
            file is not an array.

    Raises:
        ValueError: It is not what MPII has there.
    """
    if not isinstance(release, mat_struct):
        raise ValueError("there is no struct RELEASE in it")  # noqa: TRY004
    pictures = _items(_field(release, "annolist"))
    is_train = [_number(value) == 1 for value in _items(_field(release, "img_train"))]
    if not pictures or len(pictures) != len(is_train):
        raise ValueError(f"{len(pictures)} pictures in annolist, {len(is_train)} in img_train")
    activities = [_text(_field(act, "act_name")) for act in _items(_field(release, "act"))]
    activities += [""] * (len(pictures) - len(activities))
    return [
        {
            "name": _text(_field(_field(picture, "image"), "name")),
            "is_train": train,
            "activity": activity,
            "people": list(_people(_field(picture, "annorect"))),
        }
        for picture, train, activity in zip(pictures, is_train, activities, strict=False)
    ]


def read_head_boxes(boxes: object) -> list[list[float]]:
    """Left, top, right and bottom of heads, from the (2, 2, N) corners in ``gt_valid.mat``.

    Raises:
        ValueError: It is not what HRNet has there.
    """
    if (
        not isinstance(boxes, np.ndarray)
        or boxes.shape[:2] != (2, 2)
        or boxes.dtype.kind not in "fiu"
    ):
        raise ValueError("there are no head boxes (2, 2, N) in it")
    corners: list[list[float]] = boxes.reshape(4, -1).T.astype(float).tolist()
    return corners


def _people(annorect: object) -> Iterator[Rectangle]:
    for rectangle in _items(annorect):
        objpos, points = _field(rectangle, "objpos"), _field(rectangle, "annopoints")
        yield {
            "scale": _number(_field(rectangle, "scale")),
            "objpos": _numbers(objpos, "x", "y"),
            "head": _numbers(rectangle, "x1", "y1", "x2", "y2"),
            "points": [
                _numbers(point, "id", "x", "y", "is_visible")
                for point in _items(_field(points, "point"))
            ],
        }


def _field(struct: object, name: str) -> object:
    """A field of a struct; ``None`` where either is missing."""
    return vars(struct).get(name) if isinstance(struct, mat_struct) else None


def _items(value: object) -> list[Any]:
    """The items of an array, of which one alone is not in an array and none at all is empty."""
    if value is None:
        return []
    if isinstance(value, np.ndarray):
        return list(value.ravel())
    return [value]


def _numbers(struct: object, *names: str) -> list[float | None]:
    return [_number(_field(struct, name)) for name in names]


def _number(value: object) -> float | None:
    """A number, which may be text or in an array of one; ``None`` if it is not there."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if not isinstance(value, str | int | float | np.number | np.bool_):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _text(value: object) -> str:
    """Text for people; nothing where it is none, too long or cannot be shown."""
    is_fit = isinstance(value, str) and len(value) <= NAME_LENGTH and value.isprintable()
    return str(value).strip() if is_fit else ""


if __name__ == "__main__":
    main(*sys.argv[1:])
