"""Videos read as players show them, and written whole or not at all."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smplcli.errors import MissingFileError, OutputExistsError, ResourceError, UnreadableFileError
from smplcli.videos import Video, VideoWriter, frame_name, split_frame_name, write_video
from tests.clips import (
    FPS,
    HEIGHT,
    WIDTH,
    bright_frame,
    irregular_clip,
    number_of,
    turned_clip,
    write_clip,
)


def test_frames_come_in_order_with_their_times(tmp_path):
    with Video(write_clip(tmp_path / "a.mp4")) as video:
        frames = list(video.frames())

        assert [number_of(frame.pixels) for frame in frames] == list(range(10))
        assert [frame.number for frame in frames] == list(range(10))
        assert [frame.time for frame in frames] == pytest.approx([i / FPS for i in range(10)])
        assert (video.fps, video.is_irregular, video.seconds_missing) == (FPS, False, 0)


def test_every_nth_frame_keeps_its_number(tmp_path):
    with Video(write_clip(tmp_path / "a.mp4")) as video:
        frames = list(video.frames(every=4))

    assert [(frame.number, number_of(frame.pixels)) for frame in frames] == [
        (0, 0),
        (4, 4),
        (8, 8),
    ]


def test_one_frame_is_found_without_those_after_it(tmp_path):
    with Video(write_clip(tmp_path / "a.mp4")) as video:
        found = [video.frame(number) for number in (2, 7, 99)]

    assert [frame and number_of(frame.pixels) for frame in found] == [2, 7, None]


def test_a_video_that_is_turned_on_phones_is_turned_here(tmp_path):
    with Video(turned_clip(tmp_path / "a.mp4")) as video:
        (frame,) = islice(video.frames(), 1)

    red, grey = frame.pixels[5, WIDTH // 3].astype(int), frame.pixels[-5, 5].astype(int)
    assert frame.pixels.shape == (WIDTH, HEIGHT, 3)
    assert red[0] - red[1] > 100
    assert np.ptp(grey) < 10


def test_a_varying_rate_is_noticed_and_its_mean_taken(tmp_path):
    with Video(irregular_clip(tmp_path / "a.mp4")) as video:
        numbers = [number_of(frame.pixels) for frame in video.frames()]

        assert numbers == list(range(10))
        assert video.is_irregular
        assert video.fps == pytest.approx(9 / 0.34)
        assert video.seconds_missing == 0


def test_a_cut_off_video_gives_what_is_left_and_says_so(tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(avi_clip(tmp_path))
    whole = len(path.read_bytes())

    path.write_bytes(path.read_bytes()[: whole // 2])
    with Video(path) as video:
        numbers = [frame.number for frame in video.frames()]

        assert numbers == list(range(len(numbers)))
        assert 10 < len(numbers) < 30
        assert video.seconds_missing == pytest.approx((40 - len(numbers)) / FPS, abs=0.1)


def avi_clip(folder):
    """Forty frames in a container whose index is not needed to read it."""
    import cv2

    rng = np.random.default_rng(0)
    path = str(folder / "whole.avi")
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), FPS, (96, 64))
    for _ in range(40):
        writer.write(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    writer.release()
    return Path(path).read_bytes()


def picture(path):
    Image.new("RGB", (64, 64)).save(path, "PNG")


def half_a_clip(path):
    content = write_clip(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def clip_without_frames(path):
    content = write_clip(path, 1).read_bytes()
    path.write_bytes(content[: content.index(b"mdat") - 4])


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.mp4\n"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_text("I am text " * 99), "not a video"),
        (picture, "not a video"),
        (lambda path: path.write_bytes(PLAYLIST), "not a video"),
        (half_a_clip, "damaged, cut off, or of a codec"),
        (clip_without_frames, "damaged, cut off, or of a codec"),
    ],
)
def test_what_is_no_video_is_refused_with_a_reason(tmp_path, make, message):
    make(tmp_path / "clip.mp4")

    with pytest.raises(UnreadableFileError, match=message):
        Video(tmp_path / "clip.mp4")


def test_a_video_without_a_suffix_is_known_by_its_content(tmp_path):
    write_clip(tmp_path / "a.mp4", 3).rename(tmp_path / "clip")

    with Video(tmp_path / "clip") as video:
        assert len(list(video.frames())) == 3


def test_a_missing_video_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"no\.mp4"):
        Video(tmp_path / "no.mp4")


def test_names_of_frames_are_read_back():
    name = frame_name(Path("clips/a b.mp4"), 12)

    assert name == Path("clips/a b.mp4/000012")
    assert split_frame_name(name) == (Path("clips/a b.mp4"), 12)
    assert split_frame_name(Path("clips/a.mp4/x.jpg")) is None
    assert split_frame_name(Path("clips/000012")) is None


def test_frames_of_odd_sides_are_padded_by_a_pixel(tmp_path):
    with Video(write_clip(tmp_path / "a.mp4", 2, size=(65, 41))) as video:
        assert next(video.frames()).pixels.shape == (42, 66, 3)


def test_a_video_is_written_whole_or_not_at_all(tmp_path):
    def fail():
        with write_video(tmp_path / "a.mp4", fps=FPS, size=(WIDTH, HEIGHT)) as video:
            video.add(bright_frame(0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_frames_that_did_not_reach_the_file_are_noticed(tmp_path, monkeypatch):
    counts_wrong = property(lambda _: 9, lambda *_: None)
    monkeypatch.setattr(VideoWriter, "num_frames", counts_wrong, raising=False)

    with pytest.raises(ResourceError, match="3 of 9 frames"):
        write_clip(tmp_path / "a.mp4", 3)
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_is_there_is_kept(tmp_path):
    (tmp_path / "a.mp4").write_text("precious")

    with (
        pytest.raises(OutputExistsError),
        write_video(tmp_path / "a.mp4", fps=FPS, size=(WIDTH, HEIGHT), overwrite=False),
    ):
        pass
    assert (tmp_path / "a.mp4").read_text() == "precious"
