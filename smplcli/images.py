"""Picture files: read as 8-bit RGB or refused with a reason, and written whole or not at all."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.files import atomic_write
from smplcli.image_headers import BadImageError, ImageHeader, read_image_header
from smplcli.types import Floats, Pixels

Orientation = Literal["displayed", "stored"]
"""Turned as viewers show it, or as the pixels lie in the file (what annotations refer to)."""

MAX_PIXELS = 100_000_000
MAX_SIDE = 32_766
"""Longest side that OpenCV warps."""

MAX_BYTES = 1 << 30
JPEG_QUALITY = 92

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"}
    | {".heic", ".heif", ".avif"}
)
"""Names that promise a picture, also of formats that are then refused with a reason."""

_TURN: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}
"""From the stored to the displayed picture, by Exif orientation."""

_JPEG_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    # The flags of reduced pictures ask for BGR by a bit that would win over RGB's.
    2: cv2.IMREAD_REDUCED_COLOR_2 & ~cv2.IMREAD_COLOR_BGR | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_COLOR_4 & ~cv2.IMREAD_COLOR_BGR | cv2.IMREAD_COLOR_RGB,
}
"""By how much a JPEG is reduced."""


def read_image(path: Path, *, orientation: Orientation) -> Pixels:
    """Read a picture: JPEG, PNG, WebP, BMP, TIFF or GIF, the first frame of an animation.

    Transparent parts become white; 16-bit values are scaled to 8 bits.

    Args:
        path: The file; its format is told from its content.
        orientation: Whether the orientation tag is obeyed.

    Returns:
        RGB, (height, width, 3).

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no picture, damaged, cut off, larger than `MAX_PIXELS`, or of a
            format that is not read.
    """
    data = _read_bytes(path)
    try:
        header = read_image_header(data)
        _check_size(header)
        image = _to_rgb(_decode(data, header), header)
    except BadImageError as error:
        raise UnreadableFileError(
            f"{error}: {path}", hint="Export it again as JPEG or PNG, or leave it out."
        ) from error
    if orientation == "displayed":
        image = _TURN[header.orientation](image)
    return np.ascontiguousarray(image)


class ReducedImage(NamedTuple):
    """A picture, perhaps read with fewer pixels than it has."""

    pixels: Pixels
    """RGB, (height, width, 3), as stored."""

    size: tuple[int, int]
    """Width and height of the whole picture, pixels."""

    reduction: int
    """Side of a pixel read, in pixels of the whole picture."""

    @property
    def to_full(self) -> Floats:
        """Affine map (2, 3) from the pixels read to those of the whole picture."""
        centre = (self.reduction - 1) / 2
        return np.array([[self.reduction, 0.0, centre], [0.0, self.reduction, centre]])


def read_reduced(path: Path, *, reduction: int) -> ReducedImage:
    """Read a picture as its pixels lie in the file, a JPEG with fewer pixels if that will do.

    A JPEG is made of waves over 8 x 8 pixels; leaving out the short ones gives a picture of half
    the size or a quarter of it, free of aliasing, in little more than half the time.

    Args:
        path: The file.
        reduction: 1, 2 or 4: by how much width and height may be reduced.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: As for `read_image`.
    """
    data = _read_bytes(path)
    try:
        header = read_image_header(data)
        _check_size(header)
        reduction = reduction if header.kind == "JPEG" else 1
        image = _to_rgb(_decode(data, header, reduction), header)
    except BadImageError as error:
        raise UnreadableFileError(f"{error}: {path}") from error
    return ReducedImage(image, (header.width, header.height), reduction)


def write_image(path: Path, image: Pixels, *, overwrite: bool = True) -> None:
    """Write a picture in the format that the suffix names.

    Args:
        path: The file, ``.jpg`` or ``.png``.
        image: RGB, (height, width, 3).
        overwrite: Whether a file that is there may be replaced.

    Raises:
        ConfigError: The suffix is another.
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    check_image_name(path)
    is_png = path.suffix.lower() == ".png"
    content = _encode(".png", image, []) if is_png else encode_jpeg(image)
    with atomic_write(path, overwrite=overwrite) as file:
        file.write(content)


def check_image_name(path: Path) -> None:
    """Stop before the work rather than after it.

    Raises:
        ConfigError: Pictures are not written in the format that the suffix names.
    """
    suffix = path.suffix.lower()
    if suffix not in {".jpg", ".jpeg", ".png"}:
        raise ConfigError(f"pictures are written as .jpg or .png, not {suffix}: {path}")


