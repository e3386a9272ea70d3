"""JPEG files of which a part can be read without decoding the rest.

A training sample shows part of its stored crop, and decoding is what reading a sample mostly
costs. A JPEG decoder has to begin at the beginning, unless the encoder has put restart markers in:
after each, nothing before it matters. With a few in every row of blocks, the pieces that are
wanted, between the header and the end marker, are a JPEG of their own. Any decoder reads the
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
"""Side of what is coded together, pixels: two blocks, as colours have half the resolution."""

MOST_PIECES = 4
"""Into how many pieces a row of blocks is cut at most; each costs some five bytes."""

MARGIN = 4
"""Pixels on every side that colours are smoothed over when they are enlarged."""

START_OF_FRAME, START_OF_SCAN, RESTART_INTERVAL = 0xC0, 0xDA, 0xDD
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
END = b"\xff\xd9"
RESTARTS = [bytes((0xFF, number)) for number in range(0xD0, 0xD8)]
"""Restart markers, in the order in which they follow one another."""


class Window(NamedTuple):
    """Part of a picture, pixels; the ends are not in it."""

    left: int
    top: int
    right: int
    bottom: int


class _Header(NamedTuple):
    size_at: int
    """Where height and width are written."""

    height: int
    width: int
    pieces: int
    """How many pieces a row of blocks has; 0 if there are no markers to cut it out by."""

    size: int
    """Bytes before the first row."""


def encode_pieces(image: Pixels, quality: int) -> NDArray[np.uint8]:
    """JPEG of a picture (H, W, 3) RGB, with restart markers in every `BLOCK` rows."""
    blocks = -(-image.shape[1] // BLOCK)
    pieces = max(count for count in range(1, MOST_PIECES + 1) if blocks % count == 0)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_RST_INTERVAL, blocks // pieces]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return np.asarray(coded, dtype=np.uint8)


def decode_window(
    coded: NDArray[np.uint8], window: Window | None = None
) -> tuple[Pixels, tuple[int, int]]:
    """Decode part of a JPEG, or all of it where it has no restart markers.

    Args:
        coded: The file.
        window: What is wanted; the whole picture if not said.

    Returns:
        RGB (rows, columns, 3), all of the window and maybe more, and where its first pixel is in
        the picture, x and y.

    Raises:
        UnreadableFileError: The file is damaged.
    """
    start = (0, 0)
    if window is not None and coded.size:
        coded, start = _cut(coded.tobytes(), window)
    image = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB) if coded.size else None
    if image is None:
        raise UnreadableFileError("JPEG is damaged")
    return np.asarray(image, dtype=np.uint8), start


def _cut(data: bytes, window: Window) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The JPEG of some pieces of a JPEG, and where its first pixel is."""
    whole = np.frombuffer(data, np.uint8), (0, 0)
    header = _read_header(data)
    if not header.pieces:
        return whole
    rows, width = -(-header.height // BLOCK), -(-header.width // BLOCK) // header.pieces
    first_row, last_row = _steps(window.top, window.bottom, BLOCK, rows)
    first, last = _steps(window.left, window.right, BLOCK * width, header.pieces)
    if (
        first_row >= last_row
        or first >= last
        or (last_row - first_row, last - first)
        == (
            rows,
            header.pieces,
        )
    ):
        return whole
    ends = [match.start() for match in RESTART.finditer(data, header.size)]
    if len(ends) != rows * header.pieces - 1:
        return whole
    starts = [header.size, *(end + 2 for end in ends)]
    ends.append(len(data) - len(END))
    left, top = first * BLOCK * width, first_row * BLOCK
    height = min(last_row * BLOCK, header.height) - top
    head = bytearray(data[: header.size])
    columns = min(last * BLOCK * width, header.width) - left
    struct.pack_into(">HH", head, header.size_at, height, columns)
    pieces = [bytes(head)]
    numbers = (
        row * header.pieces + piece
        for row in range(first_row, last_row)
        for piece in range(first, last)
    )
    for count, number in enumerate(numbers):
        pieces.append(data[starts[number] : ends[number]])
        pieces.append(RESTARTS[count % len(RESTARTS)])
    pieces[-1] = END
    return np.frombuffer(b"".join(pieces), np.uint8), (left, top)


def _steps(first: int, last: int, step: int, count: int) -> tuple[int, int]:
    """Which of ``count`` steps of so many pixels hold those from ``first`` to ``last``."""
    return max(first - MARGIN, 0) // step, min(-(-(last + MARGIN) // step), count)


def _read_header(data: bytes) -> _Header:
    size_at, height, width, interval, is_420 = 0, 0, 0, 0, False
    at = 2
    try:
        while True:
            marker, length = struct.unpack_from(">xBH", data, at)
            if marker == START_OF_FRAME:
                size_at = at + 5
                height, width = struct.unpack_from(">HH", data, size_at)
                is_420 = data[at + 11] == 0x22  # two by two blocks of brightness for one of colour
            elif marker == RESTART_INTERVAL:
                (interval,) = struct.unpack_from(">H", data, at + 4)
            at += 2 + length
            if marker == START_OF_SCAN:
                break
    except (struct.error, IndexError) as error:
        raise UnreadableFileError("JPEG is damaged") from error
    blocks = -(-width // BLOCK)
    is_cut = is_420 and interval > 0 and blocks % interval == 0
    return _Header(size_at, height, width, blocks // interval if is_cut else 0, at)
