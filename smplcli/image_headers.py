"""What the first bytes of a picture file say: format, size and orientation, before any decoding.

Sources:
    JPEG: ITU-T T.81 annex B; PNG: W3C PNG third edition; WebP: RFC 9649; TIFF 6.0; GIF89a;
    Exif 2.3 section 4.6.4 (tag 274).
"""

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

_ORIENTATION = 274
_SAMPLE_FORMAT = 339
_IEEE_FLOAT = 3
_EXIF_PREFIX = b"Exif\0\0"
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""A marker that ends entropy-coded data: no stuffed zero, fill byte or restart."""

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_EXIF = 0xE1
_JPEG_END = 0xD9
_JPEG_BARE = frozenset({0x01, 0xD8})

_ISO_MEDIA = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"avif": "AVIF", b"avis": "AVIF"}
_REFUSED = {
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"\x76\x2f\x31\x01": "OpenEXR",
}


class ImageHeader(NamedTuple):
    """What is known of a picture before its pixels are decoded."""

    kind: str
    """Name of the format."""

    width: int
    """Pixels as stored."""

    height: int
    """Pixels as stored."""

    orientation: int = 1
    """How the stored picture is turned for display, 1..8 as Exif counts."""

    orientation_at: int | None = None
    """Where a TIFF file says so: the offset of the two bytes, for decoders that obey them."""


class BadImageError(ValueError):
    """The bytes are no picture, or one that is not read; the message says why."""


def read_image_header(data: bytes) -> ImageHeader:
    """Format, size and orientation of a picture file.

    Args:
        data: The whole file.

    Raises:
        BadImageError: It is empty, no picture, of a format that is not read, or ends too early.
    """
    if not data:
        raise BadImageError("file is empty")
    try:
        for magic, read in _READERS.items():
            if data.startswith(magic):
                return read(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError) as error:
        raise BadImageError("picture is damaged or cut off") from error
    refused = _ISO_MEDIA.get(data[8:12]) if data[4:8] == b"ftyp" else None
    refused = refused or next((name for m, name in _REFUSED.items() if data.startswith(m)), None)
    raise BadImageError(f"{refused} is not read" if refused else "file is not a picture")


def _jpeg(data: bytes) -> ImageHeader:
    size, orientation, at = None, 1, 2
    while marker := _JPEG_MARKER.search(data, at):
        code, at = data[marker.start() + 1], marker.end()
        if code == _JPEG_END:
            break
        if code in _JPEG_BARE:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if code in _JPEG_FRAMES and size is None:
            size = struct.unpack_from(">HH", data, at + 3)
        elif code == _JPEG_EXIF:
            orientation = _exif_orientation(data[at + 2 : at + length], orientation)
        at += length
    else:
        raise BadImageError("picture is cut off: the JPEG has no end marker")
    if size is None:
        raise BadImageError("picture is damaged: the JPEG holds no frame")
    return ImageHeader("JPEG", size[1], size[0], orientation)


def _png(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from(">II", data, 16)
    orientation, at, kind = 1, 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise BadImageError("picture is cut off: the PNG ends within a chunk")
        if kind == b"eXIf":
            orientation = _exif_orientation(data[at + 8 : at + 8 + length], orientation)
        at += 12 + length
    return ImageHeader("PNG", width, height, orientation)


def _webp(data: bytes) -> ImageHeader:
    size, orientation = None, 1
    for kind, at, length in _riff_chunks(data):
        if kind == b"VP8X":
            canvas = data[at + 4 : at + 7], data[at + 7 : at + 10]
            size = tuple(int.from_bytes(side, "little") + 1 for side in canvas)
        elif kind == b"VP8 " and size is None:
            size = tuple(side & 0x3FFF for side in struct.unpack_from("<HH", data, at + 6))
        elif kind == b"VP8L" and size is None:
            (packed,) = struct.unpack_from("<I", data, at + 1)
            size = ((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
        elif kind == b"EXIF":
            orientation = _exif_orientation(data[at : at + length], orientation)
    if size is None:
        raise BadImageError("picture is damaged: the WebP holds no frame")
    return ImageHeader("WebP", size[0], size[1], orientation)


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and length of each chunk."""
    (total,) = struct.unpack_from("<I", data, 4)
    if total + 8 > len(data):
        raise BadImageError("picture is cut off: the WebP is shorter than it says")
    at = 12
    while at + 8 <= total + 8:
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, at + 8, length
        at += 8 + length + length % 2


def _bmp(data: bytes) -> ImageHeader:
    (header_size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    return ImageHeader("BMP", width, abs(height))  # negative: rows from the top


def _gif(data: bytes) -> ImageHeader:
    return ImageHeader("GIF", *struct.unpack_from("<HH", data, 6))


def _tiff(data: bytes) -> ImageHeader:
    tags = _tiff_tags(data)
    if 256 not in tags or 257 not in tags:
        raise BadImageError("picture is damaged: the TIFF states no size")
    if tags.get(_SAMPLE_FORMAT, (1, 0))[0] == _IEEE_FLOAT:
        raise BadImageError("TIFF of floating-point numbers is not read")
    orientation, at = tags.get(_ORIENTATION, (1, None))
    return ImageHeader("TIFF", tags[256][0], tags[257][0], _known(orientation), at)


def _tiff_tags(data: bytes) -> dict[int, tuple[int, int]]:
    """First value of each integer tag of the first directory, and its offset."""
    order = "<" if data.startswith(b"II") else ">"
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, directory)
    tags = {}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, num_values = struct.unpack_from(f"{order}HHI", data, entry)
        letter = {3: "H", 4: "I"}.get(kind)
        if letter and num_values:
            at = entry + 8
            if struct.calcsize(letter) * num_values > 4:  # too many to stand in the entry itself
                (at,) = struct.unpack_from(f"{order}I", data, at)
            tags[tag] = (struct.unpack_from(order + letter, data, at)[0], at)
    return tags


def _exif_orientation(block: bytes, default: int) -> int:
    """Orientation in an Exif block; what cannot be read there does not spoil the picture."""
    block = block.removeprefix(_EXIF_PREFIX)
    if not block.startswith((b"II*\0", b"MM\0*")):
        return default
    try:
        return _known(_tiff_tags(block).get(_ORIENTATION, (default, 0))[0])
    except struct.error:
        return default


def _known(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1


_READERS: dict[bytes, Callable[[bytes], ImageHeader]] = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"BM": _bmp,
    b"GIF8": _gif,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
}
