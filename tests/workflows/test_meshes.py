"""Mesh files, read byte by byte as their specifications say, by nothing of ours."""

import json
import struct

import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer
from smplcli.conventions import SMPL_JOINTS
from smplcli.errors import OutputExistsError
from smplcli.files import write_npz
from smplcli.rendering.gltf import PhotoCamera, Rig, rigged_glb
from smplcli.workflows.meshes import write_meshes
from smplcli.workflows.people import posed_vertices, read_people
from tests.predicted import FOCAL, HEIGHT, WIDTH, people_arrays

KINDS = {5121: "u1", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two people of one picture and one of another, in all sorts of poses and shapes."""
    arrays = people_arrays(["a b.png", "a b.png", "c.png"])
    rng = np.random.default_rng(0)
    arrays["pose"] = rng.normal(scale=0.5, size=(3, 72)).astype(np.float32)
    arrays["betas"] = rng.normal(size=(3, 10)).astype(np.float32)
    path = tmp_path_factory.mktemp("preds") / "preds.npz"
    write_npz(path, arrays)
    return read_people(path)


def written(people, folder, suffix):
    files = {"a b.png": folder / f"a b{suffix}", "c.png": folder / f"c{suffix}"}
    assert write_meshes(people, load_body(), files, overwrite=False) == list(files.values())
    return files["a b.png"].read_bytes()


def expected_vertices(people):
    """Both people of the first picture in axes with y up and z towards the viewer."""
    return posed_vertices(people, [0, 1], BodyLayer(load_body())) * [1, -1, -1]


class Glb:
    def __init__(self, content):
        magic, version, length = struct.unpack_from("<4sII", content)
        assert (magic, version, length) == (b"glTF", 2, len(content))
        size, kind = struct.unpack_from("<I4s", content, 12)
        assert (kind, size % 4) == (b"JSON", 0)
        self.document = json.loads(content[20 : 20 + size])
        rest = content[20 + size :]
        assert not rest or struct.unpack_from("<I4s", rest) == (len(rest) - 8, b"BIN\0")
        self.binary = rest[8:]

    def array(self, index):
        accessor = self.document["accessors"][index]
        view = self.document["bufferViews"][accessor["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= len(self.binary)
        kind, width = np.dtype(KINDS[accessor["componentType"]]), WIDTHS[accessor["type"]]
        assert view["byteLength"] == accessor["count"] * width * kind.itemsize
        flat = np.frombuffer(self.binary, kind, accessor["count"] * width, view["byteOffset"])
        return flat.reshape(-1, width)

    def skinned(self, node, *, correction=1.0):
        """Vertices as a program shows them that follows the specification."""
        mesh = self.document["meshes"][node["mesh"]]["primitives"][0]
        skin = self.document["skins"][node["skin"]]
        points = self.array(mesh["attributes"]["POSITION"])
        points = points + correction * self.array(mesh["targets"][0]["POSITION"])
        bind = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        matrices = np.stack([self.place_of(joint) for joint in skin["joints"]]) @ bind
        bones = matrices[self.array(mesh["attributes"]["JOINTS_0"])]
        weights = self.array(mesh["attributes"]["WEIGHTS_0"])
        assert weights.sum(axis=1) == pytest.approx(1, abs=1e-6)
        blended = np.einsum("vk,vkij->vij", weights, bones)
        return np.einsum("vij,vj->vi", blended[:, :3, :3], points) + blended[:, :3, 3]

    def place_of(self, index):
        nodes = self.document["nodes"]
        node, own = nodes[index], np.eye(4)
        x, y, z, w = node["rotation"]
        own[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        own[:3, 3] = node["translation"]
        parent = next((i for i, n in enumerate(nodes) if index in n.get("children", ())), None)
        return own if parent is None else self.place_of(parent) @ own


@pytest.fixture(scope="module")
def glb(people, tmp_path_factory):
    return Glb(written(people, tmp_path_factory.mktemp("glb"), ".glb"))


def bodies_of(glb):
    return [node for node in glb.document["nodes"] if "mesh" in node]


def test_a_glb_opens_in_the_predicted_poses_to_a_hundredth_of_a_millimetre(glb, people):
    skinned = np.stack([glb.skinned(node) for node in bodies_of(glb)])

    assert skinned == pytest.approx(expected_vertices(people), abs=1e-5)


def test_without_its_correction_a_glb_is_plain_linear_blend_skinning(glb, people):
    body = load_body()
    plain = type(body)(
        **{name: getattr(body, name) for name in body.__slots__} | {"posedirs": 0 * body.posedirs}
    )

    skinned = glb.skinned(bodies_of(glb)[0], correction=0.0)
    expected = posed_vertices(people, [0], BodyLayer(plain))[0] * [1, -1, -1]
    assert skinned == pytest.approx(expected, abs=1e-5)


def test_a_glb_names_people_and_joints(glb):
    nodes = glb.document["nodes"]
    skin = glb.document["skins"][0]

    assert [node["name"] for node in bodies_of(glb)] == ["person_0", "person_1"]
    assert tuple(nodes[joint]["name"] for joint in skin["joints"]) == SMPL_JOINTS
    assert glb.document["meshes"][0]["extras"]["targetNames"] == ["pose_correction"]


def test_the_camera_of_a_glb_frames_the_photo(glb):
    lens = glb.document["cameras"][0]["perspective"]

    assert np.tan(lens["yfov"] / 2) == pytest.approx(HEIGHT / 2 / FOCAL)
    assert lens["aspectRatio"] == pytest.approx(WIDTH / HEIGHT)


def test_positions_state_their_bounds(glb):
    for accessor, item in enumerate(glb.document["accessors"]):
        if "min" in item:
            assert glb.array(accessor).min(axis=0).tolist() == item["min"]
            assert glb.array(accessor).max(axis=0).tolist() == item["max"]


def test_a_glb_of_nobody_is_a_camera_without_a_buffer():
    body = load_body()
    rig = Rig(body.faces, body.weights, body.parents)

    glb = Glb(rigged_glb([], rig, PhotoCamera(FOCAL, (WIDTH, HEIGHT))))

    assert "buffers" not in glb.document
    assert [node["name"] for node in glb.document["nodes"]] == ["photo_camera"]


def test_an_obj_has_an_object_for_each_person(people, tmp_path):
    lines = written(people, tmp_path, ".obj").decode().splitlines()

    values = {
        kind: np.array([line.split()[1:] for line in lines if line.startswith(f"{kind} ")], float)
        for kind in "vf"
    }
    faces = load_body().faces
    expected = expected_vertices(people)
    assert [line for line in lines if line.startswith("o ")] == ["o person_0", "o person_1"]
    assert values["v"].reshape(expected.shape) == pytest.approx(expected, abs=1e-5)
    assert (values["f"] == np.concatenate([faces, faces + expected.shape[1]]) + 1).all()


def test_a_ply_holds_everybody_each_in_a_colour(people, tmp_path):
    header, _, content = written(people, tmp_path, ".ply").partition(b"end_header\n")
    faces, expected = load_body().faces, expected_vertices(people)
    vertex, face = [("xyz", "<f4", 3), ("rgb", "u1", 3)], [("n", "u1"), ("abc", "<i4", 3)]

    vertices = np.frombuffer(content, vertex, expected.shape[0] * expected.shape[1])
    triangles = np.frombuffer(content, face, offset=vertices.nbytes)
    assert b"element vertex 13780\n" in header
    assert f"element face {len(triangles)}\n".encode() in header
    assert vertices["xyz"].reshape(expected.shape) == pytest.approx(expected, abs=1e-6)
    assert len(np.unique(vertices["rgb"], axis=0)) == 2
    assert set(triangles["n"].tolist()) == {3}
    assert (triangles["abc"][len(faces) :] == faces + expected.shape[1]).all()


def test_faces_point_outwards(people, tmp_path):
    expected, faces = expected_vertices(people)[0], load_body().faces
    a, b, c = (expected[faces[:, k]] for k in range(3))

    volume = np.einsum("fk,fk->", a, np.cross(b, c)) / 6

    assert 0.02 < volume < 0.3


def test_mesh_files_that_are_there_are_kept(people, tmp_path):
    (tmp_path / "a b.obj").write_text("precious")

    with pytest.raises(OutputExistsError):
        written(people, tmp_path, ".obj")
    assert (tmp_path / "a b.obj").read_text() == "precious"
