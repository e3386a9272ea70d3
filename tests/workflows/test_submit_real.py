"""Submissions with a body that is no demo and data that say they are 3DPW or the course's."""

import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.errors import MissingFileError
from smplcli.workflows.submit import submit
from tests.evaluation.prepared import write_truth
from tests.workflows.test_submit_splits import ALL, write_video_data


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    """A folder as of SMPL's owners: the demo body under other names, all but the male one."""
    folder = tmp_path_factory.mktemp("bodies") / "smpl"
    folder.mkdir()
    body = load_body()
    arrays = {
        "v_template": body.v_template,
        "shapedirs": body.shapedirs,
        "posedirs": body.posedirs,
        "J_regressor": body.joint_regressor,
        "weights": body.weights,
        "kintree_table": np.stack([body.parents, np.arange(24)]),
        "f": body.faces,
    }
    for gender in ("NEUTRAL", "FEMALE"):
        np.savez(folder / f"SMPL_{gender}.npz", **arrays)
    return folder.parent


def real_data(folder, source, gender):
    return write_video_data(folder, source=source, gender=gender)


def test_a_real_file_carries_no_mark_and_says_what_it_lacks_for_a_score(bodies, tmp_path):
    data = real_data(tmp_path / "set", "3dpw", "f")
    preds = write_truth(tmp_path / "preds.npz", data, ALL)

    report = submit(preds, data, tmp_path / "out.zip", body=bodies)

    assert report.path == tmp_path / "out.zip"
    assert not report.is_demo
    assert any("THE OFFICIAL EVALUATOR GIVES NO SCORE" in note for note in report.notes)
    assert report.scores[0].value == pytest.approx(0, abs=1e-3)


def test_without_the_labels_body_there_is_no_score_and_the_reason(bodies, tmp_path):
    data = real_data(tmp_path / "set", "3dpw", "m")
    preds = write_truth(tmp_path / "preds.npz", data, ALL)

    report = submit(preds, data, tmp_path / "out.zip", body=bodies)

    assert report.scores == ()
    assert any("no score: no male SMPL file found" in note for note in report.notes)


def test_labels_posed_with_one_body_for_all_are_mentioned(bodies, tmp_path):
    data = real_data(tmp_path / "set", "3dpw", "m")
    preds = write_truth(tmp_path / "preds.npz", data, ALL)

    report = submit(preds, data, tmp_path / "out.zip", body=bodies / "smpl" / "SMPL_NEUTRAL.npz")

    assert any("labels of gender m are posed with SMPL_NEUTRAL.npz" in n for n in report.notes)


def test_the_courses_joints_need_a_regressor_which_may_lie_beside_the_body(bodies, tmp_path):
    data = real_data(tmp_path / "set", "eth", "m")
    preds = write_truth(tmp_path / "preds.npz", data)
    out = tmp_path / "test_pred_joints.csv"

    with pytest.raises(MissingFileError, match="J_regressor_extra.npy"):
        submit(preds, data, out, body=bodies)
    assert not out.exists()

    np.save(bodies / "J_regressor_extra.npy", np.full((9, 6890), 1 / 6890))
    report = submit(preds, data, out, body=bodies)

    assert report.path == out
    assert not out.read_text().startswith("#")
    assert report.scores[0].value == pytest.approx(0, abs=1e-3)
    assert "the course's own test split has 5074 rows" in report.notes
