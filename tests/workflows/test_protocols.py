"""Protocols on data sets: which are applied, with which bodies, and what of others is said."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from smplcli.body.files import load_body, write_body_npz
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.workflows import evaluate as workflow
from smplcli.workflows.check_submission import check_submission
from smplcli.workflows.evaluation_settings import EvaluationOptions
from smplcli.workflows.submit import submit
from tests.body.official import random_body
from tests.evaluation.prepared import ARGUE, WALK, write_prepared, write_truth

OPENPOSE = np.concatenate([np.full((25, 2), 100.0), np.ones((25, 1))], axis=1)
VERTICES = 80


def evaluate(target, data, *, body=None, out=None, **options):
    return workflow.evaluate(
        target, data, split="test", body=body, out=out, options=EvaluationOptions(**options)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, predictions a little off, three bodies and a regressor."""
    root = tmp_path_factory.mktemp("protocols")
    for seed, gender in enumerate(("NEUTRAL", "MALE", "FEMALE")):
        body = random_body(VERTICES, seed)
        write_body_npz(root / f"bodies/SMPL_{gender}.npz", body)
    write_body_npz(root / "alone/SMPL_NEUTRAL.npz", random_body(VERTICES, 0))
    rng = np.random.default_rng(0)
    (root / "given").mkdir()
    np.save(root / "given/J_regressor_h36m.npy", rng.dirichlet(np.ones(VERTICES), size=17))
    data = write_prepared(root / "men", source="3dpw", gender="m", openpose=OPENPOSE)
    truth = np.load(write_truth(root / "truth.npz", data))
    off = truth["pose"] + 0.1 * rng.normal(size=truth["pose"].shape).astype(np.float32)
    write_truth(root / "preds.npz", data, pose=off)
    return root


def measured(report):
    return {(n.protocol, n.metric): n for n in report.measurements}


def test_3dpw_is_measured_by_its_four_protocols(folder):
    report = evaluate(
        folder / "preds.npz",
        folder / "men",
        body=folder / "bodies",
        joint_regressors=(folder / "given/J_regressor_h36m.npy",),
    )

    assert list(report.protocols) == ["smpl24", "challenge", "lsp14", "emdb"]
    assert report.not_evaluated == ()
    assert {n.truth for n in report.measurements} == {"male"}
    assert all(n.value > 0 for n in report.measurements if not n.higher_is_better)


def test_a_protocol_without_its_regressor_is_not_evaluated_and_the_others_are(folder):
    report = evaluate(folder / "preds.npz", folder / "men", body=folder / "bodies")

    (refused,) = report.not_evaluated
    assert refused.protocol == "lsp14"
    assert "J_regressor_h36m.npy" in refused.reason
    assert "--joint-regressor" in refused.remedy
    assert list(report.protocols) == ["smpl24", "challenge", "emdb"]


def test_a_regressor_beside_the_body_is_found(folder, tmp_path):
    bodies = tmp_path / "bodies"
    bodies.mkdir()
    for path in (folder / "alone/SMPL_NEUTRAL.npz", folder / "given/J_regressor_h36m.npy"):
        (bodies / path.name).write_bytes(path.read_bytes())

    report = evaluate(folder / "preds.npz", folder / "men", body=bodies, protocols=("lsp14",))

    assert list(report.protocols) == ["lsp14"]


def test_labels_are_posed_with_the_neutral_body_where_theirs_is_not_there(folder):
    gendered = evaluate(folder / "preds.npz", folder / "men", body=folder / "bodies")
    neutral = evaluate(folder / "preds.npz", folder / "men", body=folder / "alone")

    assert {n.truth for n in neutral.measurements} == {"neutral"}
    assert any("labels are of gendered bodies" in note for note in neutral.notes)
    key = ("smpl24", "mpjpe")
    assert measured(neutral)[key].value != measured(gendered)[key].value


