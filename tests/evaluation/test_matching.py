"""Files of other tools: what they call things, and who of them is who of the data."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from smplcli.errors import HostileFileError, UnreadableFileError
from smplcli.evaluation.matching import Places, match_people
from smplcli.evaluation.predictions import match_predictions
from smplcli.files import write_npz

NAMES = ["walk/image_00000.jpg", "walk/image_00000.jpg", "walk/image_00001.jpg"]
IDS = list(zip(NAMES, [0, 1, 0], strict=True))
CENTERS = np.array([[100.0, 100], [400, 100], [120, 100]])
PLACES = Places(CENTERS, np.full(3, 200.0), np.full((3, 2), [640.0, 480]))
RNG = np.random.default_rng(0)
POSE, BETAS = RNG.normal(scale=0.5, size=(3, 72)), RNG.normal(size=(3, 10))
MATRICES = Rotation.from_rotvec(POSE.reshape(-1, 3)).as_matrix().reshape(3, 24, 3, 3)


def read(tmp_path, **arrays):
    write_npz(tmp_path / "theirs.npz", arrays)
    return match_predictions(tmp_path / "theirs.npz", IDS, PLACES)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pose": POSE, "shape": BETAS, "center": CENTERS},
        {"body_pose": POSE, "betas": BETAS, "personid": np.array([0, 1, 0])},
        {
            "smpl_thetas": POSE,
            "smpl_betas": BETAS,
            "pj2d_org": CENTERS[:, None] + [[0, -9], [0, 9]],
        },
        {"rotmat": MATRICES, "betas": BETAS, "person_id": np.array([0, 1, 0])},
        {
            "global_orient": MATRICES[:, :1],
            "body_pose": MATRICES[:, 1:],
            "betas": BETAS,
            "center": CENTERS,
        },
        {
            "global_orient": POSE[:, :3],
            "body_pose": POSE[:, 3:],
            "betas": np.pad(BETAS, ((0, 0), (0, 290))),
            "bbox": np.concatenate([CENTERS - 50, CENTERS + 50], axis=1),
        },
        {
            "pose": POSE,
            "shape": BETAS,
            "detection_all": np.column_stack([range(3), CENTERS - 50, CENTERS + 50, np.ones(3)]),
        },
    ],
    ids=["cliff", "hmr2", "romp", "matrices", "hmr2 matrices", "300 betas", "cliff boxes"],
)
def test_the_names_of_other_tools_are_understood(tmp_path, arrays):
    matched = read(tmp_path, imgname=np.array(NAMES), **arrays)

    assert not matched.is_missing.any()
    assert matched.full_pose == pytest.approx(MATRICES, abs=1e-6)
    assert matched.betas == pytest.approx(BETAS, abs=1e-6)


def test_names_of_pictures_may_be_bytes(tmp_path):
    matched = read(
        tmp_path, imgname=np.array(NAMES, dtype=np.bytes_), pose=POSE, betas=BETAS, center=CENTERS
    )

    assert not matched.is_missing.any()


def test_a_camera_without_a_centre_looks_at_the_middle_of_the_picture(tmp_path):
    matched = read(
        tmp_path,
        imgname=np.array(NAMES),
        pose=POSE,
        shape=BETAS,
        center=CENTERS,
        global_t=np.ones((3, 3)),
        focal_l=np.full(3, 800.0),
    )

    assert matched.camera.principal_point.tolist() == [[319.5, 239.5]] * 3


def test_rows_without_names_are_those_of_the_split_if_there_are_as_many(tmp_path):
    matched = read(tmp_path, pose=POSE, betas=BETAS, camera=np.ones((3, 3)))

    assert matched.matched_by == "row"
    assert matched.betas == pytest.approx(BETAS, abs=1e-6)
    with pytest.raises(UnreadableFileError, match=r"2 rows are not the 3"):
        read(tmp_path, pose=POSE[:2], betas=BETAS[:2])


def test_what_romp_pickles_is_not_read(tmp_path):
    path = tmp_path / "romp.npz"
    np.savez(path, results=np.array({"smpl_thetas": POSE}, dtype=object))

    with pytest.raises(UnreadableFileError, match="pickled object"):
        match_predictions(path, IDS, PLACES)


def test_objects_in_place_of_numbers_are_refused(tmp_path):
    path = tmp_path / "odd.npz"
    np.savez(path, pose=POSE, betas=BETAS, imgname=np.array(NAMES, dtype=object))

    with pytest.raises(HostileFileError, match="Python objects"):
        match_predictions(path, IDS, PLACES)


def test_folders_in_front_of_names_do_not_matter():
    names = ["/data/3DPW/imageFiles/" + name for name in NAMES]

    assert match_people(names, np.array([0, 1, 0]), None, IDS, None).rows.tolist() == [0, 1, 2]


def test_file_names_alone_do_if_only_one_folder_has_them():
    wanted = [("a/1.jpg", 0), ("b/1.jpg", 0), ("b/2.jpg", 0)]

    match = match_people(["1.jpg", "2.jpg"], np.array([0, 0]), None, wanted, None)

    assert match.rows.tolist() == [-1, -1, 1]
    assert match.num_unmatched == 1


def test_numbers_that_count_otherwise_give_way_to_places():
    match = match_people(NAMES, np.array([1, 0, 0]), CENTERS, IDS, PLACES)

    assert (match.rows.tolist(), match.by) == ([0, 1, 2], "place")


def test_numbers_that_fit_are_believed():
    match = match_people(NAMES, np.array([0, 1, 0]), CENTERS + 20, IDS, PLACES)

    assert (match.rows.tolist(), match.by) == ([0, 1, 2], "number")


def test_nobody_is_taken_for_somebody_far_away():
    points = np.array([[100.0, 100], [630, 400], [120, 100], [121, 101], [np.nan, 0]])

    match = match_people([*NAMES, NAMES[2], NAMES[0]], None, points, IDS, PLACES)

    assert match.rows.tolist() == [0, -1, 2]
    assert match.num_unmatched == 3


def test_without_numbers_and_places_only_people_who_are_alone_are_found():
    match = match_people(NAMES, None, None, IDS, PLACES)

    assert match.rows.tolist() == [-1, -1, 2]
