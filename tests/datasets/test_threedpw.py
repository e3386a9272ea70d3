import pickle
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer
from smplcli.conventions import OPENPOSE25_JOINTS, SMPL_JOINTS, SMPL_MIRROR, SPIN24_JOINTS
from smplcli.datasets.annotations import SequenceSize
from smplcli.datasets.label_checks import REFUSED
from smplcli.datasets.python2_pickle import python2_pickle
from smplcli.datasets.threedpw import read_3dpw
from smplcli.datasets.threedpw_labels import COCO18_JOINTS, Cameras, body_in_camera
from smplcli.datasets.threedpw_layout import UNLABELLED, SequencePlan, write_3dpw_layout
from smplcli.datasets.threedpw_sequences import OFFICIAL_SEQUENCES
from smplcli.errors import (
    ConfigError,
    MissingFileError,
    OutputExistsError,
    SmplCliError,
)
from smplcli.images import read_image
from smplcli.rendering.rasteriser import rasterise
from smplcli.rotations import aa_to_rotmat, mirror_rotmat, rotmat_to_aa
from tests.body.official import python2_dumps, random_body

PLANS = (
    SequencePlan("train", "courtyard_arguing_00", 2, 8),
    SequencePlan("validation", "courtyard_hug_00", 1, 1),
    SequencePlan("test", "downtown_bus_00", 1, 6),
)
TALK, WAIT = "train/courtyard_arguing_00.pkl", "test/downtown_bus_00.pkl"
SIZE = (180, 320)


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("3dpw")
    write_3dpw_layout(folder, plans=PLANS, image_size=SIZE)
    return folder


@pytest.fixture(scope="session")
def layer():
    return BodyLayer(load_body())


def load(path):
    return pickle.loads(path.read_bytes(), encoding="latin1")


def changed(tmp_path, root, file, change):
    """A copy of the data set in which a function has changed one sequence file's content."""
    copy = tmp_path / "3DPW"
    for path in (root / "sequenceFiles").rglob("*.pkl"):
        target = copy / path.relative_to(root)
        target.parent.mkdir(parents=True)
        target.write_bytes(path.read_bytes())
    (copy / "imageFiles").symlink_to(root / "imageFiles")
    content = load(copy / "sequenceFiles" / file)
    change(content)
    (copy / "sequenceFiles" / file).write_bytes(python2_pickle(content))
    return copy


def everyone(raw):
    return {(p.imgname, who.person_id): who for p in raw.pictures for who in p.people}


FRAME = 2
"""Pixels around a picture, where a body may be that half covers a pixel of the picture's edge."""


def silhouette(layer, picture, people=None):
    """Pixels that the labelled bodies cover, and those of a frame around the picture."""
    image = read_image(picture.path, orientation="raw")
    covered = np.zeros([side + 2 * FRAME for side in image.shape[:2]], bool)
    for person in people or picture.people:
        vertices = body(layer, person) + person.transl
        pixels = vertices @ picture.cam_int.T
        points = np.column_stack([pixels[:, :2] / pixels[:, 2:] + FRAME, vertices[:, 2]])
        fragments = rasterise(torch.from_numpy(points)[None].float(), layer.faces, covered.shape)
        covered |= fragments.face_index[0].numpy() >= 0
    return covered


def body(layer, person):
    full_pose = aa_to_rotmat(torch.from_numpy(person.pose).view(1, 24, 3))
    return layer(full_pose, torch.from_numpy(person.shape)[None]).vertices[0].numpy()


def misfit(covered, path):
    """Pixels by which a silhouette and the people before the known background differ most."""
    background = path.parents[1] / UNLABELLED / "image_00000.jpg"
    images = [read_image(each, orientation="raw").astype(int) for each in (path, background)]
    difference = np.abs(images[0] - images[1]).max(axis=2)
    may_be, must_be = difference > 12, difference > 35  # JPEG blurs colours
    inside = covered[FRAME:-FRAME, FRAME:-FRAME]
    return max(farthest(inside, may_be), farthest(np.pad(must_be, FRAME), covered))


def farthest(mask, other):
    """How many pixels ``mask`` reaches beyond ``other``."""
    distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_C, 3)
    return distance[mask].max(initial=0)


