"""`smplcli predict` on videos."""

import json

import pytest
from typer.testing import CliRunner

from smplcli.cli import app
from tests.clips import write_clip
from tests.workflows.test_predict_video import FRAMES, frame

runner = CliRunner()


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    frames = [frame(number) for number in range(FRAMES)]
    return write_clip(tmp_path_factory.mktemp("film") / "film.mp4", frames, size=(220, 256))


def test_a_video_is_smoothed_and_drawn_in_words_and_json(film, tmp_path):
    wanted = ["--out", str(tmp_path / "p.npz"), "--smooth", "--overlay", str(tmp_path / "drawn")]
    wanted += ["--overlay-style", "skeleton", "--bvh", str(tmp_path / "bvh")]

    result = runner.invoke(app, ["predict", str(film), *wanted, "--json"])

    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["num_tracks"] == 1
    assert report["jitter"]["after"]["pose"] < report["jitter"]["before"]["pose"]
    assert [name.rsplit("/")[-1] for name in report["overlays"]] == ["film.mp4"]
    assert [name.rsplit("/")[-1] for name in report["motions"]] == ["film-track_0.bvh"]


def test_a_broken_video_is_told_of_and_exits_4(tmp_path):
    (tmp_path / "film.mp4").write_text("I am text")

    result = runner.invoke(
        app, ["predict", str(tmp_path / "film.mp4"), "--out", str(tmp_path / "p.npz")]
    )

    assert result.exit_code == 4
    assert "unreadable: not a video that is read" in result.stderr


def test_a_video_is_never_drawn_over_itself(tmp_path):
    film = write_clip(tmp_path / "film.mp4", 2)
    before = film.read_bytes()

    result = runner.invoke(
        app,
        ["predict", str(film), "--out", str(tmp_path / "p.npz"), "--overlay", str(tmp_path)]
        + ["--overwrite"],
    )

    assert result.exit_code == 2
    assert "output is an input" in result.stderr
    assert film.read_bytes() == before


@pytest.mark.parametrize("wrong", [["--every", "0"], ["--fps", "0"], ["--overlay-style", "wire"]])
def test_wrong_numbers_and_styles_are_usage_errors(film, tmp_path, wrong):
    result = runner.invoke(app, ["predict", str(film), "--out", str(tmp_path / "p.npz"), *wrong])

    assert result.exit_code == 2
    assert not (tmp_path / "p.npz").exists()
