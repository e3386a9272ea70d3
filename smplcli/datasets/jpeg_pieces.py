"""JPEG files of which a part can be read without decoding the rest.

A training sample shows part of its stored crop, and decoding is what reading a sample mostly
costs. A JPEG decoder has to begin at the beginning, unless the encoder has put restart markers in:
after each, nothing before it matters. With a few in every row of blocks, the pieces that are
wanted, between the header and the end marker, are a JPEG of their own. Any decoder reads the
whole file as well.

Source:
    ITU-T T.81, B.2 (markers), E.1.4 (restart intervals).
"""

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
MARKER, END = 0xFF, 0xD9
"""First byte of every marker, and second byte of the one at the end."""

RESTARTS = range(0xD0, 0xD8)
"""Second bytes of restart markers, in the order in which they follow one another."""


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
        coded, start = _cut(coded, window)
    image = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB) if coded.size else None
    if image is None:
        raise UnreadableFileError("JPEG is damaged")
    return np.asarray(image, dtype=np.uint8), start


def _cut(coded: NDArray[np.uint8], window: Window) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The JPEG of some pieces of a JPEG, and where its first pixel is."""
    header = _read_header(coded.data)
    if not header.pieces:
        return coded, (0, 0)
    rows, width = -(-header.height // BLOCK), -(-header.width // BLOCK) // header.pieces
    first_row, last_row = _steps(window.top, window.bottom, BLOCK, rows)
    first, last = _steps(window.left, window.right, BLOCK * width, header.pieces)
    chosen = (max(last_row - first_row, 0), max(last - first, 0))
    ends = _find_ends(coded, header)
    if 0 in chosen or chosen == (rows, header.pieces) or len(ends) != rows * header.pieces + 1:
        return coded, (0, 0)
    left, top = first * BLOCK * width, first_row * BLOCK
    size = (
        min(last_row * BLOCK, header.height) - top,
        min(last * BLOCK * width, header.width) - left,
    )
    head = coded[: header.size].copy()
    head[header.size_at : header.size_at + 4] = np.array(size, ">u2").view(np.uint8)
    row_starts = header.pieces * np.arange(first_row, last_row)
    starts, stops = ends[row_starts + first].tolist(), ends[row_starts + last].tolist()
    cut = np.concatenate([head, *(coded[x:y] for x, y in zip(starts, stops, strict=True))])
    lengths = np.diff(ends).reshape(rows, -1)[first_row:last_row, first:last].ravel()
    cut[len(head) + lengths.cumsum() - 1] = RESTARTS[0] + np.arange(len(lengths)) % len(RESTARTS)
    cut[-1] = END
    return cut, (left, top)


def _find_ends(coded: NDArray[np.uint8], header: _Header) -> NDArray[np.intp]:
    """Where the header ends, and every piece with the marker behind it."""
    scan = coded[header.size :]
    at = np.flatnonzero(scan[:-1] == MARKER)
    kinds = scan[at + 1]
    at = at[((kinds >= RESTARTS[0]) & (kinds <= RESTARTS[-1])) | (kinds == END)]
    return np.concatenate([[0], at + 2]) + header.size


def _steps(first: int, last: int, step: int, count: int) -> tuple[int, int]:
    """Which of ``count`` steps of so many pixels hold those from ``first`` to ``last``."""
    return max(first - MARGIN, 0) // step, min(-(-(last + MARGIN) // step), count)


def _read_header(data: memoryview) -> _Header:
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