def test_labelled_bodies_cover_the_people_in_the_picture_within_a_pixel(root, layer):
    pictures = [
        picture
        for picture in read_3dpw(root).pictures
        if "arguing" not in picture.imgname or len(picture.people) == 2
    ]

    assert len(pictures) >= 8
    for picture in pictures:
        assert misfit(silhouette(layer, picture), picture.path) <= 1


def test_image_numbers_are_array_indices_and_not_frame_ids(root, layer):
    picture = read_3dpw(root, splits=["test"]).pictures[1]
    frame = int(picture.path.stem[-5:])
    number = load(root / "sequenceFiles" / WAIT)["img_frame_ids"][frame]
    naive = picture.path.with_name(f"image_{number:05d}.jpg")

    assert misfit(silhouette(layer, picture), picture.path) <= 1
    assert misfit(silhouette(layer, picture), naive) > 3


def test_left_stays_left(root, layer):
    picture = read_3dpw(root, splits=["test"]).pictures[0]
    (person,) = picture.people
    rotmat = aa_to_rotmat(torch.from_numpy(person.pose).view(24, 3))
    mirrored = mirror_rotmat(rotmat)[list(SMPL_MIRROR)]
    mirrored[0] = rotmat[0]
    swapped = person._replace(pose=rotmat_to_aa(mirrored).flatten().numpy())

    assert misfit(silhouette(layer, picture), picture.path) <= 1
    assert misfit(silhouette(layer, picture, [swapped]), picture.path) > 3


def test_keypoints_lie_on_the_joints_of_their_own_side(root, layer):
    near, far = [], []
    for picture in read_3dpw(root).pictures:
        for person in picture.people:
            full_pose = aa_to_rotmat(torch.from_numpy(person.pose).view(1, 24, 3))
            joints = layer(full_pose, torch.from_numpy(person.shape)[None]).joints[0].numpy()
            image = (joints + person.transl) @ picture.cam_int.T
            image = image[:, :2] / image[:, 2:]
            for name in ("elbow", "wrist", "knee", "ankle"):
                found = person.part[SPIN24_JOINTS.index(f"left_{name}")]
                same = person.openpose[OPENPOSE25_JOINTS.index(f"left_{name}")]
                np.testing.assert_array_equal(found, same)
                if found[2] > 0:
                    left, right = (
                        image[SMPL_JOINTS.index(f"{side}_{name}")] for side in ("left", "right")
                    )
                    near.append(np.linalg.norm(found[:2] - left))
                    far.append(np.linalg.norm(found[:2] - right))

    assert np.median(near) < 4
    assert np.median(far) > 10


def test_people_are_those_whose_camera_was_aligned(root):
    raw = read_3dpw(root)

    expected = {
        (f"{plan.name}/image_{frame:05d}.jpg", person)
        for plan in PLANS
        for person, valid in enumerate(
            load(root / "sequenceFiles" / plan.split / f"{plan.name}.pkl")["campose_valid"]
        )
        for frame in np.flatnonzero(valid)
    }
    assert set(everyone(raw)) == expected
    assert len(raw.dropped) == 2 * 8 + 1 + 6 - len(expected)
    assert {(drop.reason, drop.is_failure) for drop in raw.dropped} == {
        ("camera not aligned", False)
    }


def test_pictures_come_in_order_of_split_sequence_and_frame(root):
    raw = read_3dpw(root, splits=["test", "train"])

    assert [picture.split for picture in raw.pictures] == ["test"] * 5 + ["train"] * 8
    names = [picture.imgname for picture in raw.pictures]
    assert names == sorted(names[:5]) + sorted(names[5:])
    assert all(a.person_id < b.person_id for p in raw.pictures for a, b in pairwise(p.people))


def test_whole_sequences_are_told_whatever_is_kept_of_them(root):
    raw = read_3dpw(root, stride=5)

    assert raw.sequences == {
        "train": {"courtyard_arguing_00": SequenceSize(8, 2)},
        "validation": {"courtyard_hug_00": SequenceSize(1, 1)},
        "test": {"downtown_bus_00": SequenceSize(6, 1)},
    }


