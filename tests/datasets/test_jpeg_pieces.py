"""Part of a JPEG, read alone and with all the rest."""

import cv2
import numpy as np
import pytest

from smplcli.datasets.jpeg_pieces import Window, decode_window, encode_pieces
from smplcli.errors import UnreadableFileError

WINDOWS = [
    (0, 0, 20, 20),
    (40, 40, 60, 60),
    (10, 30, 130, 100),
    (90, 90, 135, 135),
    (0, 60, 135, 61),
    (70, 0, 71, 135),
    (0, 0, 135, 135),
]


def _picture(width=135):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, 135), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def picture():
    return _picture()


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("width", [135, 192, 208, 256])
def test_a_window_is_that_of_the_whole_picture(width, window):
    left, top, right, bottom = window
    coded = encode_pieces(_picture(width), 95)

    whole, _ = decode_window(coded)
    part, (x, y) = decode_window(coded, Window(*window))

    assert x <= left
    assert y <= top
    np.testing.assert_array_equal(
        part[top - y : bottom - y, left - x : right - x], whole[top:bottom, left:right]
    )


def test_less_is_decoded_than_there_is():
    part, start = decode_window(encode_pieces(_picture(256), 95), Window(70, 50, 120, 60))

    assert part.shape == (32, 64, 3)
    assert start == (64, 32)


def test_a_jpeg_with_one_marker_per_row_is_read_by_rows(picture):
    options = [cv2.IMWRITE_JPEG_RST_INTERVAL, 9, cv2.IMWRITE_JPEG_SAMPLING_FACTOR]
    coded = cv2.imencode(".jpg", picture, [*options, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420])[1]

    part, start = decode_window(coded, Window(70, 50, 80, 60))

    assert part.shape == (32, 135, 3)
    assert start == (0, 32)


def test_any_decoder_reads_the_whole_picture(picture):
    plain = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]

    coded = encode_pieces(picture, 95)

    np.testing.assert_array_equal(cv2.imdecode(coded, 1), cv2.imdecode(plain, 1))


@pytest.mark.parametrize("options", [[], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]])
def test_a_jpeg_without_fitting_markers_is_decoded_whole(picture, options):
    coded = cv2.imencode(".jpg", picture, options)[1]

    part, start = decode_window(coded, Window(0, 50, 135, 60))

    assert (len(part), start) == (135, (0, 0))


@pytest.mark.parametrize("cut", [0, 1, 3, 10, 200])
def test_a_jpeg_that_ends_in_its_header_is_refused(picture, cut):
    with pytest.raises(UnreadableFileError, match="JPEG is damaged"):
        decode_window(encode_pieces(picture, 95)[:cut], Window(0, 50, 135, 60))
