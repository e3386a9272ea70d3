"""Predictions from files, matched to samples whatever their order."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.evaluation.predictions import is_finite, match_predictions
from smplcli.files import write_npz

IDS = [("walk/image_00000.jpg", 0), ("walk/image_00000.jpg", 1), ("walk/image_00001.jpg", 0)]


def arrays(ids=IDS, *, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "imgname": np.array([name for name, _ in ids], dtype=np.str_),
        "person_id": np.array([person for _, person in ids], dtype=np.int32),
        "pose": rng.normal(size=(len(ids), 72)).astype(np.float32),
        "betas": rng.normal(size=(len(ids), 10)).astype(np.float32),
    }


def written(tmp_path, content):
    write_npz(tmp_path / "preds.npz", content)
    return tmp_path / "preds.npz"


def test_rows_are_put_in_the_order_of_the_samples(tmp_path):
    content = arrays(IDS[::-1])

    matched = match_predictions(written(tmp_path, content), IDS)

    assert matched.betas.tolist() == content["betas"][::-1].tolist()
    assert not matched.is_missing.any()


def test_axis_angle_becomes_rotation_matrices(tmp_path):
    content = arrays()

    matched = match_predictions(written(tmp_path, content), IDS)

    by_scipy = Rotation.from_rotvec(content["pose"].reshape(-1, 3)).as_matrix()
    assert matched.full_pose.reshape(-1, 3, 3) == pytest.approx(by_scipy, abs=1e-5)


def test_a_person_without_a_row_is_missing_and_nan(tmp_path):
    matched = match_predictions(written(tmp_path, arrays(IDS[:1] + IDS[2:])), IDS)

    assert matched.is_missing.tolist() == [False, True, False]
    assert np.isnan(matched.full_pose[1]).all()
    assert is_finite(matched).tolist() == [True, False, True]


def test_people_that_nobody_asked_for_are_counted(tmp_path):
    matched = match_predictions(written(tmp_path, arrays()), IDS[:2])

    assert matched.num_unmatched == 1


def test_the_first_of_two_predictions_of_a_person_counts(tmp_path):
    content = arrays([*IDS, IDS[0]])

    matched = match_predictions(written(tmp_path, content), IDS)

    assert matched.num_duplicates == 1
    assert matched.betas[0].tolist() == content["betas"][0].tolist()


def test_a_prediction_that_is_not_finite_is_not_missing(tmp_path):
    content = arrays()
    content["pose"][1, 5] = np.nan

    matched = match_predictions(written(tmp_path, content), IDS)

    assert not matched.is_missing.any()
    assert is_finite(matched).tolist() == [True, False, True]


def test_predictions_of_other_pictures_are_refused_with_an_example(tmp_path):
    path = written(tmp_path, arrays([("other.jpg", 3)]))

    with pytest.raises(UnreadableFileError, match=r"'other.jpg' person 3; data: 'walk/image_0000"):
        match_predictions(path, IDS)


def test_a_file_without_people_is_refused(tmp_path):
    path = written(tmp_path, arrays([]))

    with pytest.raises(UnreadableFileError, match="none of 0 predictions"):
        match_predictions(path, IDS)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("pose", lambda a: a[:, :69]),
        ("pose", lambda a: a[:-1]),
        ("pose", lambda a: a.astype(np.int32)),
        ("betas", lambda a: a.T),
        ("person_id", lambda a: a.astype(np.float64)),
        ("imgname", lambda a: np.arange(len(a))),
        ("imgname", lambda a: np.array("one.jpg")),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, name, change):
    content = arrays()
    content[name] = change(content[name])

    with pytest.raises(UnreadableFileError, match=r"^\w+ must be .*preds\.npz"):
        match_predictions(written(tmp_path, content), IDS)


def test_an_array_that_is_not_there_is_named(tmp_path):
    content = arrays()
    del content["betas"]

    with pytest.raises(UnreadableFileError, match="lacks betas"):
        match_predictions(written(tmp_path, content), IDS)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.npz"):
        match_predictions(tmp_path / "nowhere.npz", IDS)