def test_stride_takes_every_so_many_frames_and_makes_counts_incomparable(root):
    all_frames = read_3dpw(root, splits=["train"])
    third = read_3dpw(root, splits=["train"], stride=3)

    assert [p.imgname[-9:-4] for p in third.pictures] == ["00000", "00003", "00006"]
    assert all_frames.published == {"train": 22735}
    assert third.published == {}


def test_body_under_a_rotated_root_needs_its_own_translation(root, layer):
    picture = read_3dpw(root, splits=["test"]).pictures[0]
    content = load(root / "sequenceFiles" / WAIT)
    world = content["cam_poses"][0] @ [*content["trans"][0][0], 1]
    naive = picture.people[0]._replace(transl=world[:3])

    assert misfit(silhouette(layer, picture), picture.path) <= 1
    assert misfit(silhouette(layer, picture, [naive]), picture.path) > 3


def test_shape_is_the_first_ten_of_300_numbers(root):
    content = load(root / "sequenceFiles" / TALK)
    people = everyone(read_3dpw(root, splits=["train"]))

    assert [len(betas) for betas in content["betas"]] == [300, 10]
    for (_, number), person in people.items():
        np.testing.assert_allclose(person.shape, content["betas"][number][:10], rtol=1e-6)


def test_genders_and_camera_are_those_of_the_file(root):
    raw = read_3dpw(root)

    content = load(root / "sequenceFiles" / TALK)
    assert {who.gender for key, who in everyone(raw).items() if key[1] == 1} == {"f"}
    np.testing.assert_array_equal(raw.pictures[0].cam_int, content["cam_intrinsics"])


def test_square_is_that_of_spin_around_keypoints_of_any_confidence(tmp_path, root):
    def set_keypoints(content):
        content["poses2d"][0][0] = 0
        content["poses2d"][0][0][:, 4] = [20, 30, 0.01]
        content["poses2d"][0][0][:, 9] = [80, 190, 0.9]
        content["poses2d"][0][0][:, 10] = [-500, 900, 0]

    raw = read_3dpw(changed(tmp_path, root, WAIT, set_keypoints), splits=["test"])

    person = raw.pictures[0].people[0]
    assert person.center.tolist() == [50, 110]
    assert person.scale == pytest.approx(1.2 * 160 / 200)


def test_keypoints_get_their_places_among_24_and_25(tmp_path, root):
    def number_keypoints(content):
        content["poses2d"][0][0] = np.arange(1, 19) * np.array([[1], [10], [0.01]])

    raw = read_3dpw(changed(tmp_path, root, WAIT, number_keypoints), splits=["test"])

    person = raw.pictures[0].people[0]
    part = np.array([11, 10, 9, 12, 13, 14, 5, 4, 3, 6, 7, 8, *[0] * 7, 1, 16, 15, 18, 17])
    openpose = np.array([*range(1, 9), 0, *range(9, 19), *[0] * 6])
    np.testing.assert_array_equal(person.part[:, 0], part)
    np.testing.assert_allclose(person.part[:, 2], 0.01 * part, rtol=1e-6)
    np.testing.assert_array_equal(person.openpose[:, :2], openpose[:, None] * [1, 10])
    assert len(COCO18_JOINTS) == 18


def test_people_without_keypoints_are_kept_with_projected_boxes_and_counted(root):
    raw, projected = read_3dpw(root), read_3dpw(root, box="projected")
    without = [key for key, who in everyone(raw).items() if not who.openpose.any()]

    assert len(without) == 3
    assert f"{len(without)} people without 2D keypoints" in " ".join(raw.notes)
    assert "without 2D keypoints" not in " ".join(projected.notes)
    for key in without:
        assert everyone(raw)[key].scale == everyone(projected)[key].scale


def test_projected_box_is_around_the_joints_of_the_labels(root, layer):
    picture = read_3dpw(root, splits=["test"], box="projected").pictures[0]
    content = load(root / "sequenceFiles" / WAIT)
    joints = np.column_stack([content["jointPositions"][0][0].reshape(24, 3), np.ones(24)])
    image = joints @ content["cam_poses"][0][:3].T @ content["cam_intrinsics"].T
    image = image[:, :2] / image[:, 2:]

    person = picture.people[0]
    np.testing.assert_allclose(person.center, (image.min(0) + image.max(0)) / 2, rtol=1e-5)
    assert person.scale == pytest.approx(1.2 * np.ptp(image, axis=0).max() / 200)