def test_gendered_labels_are_those_of_smpl_posed_by_gender(folder, tmp_path):
    import torch

    from smplcli.body.layer import BodyLayer
    from smplcli.rotations import aa_to_rotmat

    people = [(f"{WALK}/image_{i:05d}.jpg", 0) for i in range(4)]
    data = write_prepared(tmp_path / "set", source="3dpw", people={"test": people})
    shard = dict(np.load(data / "test-00000.npz"))
    shard["gender"] = np.array(["m", "f", "n", "f"])
    np.savez(data / "test-00000.npz", **shard)
    preds = write_truth(tmp_path / "preds.npz", data)

    report = workflow.evaluate_samples(
        preds,
        workflow.open_ground(data, "test", body=folder / "bodies", protocols=("smpl24",)),
        workflow.How(),
    )

    pose = aa_to_rotmat(torch.from_numpy(shard["pose"]).view(-1, 24, 3))
    joints = {
        letter: BodyLayer(load_body(folder / "bodies", gender=gender))(
            pose, torch.from_numpy(shard["shape"])
        ).joints.numpy()
        for letter, gender in (("n", "neutral"), ("m", "male"), ("f", "female"))
    }
    expected = []
    for row, letter in enumerate(shard["gender"]):
        apart = (
            joints["n"][row] - joints["n"][row, 0] - (joints[letter][row] - joints[letter][row, 0])
        )
        expected.append(1000 * np.linalg.norm(apart, axis=-1).mean())
    assert report.samples["smpl24"].errors["mpjpe"] == pytest.approx(expected, abs=1e-3)
    assert expected[2] == 0


def test_bodies_of_different_meshes_are_refused(folder, tmp_path):
    write_body_npz(tmp_path / "SMPL_NEUTRAL.npz", random_body(VERTICES, 0))
    write_body_npz(tmp_path / "SMPL_MALE.npz", random_body(VERTICES + 1, 0))

    with pytest.raises(UnreadableFileError, match="different meshes"):
        evaluate(folder / "preds.npz", folder / "men", body=tmp_path)


def test_the_challenge_leaves_out_people_whom_no_detector_found(folder, tmp_path):
    data = write_prepared(tmp_path / "set", source="3dpw", openpose=OPENPOSE)
    shard = dict(np.load(data / "test-00000.npz"))
    shard["openpose"][:2] = 0
    np.savez(data / "test-00000.npz", **shard)

    report = evaluate(write_truth(tmp_path / "preds.npz", data), data)

    counts = {key: number.count for key, number in measured(report).items()}
    assert (counts["smpl24", "mpjpe"], counts["challenge", "mpjpe"]) == (5, 3)


def test_data_without_labels_say_so(tmp_path):
    data = write_prepared(tmp_path / "set", source="eth", has_smpl=0)

    report = evaluate(write_truth(tmp_path / "preds.npz", data), data)

    assert report.measurements == ()
    assert not report.is_complete
    assert {r.reason for r in report.not_evaluated} == {
        "no sample of the split has a pose and a shape"
    }


def test_the_courses_protocols_run_on_the_demo_body(tmp_path):
    data = write_prepared(tmp_path / "set", source="eth", gender="m")
    preds = write_truth(tmp_path / "preds.npz", data)

    report = evaluate(preds, data, protocols=("eth-mp", "eth-mp-val"))

    assert measured(report)["eth-mp", "coordinate_error"].value == pytest.approx(0, abs=1e-9)
    assert "66.32" in report.protocols["eth-mp"]


def test_who_has_no_joint_that_pckh_counts_has_no_label(tmp_path):
    part = np.zeros((24, 3))
    part[14:16] = [300, 300, 1]  # pelvis and thorax
    data = write_prepared(tmp_path / "set", source="mpii", has_smpl=0, part=part, head_size=200.0)

    report = evaluate(write_truth(tmp_path / "preds.npz", data), data)

    assert [refused.protocol for refused in report.not_evaluated] == ["mpii-pckh"]
    assert report.n_failed == 0


def test_pckh_needs_a_camera(tmp_path):
    part = np.concatenate([np.full((24, 2), 300.0), np.ones((24, 1))], axis=1)
    data = write_prepared(tmp_path / "set", source="mpii", has_smpl=0, part=part, head_size=200.0)
    places = {
        "cam_t": np.tile([0, 0, 5.0], (5, 1)),
        "focal_length": np.full(5, 800.0),
        "principal_point": np.full((5, 2), 300.0),
    }

    blind = evaluate(write_truth(tmp_path / "blind.npz", data), data)
    seeing = evaluate(write_truth(tmp_path / "seeing.npz", data, **places), data)

    assert [r.protocol for r in blind.not_evaluated] == ["mpii-pckh"]
    assert "where in the picture" in blind.not_evaluated[0].reason
    (pckh,) = seeing.measurements
    assert (pckh.metric, pckh.count, pckh.truth) == ("pckh", 5, "2D labels")
    assert 0 < pckh.value < 100


def test_the_self_test_finds_no_error_anywhere(folder):
    report = evaluate(
        None,
        folder / "men",
        body=folder / "bodies",
        protocols=("smpl24", "challenge", "lsp14", "emdb"),
        joint_regressors=(folder / "given/J_regressor_h36m.npy",),
    )

    goals = [100 if n.higher_is_better else 0 for n in report.measurements]
    assert [n.value for n in report.measurements] == pytest.approx(goals, abs=1e-9)
    assert report.exceeded == ()
    assert report.is_complete


