import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from smplcli.exif import FILM_DIAGONAL, read_focal_length
from smplcli.images import read_image

SIZE = (400, 300)
"""Width and height; the diagonal is 500 pixels."""

SHOT = 0x8769


def tags(**values):
    names = {
        "film": 0xA405,
        "focal": 0x920A,
        "resolution": 0xA20E,
        "unit": 0xA210,
        "taken_width": 0xA002,
    }
    return {
        names[name]: TiffImagePlugin.IFDRational(value) if isinstance(value, float) else value
        for name, value in values.items()
    }


def write_photo(path, shot, kind="JPEG", orientation=1):
    exif = Image.Exif()
    exif[274] = orientation
    exif.get_ifd(SHOT).update(shot)
    picture = Image.fromarray(np.full((*SIZE[::-1], 3), 90, np.uint8))
    picture.save(path, kind, exif=exif)
    return path


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_equivalent_at_35_mm_compares_diagonals(kind, tmp_path):
    path = write_photo(tmp_path / "photo", tags(film=26), kind)

    assert read_focal_length(path, SIZE) == pytest.approx(500 * 26 / FILM_DIAGONAL)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_says_so_in_its_own_directories(order, tmp_path):
    first = struct.pack(f"{order}IHHHIII", 8, 1, SHOT, 4, 1, 26, 0)
    shot = struct.pack(f"{order}HHHIHH", 1, 0xA405, 3, 1, 26, 0)
    (tmp_path / "photo.tif").write_bytes((b"II*\0" if order == "<" else b"MM\0*") + first + shot)

    focal = read_focal_length(tmp_path / "photo.tif", SIZE)

    assert focal == pytest.approx(500 * 26 / FILM_DIAGONAL)


def test_turned_picture_has_the_same_lens(tmp_path):
    path = write_photo(tmp_path / "photo", tags(film=26), orientation=6)
    displayed = read_image(path, orientation="displayed")

    focal = read_focal_length(path, displayed.shape[1::-1])

    assert displayed.shape[:2] == SIZE
    assert focal == pytest.approx(500 * 26 / FILM_DIAGONAL)


@pytest.mark.parametrize(
    ("shot", "expected"),
    [
        # 10 pixels per millimetre in each of the sensor's units, a lens of 50 mm.
        (tags(focal=50.0, resolution=254.0, unit=2), 500),
        (tags(focal=50.0, resolution=254.0), 500),
        (tags(focal=50.0, resolution=100.0, unit=3), 500),
        (tags(focal=50.0, resolution=10.0, unit=4), 500),
        # The picture was made smaller by half since.
        (tags(focal=50.0, resolution=10.0, unit=4, taken_width=800), 250),
        # What is stated for 35 mm comes first.
        (tags(focal=50.0, resolution=10.0, unit=4, film=26), 500 * 26 / FILM_DIAGONAL),
    ],
)
def test_sensor_and_lens_give_pixels(shot, expected, tmp_path):
    path = write_photo(tmp_path / "photo.jpg", shot)

    assert read_focal_length(path, SIZE) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "shot",
    [
        {},
        tags(film=0),
        tags(focal=50.0),
        tags(focal=50.0, resolution=0.0, unit=4),
        tags(focal=50.0, resolution=10.0, unit=77),
        tags(focal=TiffImagePlugin.IFDRational(1, 0), resolution=10.0, unit=4),
        tags(film=1),
        tags(film=60000),
    ],
)
def test_what_no_lens_has_is_not_said(shot, tmp_path):
    path = write_photo(tmp_path / "photo.jpg", shot)

    assert read_focal_length(path, SIZE) is None


def test_nothing_is_said_without_a_file_or_a_picture(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    Image.new("RGB", SIZE).save(tmp_path / "bare.png")
    names = ("empty.jpg", "text.jpg", "bare.png", "missing.jpg", ".")

    assert [read_focal_length(tmp_path / name, SIZE) for name in names] == [None] * 5


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_damaged_exif_data_give_a_lens_or_none(data, tmp_path_factory):
    file = io.BytesIO()
    write_photo(file, tags(film=26, focal=50.0, resolution=10.0, unit=4))
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, 260))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("exif") / "photo.jpg"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])

    focal = read_focal_length(path, SIZE)

    assert focal is None or 0.1 * 500 < focal < 100 * 500


@pytest.mark.parametrize("order", ["<", ">"])
def test_directories_that_point_anywhere_end(order, tmp_path):
    magic = b"II*\0" if order == "<" else b"MM\0*"
    offset = struct.pack(f"{order}I", 8)
    entry = struct.pack(f"{order}HHII", SHOT, 4, 1, 8)
    hostile = {
        "to itself": magic + offset + struct.pack(f"{order}H", 1) + entry,
        "endless": magic + offset + struct.pack(f"{order}H", 65535) + entry,
        "far away": magic + struct.pack(f"{order}I", 0xFFFFFFFF),
    }

    for name, block in hostile.items():
        content = b"Exif\0\0" + block
        segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
        (tmp_path / name).write_bytes(b"\xff\xd8" + segment + b"\xff\xd9")

    assert [read_focal_length(tmp_path / name, SIZE) for name in hostile] == [None] * 3
