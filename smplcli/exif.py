"""The focal length that a camera wrote into its picture, in pixels.

Sources:
    Exif 2.3 (CIPA DC-008), tables 4, 6, 7 and 18; DCG-001 for equivalents at 35 mm, which compare
    diagonals.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

FILM_DIAGONAL = math.hypot(36.0, 24.0)
"""Of 35 mm film, millimetres."""

MIN_OVER_DIAGONAL, MAX_OVER_DIAGONAL = 0.15, 40.0
"""Focal lengths over diagonals that lenses have, from fish eyes to telescopes."""

_SUB_DIRECTORY = 0x8769
_FOCAL_LENGTH = 0x920A
_PIXEL_X, _PIXEL_Y = 0xA002, 0xA003
_PLANE_X_RESOLUTION, _PLANE_UNIT = 0xA20E, 0xA210
_FOCAL_LENGTH_IN_FILM = 0xA405
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""Millimetres in the units of the sensor's resolution; inches where none is stated."""

_KINDS = {3: "H", 4: "I", 5: "II"}
"""Struct letters of short, long and rational."""

MAX_BYTES = 1 << 20
"""Cameras write these data before the picture; what is further on is not looked for."""

MAX_ENTRIES = 1000
"""Of a directory; cameras write some dozens."""


def read_focal_length(path: Path, image_size: tuple[int, int]) -> float | None:
    """Focal length by the picture's Exif data: by its equivalent at 35 mm, or by the sensor.

    What cannot be read, or no lens can have, counts as not said.

    Args:
        path: The picture, of any format.
        image_size: Width and height of the whole picture, pixels, turned or not.

    Returns:
        Pixels, or ``None`` where the picture does not say.
    """
    try:
        with path.open("rb") as file:
            tags = _exif_tags(file.read(MAX_BYTES))
    except (OSError, ValueError, struct.error):  # anything may stand there
        return None
    diagonal = math.hypot(*image_size)
    focal = _by_film(tags, diagonal) or _by_sensor(tags, max(image_size))
    if focal is None or not MIN_OVER_DIAGONAL <= focal / diagonal <= MAX_OVER_DIAGONAL:
        return None
    return focal


def _by_film(tags: dict[int, float], diagonal: float) -> float | None:
    equivalent = tags.get(_FOCAL_LENGTH_IN_FILM, 0.0)  # 0: unknown
    return diagonal * equivalent / FILM_DIAGONAL if equivalent > 0 else None


def _by_sensor(tags: dict[int, float], longer_side: int) -> float | None:
    millimetres, resolution = tags.get(_FOCAL_LENGTH, 0.0), tags.get(_PLANE_X_RESOLUTION, 0.0)
    unit = _UNIT_MM.get(int(tags.get(_PLANE_UNIT, 2)))
    if millimetres <= 0 or resolution <= 0 or unit is None:
        return None
    # The resolution is that of the picture as it was taken; it may have been made smaller since.
    taken = max(tags.get(_PIXEL_X, 0.0), tags.get(_PIXEL_Y, 0.0)) or longer_side
    return millimetres * resolution / unit * longer_side / taken


def _exif_tags(data: bytes) -> dict[int, float]:
    """Numbers of the first directory and of the one for the shot, by tag."""
    start = _find_tiff(data)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[start : start + 4])
    if order is None:
        return {}
    (first,) = struct.unpack_from(f"{order}I", data, start + 4)
    tags = dict(_directory(data, start, first, order))
    if shot := int(tags.get(_SUB_DIRECTORY, 0)):
        tags |= dict(_directory(data, start, shot, order))
    return tags


def _directory(data: bytes, start: int, offset: int, order: str) -> Iterator[tuple[int, float]]:
    (count,) = struct.unpack_from(f"{order}H", data, start + offset)
    for number in range(min(count, MAX_ENTRIES)):
        entry = start + offset + 2 + 12 * number
        tag, kind, num_values = struct.unpack_from(f"{order}HHI", data, entry)
        letters = _KINDS.get(kind)
        if letters is None or num_values < 1:
            continue
        at = entry + 8
        if num_values * struct.calcsize(f"{order}{letters}") > 4:  # no room in the entry itself
            at = start + struct.unpack_from(f"{order}I", data, at)[0]
        value, *divisor = struct.unpack_from(f"{order}{letters}", data, at)
        if divisor != [0]:
            yield tag, value / (divisor[0] if divisor else 1)


def _find_tiff(data: bytes) -> int:
    """Where the Exif block's directories are counted from, by the picture's format."""
    if data[:3] == b"\xff\xd8\xff":
        return _in_jpeg(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _in_chunks(data, 8, b"eXIf", ">I4s", extra=4)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        at = _in_chunks(data, 12, b"EXIF", "<4sI", extra=0)
        return at + 6 if data[at : at + 6] == b"Exif\0\0" else at
    return 0


def _in_jpeg(data: bytes) -> int:
    at = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == 0xFFE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return at + 10
        if marker < 0xFF01 or marker == 0xFFDA or length < 2:  # no segment, or the picture itself
            raise ValueError("no Exif data")
        at += 2 + length


def _in_chunks(data: bytes, at: int, wanted: bytes, form: str, *, extra: int) -> int:
    """Start of the content of a chunk; chunks end with ``extra`` bytes, or at even places."""
    while True:
        facts = struct.unpack_from(form, data, at)
        kind, length = facts if isinstance(facts[0], bytes) else facts[::-1]
        if kind == wanted:
            return at + 8
        at += 8 + length + (extra or length % 2)