def encode_jpeg(image: Pixels, *, quality: int = JPEG_QUALITY) -> bytes:
    """A picture, (height, width, 3) RGB, as the content of a JPEG file."""
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encode(suffix: str, image: Pixels, options: Sequence[int]) -> bytes:
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return encoded.tobytes()


def list_images(folder: Path) -> list[Path]:
    """Picture files directly in a folder by their suffixes, ``img2`` before ``img10``.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: The folder cannot be listed.
    """
    return [folder / name for name in list_image_names(folder)]


def list_image_names(folder: Path) -> list[str]:
    """Names of the files that `list_images` lists, which may be millions.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: The folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if _is_image(entry)]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"folder not found: {folder}") from error
    except OSError as error:
        raise UnreadableFileError(f"cannot list folder: {folder} ({error.strerror})") from error
    return sorted(names, key=natural_order)


def _is_image(entry: os.DirEntry[str]) -> bool:
    # Names with a leading dot are what systems leave behind, such as macOS's '._photo.jpg'.
    if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in IMAGE_SUFFIXES:
        return False
    if entry.is_symlink():  # what leads nowhere is listed, to be missed by name
        return Path(entry.path).is_file() or not Path(entry.path).exists()
    return entry.is_file()


def natural_order(path: Path | str) -> tuple[str, str]:
    """What sorts paths as people do: ``img2`` before ``img10``."""
    name = str(path)
    return re.sub("[0-9]+", _sortable, name.casefold()), name


def _sortable(digits: re.Match[str]) -> str:
    """Digits as text that sorts by their number, before any letter."""
    number = digits[0].lstrip("0")
    return f"\0{chr(len(number))}{number}{digits[0]}\0"


def _read_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size if path.is_file() else None
        data = path.read_bytes() if size is not None and size <= MAX_BYTES else b""
    except OSError as error:
        raise UnreadableFileError(f"cannot read: {path} ({error.strerror})") from error
    if size is None:
        raise MissingFileError(f"picture not found: {path}")
    if size > MAX_BYTES:
        raise UnreadableFileError(f"file is larger than {MAX_BYTES:,} bytes: {path}")
    return data


def _check_size(header: ImageHeader) -> None:
    size = f"{header.width} x {header.height}"
    if header.width < 1 or header.height < 1:
        raise BadImageError(f"picture has no pixels ({size})")
    if header.width * header.height > MAX_PIXELS:
        raise BadImageError(f"picture is larger than {MAX_PIXELS:,} pixels ({size})")
    if max(header.width, header.height) > MAX_SIDE:
        raise BadImageError(f"picture is longer than {MAX_SIDE:,} pixels ({size})")


def _decode(data: bytes, header: ImageHeader, reduction: int = 1) -> NDArray[Any]:
    """Pixels as stored: grey, BGR, BGRA, or RGB for JPEG, which may be reduced."""
    buffer = np.frombuffer(data, np.uint8)
    if header.orientation_at is not None:
        # cv2 turns TIFF files whatever it is asked: the copy it gets says that there is no need.
        buffer = buffer.copy()
        order = "<u2" if data.startswith(b"II") else ">u2"
        buffer[header.orientation_at : header.orientation_at + 2] = np.array([1], order).view("u1")
    flags = _JPEG_FLAGS[reduction] if header.kind == "JPEG" else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(buffer, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadImageError(f"{header.kind} is damaged or cut off") from error
    if image is None:
        raise BadImageError(f"{header.kind} is damaged or cut off")
    return image


def _to_rgb(image: NDArray[Any], header: ImageHeader) -> Pixels:
    """8-bit RGB of decoded pixels, in the stored orientation."""
    if image.dtype == np.uint16:
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
        is_premultiplied = False
    else:
        is_premultiplied = header.kind == "TIFF"  # libtiff multiplies 8-bit colours by alpha
    if image.dtype != np.uint8:
        raise BadImageError(f"{header.kind} of {image.dtype} values is not read")
    pixels: Pixels = image
    if header.kind == "JPEG":
        return pixels
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    if pixels.shape[2] == 4:
        return _on_white(pixels[..., 2::-1], pixels[..., 3:], is_premultiplied=is_premultiplied)
    return pixels[..., ::-1]


def _on_white(colour: Pixels, alpha: Pixels, *, is_premultiplied: bool) -> Pixels:
    """Colour (H, W, 3) of opacity alpha (H, W, 1) before a white background."""
    if (alpha == 255).all():
        return colour
    opacity = alpha.astype(np.float32) / 255
    shown = colour if is_premultiplied else colour * opacity
    return np.clip(shown + 255 * (1 - opacity) + 0.5, 0, 255).astype(np.uint8)
