import json

import numpy as np
import pytest
from PIL import Image

from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.exif import FILM_DIAGONAL
from smplcli.files import asset
from smplcli.workflows.lenses import Lens, Lenses, read_intrinsics
from smplcli.workflows.people import UNREADABLE
from smplcli.workflows.predict import predict

MATRIX = [[900.0, 0.0, 250.0], [0.0, 900.0, 240.0], [0.0, 0.0, 1.0]]
OTHER = [[500.0, 0.0, 10.0], [0.0, 500.0, 20.0], [0.0, 0.0, 1.0]]
SIZE = (512, 512)


def written(folder, kind, content):
    path = folder / f"cameras.{kind}"
    if kind == "npz":
        np.savez(path, **content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("json", MATRIX),
        ("npz", {"K": np.array(MATRIX)}),
        ("txt", "900 0 250\n0 900 240\n0 0 1\n"),
        ("txt", "900, 0, 250\n0, 900, 240\n\n0, 0, 1"),
    ],
)
def test_one_matrix_is_that_of_all_pictures(kind, content, tmp_path):
    lenses = Lenses(intrinsics=written(tmp_path, kind, content))

    assert lenses.of("any/photo.jpg", SIZE) == Lens(900, (250, 240))


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("json", {"a/1.jpg": MATRIX, "clip.mp4": OTHER}),
        ("npz", {"K": np.array([MATRIX, OTHER]), "imgname": np.array(["a/1.jpg", "clip.mp4"])}),
    ],
)
def test_matrices_are_found_by_the_ends_of_names(kind, content, tmp_path):
    lenses = Lenses(intrinsics=written(tmp_path, kind, content))

    assert lenses.of("/photos/a/1.jpg", SIZE) == Lens(900, (250, 240))
    assert lenses.of("films/clip.mp4/000012", SIZE) == Lens(500, (10, 20))
    with pytest.raises(UnreadableFileError, match=r"no camera matrix in .* for: b/1\.jpg"):
        lenses.of("b/1.jpg", SIZE)


@pytest.mark.parametrize(
    ("kind", "content", "problem"),
    [
        ("json", {}, "holds no camera matrix"),
        ("json", [[1, 2], [3]], "three rows of three"),
        ("json", {"a.jpg": [[1, 2, 3]] * 2}, r"a\.jpg: not three rows"),
        ("json", [["x"] * 3] * 3, "three rows of three"),
        ("json", [[float("nan")] * 3] * 3, "three rows of three"),
        ("json", [[-900, 0, 1], [0, 900, 1], [0, 0, 1]], "not a camera matrix"),
        ("json", [[900, 0, 1], [0, 900, 1], [0, 0, 2]], "not a camera matrix"),
        ("json", [[900, 0, 1], [0, 600, 1], [0, 0, 1]], "not square"),
        ("json", "{", "not a JSON file"),
        ("npz", {"camera": np.eye(3)}, "lacks K"),
        ("npz", {"K": np.array([MATRIX])}, "do not fit together"),
        ("txt", "900 0 250\n0 900", "three rows of three"),
    ],
)
def test_what_is_no_camera_is_refused_with_the_name_of_the_file(kind, content, problem, tmp_path):
    path = written(tmp_path, kind, content)

    with pytest.raises(UnreadableFileError, match=problem) as error:
        read_intrinsics(path)
    assert str(path) in error.value.message


def test_missing_and_unknown_files_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="not found"):
        read_intrinsics(tmp_path / "none.json")
    with pytest.raises(ConfigError, match=r"\.json, \.npz, \.txt"):
        read_intrinsics(tmp_path / "cameras.yaml")
    with pytest.raises(ConfigError, match="exclude each other"):
        Lenses(900.0, written(tmp_path, "json", MATRIX))


@pytest.fixture
def photos(tmp_path):
    """The same person, once with a camera that says what its lens is."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = Image.open(asset("photos") / "astronaut.png").convert("RGB")
    exif = Image.Exif()
    exif[274] = 1
    exif.get_ifd(0x8769)[0xA405] = 70
    photo.save(folder / "said.png", exif=exif)
    photo.save(folder / "unsaid.png")
    return folder


def test_exif_lens_moves_people_and_keeps_their_projection(photos):
    rows = predict(photos).arrays
    focal, diagonal = rows["focal_length"], np.hypot(*SIZE)

    placed = rows["joints3d"] + rows["cam_t"][:, None]
    seen = focal[:, None, None] * placed[..., :2] / placed[..., 2:]
    pixels = seen + rows["principal_point"][:, None]

    assert focal == pytest.approx([diagonal * 70 / FILM_DIAGONAL, diagonal])
    np.testing.assert_allclose(pixels, rows["joints2d"], atol=0.01)
    # A longer lens: the person is further away by as much, and as large in the picture.
    assert rows["cam_t"][0, 2] / rows["cam_t"][1, 2] == pytest.approx(focal[0] / focal[1], rel=0.1)
    assert np.abs(rows["joints2d"][0] - rows["joints2d"][1]).mean() < 0.05 * SIZE[0]
    assert "Exif" in json.loads(str(rows["meta"]))["focal_length"]


def test_given_cameras_win_over_what_pictures_say(photos):
    path = written(photos.parent, "json", {"said.png": MATRIX})

    report = predict(photos, intrinsics=path)

    assert report.arrays["focal_length"].tolist() == [900]
    assert report.arrays["principal_point"].tolist() == [[250, 240]]
    assert (
        json.loads(str(report.arrays["meta"]))["focal_length"] == "pixels, given by cameras.json"
    )
    (failed,) = report.failed
    assert failed.status == UNREADABLE
    assert "unsaid.png" in failed.detail
