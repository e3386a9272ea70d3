"""Files of other tools: what they call things, and who of them is who of the data."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from smplcli.errors import HostileFileError, MissingFileError, UnreadableFileError
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


def romp_result(rows):
    points = CENTERS[rows, None] + [[0, -9], [0, 9]]
    return {
        "cam": np.ones((len(rows), 3), np.float32),
        "smpl_thetas": POSE[rows].astype(np.float32),
        "smpl_betas": BETAS[rows].astype(np.float32),
        "pj2d_org": points.astype(np.float32),
    }


def test_what_romp_saves_of_each_picture_is_read_from_a_folder(tmp_path):
    (tmp_path / "walk").mkdir()
    for file, rows in (("image_00000.npz", [1, 0]), ("image_00001.npz", [2])):
        np.savez(tmp_path / "walk" / file, results=romp_result(rows))

    matched = match_predictions(tmp_path, IDS, PLACES)

    assert matched.matched_by == "place"
    assert not matched.is_missing.any()
    assert matched.betas == pytest.approx(BETAS, abs=1e-6)
    assert matched.full_pose == pytest.approx(MATRICES, abs=1e-5)


def test_what_romp_saves_of_one_picture_is_read_from_its_file(tmp_path):
    path = tmp_path / "walk" / "image_00001.npz"
    path.parent.mkdir()
    np.savez(path, results=np.array(romp_result([2]), dtype=object))

    matched = match_predictions(path, IDS, PLACES)

    assert matched.is_missing.tolist() == [True, True, False]


def test_what_romp_saves_of_a_video_is_read(tmp_path):
    path = tmp_path / "video_results.npz"
    results = {NAMES[0]: romp_result([0, 1]), NAMES[2]: romp_result([2])}
    np.savez(path, results=results)

    assert not match_predictions(path, IDS, PLACES).is_missing.any()


class Attack:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return open, (str(self.canary), "w")


def test_pickle_in_the_place_of_romps_runs_nothing(tmp_path):
    canary, path = tmp_path / "canary", tmp_path / "romp.npz"
    np.savez(path, results=np.array({"smpl_thetas": Attack(canary)}, dtype=object))

    with pytest.raises(HostileFileError, match="refused"):
        match_predictions(path, IDS, PLACES)

    assert not canary.exists()
    np.load(path, allow_pickle=True)["results"][()]["smpl_thetas"].close()
    assert canary.exists()


@pytest.mark.parametrize(
    "results",
    [
        {"smpl_thetas": "much"},
        {"smpl_thetas": np.float32(1)},
        {"smpl_thetas": POSE, "smpl_betas": BETAS[:2]},
        {"smpl_thetas": [POSE]},
        {"walk.jpg": 3},
        [1, 2],
        None,
        3.0,
    ],
)
def test_results_that_are_none_of_romps_are_named(tmp_path, results):
    path = tmp_path / "romp.npz"
    np.savez(path, results=np.array(results, dtype=object))

    with pytest.raises(UnreadableFileError, match=r"romp\.npz"):
        match_predictions(path, IDS, PLACES)


def test_every_truncation_of_romps_files_is_unreadable(tmp_path):
    path = tmp_path / "romp.npz"
    np.savez(path, results=romp_result([0, 1]))
    content = path.read_bytes()

    for size in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:size])
        with pytest.raises(UnreadableFileError):
            match_predictions(path, IDS, PLACES)


def test_folder_without_predictions_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="no predictions"):
        match_predictions(tmp_path, IDS, PLACES)


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