def test_means_are_told_by_joint_sequence_and_group(tmp_path):
    people = {"test": [("outdoors_golf_00/image_00000.jpg", 0), (f"{ARGUE}/image_00000.jpg", 0)]}
    data = write_prepared(tmp_path / "set", source="3dpw", people=people)
    truth = np.load(write_truth(tmp_path / "truth.npz", data))
    pose = truth["pose"].copy()
    pose[0, 3:6] += 0.3  # the left hip of the golfer
    preds = write_truth(tmp_path / "preds.npz", data, pose=pose)

    report = evaluate(preds, data, protocols=("smpl24",))

    parts = {(b.by, b.name): b.value for b in report.breakdowns if b.metric == "mpjpe"}
    mean = measured(report)["smpl24", "mpjpe"].value
    assert parts["sequence", "outdoors_golf_00"] == pytest.approx(2 * mean)
    assert parts["group", "3DPW-OCC"] == pytest.approx(2 * mean)
    assert parts["group", "other sequences"] == pytest.approx(0, abs=1e-9)
    assert parts["joint", "right_ankle"] == pytest.approx(0, abs=1e-9)
    joints = [value for (by, _), value in parts.items() if by == "joint"]
    assert np.mean(joints) == pytest.approx(mean)


def test_mpii_is_told_by_activity(tmp_path):
    part = np.ones((24, 3))
    data = write_prepared(
        tmp_path / "set", source="mpii", part=part, head_size=40.0, activity="golf"
    )

    report = evaluate(None, data, protocols=("mpii-pckh",))

    assert ("group", "golf") in {(b.by, b.name) for b in report.breakdowns}


def test_intervals_are_drawn_by_sequence_and_the_same_every_time(folder):
    first, again = (
        evaluate(folder / "preds.npz", folder / "men", protocols=("smpl24",)) for _ in range(2)
    )

    assert first.measurements == again.measurements
    assert (first.interval.unit, first.interval.num_units) == ("sequence", 2)
    assert all(n.low <= n.value <= n.high for n in first.measurements)


def test_an_earlier_evaluation_is_subtracted_person_by_person(folder, tmp_path):
    data = folder / "men"
    evaluate(folder / "truth.npz", data, out=tmp_path / "old", protocols=("smpl24",))

    report = evaluate(
        folder / "preds.npz",
        data,
        protocols=("smpl24",),
        compare_with=tmp_path / "old/metrics.json",
    )

    here = measured(report)
    assert {d.metric for d in report.differences} == {n.metric for n in report.measurements}
    for difference in report.differences:
        number = here[difference.protocol, difference.metric]
        assert difference.difference == pytest.approx(number.value, abs=1e-5)
        assert difference.count == 5
        assert difference.low <= difference.difference <= difference.high


def test_only_people_whom_both_evaluated_are_compared(folder, tmp_path):
    data = folder / "men"
    some = write_truth(tmp_path / "some.npz", data, keep=lambda rows: rows[:2])
    evaluate(some, data, out=tmp_path / "old", protocols=("smpl24",))

    report = evaluate(folder / "preds.npz", data, compare_with=tmp_path / "old")

    assert {d.count for d in report.differences} == {2}


def test_a_comparison_with_other_data_says_so(folder, tmp_path):
    data = write_prepared(tmp_path / "set", source="eth")
    preds = write_truth(tmp_path / "preds.npz", data)
    evaluate(preds, data, out=tmp_path / "old", protocols=("smpl24",))

    report = evaluate(folder / "preds.npz", folder / "men", compare_with=tmp_path / "old")

    assert "the evaluation compared with is of another data" in report.notes


@pytest.mark.parametrize(
    "spoil",
    [
        lambda old: (old / "metrics.json").write_text("[]"),
        lambda old: (old / "per_sample.csv").write_text("imgname,person_id\n"),
        lambda old: (old / "per_sample.csv").write_text('imgname,person_id,a.b\nx,0,"one"\n'),
        lambda old: (old / "per_sample.csv").write_bytes(b"\xff\xfe\x00"),
    ],
)
def test_files_that_are_no_evaluation_are_refused(folder, tmp_path, spoil):
    old = tmp_path / "old"
    evaluate(folder / "truth.npz", folder / "men", out=old, protocols=("smpl24",))
    compare = partial(
        evaluate, folder / "truth.npz", folder / "men", protocols=("smpl24",), compare_with=old
    )
    assert compare().differences

    if spoil(old) == len("imgname,person_id\n"):
        assert compare().differences == ()
    else:
        with pytest.raises(UnreadableFileError):
            compare()


