"""Square crops of people: one affine warp from the source picture, and the way back."""

import math

import cv2
import numpy as np

from smplcli.conventions import BOX_PADDING
from smplcli.errors import ShapeError
from smplcli.types import Floats, Pixels


def box_to_crop(bbox: Floats) -> tuple[Floats, Floats]:
    """Square around boxes: the same centre, the longer side times `BOX_PADDING`.

    Args:
        bbox: (..., 4) left, top, right, bottom, pixels.

    Returns:
        Centres (..., 2) and sides (...,), pixels.
    """
    low, high = bbox[..., :2], bbox[..., 2:]
    return (low + high) / 2, BOX_PADDING * (high - low).max(axis=-1)


def crop_matrix(
    center: Floats, size: float, out_size: int, *, rotation: float = 0.0, mirror: bool = False
) -> Floats:
    """Affine map from picture pixels to crop pixels, pixel centres at integers.

    Args:
        center: (2,) x, y of the square's centre, picture pixels.
        size: Side of the square, picture pixels.
        out_size: Side of the crop, pixels.
        rotation: Angle by which the picture turns in the crop, radians, x towards y.
        mirror: Whether left and right are exchanged, after the turn.

    Returns:
        (2, 3), float64.
    """
    scale = out_size / size
    cosine, sine = scale * math.cos(rotation), scale * math.sin(rotation)
    side = -1 if mirror else 1
    x, y = map(float, center)
    middle = (out_size - 1) / 2
    return np.array(
        [
            [side * cosine, -side * sine, middle - side * (cosine * x - sine * y)],
            [sine, cosine, middle - (sine * x + cosine * y)],
        ]
    )


def invert_affine(matrix: Floats) -> Floats:
    """Inverse of affine maps (..., 2, 3)."""
    if matrix.ndim == 2:  # every training sample needs several, and this takes a microsecond
        return np.asarray(cv2.invertAffineTransform(matrix))
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)


def compose_affine(outer: Floats, inner: Floats) -> Floats:
    """The affine maps (..., 2, 3) that apply ``inner`` and then ``outer``."""
    composed = outer[..., :2] @ inner
    composed[..., 2] += outer[..., 2]
    return np.asarray(composed)


def affine_scale(matrix: Floats) -> Floats:
    """By how much affine maps (..., 2, 3) enlarge, the mean of both axes."""
    determinant = matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]
    return np.sqrt(np.abs(determinant))


def transform_points(matrix: Floats, points: Floats) -> Floats:
    """Affine map (..., 2, 3) of points (..., N, 2)."""
    return np.asarray(points @ matrix[..., :2].swapaxes(-1, -2) + matrix[..., None, :, 2])


def extract_crop(image: Pixels, matrix: Floats, out_size: int) -> Pixels:
    """Cut a crop out of a picture; what lies outside is black.

    Where the crop shrinks the picture, the picture is averaged first, so that nothing aliases.

    Args:
        image: (H, W, 3).
        matrix: (2, 3) picture pixels to crop pixels.
        out_size: Side of the crop, pixels.

    Returns:
        (out_size, out_size, 3), channels as in ``image``.

    Raises:
        ShapeError: ``image`` is not (H, W, 3), or ``matrix`` has no inverse.
    """
    image, matrix = _prepare(image, matrix, out_size)
    return np.asarray(
        cv2.warpAffine(image, matrix, (out_size, out_size), flags=cv2.INTER_LINEAR), dtype=np.uint8
    )


def extract_planes(image: Pixels, matrix: Floats, out_size: int) -> Pixels:
    """The same as `extract_crop`, channels first: (3, out_size, out_size), and faster.

    Args and errors are those of `extract_crop`; ``image`` should hold little that is not shown.
    """
    image, matrix = _prepare(image, matrix, out_size)
    # OpenCV moves four channels in half the time of three.
    four = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
    warped = cv2.warpAffine(four, matrix, (out_size, out_size), flags=cv2.INTER_LINEAR)
    planes = np.empty((4, out_size, out_size), np.uint8)
    cv2.split(warped, list(planes))
    return planes[:3]


def _prepare(image: Pixels, matrix: Floats, out_size: int) -> tuple[Pixels, Floats]:
    """A picture that the warp to the crop does not shrink to less than half, and that warp."""
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ShapeError(f"image must be (height, width, 3), got {image.shape}")
    scale = affine_scale(matrix)
    if not np.isfinite(matrix).all() or scale == 0:
        raise ShapeError("matrix must be finite and invertible")
    reduction = int(1 / scale)
    return _reduce(image, matrix, reduction, out_size) if reduction >= 2 else (image, matrix)


def _reduce(image: Pixels, matrix: Floats, reduction: int, out_size: int) -> tuple[Pixels, Floats]:
    """Average blocks of ``reduction`` pixels over the part of the picture that the crop shows."""
    corners = np.array([[-1, -1], [out_size, -1], [-1, out_size], [out_size, out_size]])
    seen = transform_points(invert_affine(matrix), corners.astype(np.float64))
    limit = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(seen.min(axis=0)).astype(int) - reduction, 0, limit - 1)
    high = np.clip(np.ceil(seen.max(axis=0)).astype(int) + reduction + 1, low + 1, limit)
    part = image[low[1] : high[1], low[0] : high[0]]
    size = np.maximum((high - low) // reduction, 1)
    ratio = (high - low) / size
    small = cv2.resize(part, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    # Block centres: a reduced pixel i lies at i * ratio + (ratio - 1) / 2 + low.
    to_picture = np.column_stack([np.diag(ratio), low + (ratio - 1) / 2])
    return np.asarray(small, dtype=np.uint8), compose_affine(matrix, to_picture)