def test_3d_joints_need_bodies_and_are_those_of_the_body_in_camera_axes(root, layer):
    demo = load_body()

    without = read_3dpw(root, splits=["test"])
    people = everyone(read_3dpw(root, splits=["test"], bodies={"m": demo}))

    assert all(who.S is None for who in everyone(without).values())
    assert "3D joints (S) are left out" in " ".join(without.notes)
    for person in people.values():
        full_pose = aa_to_rotmat(torch.from_numpy(person.pose).view(1, 24, 3))
        joints = layer(full_pose, torch.from_numpy(person.shape)[None]).joints[0].numpy()
        elbow, ankle = (SMPL_JOINTS.index(name) for name in ("left_elbow", "right_ankle"))
        assert person.S[:, 3].tolist() == [1] * 24
        near_elbow = person.S[SPIN24_JOINTS.index("left_elbow"), :3] + joints[0] - joints[elbow]
        near_ankle = person.S[SPIN24_JOINTS.index("right_ankle"), :3] + joints[0] - joints[ankle]
        assert max(np.linalg.norm(near_elbow), np.linalg.norm(near_ankle)) < 0.05


def test_joints_that_an_official_body_alone_does_not_tell_have_no_confidence(root):
    vertex_ids = {"nose": 0, "reye": 1, "leye": 2, "rear": 3, "lear": 4}
    bare = random_body(30)
    official = type(bare)(
        **{name: getattr(bare, name) for name in bare.__slots__} | {"vertex_ids": vertex_ids}
    )

    people = everyone(read_3dpw(root, splits=["test"], bodies={"m": official})).values()

    known = [name for name, row in zip(SPIN24_JOINTS, next(iter(people)).S, strict=True) if row[3]]
    assert len(known) == 15
    assert not {"left_hip", "right_hip", "neck", "head_top"} & set(known)


def test_gender_without_a_body_is_noted(root):
    raw = read_3dpw(root, splits=["train"], bodies={"m": load_body()})

    assert "of gender f are left out" in " ".join(raw.notes)
    assert {who.gender for who in everyone(raw).values() if who.S is None} == {"f"}


def doubled(root, copy):
    for name in ("imageFiles", "sequenceFiles"):
        (copy / name).mkdir(parents=True)
        (copy / name / name).symlink_to(root / name)
    return copy


def val_for_validation(root, copy):
    (copy / "sequenceFiles").mkdir(parents=True)
    (copy / "imageFiles").symlink_to(root / "imageFiles")
    for ours, theirs in (("train", "train"), ("validation", "val"), ("test", "test")):
        (copy / "sequenceFiles" / theirs).symlink_to(root / "sequenceFiles" / ours)
    return copy


def one_above(root, copy):
    copy.mkdir()
    (copy / "3DPW").symlink_to(root)
    return copy


def one_below(root, copy):
    copy.symlink_to(root)
    return copy / "sequenceFiles"


@pytest.mark.parametrize("arrange", [doubled, val_for_validation, one_above, one_below])
def test_folders_are_found_where_people_unpack_them(tmp_path, root, arrange):
    arranged = read_3dpw(arrange(root, tmp_path / "data"))

    assert [*everyone(arranged)] == [*everyone(read_3dpw(root))]
    assert all(picture.path.is_file() for picture in arranged.pictures)


