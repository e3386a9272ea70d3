"""Videos as pictures for threads that ask in no particular order."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.workflows import clips
from smplcli.workflows.clips import ClipReader, scan_clip
from tests.clips import FPS, bright_frame, irregular_clip, number_of, write_clip


def test_a_first_look_names_every_frame_that_is_there(tmp_path):
    clip = scan_clip(write_clip(tmp_path / "a.mp4"))

    names = list(clip.names())
    assert names == [f"{(tmp_path / 'a.mp4').as_posix()}/{number:06d}" for number in range(10)]
    assert clip.facts() == {
        "fps": FPS,
        "every": 1,
        "frames": 10,
        "cuts": [],
        "is_irregular": False,
    }


def test_every_third_frame_is_named_by_its_own_number(tmp_path):
    clip = scan_clip(write_clip(tmp_path / "a.mp4"), every=3)

    assert [name[-6:] for name in clip.names()] == ["000000", "000003", "000006", "000009"]


def test_cuts_are_found_on_the_way(tmp_path):
    dark, bright = np.zeros((64, 96, 3), np.uint8), np.full((64, 96, 3), 220, np.uint8)

    clip = scan_clip(write_clip(tmp_path / "a.mp4", [dark] * 6 + [bright] * 6))

    assert clip.cuts == (6,)


def test_a_varying_rate_is_a_fact_of_the_clip(tmp_path):
    clip = scan_clip(irregular_clip(tmp_path / "a.mp4"))

    assert clip.is_irregular
    assert clip.fps == pytest.approx(9 / 0.34)


def test_a_video_that_cannot_be_read_is_named_with_its_reason(tmp_path):
    (tmp_path / "a.mp4").write_text("I am text")

    clip = scan_clip(tmp_path / "a.mp4")

    assert list(clip.names()) == [(tmp_path / "a.mp4").as_posix()]
    assert "not a video" in clip.problem


def test_a_cut_off_video_is_named_after_its_frames(tmp_path, monkeypatch):
    monkeypatch.setattr("smplcli.videos.Video.seconds_missing", 2.5)

    clip = scan_clip(write_clip(tmp_path / "a.mp4"))

    assert list(clip.names())[-1] == (tmp_path / "a.mp4").as_posix()
    assert "ends 2.5 s early, after frame 9" in clip.problem


@pytest.mark.parametrize("every", [1, 4])
def test_threads_get_the_frames_they_ask_for(tmp_path, every):
    reader = ClipReader(write_clip(tmp_path / "a.mp4", 24), every=every)
    wanted = np.arange(0, 24, every)
    shuffled = np.random.default_rng(0).permutation(wanted).tolist()

    with ThreadPoolExecutor(4) as pool:
        found = [number_of(pixels) for pixels in pool.map(reader.read, shuffled)]

    assert found == shuffled


def test_few_frames_wait_in_memory(tmp_path):
    reader = ClipReader(write_clip(tmp_path / "a.mp4", [bright_frame(i % 20) for i in range(60)]))

    reader.read(55)
    assert len(reader._kept) <= clips.MAX_KEPT
    assert number_of(reader.read(3)) == 3


def test_frames_past_the_end_and_lost_videos_are_errors(tmp_path):
    path = write_clip(tmp_path / "a.mp4")

    with pytest.raises(UnreadableFileError, match="no frame 99"):
        ClipReader(path).read(99)
    path.unlink()
    with pytest.raises(MissingFileError):
        ClipReader(path).read(0)
