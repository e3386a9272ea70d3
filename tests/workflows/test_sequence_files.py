"""Files of sequences: videos that play, pictures drawn late, motion for other programs."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer
from smplcli.errors import OutputExistsError
from smplcli.images import read_image
from smplcli.rendering.overlay import colours_of
from smplcli.rotations import aa_to_rotmat
from smplcli.videos import Video
from smplcli.workflows.clips import FrameReader
from smplcli.workflows.pictures import Drawings
from smplcli.workflows.progress import no_progress
from smplcli.workflows.sequence_files import SequenceFiles
from tests.clips import bright_frame, write_clip
from tests.predicted import HEIGHT, WIDTH, people_arrays
from tests.rendering.test_bvh import Bvh
from tests.workflows.test_meshes import Glb, bodies_of

FRAMES, FPS = 10, 25.0
MISSED = 4
"""A frame in which nobody was found."""

FIRST_OF_SECOND = 6
"""Frame in which the second person comes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    frames = [bright_frame(i, (WIDTH, HEIGHT)) for i in range(FRAMES)]
    write_clip(folder / "v.mp4", frames, size=(WIDTH, HEIGHT))
    Image.new("RGB", (WIDTH, HEIGHT), (0, 90, 0)).save(folder / "photo.png")
    return folder


@pytest.fixture(scope="module")
def arrays(folder):
    """Somebody walks through a video, missed once; a second comes late; there is a photo too."""
    frames = [x for x in range(FRAMES) if x != MISSED] + list(range(FIRST_OF_SECOND, FRAMES))
    order = np.argsort(frames, kind="stable")
    names = [f"{folder.as_posix()}/v.mp4/{frames[x]:06d}" for x in order]
    everything = [f"{folder.as_posix()}/v.mp4/{x:06d}" for x in range(FRAMES)]
    photo = (folder / "photo.png").as_posix()
    arrays = people_arrays([*names, photo], statuses=dict.fromkeys([*everything, photo], "ok"))
    rng = np.random.default_rng(0)
    arrays["pose"][:] += rng.normal(scale=0.3, size=arrays["pose"].shape)
    arrays["betas"][:] = 0.5
    arrays["track_id"][:-1] = (order >= FRAMES - 1).astype(int)
    arrays["cam_t"][:-1, 0] = 0.1 * np.array(frames)[order] - 0.5
    pose, betas = (torch.from_numpy(arrays[name]) for name in ("pose", "betas"))
    posed = BodyLayer(load_body())(aa_to_rotmat(pose.unflatten(1, (-1, 3))), betas)
    arrays["joints3d"] = posed.joints.numpy()
    meta = json.loads(str(arrays["meta"])) | {
        "sequences": {f"{folder.as_posix()}/v.mp4": {"fps": FPS, "every": 1}}
    }
    return arrays | {"meta": np.array(json.dumps(meta))}


def files_of(arrays, out, *, style="mesh", mesh_format="glb", overwrite=False):
    names = arrays["status_imgname"].tolist()
    sequences = list(json.loads(str(arrays["meta"]))["sequences"])
    joined = sequences if mesh_format == "glb" else ()
    return SequenceFiles(
        arrays=arrays,
        body=load_body(),
        drawings=Drawings(out / "drawn", names, later=sequences, joined=sequences),
        meshes=Drawings(
            out / "meshes",
            names,
            f".{mesh_format}",
            later=sequences,
            joined=joined,
            joined_suffix=".glb",
        ),
        motions=Drawings(
            out / "bvh", names, "", later=sequences, joined=sequences, joined_suffix=""
        ),
        style=style,
        read=FrameReader(every=1).read,
        overwrite=overwrite,
        progress=no_progress,
    )


