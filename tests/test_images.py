import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smplcli.errors import (
    ConfigError,
    MissingFileError,
    OutputExistsError,
    ResourceError,
    UnreadableFileError,
)
from smplcli.images import list_images, read_image, write_image

HEIGHT, WIDTH = 24, 32
EXIF_ORIENTATION = 274


def colours():
    """Smooth picture whose four corners differ, so that no turn of it looks like another."""
    corners = np.array([[[250, 20, 30], [20, 240, 40]], [[30, 40, 230], [200, 210, 20]]], np.uint8)
    return cv2.resize(corners, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def encoded(kind, mode="RGB", **options):
    file = io.BytesIO()
    image = Image.fromarray(colours())
    (image.quantize(256) if mode == "P" else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def read(tmp_path, data, *, orientation="displayed"):
    path = tmp_path / "picture.bin"
    path.write_bytes(data)
    return read_image(path, orientation=orientation)


def difference(first, second):
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


LOSSLESS = {
    "png": encoded("PNG"),
    "webp": encoded("WEBP", lossless=True),
    "bmp": encoded("BMP"),
    "tiff": encoded("TIFF"),
    "tiff lzw": encoded("TIFF", compression="tiff_lzw"),
    "png with an opaque alpha": encoded("PNG", "RGBA"),
}
LOSSY = {
    "jpeg": encoded("JPEG", quality=95),
    "progressive jpeg": encoded("JPEG", quality=95, progressive=True),
    "cmyk jpeg": encoded("JPEG", "CMYK", quality=95),
    "webp": encoded("WEBP", quality=95),
    "gif": encoded("GIF"),
    "palette png": encoded("PNG", "P"),
    "palette bmp": encoded("BMP", "P"),
}
WHOLE = {**LOSSLESS, **LOSSY}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_picture_is_read_exactly(name, tmp_path):
    image = read(tmp_path, LOSSLESS[name])

    np.testing.assert_array_equal(image, colours())


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_picture_is_read_nearly(name, tmp_path):
    image = read(tmp_path, LOSSY[name])

    assert image.dtype == np.uint8
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert difference(image, colours()) < 4


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_grey_picture_has_three_equal_channels(kind, tmp_path):
    image = read(tmp_path, encoded(kind, "L"))

    assert image.shape == (HEIGHT, WIDTH, 3)
    assert (image == image[..., :1]).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind, tmp_path):
    file = io.BytesIO()
    Image.fromarray(colours()[..., 0].astype(np.uint16) * 257).save(file, kind)

    image = read(tmp_path, file.getvalue())

    np.testing.assert_array_equal(image[..., 0], colours()[..., 0])


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_colour_is_scaled_and_in_order(suffix, tmp_path):
    _, data = cv2.imencode(suffix, colours()[..., ::-1].astype(np.uint16) * 257)

    np.testing.assert_array_equal(read(tmp_path, data.tobytes()), colours())


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_transparent_parts_become_white(kind, options, tmp_path):
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:8], alpha[8:16] = 0, 128
    file = io.BytesIO()
    Image.fromarray(np.dstack([colours(), alpha])).save(file, kind, **options)

    image = read(tmp_path, file.getvalue())

    blend = colours() * (128 / 255) + 255 * (127 / 255)
    np.testing.assert_array_equal(image[:8], 255)
    np.testing.assert_allclose(image[8:16], blend[8:16], atol=1.5)  # TIFF alpha rounds twice
    np.testing.assert_array_equal(image[16:], colours()[16:])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animation_gives_its_first_frame(kind, tmp_path):
    frames = [Image.fromarray(np.full((HEIGHT, WIDTH, 3), v, np.uint8)) for v in (10, 120, 240)]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])

    assert difference(read(tmp_path, file.getvalue()), np.full((HEIGHT, WIDTH, 3), 10)) < 2


def test_one_pixel_is_a_picture(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (1, 1), (1, 2, 3)).save(file, "PNG")

    assert read(tmp_path, file.getvalue()).tolist() == [[[1, 2, 3]]]


