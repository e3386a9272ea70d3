"""Rows of a JPEG, read alone and with all others."""

import cv2
import numpy as np
import pytest

from smplcli.datasets.jpeg_rows import decode_rows, encode_rows
from smplcli.errors import UnreadableFileError


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
    return cv2.resize(coarse, (135, 135), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(("first", "last"), [(0, 20), (40, 60), (30, 100), (90, 135), (0, 135)])
def test_some_rows_are_those_of_the_whole_picture(picture, first, last):
    coded = encode_rows(picture, 95)

    whole, _ = decode_rows(coded)
    rows, start = decode_rows(coded, first, last)

    assert start <= first
    np.testing.assert_array_equal(rows[first - start : last - start], whole[first:last])


def test_fewer_rows_are_decoded_than_there_are(picture):
    rows, _ = decode_rows(encode_rows(picture, 95), 50, 60)

    assert len(rows) <= 32


def test_any_decoder_reads_the_whole_picture(picture):
    plain = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]

    coded = encode_rows(picture, 95)

    np.testing.assert_array_equal(cv2.imdecode(coded, 1), cv2.imdecode(plain, 1))


@pytest.mark.parametrize("options", [[], [cv2.IMWRITE_JPEG_RST_INTERVAL, 3]])
def test_a_jpeg_without_a_marker_per_row_is_decoded_whole(picture, options):
    coded = cv2.imencode(".jpg", picture, options)[1]

    rows, start = decode_rows(coded, 50, 60)

    assert (len(rows), start) == (135, 0)


@pytest.mark.parametrize("cut", [0, 1, 3, 10, 200])
def test_a_jpeg_that_ends_in_its_header_is_refused(picture, cut):
    with pytest.raises(UnreadableFileError, match="JPEG is damaged"):
        decode_rows(encode_rows(picture, 95)[:cut], 50, 60)