def test_a_comparison_without_the_table_is_told_what_lacks(folder, tmp_path):
    evaluate(folder / "truth.npz", folder / "men", out=tmp_path / "old", protocols=("smpl24",))
    (tmp_path / "old/per_sample.csv").unlink()

    with pytest.raises(MissingFileError, match=r"per_sample\.csv"):
        evaluate(folder / "truth.npz", folder / "men", compare_with=tmp_path / "old")


def test_a_limit_that_is_not_kept_is_named(folder):
    limits = ("mpjpe=1", "smpl24/pa-mpjpe=1e6", "lsp14/pve=1e6")

    report = evaluate(folder / "preds.npz", folder / "men", protocols=("smpl24",), limits=limits)

    first, second = report.exceeded
    assert first.startswith("mpjpe is ")
    assert second == "lsp14/pve was not measured, limit 1e+06"
    assert not report.is_complete


@pytest.mark.parametrize(
    "limit",
    ["pampjpe=1", "lsp15/pve=1", "pve", "pve=", "pve=nan", "pve=ten", "pck=50", "emdb/pck=1"],
)
def test_a_limit_that_means_nothing_is_refused_before_the_work(folder, limit):
    with pytest.raises(ConfigError):
        evaluate(folder / "preds.npz", Path("nowhere"), limits=(limit,))


def test_an_unknown_protocol_is_refused_with_the_nearest(folder):
    with pytest.raises(ConfigError, match="did you mean 'lsp14'"):
        evaluate(folder / "preds.npz", folder / "men", protocols=("lsp-14",))


def test_a_regressor_of_an_unknown_name_is_refused(folder):
    with pytest.raises(ConfigError, match="no known joint regressor"):
        evaluate(folder / "preds.npz", folder / "men", joint_regressors=(Path("J.npy"),))


def test_missing_people_count_as_the_worst_where_that_is_asked_for(folder, tmp_path):
    data = folder / "men"
    some = write_truth(
        tmp_path / "some.npz",
        data,
        keep=lambda rows: rows[:3],
        pose=np.load(folder / "preds.npz")["pose"][:3],
    )

    exclude, worst = (
        evaluate(some, data, protocols=("challenge",), missing=rule)
        for rule in ("exclude", "worst")
    )

    for key, number in measured(worst).items():
        assert (measured(exclude)[key].count, number.count) == (3, 5)
        is_worse = number.value < measured(exclude)[key].value
        assert is_worse == number.higher_is_better or number.value == measured(exclude)[key].value
    assert worst.n_missing == 2
    assert worst.is_complete
    assert not exclude.is_complete
    assert "samples counted as badly as the worst, for want of a prediction: 2" in worst.notes


def test_everything_that_is_reported_is_json(folder):
    report = evaluate(folder / "preds.npz", folder / "men", body=folder / "bodies")

    again = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert again["not_evaluated"][0]["protocol"] == "lsp14"
    assert set(again["interval"]) == {"level", "resamples", "seed", "unit", "num_units"}


def test_the_challenge_agrees_with_the_checker_of_submissions(tmp_path):
    """They share no arithmetic: that of the checker reads the zip and the labels on its own."""
    people = {"test": [(f"{WALK}/image_{i:05d}.jpg", p) for i in range(6) for p in range(2)]}
    known = {"openpose": OPENPOSE, "shape": np.ones(10)}
    data = write_prepared(tmp_path / "set", source="3dpw", people=people, **known)
    truth = np.load(write_truth(tmp_path / "truth.npz", data))
    off = np.random.default_rng(1).normal(scale=0.05, size=truth["pose"].shape)
    preds = write_truth(tmp_path / "preds.npz", data, pose=truth["pose"] + off)

    report = evaluate(preds, data, protocols=("challenge",))
    zipped = submit(preds, data, tmp_path / "out.zip", splits=["test"]).path
    check = check_submission(zipped, data, splits=["test"])

    ours = {number.label: number.value for number in report.measurements}
    theirs = {score.label: score.value for score in check.scores}
    assert ours == pytest.approx(
        {
            "MPJPE": theirs["MPJPE"],
            "PA-MPJPE": theirs["MPJPE_PA"],
            "PCK@50": theirs["PCK@50"],
            "AUC": 100 * theirs["AUC"],
            "MPJAE": theirs["MPJAE"],
            "PA-MPJAE": theirs["MPJAE_PA"],
        },
        rel=1e-6,
    )