@pytest.fixture(scope="module")
def out(arrays, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, files_of(arrays, out).write()


def placed(arrays, row):
    return (arrays["joints3d"][row] + arrays["cam_t"][row]) * [1, -1, -1]


def row_of(arrays, frame, track):
    is_frame = np.char.endswith(arrays["imgname"], f"/{frame:06d}")
    return int(np.flatnonzero(is_frame & (arrays["track_id"] == track))[0])


def test_a_video_becomes_a_video_of_all_frames(out):
    folder, written = out

    assert written.overlays == (folder / "drawn" / "v.mp4",)
    with Video(written.overlays[0]) as video:
        frames = list(video.frames())
        assert (len(frames), video.fps) == (FRAMES, FPS)
        assert frames[0].pixels.shape == (HEIGHT, WIDTH + min(WIDTH, HEIGHT), 3)


def test_nobody_stands_in_the_frame_in_which_nobody_was_found(out):
    with Video(out[1].overlays[0]) as video:
        with_body, without = (video.frame(x).pixels.astype(int) for x in (MISSED - 1, MISSED))

    change = np.abs(without[:, :WIDTH] - bright_frame(MISSED, (WIDTH, HEIGHT)))
    assert change[:, WIDTH // 2 :].mean() < 9
    assert np.ptp(with_body[:, WIDTH // 3 + 8 : WIDTH], axis=(0, 1)).max() > 60


def test_each_track_has_its_colour_in_every_frame(out, arrays):
    with Video(out[1].overlays[0]) as video:
        frames = [frame.pixels[:, :WIDTH].astype(int) for frame in video.frames()]

    blue, orange = colours_of([0, 1]).astype(int)
    for number, frame in enumerate(frames):
        grey = frame.max(axis=-1) - frame.min(axis=-1) < 25
        bluish = (frame[..., 2] - frame[..., 0] > 30) & ~grey
        assert (bluish.sum() > 100) == (number != MISSED), number
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]


def test_an_animation_poses_joints_as_they_are_in_each_frame(out, arrays):
    glb = Glb(out[1].meshes[0].read_bytes())

    for frame, track in ((0, 0), (MISSED + 1, 0), (FRAMES - 1, 0), (FIRST_OF_SECOND, 1)):
        skin = glb.document["skins"][track]
        pose_at(glb, frame / FPS)
        found = np.stack([glb.place_of(joint)[:3, 3] for joint in skin["joints"]])
        assert found == pytest.approx(placed(arrays, row_of(arrays, frame, track)), abs=1e-4)


def pose_at(glb, seconds):
    """Set the nodes as players do that follow the specification: linear between two keys."""
    (animation,) = glb.document["animations"]
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        times, values = glb.array(sampler["input"])[:, 0], glb.array(sampler["output"])
        if sampler["interpolation"] == "STEP":
            value = values[max(0, np.searchsorted(times, seconds + 1e-6) - 1)]
        else:
            value = np.array([np.interp(seconds, times, column) for column in values.T])
        node = glb.document["nodes"][channel["target"]["node"]]
        node[channel["target"]["path"]] = value.tolist()


def test_who_is_not_there_yet_has_no_size(out):
    glb = Glb(out[1].meshes[0].read_bytes())
    root = glb.document["skins"][1]["joints"][0]

    sizes = []
    for frame in (0, FIRST_OF_SECOND - 1, FIRST_OF_SECOND, FRAMES - 1):
        pose_at(glb, frame / FPS)
        sizes.append(glb.document["nodes"][root]["scale"][0])

    assert sizes == [0, 0, 1, 1]


def test_an_animation_names_tracks_and_lasts_as_long_as_the_video(out):
    glb = Glb(out[1].meshes[0].read_bytes())
    (animation,) = glb.document["animations"]

    ends = [glb.array(sampler["input"]).max() for sampler in animation["samplers"]]
    assert [node["name"] for node in bodies_of(glb)] == ["track_0", "track_1"]
    assert max(ends) == pytest.approx((FRAMES - 1) / FPS)
    assert animation["extras"] == {"fps": FPS}


def test_every_track_and_every_person_of_a_photo_has_a_bvh(out, arrays):
    folder, written = out

    names = [path.relative_to(folder / "bvh").as_posix() for path in written.motions]
    assert names == ["v-track_0.bvh", "v-track_1.bvh", "photo-person_0.bvh"]
    first, second, photo = (Bvh(path.read_bytes()) for path in written.motions)
    assert [len(x.values) for x in (first, second, photo)] == [FRAMES, FRAMES - FIRST_OF_SECOND, 1]
    assert first.frame_time == pytest.approx(1 / FPS)


def test_a_bvh_has_the_joints_where_they_are_and_bridges_the_missed_frame(out, arrays):
    bvh = Bvh(out[1].motions[0].read_bytes())

    for frame in (0, 3, MISSED + 1, FRAMES - 1):
        ours = 100 * placed(arrays, row_of(arrays, frame, 0))
        assert np.stack(list(bvh.joints(frame).values())) == pytest.approx(
            ours[[joint_index(name) for name in bvh.names]], abs=0.1
        )
    pelvis = [bvh.joints(frame)["pelvis"] for frame in (MISSED - 1, MISSED, MISSED + 1)]
    assert pelvis[1] == pytest.approx((pelvis[0] + pelvis[2]) / 2, abs=0.01)


def joint_index(name):
    from smplcli.conventions import SMPL_JOINTS

    return SMPL_JOINTS.index(name)


def test_surfaces_of_a_video_are_a_file_for_each_frame(arrays, tmp_path):
    files = files_of(arrays, tmp_path, mesh_format="obj")._replace(drawings=None, motions=None)

    written = files.write()

    assert [path.name for path in written.meshes[:2]] == ["v-000000.obj", "v-000001.obj"]
    assert len(written.meshes) == FRAMES - 1
    objects = Counter(path.read_text().count("\no ") for path in written.meshes)
    assert objects == {1: FIRST_OF_SECOND - 1, 2: FRAMES - FIRST_OF_SECOND}


def test_numbered_pictures_are_drawn_each_on_its_own(arrays, tmp_path):
    for number in (1, 2):
        Image.new("RGB", (WIDTH, HEIGHT), (60, 60, 60)).save(tmp_path / f"{number}.png")
    names = [(tmp_path / f"{number}.png").as_posix() for number in (1, 2)]
    numbered = people_arrays(names)
    numbered["track_id"][:] = 1
    sequence = (tmp_path / "*.png").as_posix()
    meta = json.loads(str(numbered["meta"])) | {"sequences": {sequence: {"fps": 30.0}}}
    numbered["meta"] = np.array(json.dumps(meta))
    files = files_of(numbered, tmp_path, style="skeleton")
    drawings = Drawings(tmp_path / "drawn", names, later=[sequence])

    written = files._replace(drawings=drawings, meshes=None).write()

    assert [path.name for path in written.overlays] == ["1.jpg", "2.jpg"]
    picture = read_image(written.overlays[0], orientation="stored").astype(int)
    assert (picture[:, :WIDTH, 2] - picture[:, :WIDTH, 0] > 40).sum() > 20  # in the first colour
    assert [path.name for path in written.motions] == [f"{tmp_path.name}-track_1.bvh"]


def test_what_is_there_is_kept(arrays, tmp_path):
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "v.mp4").write_text("precious")

    with pytest.raises(OutputExistsError):
        files_of(arrays, tmp_path).write()
    assert (tmp_path / "drawn" / "v.mp4").read_text() == "precious"


def test_a_broken_video_and_a_photo_of_its_name_have_files_of_their_own():
    names = ["a/v.mp4/000000", "a/v.mp4", "a/v.png", "b/w.mp4/000000"]
    sequences = ["a/v.mp4", "b/w.mp4"]

    files = Drawings(
        Path("o"), names, ".glb", later=sequences, joined=sequences, joined_suffix=".glb"
    )

    assert files.of_sequence("b/w.mp4") == Path("o/w.glb")
    assert len(set(files)) == len(list(files)) == 3
    assert files.of_sequence("a/v.mp4") != files[2]