def test_wrong_root_says_what_was_expected_and_what_was_found(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations.json").touch()

    with pytest.raises(MissingFileError) as error:
        read_3dpw(tmp_path)

    assert "imageFiles/<sequence>/image_00000.jpg" in error.value.message
    assert "found annotations.json, images/" in error.value.message


@pytest.mark.parametrize("name", ["notes", "no_such_folder"])
def test_other_folder_beside_the_data_is_no_3dpw(tmp_path, root, name):
    one_above(root, tmp_path / "data")
    (tmp_path / "data" / "3DPW" / "notes").mkdir(exist_ok=True)

    with pytest.raises(MissingFileError, match=name):
        read_3dpw(tmp_path / "data" / "3DPW" / name)


def test_folder_without_images_is_no_3dpw(tmp_path, root):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sequenceFiles").symlink_to(root / "sequenceFiles")

    with pytest.raises(MissingFileError, match="imageFiles"):
        read_3dpw(tmp_path / "data")


@pytest.mark.parametrize("options", [{"splits": ["val"]}, {"stride": 0}, {"box": "tight"}])
def test_options_that_do_not_exist_are_refused(root, options):
    with pytest.raises(ConfigError):
        read_3dpw(root, **options)


def test_missing_sequences_are_named(root):
    (note,) = [n for n in read_3dpw(root).notes if "Not all of 3DPW" in n]

    assert "courtyard_backpack_00" in note
    assert "courtyard_arguing_00" not in note


def test_missing_splits_are_told_in_few_words(tmp_path, root):
    copy = changed(tmp_path, root, WAIT, lambda content: None)
    (copy / "sequenceFiles" / TALK).unlink()

    raw = read_3dpw(copy)

    assert {picture.split for picture in raw.pictures} == {"validation", "test"}
    assert "all 24 of train" in " ".join(raw.notes)


def test_official_sequences_are_60_of_87_people():
    sizes = [size for split in OFFICIAL_SEQUENCES.values() for size in split.values()]

    assert len(sizes) == 60
    assert sum(size.num_people for size in sizes) == 87
    assert sum(size.num_frames for size in sizes) == 52653
    assert sum(size.num_frames * size.num_people for size in sizes) == 74620


def test_missing_pictures_are_failures_and_the_rest_goes_on(tmp_path, root):
    copy = changed(tmp_path, root, WAIT, lambda content: None)
    (copy / "imageFiles").unlink()
    (copy / "imageFiles").mkdir()
    (copy / "imageFiles" / "courtyard_arguing_00").symlink_to(
        root / "imageFiles" / "courtyard_arguing_00"
    )

    raw = read_3dpw(copy, splits=["train", "test"])

    lost = [drop for drop in raw.dropped if drop.is_failure]
    assert len(lost) == 5
    assert {(drop.split, drop.reason) for drop in lost} == {("test", "picture not found")}
    assert len(raw.pictures) == 8


def test_a_missing_picture_costs_each_of_its_people(tmp_path, root):
    copy = changed(tmp_path, root, WAIT, lambda content: None)
    (copy / "imageFiles").unlink()
    (copy / "imageFiles").mkdir()

    raw = read_3dpw(copy, splits=["train"])

    pictures = read_3dpw(root, splits=["train"]).pictures
    people = [(x.imgname, person.person_id) for x in pictures for person in x.people]
    lost = [(drop.imgname, drop.person_id) for drop in raw.dropped if drop.is_failure]
    assert len(people) > len(pictures)
    assert sorted(lost) == sorted(people)


def without(key):
    def change(content):
        del content[key]

    return change


def put(key, value, *, person=None, frame=None):
    def change(content):
        if person is None and frame is None:
            content[key] = value
        elif frame is None:
            content[key][person] = value
        else:
            target = content[key] if person is None else content[key][person]
            target[frame] = value

    return change


KEYS = [
    "genders",
    "poses",
    "trans",
    "betas",
    "jointPositions",
    "poses2d",
    "cam_poses",
    "cam_intrinsics",
    "campose_valid",
]
DISAGREE, NOT_NUMBERS = "sequence file disagrees", "labels are not finite numbers"
DAMAGES = [
    *[(without(key), f"sequence file has no {key}") for key in KEYS],
    (put("poses", 7), DISAGREE),
    (put("poses", []), "sequence without frames or people"),
    (put("cam_poses", np.zeros((0, 4, 4))), "sequence without frames or people"),
    (put("poses", ["no array", "no array"]), NOT_NUMBERS),
    (put("genders", ["m"]), DISAGREE),
    (put("genders", "?", person=1), "gender is neither m nor f"),
    (put("betas", np.zeros(4), person=1), DISAGREE),
    (put("betas", np.full(10, np.nan), person=1), NOT_NUMBERS),
    (put("trans", np.zeros((7, 3)), person=1), DISAGREE),
    (put("poses2d", np.zeros((8, 18, 3)), person=1), DISAGREE),
    (put("jointPositions", np.full((8, 72), "1"), person=0), NOT_NUMBERS),
    (put("campose_valid", np.zeros((8, 1)), person=0), DISAGREE),
    (put("cam_poses", np.zeros((3, 4, 4))), DISAGREE),
    (put("cam_intrinsics", np.zeros((3, 3))), "camera is none"),
    (put("cam_intrinsics", np.full((3, 3), np.nan)), "camera is none"),
    (put("cam_poses", np.nan, frame=0), NOT_NUMBERS),
    (put("cam_poses", np.diag([1.0, 1, -1, 1]), frame=0), "camera rotation is none"),
    (put("poses", np.inf, person=0, frame=0), NOT_NUMBERS),
    (put("trans", np.nan, person=0, frame=0), NOT_NUMBERS),
    (put("jointPositions", 1e300, person=0, frame=0), NOT_NUMBERS),
    (put("poses2d", np.nan, person=0, frame=0), NOT_NUMBERS),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_damaged_labels_are_dropped_with_a_reason_and_the_rest_goes_on(
    tmp_path, root, damage, reason
):
    raw = read_3dpw(changed(tmp_path, root, TALK, damage))

    failures = [drop for drop in raw.dropped if drop.is_failure]
    kept, all_people = everyone(raw), everyone(read_3dpw(root))
    assert {drop.split for drop in failures} == {"train"}
    assert all(drop.reason.startswith(reason) for drop in failures)
    assert set(kept) < set(all_people)
    assert {key for key in all_people if "bus" in key[0]} <= set(kept)


def test_person_whose_camera_was_never_aligned_is_left_out(tmp_path, root):
    never = put("campose_valid", np.zeros(8, np.uint8), person=0)

    raw = read_3dpw(changed(tmp_path, root, TALK, never), bodies={"m": load_body()})

    assert {person for name, person in everyone(raw) if "arguing" in name} == {1}
    assert not any(drop.is_failure for drop in raw.dropped)


def test_damage_in_one_frame_costs_one_frame(tmp_path, root):
    damage = put("trans", np.nan, person=0, frame=0)

    raw = read_3dpw(changed(tmp_path, root, TALK, damage))

    lost = set(everyone(read_3dpw(root))) - set(everyone(raw))
    assert lost == {("courtyard_arguing_00/image_00000.jpg", 0)}


def test_damage_where_the_camera_was_not_aligned_costs_nothing(tmp_path, root):
    invalid = int(np.flatnonzero(load(root / "sequenceFiles" / WAIT)["campose_valid"][0] == 0)[0])

    raw = read_3dpw(changed(tmp_path, root, WAIT, put("cam_poses", np.nan, frame=invalid)))

    assert set(everyone(raw)) == set(everyone(read_3dpw(root)))
    assert not any(drop.is_failure for drop in raw.dropped)


def test_person_behind_the_camera_without_keypoints_has_no_box(tmp_path, root):
    def turn_round(content):
        content["poses2d"][0][0] = 0
        content["cam_poses"][0] = np.diag([-1.0, 1, -1, 1]) @ content["cam_poses"][0]

    raw = read_3dpw(changed(tmp_path, root, WAIT, turn_round), splits=["test"])

    (failure,) = [drop for drop in raw.dropped if drop.is_failure]
    assert (failure.imgname, failure.reason) == ("downtown_bus_00/image_00000.jpg", "no box")


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"not a pickle", pickle.dumps([1, 2])])
def test_unreadable_sequence_costs_all_its_pictures(tmp_path, root, content):
    copy = changed(tmp_path, root, WAIT, lambda content: None)
    (copy / "sequenceFiles" / TALK).write_bytes(content)

    raw = read_3dpw(copy)

    failures = [drop for drop in raw.dropped if drop.is_failure]
    assert {drop.reason for drop in failures} == {"sequence file unreadable"}
    assert [drop.imgname[-9:-4] for drop in failures] == [f"{frame:05d}" for frame in range(8)]
    assert "train" not in raw.sequences
    assert {picture.split for picture in raw.pictures} == {"validation", "test"}