def with_orientation(kind, orientation):
    """The same displayed picture, stored in one of the eight ways."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(colours())
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    file = io.BytesIO()
    quality = {} if kind == "TIFF" else {"quality": 98, "lossless": True}
    stored.save(file, kind, exif=exif, **quality)
    return file.getvalue(), np.asarray(stored)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_obeyed_or_ignored_as_asked(kind, orientation, tmp_path):
    data, stored = with_orientation(kind, orientation)

    displayed = read(tmp_path, data, orientation="displayed")
    raw = read(tmp_path, data, orientation="stored")

    assert displayed.shape == colours().shape
    assert difference(displayed, colours()) < 3  # JPEG blocks
    assert raw.shape == stored.shape
    assert difference(raw, stored) < 3


def test_orientation_that_does_not_exist_is_ignored(tmp_path):
    data, stored = with_orientation("JPEG", 9)

    assert difference(read(tmp_path, data), stored) < 3


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_off_picture_is_refused(name, share, tmp_path):
    data = WHOLE[name]

    with pytest.raises(UnreadableFileError, match=r"picture\.bin"):
        read(tmp_path, data[: int(len(data) * share)])


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg"])
def test_jpeg_without_its_last_two_bytes_is_refused(name, tmp_path):
    with pytest.raises(UnreadableFileError, match="cut off"):
        read(tmp_path, LOSSY[name][:-2])


def test_jpeg_with_data_after_its_end_is_read(tmp_path):
    image = read(tmp_path, LOSSY["jpeg"] + b"a film of two seconds")

    assert difference(image, colours()) < 3


def test_end_marker_of_a_thumbnail_does_not_hide_a_cut(tmp_path):
    jpeg = LOSSY["jpeg"]
    segment = b"Exif\0\0" + jpeg
    whole = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]

    assert difference(read(tmp_path, whole), colours()) < 3
    with pytest.raises(UnreadableFileError, match="cut off"):
        read(tmp_path, whole[:-200])


def png_header(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0" * 10_000)
    chunks = (header, body, b"IEND")
    packed = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"<html>404 not found</html>", "not a picture"),
        (b"just a line of text\n", "not a picture"),
        (b"\xff\xd8\xff", "cut off"),
        (b"\x89PNG\r\n\x1a\n", "cut off"),
        (b"II*\0\xff\xff\xff\x7f", "cut off"),
        (b"RIFF\x10\0\0\0WEBP", "cut off"),
        (png_header(60_000, 60_000), "larger than 100,000,000 pixels"),
        (png_header(0, 10), "no pixels"),
        (png_header(40_000, 100), "longer than 32,766 pixels"),
        (png_header(100, 1_000), "damaged"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC is not read"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF is not read"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 is not read"),
        (b"%PDF-1.7", "PDF is not read"),
    ],
)
def test_what_is_no_readable_picture_is_refused_with_a_reason(data, problem, tmp_path):
    with pytest.raises(UnreadableFileError, match=problem) as caught:
        read(tmp_path, data)

    assert "JPEG or PNG" in caught.value.hint


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_tiff_of_other_numbers_is_refused(dtype, tmp_path):
    file = io.BytesIO()
    Image.fromarray(colours()[..., 0].astype(dtype)).save(file, "TIFF")

    with pytest.raises(UnreadableFileError, match="not read"):
        read(tmp_path, file.getvalue())


@given(data=st.data(), name=st.sampled_from(sorted(WHOLE)))
def test_damaged_bytes_give_a_picture_or_a_typed_error(data, name, tmp_path_factory):
    damaged = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))

    try:
        image = read(tmp_path_factory.mktemp("fuzz"), bytes(damaged))
    except UnreadableFileError:
        return
    assert image.ndim == 3
    assert image.shape[2] == 3


def test_missing_picture_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"no\.jpg"):
        read_image(tmp_path / "no.jpg", orientation="displayed")


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "nul\0byte.jpg", ""])
def test_impossible_names_give_typed_errors(name, tmp_path):
    with pytest.raises((MissingFileError, UnreadableFileError)):
        read_image(tmp_path / name, orientation="displayed")


def test_strange_names_are_read(tmp_path):
    for name in ("a b'\"\n\x1b[31m.png", "日本 🤸.png", "-rf.png"):
        (tmp_path / name).write_bytes(LOSSLESS["png"])

        image = read_image(tmp_path / name, orientation="displayed")

        np.testing.assert_array_equal(image, colours())


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".jpg", 3), (".JPEG", 3)])
def test_written_picture_is_read_again(suffix, tolerance, tmp_path):
    path = tmp_path / f"out{suffix}"

    write_image(path, colours())

    assert difference(read_image(path, orientation="displayed"), colours()) <= tolerance


def test_picture_is_not_written_over_another_unless_asked(tmp_path):
    path = tmp_path / "out.png"
    write_image(path, colours())

    write_image(path, colours()[::-1], overwrite=True)
    with pytest.raises(OutputExistsError):
        write_image(path, colours(), overwrite=False)

    np.testing.assert_array_equal(read_image(path, orientation="displayed"), colours()[::-1])


def test_picture_is_written_only_in_known_formats(tmp_path):
    with pytest.raises(ConfigError, match=r"\.tga"):
        write_image(tmp_path / "out.tga", colours())


def test_picture_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ResourceError):
        write_image(tmp_path / "file" / "out.png", colours())


def test_folder_lists_pictures_in_natural_order(tmp_path):
    for name in ("img10.JPG", "img2.jpg", "Img1.png", "b.webp", "notes.txt", "._img2.jpg"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder.jpg").mkdir()

    names = [path.name for path in list_images(tmp_path)]

    assert names == ["b.webp", "Img1.png", "img2.jpg", "img10.JPG"]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="nowhere"):
        list_images(tmp_path / "nowhere")


def test_a_link_that_leads_nowhere_is_listed_and_missed_by_name(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "missing.png")
    (tmp_path / "folder.png").mkdir()

    assert list_images(tmp_path) == [tmp_path / "gone.png"]
    with pytest.raises(MissingFileError, match=r"picture not found: .*gone\.png"):
        read_image(tmp_path / "gone.png", orientation="stored")
