"""Prediction from end to end, with a network that has learned nothing yet."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer
from smplcli.errors import (
    ConfigError,
    MissingFileError,
    OutputExistsError,
    ResourceError,
    ShapeError,
    UnreadableFileError,
)
from smplcli.files import asset, sha256_of
from smplcli.images import read_image
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from smplcli.rotations import aa_to_rotmat
from smplcli.workflows.people import PERSON_FIELDS
from smplcli.workflows.predict import predict

TINY = ModelConfig(
    backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8, keypoints=8
)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    save_network(path, build_network(TINY), {})
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A person, nobody, the same person lying on the side, no picture, half a picture."""
    folder = tmp_path_factory.mktemp("photos")
    astronaut = Image.open(asset("photos") / "astronaut.png").crop((0, 0, 480, 512))
    astronaut.save(folder / "p1.png")
    Image.new("RGB", (80, 60), "green").save(folder / "p2.webp")
    exif = Image.Exif()
    exif[0x0112] = 6
    astronaut.rotate(90, expand=True).save(folder / "p10.png", exif=exif)
    (folder / "text.jpg").write_text("I am text")
    (folder / "cut.png").write_bytes((folder / "p1.png").read_bytes()[:9000])
    return folder


@pytest.fixture(scope="module")
def predicted(photos, network, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "new" / "preds.npz"
    folders = {"overlay_dir": out.parent / "drawn", "mesh_dir": out.parent / "meshes"}
    report = predict([photos], out, network=network, table_format="csv", **folders)
    return report, dict(np.load(out, allow_pickle=False))


def test_every_picture_has_its_status_in_order(predicted, photos):
    report, arrays = predicted

    names = [name.removeprefix(f"{photos.as_posix()}/") for name in arrays["status_imgname"]]
    assert dict(zip(names, arrays["status"].tolist(), strict=True)) == {
        "cut.png": "unreadable",
        "p1.png": "ok",
        "p2.webp": "no person",
        "p10.png": "ok",
        "text.jpg": "unreadable",
    }
    assert names == ["cut.png", "p1.png", "p2.webp", "p10.png", "text.jpg"]
    assert "not a picture" in arrays["status_detail"][4]
    assert report.counts == {"ok": 2, "no person": 1, "unreadable": 2}
    assert not report.is_complete


def test_rows_have_the_promised_shapes_and_kinds(predicted):
    _, arrays = predicted

    assert set(arrays) == {*PERSON_FIELDS, "meta", "status_imgname", "status", "status_detail"}
    for name, (shape, kind) in PERSON_FIELDS.items():
        assert arrays[name].shape == (2, *shape)
        assert arrays[name].dtype.kind == np.dtype(kind).kind
        assert name == "imgname" or np.isfinite(arrays[name]).all()


def test_rows_keep_the_order_of_the_pictures(predicted):
    _, arrays = predicted

    assert [name.rsplit("/")[-1] for name in arrays["imgname"]] == ["p1.png", "p10.png"]
    assert arrays["person_id"].tolist() == [0, 0]


def test_pictures_are_seen_as_displayed(predicted):
    _, arrays = predicted

    assert (arrays["bbox"][0] == arrays["bbox"][1]).all()
    assert (arrays["joints2d"][0] == arrays["joints2d"][1]).all()


def test_crops_and_camera_follow_from_box_and_picture(predicted):
    _, arrays = predicted
    low, high = arrays["bbox"][:, :2], arrays["bbox"][:, 2:]

    assert arrays["center"] == pytest.approx((low + high) / 2, abs=1e-3)
    assert 200 * arrays["scale"] == pytest.approx(1.2 * (high - low).max(axis=1), rel=1e-5)
    assert arrays["img_size"].tolist() == [[480, 512], [480, 512]]
    assert arrays["focal_length"] == pytest.approx(np.hypot(*arrays["img_size"].T))


def test_joints_are_those_of_pose_and_shape_seen_by_the_camera(predicted):
    _, arrays = predicted
    rotmat = aa_to_rotmat(torch.from_numpy(arrays["pose"]).view(-1, 24, 3))
    joints = BodyLayer(load_body())(rotmat, torch.from_numpy(arrays["betas"])).joints.numpy()
    placed = joints + arrays["cam_t"][:, None]
    seen = arrays["focal_length"][:, None, None] * placed[..., :2] / placed[..., 2:]

    assert arrays["joints3d"] == pytest.approx(joints, abs=1e-4)
    assert arrays["joints2d"] == pytest.approx(seen + arrays["principal_point"][:, None], abs=0.05)


def test_meta_says_what_made_the_numbers_and_what_they_mean(predicted, network):
    report, arrays = predicted
    meta = json.loads(str(arrays["meta"]))

    assert meta["network"]["sha256"] == sha256_of(network) == report.network_sha256
    assert meta["body"]["sha256"] == report.body_sha256 == load_body().sha256
    assert meta["joint_set"] == "smpl24"
    assert meta["joints"][0] == "pelvis"
    assert {"smplcli", "axes", "pixels", "cam_t", "joints3d"} <= set(meta)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_meta_says_what_network_and_detector_computed_in(network, precision):
    report = predict(asset("photos") / "astronaut.png", network=network, precision=precision)

    meta = json.loads(str(report.arrays["meta"]))
    assert (meta["precision"], meta["detector_precision"]) == (precision, precision)


def test_pictures_with_people_are_drawn(predicted):
    report, _ = predicted

    assert [path.name for path in report.overlays] == ["p1.jpg", "p10.jpg"]
    assert read_image(report.overlays[0], orientation="stored").shape == (512, 960, 3)


def test_rows_are_written_as_text_beside_the_file(predicted):
    report, arrays = predicted

    lines = report.out.with_suffix(".csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["imgname", *arrays["imgname"]]


def test_pictures_with_people_have_mesh_files(predicted):
    report, _ = predicted

    assert [path.name for path in report.meshes] == ["p1.glb", "p10.glb"]
    assert report.meshes[0].read_bytes().startswith(b"glTF")


def test_the_report_is_json(predicted):
    report, _ = predicted

    assert json.loads(json.dumps(report.to_dict()))["num_people"] == 2


def test_the_same_pictures_give_the_same_bytes(photos, network, tmp_path):
    for name in ("a.npz", "b.npz"):
        predict([photos / "p10.png"], tmp_path / name, network=network)

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_nobody_anywhere_is_a_file_without_rows(photos, network, tmp_path):
    report = predict([photos / "p2.webp"], tmp_path / "p.npz", network=network)

    arrays = np.load(tmp_path / "p.npz", allow_pickle=False)
    assert arrays["pose"].shape == (0, 72)
    assert arrays["status"].tolist() == ["no person"]
    assert report.is_complete


def test_a_whole_picture_is_one_person(photos, network, tmp_path):
    inputs = [photos / "p1.png", photos / "p2.webp"]

    report = predict(inputs, tmp_path / "p.npz", network=network, whole_image=True)

    bbox = np.load(tmp_path / "p.npz")["bbox"]
    assert bbox.tolist() == [[-0.5, -0.5, 479.5, 511.5], [-0.5, -0.5, 79.5, 59.5]]
    assert report.num_placed_by_keypoints == 1


def test_no_more_people_are_detected_than_asked_for(network, tmp_path):
    street = asset("photos") / "street.jpg"

    everybody = predict(street, network=network).arrays
    two = predict(street, network=network, max_people=2).arrays

    assert len(everybody["score"]) > 2
    assert two["score"].tolist() == sorted(everybody["score"].tolist(), reverse=True)[:2]


def test_a_given_focal_length_is_used_and_said_to_be_given(photos, network, tmp_path):
    report = predict(photos / "p1.png", network=network, focal_length=1400.0, overlay_dir=tmp_path)

    rows = report.arrays
    placed = rows["joints3d"] + rows["cam_t"][:, None]
    pixels = 1400 * placed[..., :2] / placed[..., 2:] + rows["principal_point"][:, None]
    assert rows["focal_length"].tolist() == [1400]
    assert rows["joints2d"] == pytest.approx(pixels, abs=0.1)
    assert json.loads(str(rows["meta"]))["focal_length"] == "pixels, given"


def test_many_given_boxes_are_all_estimated_and_drawn_together(photos, network, tmp_path):
    rows = [f"p1.png,{x},{y},{x + 90},{y + 120}" for x in range(0, 360, 60) for y in range(6)]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("\n".join(["imgname,x1,y1,x2,y2", *rows, "other.png,0,0,9,9"]))

    report = predict(
        [photos / "p1.png", photos / "p10.png"],
        tmp_path / "p.npz",
        network=network,
        boxes=boxes,
        overlay_dir=tmp_path / "drawn",
    )

    arrays = np.load(tmp_path / "p.npz")
    assert arrays["person_id"].tolist() == list(range(36))
    assert arrays["bbox"][-1].tolist() == [300, 5, 390, 125]
    assert arrays["status"].tolist() == ["ok", "no person"]
    assert (report.num_unused_boxes, len(report.overlays)) == (1, 1)


def test_a_box_outside_its_picture_spoils_that_picture_only(photos, network, tmp_path):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("imgname,x1,y1,x2,y2\np1.png,600,0,700,90\np10.png,9,9,99,99\n")

    report = predict(
        [photos / "p1.png", photos / "p10.png"], tmp_path / "p.npz", network=network, boxes=boxes
    )

    assert np.load(tmp_path / "p.npz")["status"].tolist() == ["bad box", "ok"]
    assert "boxes.csv, line 2" in report.failed[0].detail
    assert not report.is_complete


@pytest.mark.parametrize("bad", ["600,0,700,90", "5,0,5,90", "20,20,21.5,90"])
def test_a_bad_box_costs_nobody_else_in_the_picture(photos, network, tmp_path, bad):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(f"imgname,x1,y1,x2,y2\np1.png,{bad}\np1.png,9,9,99,99\n")

    report = predict([photos / "p1.png"], network=network, boxes=boxes)

    assert report.arrays["bbox"].tolist() == [[9, 9, 99, 99]]
    assert report.arrays["status"].tolist() == ["ok"]
    assert "boxes.csv, line 2" in report.failed[0].detail
    assert not report.is_complete


def test_bad_boxes_stop_everything_before_the_work(photos, network, tmp_path):
    (tmp_path / "boxes.csv").write_text("imgname,x1,y1,x2,y2\np1.png,5,0,4,90\n")

    with pytest.raises(UnreadableFileError, match="line 2"):
        predict([photos], tmp_path / "p.npz", network=network, boxes=tmp_path / "boxes.csv")
    assert not (tmp_path / "p.npz").exists()


def must_not_start(items, label):
    raise AssertionError(f"{label} started")


@pytest.mark.parametrize("name", ["p.npz", "p.jsonl", "drawn/p1.jpg", "drawn/p1.ply"])
def test_what_is_there_is_kept_and_found_before_the_work(photos, network, tmp_path, name):
    (tmp_path / "drawn").mkdir()
    (tmp_path / name).write_text("precious")

    with pytest.raises(OutputExistsError, match=name):
        predict(
            [photos],
            tmp_path / "p.npz",
            network=network,
            overlay_dir=tmp_path / "drawn",
            mesh_dir=tmp_path / "drawn",
            mesh_format="ply",
            table_format="jsonl",
            progress=must_not_start,
        )
    assert (tmp_path / name).read_text() == "precious"


def test_what_is_there_is_replaced_on_request(photos, network, tmp_path):
    (tmp_path / "p.npz").write_text("old")

    predict([photos / "p2.webp"], tmp_path / "p.npz", network=network, overwrite=True)

    assert np.load(tmp_path / "p.npz")["status"].tolist() == ["no person"]


def test_drawings_never_replace_photos(network, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.jpg")
    photo = (tmp_path / "a.jpg").read_bytes()

    with pytest.raises(ConfigError, match="output is an input"):
        predict(
            [tmp_path],
            tmp_path / "p.npz",
            network=network,
            overlay_dir=tmp_path,
            overwrite=True,
        )
    assert (tmp_path / "a.jpg").read_bytes() == photo


def test_a_folder_that_cannot_be_written_in_is_found_before_the_work(photos, network, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ResourceError, match="cannot write"):
        predict([photos], tmp_path / "file" / "p.npz", network=network, progress=must_not_start)


def interrupted(items, label):
    yield next(iter(items))
    raise KeyboardInterrupt


def test_an_interruption_leaves_nothing_half_written(photos, network, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        predict([photos], tmp_path / "p.npz", network=network, progress=interrupted)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"out": "p.txt"}, (ConfigError, r"\.npz, not: ")),
        ({"whole_image": True, "boxes": "b.csv"}, (ConfigError, "exclude each other")),
        ({"min_score": 2.0}, (ConfigError, r"in 0\.\.1, got 2")),
        ({"max_people": 0}, (ConfigError, "max_people must be positive")),
        ({"focal_length": float("nan")}, (ConfigError, "focal_length must be")),
        ({"network": "none.safetensors"}, (MissingFileError, "none.safetensors")),
        ({"body": "none.pkl"}, (MissingFileError, "none.pkl")),
        ({"boxes": "none.csv"}, (MissingFileError, "none.csv")),
    ],
)
def test_wrong_arguments_are_named_and_leave_nothing(photos, network, tmp_path, wrong, expected):
    paths = ("out", "network", "body", "boxes")
    given = {"out": "p.npz", "network": network} | wrong
    given |= {name: tmp_path / given[name] for name in paths if name in given}

    with pytest.raises(expected[0], match=expected[1]):
        predict([photos], **given)
    assert list(tmp_path.iterdir()) == []


