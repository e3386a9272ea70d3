"""The checker of the 3DPW challenge on sound submissions and on damaged ones."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from smplcli.body.files import load_body
from smplcli.datasets.annotations import SequenceSize
from smplcli.errors import HostileFileError, MissingFileError, UnreadableFileError
from smplcli.submission.checks.archives import open_members
from smplcli.submission.checks.bodies import pose_joints
from smplcli.submission.checks.labels import Labels
from smplcli.submission.checks.threedpw import Expectation, check_threedpw
from smplcli.workflows.check_submission import check_submission

NAME = "test/outdoors_walking_00.pkl"
SIZES = {NAME: SequenceSize(num_frames=3, num_people=2)}
PARTS = [0, 1, 2, 4, 5, 16, 17, 18, 19]
BODY = load_body()


def labels(seed=0):
    """Two people in three frames, upright before the camera."""
    rng = np.random.default_rng(seed)
    pose = 0.3 * rng.normal(size=(6, 72))
    pose[:, :3] = [np.pi, 0, 0]
    return Labels(
        sequence=np.full(6, "outdoors_walking_00"),
        frame=np.array([0, 1, 2, 0, 1, 2]),
        person=np.array([0, 0, 0, 1, 1, 1]),
        gender=np.full(6, "n"),
        pose=pose,
        betas=rng.normal(size=(6, 10)),
        is_scored=np.ones(6, dtype=bool),
    )


def content(seed=0):
    """What a perfect method would submit for the labels."""
    known = labels(seed)
    joints, rotations = pose_joints(BODY, known.pose, known.betas)
    return {
        "jointPositions": joints.reshape(2, 3, 24, 3),
        "orientations": rotations[:, PARTS].reshape(2, 3, 9, 3, 3),
    }


def write(path, members):
    with zipfile.ZipFile(path, "w") as opened:
        for name, member in members.items():
            opened.writestr(
                name, member if isinstance(member, bytes) else pickle.dumps(member, protocol=2)
            )
    return path


def expectation(**changes):
    given = {"sizes": SIZES, "is_exact": True, "labels": {}, "body_of": None} | changes
    return Expectation(**given)


LABELLED = expectation(labels={NAME: labels()}, body_of=lambda gender: BODY)


@pytest.fixture
def check(tmp_path):
    def run(members, expected=None):
        members = {NAME: members} if "jointPositions" in members else members
        with open_members(write(tmp_path / "out.zip", members)) as opened:
            return check_threedpw(opened, expected or expectation())

    return run


def test_a_sound_submission_has_no_problem_and_is_counted(check):
    findings = check(content())

    assert findings.problems == []
    assert findings.counts == {
        "sequences": 1,
        "people": 2,
        "person-frames": 6,
        "person-frames without a result": 0,
    }
    assert not findings.is_demo


def test_perfect_results_score_nothing_but_the_curve_below_its_first_threshold(check):
    scores = {score.label: score.value for score in check(content(), LABELLED).scores}

    assert scores["AUC"] == pytest.approx(1, abs=0.003)
    del scores["AUC"]
    assert scores == pytest.approx(
        {"MPJPE": 0, "MPJPE_PA": 0, "PCK@50": 100, "MPJAE": 0, "MPJAE_PA": 0}, abs=1e-5
    )


def test_a_folder_is_read_like_a_zip(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / NAME).write_bytes(pickle.dumps(content(), protocol=2))

    with open_members(tmp_path) as members:
        assert check_threedpw(members, expectation()).problems == []


def test_either_key_may_be_left_out(check):
    numbers = {"jointPositions": {"MPJPE", "PCK@50"}, "orientations": {"MPJAE"}}
    for key, expected in numbers.items():
        findings = check({NAME: {key: content()[key]}}, LABELLED)

        assert findings.problems == []
        assert expected <= {score.label for score in findings.scores}


def test_one_array_per_person_is_as_good_as_one_array(check):
    assert check({NAME: {key: list(value) for key, value in content().items()}}).problems == []


def test_keys_that_nobody_reads_are_noted(check):
    findings = check(content() | {"betas": np.zeros(10)})

    assert findings.problems == []
    assert "does not look at betas" in findings.notes[0]


def test_a_key_left_out_of_some_sequences_is_a_problem(check):
    other = {"jointPositions": content()["jointPositions"]}
    findings = check({NAME: content(), "test/other.pkl": other}, expectation(is_exact=False))

    assert "keep it in all or none" in findings.problems[0]


def test_places_without_a_result_are_a_matter_of_whether_they_are_scored(check):
    member = content()
    member["jointPositions"][1, 2] = np.nan
    unscored = labels()._replace(is_scored=np.array([True] * 5 + [False]))

    assert check(member).n_unscored == 0
    assert check(member, LABELLED).n_unscored == 1
    assert "GIVES NO SCORE" in check(member, LABELLED).notes[-1]
    assert check(member, LABELLED._replace(labels={NAME: unscored})).n_unscored == 0


def test_a_file_of_nothing_but_nan_is_wrong(check):
    nothing = {key: np.full_like(array, np.nan) for key, array in content().items()}

    assert "only NaN" in check(nothing).problems[0]


def test_a_file_that_the_official_evaluator_scores_nothing_of_says_so_loudly(check):
    assert "THE OFFICIAL EVALUATOR GIVES NO SCORE" in check(content()).notes[0]


def damaged(key, change):
    member = content()
    member[key] = change(member[key])
    return member


def mirrored(rotations):
    return rotations * np.array([-1.0, 1.0, 1.0])[:, None]


def with_one(value):
    def change(array):
        array[0, 1, 2, 0] = value
        return array

    return change


def upside_down(member):
    turn = np.diag([1.0, -1.0, -1.0])
    return {
        "jointPositions": member["jointPositions"] @ turn,
        "orientations": turn @ member["orientations"],
    }


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (damaged("jointPositions", lambda a: 1000 * a), "these look like millimetres"),
        (damaged("jointPositions", lambda a: 0 * a), "must be metres"),
        (damaged("jointPositions", with_one(np.nan)), "partly not finite in 1 person-frames"),
        (damaged("jointPositions", with_one(np.inf)), "partly not finite in 1 person-frames"),
        (damaged("jointPositions", lambda a: a[:, :, :14]), "must be (people, frames, 24, 3)"),
        (damaged("jointPositions", lambda a: a.reshape(2, 3, 72)), "must be (people, frames"),
        (damaged("jointPositions", lambda a: a.tolist()), "is a list"),
        (damaged("jointPositions", lambda a: a.astype(int)), "floating point numbers"),
        (damaged("jointPositions", lambda a: a[:, :2]), "disagree in people or frames"),
        (damaged("orientations", mirrored), "54 matrices that mirror"),
        (damaged("orientations", lambda a: 1.01 * a), "54 matrices that are no rotations"),
        (damaged("orientations", with_one(0.9)), "person-frame 1, part 2"),
        (damaged("orientations", lambda a: a.swapaxes(-1, -2)), "accumulated along the chain"),
        (damaged("orientations", lambda a: a[:, :, ::-1]), "accumulated along the chain"),
        (damaged("orientations", lambda a: a[:, :, :, :, 0]), "must be (people, frames, 9, 3, 3)"),
        ({NAME: [content()]}, "must be a dict"),
        ({NAME: {}}, "must be a dict"),
        ({NAME: {"joints3d": content()["jointPositions"]}}, "must be a dict"),
    ],
)
def test_damaged_content_is_named(check, member, words):
    problem = check(member).problems[0]

    assert problem.startswith(NAME)
    assert words in problem


def test_people_who_stand_on_their_heads_are_in_the_worlds_axes(check):
    assert "stand on their heads" in check(upside_down(content())).doubts[0]


def test_axes_of_the_world_are_told_by_the_labels(check):
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    world = {
        "jointPositions": content()["jointPositions"] @ turn.T,
        "orientations": turn @ content()["orientations"],
    }

    assert check(world).doubts == []
    assert "turned against the labels, by 90 degrees" in check(world, LABELLED).doubts[0]


def test_people_in_another_order_are_told_by_the_labels(check):
    exchanged = {key: value[::-1].copy() for key, value in content().items()}

    assert check(exchanged).doubts == []
    assert "people 0 and 1 fit each other's labels" in check(exchanged, LABELLED).doubts[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("results/" + NAME, "content must lie at the zip's root"),
        ("val/outdoors_walking_00.pkl", "content must lie at the zip's root"),
        ("test/inner/outdoors_walking_00.pkl", "is not train|validation|test"),
        ("test/outdoors_walking_00.npz", "is not train|validation|test"),
    ],
)
def test_a_member_in_the_wrong_place_is_a_problem(check, name, words):
    problems = check({name: content()}).problems

    assert words in problems[0]
    assert "no sequence could be read" in problems[1]


@pytest.mark.parametrize("name", ["test/../../evil.pkl", "/etc/evil.pkl", "C:/evil.pkl", "..\\x"])
def test_a_name_that_leads_out_of_the_zip_is_hostile(check, name):
    with pytest.raises(HostileFileError, match="leads out"):
        check({NAME: content(), name: content()})


def test_a_link_is_hostile(tmp_path):
    link = zipfile.ZipInfo("test/link.pkl")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")

    with pytest.raises(HostileFileError, match="link"), open_members(tmp_path / "out.zip"):
        pass


def test_a_member_that_expands_to_far_too_much_is_hostile(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "out.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(NAME, "w", force_zip64=True) as stream,
    ):
        for _ in range(257):
            stream.write(bytes(1 << 20))

    assert (tmp_path / "out.zip").stat().st_size < 1 << 20
    with pytest.raises(HostileFileError, match="expands to"), open_members(tmp_path / "out.zip"):
        pass


def test_a_member_that_occurs_twice_is_a_problem(tmp_path):
    path = write(tmp_path / "out.zip", {NAME: content()})
    with zipfile.ZipFile(path, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr(NAME, pickle.dumps(content()))

    with open_members(path) as members:
        assert "more than once" in check_threedpw(members, expectation()).problems[0]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({**SIZES, "test/other.pkl": SequenceSize(1, 1)}, "missing or unusable: test/other"),
        ({NAME: SequenceSize(4, 2)}, "holds 2 people and 3 frames, the data set 2 and 4"),
        ({NAME: SequenceSize(3, 1)}, "the data set 1 and 3"),
    ],
)
def test_what_the_data_set_has_and_the_file_has_not_is_a_problem(check, sizes, words):
    (problem,) = check(content(), expectation(sizes=sizes)).problems

    assert words in problem


def test_more_frames_than_are_known_are_no_problem(check):
    sizes = {NAME: SequenceSize(2, 2)}

    assert check(content(), expectation(sizes=sizes, is_exact=False)).problems == []


def test_a_sequence_that_the_data_set_lacks_is_a_problem(check):
    (problem,) = check({NAME: content(), "train/unknown.pkl": content()}).problems

    assert "not in the data set: train/unknown" in problem


def test_a_missing_file_is_named(tmp_path):
    with (
        pytest.raises(MissingFileError, match=r"nowhere\.zip"),
        open_members(tmp_path / "nowhere.zip"),
    ):
        pass


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_zip_cut_short_is_unreadable(tmp_path, share):
    whole = write(tmp_path / "whole.zip", {NAME: content()}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: int(share * len(whole))])

    with (
        pytest.raises(UnreadableFileError, match=r"cut\.zip"),
        open_members(tmp_path / "cut.zip") as members,
    ):
        check_threedpw(members, None)


def test_a_flipped_bit_inside_a_member_is_noticed(tmp_path):
    path = write(tmp_path / "out.zip", {NAME: content()})
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)

    with pytest.raises(UnreadableFileError), open_members(path) as members:
        check_threedpw(members, None)


def test_a_pickle_cut_short_is_unreadable(check):
    with pytest.raises(UnreadableFileError):
        check({NAME: pickle.dumps(content(), protocol=2)[:-20]})


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(check, tmp_path):
    canary = tmp_path / "canary"

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    with pytest.raises(HostileFileError):
        check({NAME: pickle.dumps(Attack())})
    assert not canary.exists()


@pytest.mark.parametrize("value", [1e308, 5e-324, -1e200])
@pytest.mark.parametrize("key", ["jointPositions", "orientations"])
def test_numbers_of_any_size_are_problems_and_no_failures(tmp_path, key, value):
    path = write(tmp_path / "out.zip", {NAME: damaged(key, lambda a: np.full_like(a, value))})

    assert check_submission(path).problems[0].startswith(f"{NAME}: {key}")
