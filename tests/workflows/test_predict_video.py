"""Videos and numbered pictures from end to end, with a network that has learned nothing yet."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from smplcli.errors import MissingFileError
from smplcli.files import asset
from smplcli.images import read_image
from smplcli.videos import Video
from smplcli.workflows.predict import predict
from tests.clips import write_clip
from tests.workflows.test_predict import network  # noqa: F401, a fixture

FRAMES = 6


def frame(number):
    """The astronaut, seen by a camera that moves to the right."""
    photo = read_image(asset("photos") / "astronaut.png", orientation="displayed")
    return cv2.resize(photo[:, 8 * number : 8 * number + 440], (220, 256))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A film, the same as numbered pictures, half of it, and what only claims to be one."""
    folder = tmp_path_factory.mktemp("films")
    frames = [frame(number) for number in range(FRAMES)]
    write_clip(folder / "film.mp4", frames, size=(220, 256), fps=10.0)
    (folder / "shots").mkdir()
    for number, pixels in enumerate(frames):
        Image.fromarray(pixels).save(folder / "shots" / f"shot_{number}.png")
    content = (folder / "film.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(content[: len(content) // 2])
    (folder / "text.mp4").write_text("I am text")
    return folder


@pytest.fixture(scope="module")
def predicted(films, network, tmp_path_factory):  # noqa: F811
    out = tmp_path_factory.mktemp("out")
    return predict(
        [films / "film.mp4", films / "half.mp4", films / "text.mp4"],
        out / "preds.npz",
        network=network,
        every=2,
        overlay_dir=out / "drawn",
        mesh_dir=out / "meshes",
        bvh_dir=out / "bvh",
        smooth=True,
    )


def test_frames_are_rows_and_what_is_no_video_is_a_status(predicted, films):
    names = [x.removeprefix(f"{films.as_posix()}/") for x in predicted.arrays["status_imgname"]]

    assert names == [
        "film.mp4/000000",
        "film.mp4/000002",
        "film.mp4/000004",
        "half.mp4",
        "text.mp4",
    ]
    assert predicted.arrays["status"].tolist() == ["ok"] * 3 + ["unreadable"] * 2
    assert [status.detail.split(":")[0] for status in predicted.failed] == [
        "video is damaged, cut off, or of a codec that is not read",
        "not a video that is read, whatever its name says",
    ]


def test_who_is_in_a_video_is_followed_without_asking(predicted, films):
    meta = json.loads(str(predicted.arrays["meta"]))

    assert predicted.arrays["track_id"].tolist() == [0, 0, 0]
    assert predicted.num_tracks == 1
    facts = meta["sequences"][(films / "film.mp4").as_posix()]
    assert (facts["fps"], facts["every"], facts["frames"]) == (10.0, 2, 3)
    assert "One-Euro" in meta["smoothed"]
    assert set(predicted.to_dict()["jitter"]) == {"before", "after"}


def test_a_video_gives_a_video_an_animation_and_motion(predicted):
    files = [*predicted.overlays, *predicted.meshes, *predicted.motions]

    assert [path.name for path in files] == ["film.mp4", "film.glb", "film-track_0.bvh"]
    with Video(files[0]) as video:
        assert len(list(video.frames())) == 3
        assert video.fps == 5.0


def test_frames_of_a_video_and_numbered_pictures_give_the_same_people(films, network):  # noqa: F811
    film = predict(films / "film.mp4", network=network).arrays
    shots = predict(films / "shots", network=network, track=True, fps=10.0).arrays

    facts = json.loads(str(shots["meta"]))["sequences"][f"{films.as_posix()}/shots/shot_*.png"]
    assert facts == {"fps": 10.0, "every": 1, "frames": FRAMES}
    assert shots["track_id"].tolist() == film["track_id"].tolist() == [0] * FRAMES
    assert np.median(np.abs(film["bbox"] - shots["bbox"])) < 5


def test_pictures_are_not_followed_unless_asked(films, network):  # noqa: F811
    arrays = predict(films / "shots", network=network).arrays

    assert set(arrays["track_id"].tolist()) == {-1}
    assert "sequences" not in json.loads(str(arrays["meta"]))


def test_arrays_are_followed_and_drawn_as_well(films, network, tmp_path):  # noqa: F811
    frames = [frame(number) for number in range(3)]

    report = predict(
        frames, network=network, track=True, overlay_dir=tmp_path, overlay_style="skeleton"
    )

    assert report.arrays["track_id"].tolist() == [0, 0, 0]
    assert [path.name for path in report.overlays] == [f"image_{x:05d}.jpg" for x in range(3)]


def test_a_folder_of_videos_is_answered_with_the_way_to_name_them(tmp_path):
    write_clip(tmp_path / "film.mp4", 2)

    with pytest.raises(MissingFileError) as caught:
        predict(tmp_path)
    assert caught.value.hint == f"Name its videos, such as by the pattern '{tmp_path}/*'."
