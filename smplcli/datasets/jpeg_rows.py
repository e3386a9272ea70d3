"""JPEG files of which some rows can be read without decoding the others.

A training sample shows part of its stored crop, and decoding is what reading a sample mostly
costs. A JPEG decoder has to begin at the beginning, unless the encoder has put restart markers in:
after each, nothing before it matters. With one at the end of every row of blocks, the rows that
are wanted, between the header and the end marker, are a JPEG of their own. Any decoder reads the
whole file as well.

Source:
    ITU-T T.81, B.2 (markers), E.1.4 (restart intervals).
"""

import re
import struct
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from smplcli.errors import UnreadableFileError
from smplcli.types import Pixels

BLOCK = 16
"""Rows of pixels between two markers: of two blocks, as colours have half the resolution."""

MARGIN = 4
"""Rows on either side that colours are smoothed over when they are enlarged."""

START_OF_FRAME, START_OF_SCAN, RESTART_INTERVAL = 0xC0, 0xDA, 0xDD
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
END = b"\xff\xd9"
NUM_RESTARTS = 8
"""Restart markers are numbered modulo this."""


class _Header(NamedTuple):
    height_at: int
    """Where the height is written."""

    height: int
    has_rows: bool
    """Whether there is a marker after every row of blocks."""

    size: int
    """Bytes before the first row."""


def encode_rows(image: Pixels, quality: int) -> NDArray[np.uint8]:
    """JPEG of a picture (H, W, 3) RGB, with a restart marker after every `BLOCK` rows."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_RST_INTERVAL, -(-image.shape[1] // BLOCK)]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return np.asarray(coded, dtype=np.uint8)


def decode_rows(
    coded: NDArray[np.uint8], first: int = 0, last: int | None = None
) -> tuple[Pixels, int]:
    """Decode some rows of a JPEG, or all of it where it has no restart markers.

    Args:
        coded: The file.
        first: First row that is wanted.
        last: Row after the last that is wanted; all of them if not said.

    Returns:
        RGB (rows, W, 3), and the number of its first row, which may be less than ``first``.

    Raises:
        UnreadableFileError: The file is damaged.
    """
    start = 0
    if last is not None and coded.size:
        coded, start = _cut(coded.tobytes(), max(first - MARGIN, 0), last + MARGIN)
    image = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB) if coded.size else None
    if image is None:
        raise UnreadableFileError("JPEG is damaged")
    return np.asarray(image, dtype=np.uint8), start


def _cut(data: bytes, first: int, last: int) -> tuple[NDArray[np.uint8], int]:
    """The JPEG of some rows of blocks of a JPEG, and the first row of pixels in it."""
    whole = np.frombuffer(data, np.uint8)
    header = _read_header(data)
    first, last = first // BLOCK, -(-min(last, header.height) // BLOCK)
    if not header.has_rows or (first == 0 and last * BLOCK >= header.height) or first >= last:
        return whole, 0
    ends = [match.start() for match in RESTART.finditer(data, header.size)]
    if len(ends) != -(-header.height // BLOCK) - 1:
        return whole, 0
    starts = [header.size, *(end + 2 for end in ends)]
    ends.append(len(data) - len(END))
    height = min(last * BLOCK, header.height) - first * BLOCK
    head = bytearray(data[: header.size])
    struct.pack_into(">H", head, header.height_at, height)
    pieces = [bytes(head)]
    for number in range(first, last):
        pieces.append(data[starts[number] : ends[number]])
        pieces.append(bytes((0xFF, 0xD0 + (number - first) % NUM_RESTARTS)))
    pieces[-1] = END
    return np.frombuffer(b"".join(pieces), np.uint8), first * BLOCK


def _read_header(data: bytes) -> _Header:
    height_at, height, width, interval, is_420 = 0, 0, 0, 0, False
    at = 2
    try:
        while True:
            marker, length = struct.unpack_from(">xBH", data, at)
            if marker == START_OF_FRAME:
                height_at = at + 5
                height, width = struct.unpack_from(">HH", data, height_at)
                is_420 = data[at + 11] == 0x22  # two by two blocks of brightness for one of colour
            elif marker == RESTART_INTERVAL:
                (interval,) = struct.unpack_from(">H", data, at + 4)
            at += 2 + length
            if marker == START_OF_SCAN:
                break
    except (struct.error, IndexError) as error:
        raise UnreadableFileError("JPEG is damaged") from error
    has_rows = is_420 and interval == -(-width // BLOCK)
    return _Header(height_at, height, has_rows, at)