def test_every_truncation_ends_in_the_same_way(tmp_path, root):
    copy = changed(tmp_path, root, WAIT, lambda content: None)
    path = copy / "sequenceFiles" / TALK
    content = path.read_bytes()

    for size in range(0, len(content), len(content) // 16):
        path.write_bytes(content[:size])
        reasons = {drop.reason for drop in read_3dpw(copy, splits=["train"]).dropped}
        assert reasons == {"sequence file unreadable"}


class Attack:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return open, (str(self.canary), "w")


def test_hostile_sequence_file_runs_nothing_and_costs_its_own_people_only(tmp_path, root):
    canary = tmp_path / "canary"
    copy = changed(tmp_path, root, WAIT, lambda content: None)
    hostile = pickle.dumps({"sequence": Attack(canary)}, protocol=2)
    (copy / "sequenceFiles" / TALK).write_bytes(hostile)

    raw = read_3dpw(copy)

    assert not canary.exists()
    refused = [drop for drop in raw.dropped if drop.reason == REFUSED]
    assert {drop.imgname.split("/")[0] for drop in refused} == {"courtyard_arguing_00"}
    assert all(drop.is_failure for drop in refused)
    assert raw.pictures
    pickle.loads(hostile)["sequence"].close()
    assert canary.exists()


@given(position=st.floats(0, 1), value=st.integers(0, 255))
def test_changed_byte_never_escapes_as_an_unknown_error(root, tmp_path_factory, position, value):
    folder = tmp_path_factory.mktemp("flip")
    copy = changed(folder, root, WAIT, lambda content: None)
    path = copy / "sequenceFiles" / TALK
    content = bytearray(path.read_bytes()[:4000] + path.read_bytes()[-4000:])
    content[int(position * (len(content) - 1))] = value
    path.write_bytes(content)

    try:
        raw = read_3dpw(copy, splits=["train"])
    except SmplCliError:
        return
    assert all(np.isfinite(who.pose).all() for who in everyone(raw).values())


@pytest.mark.parametrize("protocol", range(3))
def test_files_of_python_2_are_read_under_every_protocol(tmp_path, root, protocol):
    copy = changed(tmp_path, root, TALK, lambda content: None)
    path = copy / "sequenceFiles" / TALK
    path.write_bytes(python2_dumps(load(path), protocol))

    written, original = everyone(read_3dpw(copy)), everyone(read_3dpw(root))

    for key, person in original.items():
        for ours, theirs in zip(person, written[key], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_arrays_of_people_are_read_like_lists(tmp_path, root):
    def stack(content):
        for key in ("genders", "poses", "trans", "jointPositions", "poses2d", "campose_valid"):
            content[key] = np.array(content[key])
        content["betas"] = np.array([betas[:10] for betas in content["betas"]])

    raw = read_3dpw(changed(tmp_path, root, TALK, stack))

    for key, person in everyone(read_3dpw(root)).items():
        for ours, theirs in zip(person, everyone(raw)[key], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_landscape_pictures_are_written_and_read_alike(tmp_path, layer):
    write_3dpw_layout(tmp_path, plans=PLANS[2:], image_size=(320, 180))

    for picture in read_3dpw(tmp_path).pictures:
        assert read_image(picture.path, orientation="raw").shape == (180, 320, 3)
        assert misfit(silhouette(layer, picture), picture.path) <= 1


def random_rotation(rng):
    return cv2.Rodrigues(rng.normal(size=3) * rng.uniform(0, 3))[0]


def test_slightly_skewed_camera_gives_the_rotation_that_opencv_gives():
    rng = np.random.default_rng(0)
    skewed = random_rotation(rng) + rng.normal(0, 1e-3, (3, 3))
    pose = rng.normal(size=(1, 72))

    turned, _ = body_in_camera(
        pose,
        np.zeros((1, 3)),
        np.zeros((1, 3)),
        Cameras(skewed[None], np.zeros((1, 3)), np.eye(3)),
    )

    expected = cv2.Rodrigues(skewed @ cv2.Rodrigues(pose[0, :3])[0])[0].ravel()
    np.testing.assert_allclose(turned[0, :3], expected, atol=1e-9)


def test_file_whose_name_is_no_name_of_a_sequence_is_a_failure(tmp_path, root):
    copy = changed(tmp_path, root, WAIT, lambda content: None)
    path = copy / "sequenceFiles" / TALK
    path.rename(path.with_name("a b.pkl"))

    raw = read_3dpw(copy)

    (drop,) = [drop for drop in raw.dropped if drop.is_failure]
    assert drop.reason.startswith("sequence without frames or people, or with a name")
    assert "train" not in raw.sequences


@given(seed=st.integers(0, 2**32 - 1))
def test_body_in_camera_is_the_body_in_the_world_seen_by_it(seed):
    rng = np.random.default_rng(seed)
    layer = BodyLayer(random_body(20)).double()
    pose, trans = rng.normal(size=(1, 72)), 5 * rng.normal(size=(1, 3))
    betas = torch.from_numpy(rng.normal(size=(1, 10)))
    extrinsics = np.eye(4)
    extrinsics[:3, :3], extrinsics[:3, 3] = random_rotation(rng), 5 * rng.normal(size=3)
    cameras = Cameras(extrinsics[None, :3, :3], extrinsics[None, :3, 3], np.eye(3))

    def posed(pose):
        full_pose = np.stack([cv2.Rodrigues(row)[0] for row in pose.reshape(24, 3)])
        return layer(torch.from_numpy(full_pose)[None], betas)

    world = posed(pose)
    pelvis = world.joints[:, 0].numpy() + trans
    in_world = world.vertices[0].numpy() + trans
    expected = (extrinsics @ np.column_stack([in_world, np.ones(20)]).T).T[:, :3]

    turned, transl = body_in_camera(pose, trans, pelvis, cameras)

    seen = posed(turned).vertices[0].numpy() + transl
    np.testing.assert_allclose(seen, expected, atol=1e-7)  # skinning weights are float32
    root = extrinsics[:3, :3] @ cv2.Rodrigues(pose[0, :3])[0]
    np.testing.assert_allclose(cv2.Rodrigues(turned[0, :3])[0], root, atol=1e-9)
    np.testing.assert_array_equal(turned[:, 3:], pose[:, 3:])


def test_written_files_have_the_keys_and_types_of_3dpw(root):
    path = root / "sequenceFiles" / TALK
    content = load(path)

    assert b"numpy.core.multiarray" in path.read_bytes()
    assert b"_codecs" not in path.read_bytes()
    assert str(content["sequence"]) == "courtyard_arguing_00"
    assert len(content) == 16
    assert content["genders"] == ["m", "f"]
    assert content["img_frame_ids"].dtype == np.uint16
    assert content["campose_valid"][1].dtype == np.uint8
    shapes = {
        "poses": (8, 72),
        "trans": (8, 3),
        "jointPositions": (8, 72),
        "poses2d": (8, 3, 18),
        "poses_60Hz": (16, 72),
        "trans_60Hz": (16, 3),
        "v_template_clothed": (6890, 3),
        "betas_clothed": (10,),
    }
    for key, shape in shapes.items():
        assert [array.shape for array in content[key]] == [shape] * 2
        assert all(array.dtype == np.float64 for array in content[key])


def test_written_cameras_move(root):
    cameras = load(root / "sequenceFiles" / TALK)["cam_poses"]

    assert np.abs(np.diff(cameras, axis=0)).max(axis=(1, 2)).min() > 0.01


def test_same_seed_writes_the_same_files(tmp_path):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        write_3dpw_layout(tmp_path / name, plans=PLANS[1:2], image_size=(45, 80), seed=seed)

    def content(name):
        files = sorted((tmp_path / name).rglob("*.*"))
        return [path.read_bytes() for path in files]

    assert content("one") == content("same")
    assert content("one") != content("other")


@pytest.mark.parametrize("genders", ["", "m", "nf"])
def test_layout_needs_bodies_of_both_genders_and_writes_nothing_without(tmp_path, genders):
    with pytest.raises(MissingFileError, match="a male and a female body"):
        write_3dpw_layout(tmp_path, bodies=dict.fromkeys(genders, load_body()))

    assert not any(tmp_path.iterdir())


def test_folders_that_are_there_are_not_written_over(root):
    with pytest.raises(OutputExistsError):
        write_3dpw_layout(root, plans=PLANS)