def test_arrays_give_what_their_files_give(photos, network, tmp_path):
    pixels = read_image(photos / "p1.png", orientation="displayed")

    by_path = predict(str(photos / "p1.png"), network=network).arrays
    by_array = predict(pixels, network=network, mesh_dir=tmp_path)

    names = {"imgname", "status_imgname"}
    assert by_array.arrays["imgname"].tolist() == ["image_00000"]
    assert [path.name for path in by_array.meshes] == ["image_00000.glb"]
    assert all((by_array.arrays[x] == by_path[x]).all() for x in set(by_path) - names)


def test_what_is_returned_is_what_is_written(predicted):
    report, arrays = predicted

    assert set(report.arrays) == set(arrays)
    assert all((report.arrays[name] == arrays[name]).all() for name in arrays)


@pytest.mark.parametrize(
    "wrong", [np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8)]
)
def test_arrays_that_are_no_pictures_are_refused(network, wrong):
    with pytest.raises(ShapeError, match="uint8"):
        predict([wrong], network=network)


def test_paths_and_arrays_do_not_mix(network):
    with pytest.raises(ConfigError, match="not as both"):
        predict(["a.png", np.zeros((9, 9, 3), np.uint8)], network=network)


def test_a_table_needs_a_file_to_be_beside(photos, network):
    with pytest.raises(ConfigError, match="no file"):
        predict([photos], network=network, table_format="csv")


def test_paths_may_be_texts(photos, network, tmp_path):
    out = tmp_path / "p.npz"

    report = predict(
        str(photos / "p1.png"), str(out), network=str(network), average=[str(network)]
    )

    assert report.out == out
    assert out.is_file()
