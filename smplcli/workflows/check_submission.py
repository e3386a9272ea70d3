"""A submission, ours or another tool's, read back by a checker that knows no writer."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from smplcli.body.files import GENDER_WORDS, load_body
from smplcli.body.joint_sets import joint_set
from smplcli.body.model import BodyModel
from smplcli.datasets.annotations import SequenceSize
from smplcli.datasets.sequences import num_dropped, sequence_sizes
from smplcli.datasets.shards import prepared_splits
from smplcli.errors import ConfigError, MissingFileError
from smplcli.evaluation.regressors import find_regressors
from smplcli.submission.checks.agora import check_agora
from smplcli.submission.checks.archives import open_members
from smplcli.submission.checks.bodies import BodyOf, pose_points
from smplcli.submission.checks.emdb import check_emdb
from smplcli.submission.checks.eth import check_eth
from smplcli.submission.checks.labels import Labels, labels_by_member, labels_of
from smplcli.submission.checks.recognise import recognise
from smplcli.submission.checks.report import CheckReport, Findings
from smplcli.submission.checks.threedpw import Expectation, check_threedpw
from smplcli.types import Floats
from smplcli.workflows.submission_report import FormatName


def check_submission(
    file: Path,
    data: Path | None = None,
    *,
    format: FormatName | None = None,  # noqa: A002 - what the option is called
    splits: Sequence[str] | None = None,
    body: Path | None = None,
    joint_regressor: Path | None = None,
) -> CheckReport:
    """Look for faults in a submission and, with labels at hand, compute its score.

    Args:
        file: The zip, csv or folder.
        data: Prepared data set that it is for.
        format: What it should be; ``None`` tells it by its content.
        splits: Parts of the data set that it should hold; ``None`` takes all that count.
        body: SMPL file, or a folder with the bodies of all genders, for the score; the demo body
            without one.
        joint_regressor: J_regressor_extra.npy for the course's score; beside the body without one.

    Raises:
        MissingFileError: File, data or body are not there.
        UnreadableFileError: One of them is damaged, or the file no submission.
        HostileFileError: The file asks for what no submission asks for.
    """
    name = format or recognise(file)
    with np.errstate(all="ignore"):  # whoever wrote the file may have written any number
        if name == "eth-mp":
            findings = _check_eth(file, data, splits, body, joint_regressor)
        elif name == "3dpw-challenge":
            findings = _check_threedpw(file, data, splits, body)
        else:
            with open_members(file) as members:
                findings = check_emdb(members) if name == "emdb" else check_agora(members)
            if data:
                findings.notes.append(f"no data set is prepared for {name}: {data} is not used")
    return findings.report(file, name)


def extra_regressor(given: Path | None, body: Path | None) -> Path | None:
    """J_regressor_extra.npy: as given, else beside the SMPL file; ``None`` without one.

    Raises:
        ConfigError: The file given has another name.
    """
    return find_regressors([given] if given else [], body).get("spin49")


def _check_threedpw(
    file: Path, data: Path | None, splits: Sequence[str] | None, body: Path | None
) -> Findings:
    notes: list[str] = []
    expected = _expectation(data, splits, body, notes) if data else None
    with open_members(file) as members:
        findings = check_threedpw(members, expected)
    findings.notes += notes
    return findings


def _expectation(
    data: Path, splits: Sequence[str] | None, body: Path | None, notes: list[str]
) -> Expectation:
    """What the data set says about a submission to the 3DPW challenge."""
    labels = labels_by_member(data)
    stated = sequence_sizes(data)
    wanted = splits or [name for name in ("train", "validation", "test") if name in stated]
    wanted = wanted or prepared_splits(data)
    is_exact = all(split in stated for split in wanted)
    sizes = {
        f"{split}/{name}.pkl": size
        for split in wanted
        for name, size in stated.get(split, {}).items()
    } or {name: _known_size(own) for name, own in labels.items() if name.split("/")[0] in wanted}
    scored = [own for name, own in labels.items() if name in sizes and own.is_scored.any()]
    genders = sorted({str(gender) for own in scored for gender in np.unique(own.gender)})
    body_of = _bodies(body, genders, notes)
    if not scored:
        notes.append("no score: the data set has no labels")
    return Expectation(sizes, is_exact, labels, body_of)


def _known_size(labels: Labels) -> SequenceSize:
    return SequenceSize(
        num_frames=int(labels.frame.max()) + 1, num_people=int(labels.person.max()) + 1
    )


def _bodies(path: Path | None, genders: Sequence[str], notes: list[str]) -> BodyOf | None:
    """The bodies that labels are for; none, and why in the notes, where one is lacking."""

    @cache
    def body_of(gender: str) -> BodyModel:
        return load_body(path, gender=GENDER_WORDS.get(gender, "neutral"))

    if path is not None and not path.is_dir() and set(genders) - {"n"}:
        notes.append(
            f"labels of gender {', '.join(genders)} are posed with {path.name} alone: give --body"
            " a folder that holds SMPL_FEMALE and SMPL_MALE for the leaderboard's own score"
        )
    try:
        for gender in genders:
            body_of(gender)
    except MissingFileError as error:
        if path is None or not path.is_dir():
            raise
        notes.append(f"no score: {error.message}")
        return None
    return body_of


def _check_eth(
    file: Path,
    data: Path | None,
    splits: Sequence[str] | None,
    body: Path | None,
    joint_regressor: Path | None,
) -> Findings:
    if data is None:
        return check_eth(file)
    notes: list[str] = []
    split = course_split(splits)
    labels = labels_of(data, split)
    true = _course_truth(labels, body, joint_regressor, notes)
    dropped = num_dropped(data, split)
    if dropped:
        notes.append(f"the data set left {dropped} rows of {split} out, which must be there")
    findings = check_eth(file, num_rows=len(labels.pose) + dropped, true_joints3d=true)
    findings.notes += notes
    return findings


def course_split(splits: Sequence[str] | None) -> str:
    """The one split of a submission to the course.

    Raises:
        ConfigError: Several are asked for.
    """
    names = tuple(splits or ("test",))
    if len(names) > 1:
        raise ConfigError(f"eth-mp takes one split: {', '.join(names)}")
    return names[0]


def _course_truth(
    labels: Labels, body: Path | None, joint_regressor: Path | None, notes: list[str]
) -> Floats | None:
    """49 joints of the labels on the neutral body; NaN where there are no labels."""
    if not labels.is_scored.any():
        notes.append("no score: the data set has no labels")
        return None
    model = load_body(body)
    try:
        joints = joint_set(model, "spin49", given=extra_regressor(joint_regressor, body))
    except (ConfigError, MissingFileError) as error:
        if joint_regressor is not None:
            raise
        notes.append(f"no score: {error.message}")
        return None
    true = np.full((len(labels.pose), 49, 3), np.nan)
    rows = np.flatnonzero(labels.is_scored)
    true[rows] = pose_points(
        model,
        labels.pose[rows],
        labels.betas[rows],
        from_joints=joints.from_joints,
        from_vertices=joints.from_vertices,
    )
    return true
