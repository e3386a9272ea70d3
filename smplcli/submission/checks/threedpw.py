"""Looks for what the 3DPW challenge would refuse or misread in a submission."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from smplcli.body.unpickle import load_pickle_bytes
from smplcli.datasets.annotations import SequenceSize
from smplcli.submission.checks.archives import NOTE, Members
from smplcli.submission.checks.bodies import BodyOf
from smplcli.submission.checks.labels import Labels, true_joints
from smplcli.submission.checks.report import Findings
from smplcli.submission.checks.scores import ChallengeErrors, challenge_errors, challenge_scores
from smplcli.submission.checks.values import (
    axes_fault,
    head_drop,
    is_empty,
    rotation_fault,
    unit_fault,
)
from smplcli.types import Floats

MEMBER = re.compile(r"(train|validation|test)/([A-Za-z0-9_.-]+)\.pkl")
FOLDERS = {"train", "validation", "test"}
JOINTS, ORIENTATIONS = "jointPositions", "orientations"
TRAILING = {JOINTS: (24, 3), ORIENTATIONS: (9, 3, 3)}

COUNTS = ("sequences", "people", "person-frames", "person-frames without a result")

OFFICIAL_SEQUENCES, OFFICIAL_TRACKS = 60, 87
"""What 3DPW holds. With fewer the official evaluator writes an empty file and reports success."""

LIMBS = {
    1: (1, 4, (0, -1, 0)),
    2: (2, 5, (0, -1, 0)),
    3: (4, 7, (0, -1, 0)),
    4: (5, 8, (0, -1, 0)),
    5: (16, 18, (1, 0, 0)),
    6: (17, 19, (-1, 0, 0)),
    7: (18, 20, (1, 0, 0)),
    8: (19, 21, (-1, 0, 0)),
}
"""Oriented part: the joints at both ends of its bone, and where the bone points at rest."""

MIN_AGREEMENT = 0.7
"""Median cosine between a bone and where its part's rotation carries it; SMPL's exceed 0.95."""

OTHER_AXES_DEGREES = 40.0
"""A sequence whose bodies fit well once they are turned by more than this has other axes."""

CLEARLY_BETTER, FAR_BETTER = 0.5, 0.25
"""Shares of an error that are left when its cause has been found: of people in another order, and
of other axes, which a poor method's bodies seem to have as well, but never fit so well in."""


class Expectation(NamedTuple):
    """What the data set says about a submission."""

    sizes: Mapping[str, SequenceSize]
    """By the name of the member, such as ``test/downtown_bar_00.pkl``."""

    is_exact: bool
    """Whether these are the whole sequences, or what of them is known to be there."""

    labels: Mapping[str, Labels]
    """By the name of the member; empty for a check without labels."""

    body_of: BodyOf | None
    """The bodies that the labels are for; ``None`` for a check without them."""


def check_threedpw(members: Members, expected: Expectation | None) -> Findings:
    """Look for faults in a submission to the 3DPW challenge.

    Args:
        members: Its files.
        expected: What it must hold; ``None`` looks at the file alone.

    Raises:
        UnreadableFileError: A member is damaged.
        HostileFileError: A pickle asks for code to be run.
    """
    findings = Findings(is_demo=NOTE in members.names, counts=dict.fromkeys(COUNTS, 0))
    findings.problems += _stray_members(members)
    keys: Counter[frozenset[str]] = Counter()
    sizes: dict[str, SequenceSize] = {}
    errors: list[ChallengeErrors] = []
    drops: list[Floats] = []
    for name in filter(MEMBER.fullmatch, members.names):
        arrays = _sequence(name, load_pickle_bytes(members.read(name), name), findings)
        if arrays:
            keys[frozenset(arrays)] += 1
            people, frames = next(iter(arrays.values())).shape[:2]
            sizes[name] = SequenceSize(num_frames=frames, num_people=people)
            errors += _compare(name, arrays, expected, findings)
            drops += _drops(arrays)
    if len(keys) > 1:
        findings.problems.append(
            "some sequences lack a key that others have; keep it in all or none"
        )
    findings.count("sequences", len(sizes))
    findings.count("people", sum(size.num_people for size in sizes.values()))
    findings.count("person-frames", sum(s.num_people * s.num_frames for s in sizes.values()))
    is_void = findings.counts[COUNTS[2]] == findings.counts[COUNTS[3]]
    findings.problems += _incompleteness(sizes, expected, is_void=is_void)
    findings.doubts += _other_axes(errors) if errors else _upside_down(drops)
    findings.scores = challenge_scores(errors) if errors else ()
    findings.notes += _official_verdict(findings)
    return findings


def _stray_members(members: Members) -> Iterator[str]:
    files = [name for name in members.names if name != NOTE]
    tops = {name.partition("/")[0] for name in files}
    if len(tops) == 1 and not tops & FOLDERS:
        yield f"everything lies inside {tops.pop()!r}; its content must lie at the zip's root"
        return
    for name in files:
        if not MEMBER.fullmatch(name):
            yield f"member is not train|validation|test/<sequence>.pkl: {name!r}"
    for name in members.repeated:
        yield f"member occurs more than once: {name!r}"


def _sequence(name: str, content: Any, findings: Findings) -> dict[str, np.ndarray]:
    """The arrays of a sequence; none, and problems noted, where they are no sound ones."""
    if not isinstance(content, dict) or not set(content) & set(TRAILING):
        findings.problems.append(f"{name}: must be a dict of jointPositions and orientations")
        return {}
    unknown = sorted(map(str, set(content) - set(TRAILING)))
    if unknown:
        findings.notes.append(f"{name}: the evaluator does not look at {', '.join(unknown)}")
    arrays = {key: _as_array(content[key]) for key in TRAILING if key in content}
    faults = [f"{key} {fault}" for key, a in arrays.items() for fault in _array_faults(key, a)]
    if not faults and len({array.shape[:2] for array in arrays.values()}) > 1:
        faults = ["jointPositions and orientations disagree in people or frames"]
    if faults:
        findings.problems += [f"{name}: {fault}" for fault in faults]
        return {}
    flat = {key: array.reshape(-1, *TRAILING[key]) for key, array in arrays.items()}
    faults = [*_value_faults(flat)] or [*_chain_faults(flat)]
    findings.problems += [f"{name}: {fault}" for fault in faults]
    empty = np.any([is_empty(array) for array in flat.values()], axis=0)
    findings.count("person-frames without a result", int(empty.sum()))
    return {} if faults else arrays


def _as_array(value: Any) -> Any:
    """One array of a list of arrays, one per person, which the evaluator takes as well."""
    if isinstance(value, list) and value and all(isinstance(v, np.ndarray) for v in value):
        is_even = len({(v.shape, v.dtype.str) for v in value}) == 1
        return np.stack(value) if is_even else value
    return value


def _array_faults(key: str, array: Any) -> Iterator[str]:
    trailing = TRAILING[key]
    wanted = ", ".join(["people", "frames", *map(str, trailing)])
    if not isinstance(array, np.ndarray):
        yield f"must be an array of ({wanted}), is a {type(array).__name__}"
    elif array.dtype.kind != "f":
        yield f"must hold floating point numbers, holds {array.dtype}"
    elif array.ndim != 2 + len(trailing) or array.shape[2:] != trailing or 0 in array.shape:
        yield f"must be ({wanted}), is {array.shape}"


def _value_faults(flat: Mapping[str, np.ndarray]) -> Iterator[str]:
    for key, array in flat.items():
        finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        broken = np.flatnonzero(~finite & ~is_empty(array))
        if broken.size:
            yield f"{key} partly not finite in {broken.size} person-frames, first {broken[0]}"
        sound = array[finite].astype(np.float64)
        if not len(sound):
            continue
        fault = rotation_fault(sound) if key == ORIENTATIONS else unit_fault(sound)
        if fault:
            yield f"{key} {fault}"


def _chain_faults(flat: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Rotations relative to parents, parts in another order and bones in other axes."""
    if len(flat) < len(TRAILING):
        return
    has_both = ~np.any([is_empty(array) for array in flat.values()], axis=0)
    joints3d, rotations = flat[JOINTS][has_both], flat[ORIENTATIONS][has_both]
    for part, (start, end, direction) in LIMBS.items():
        bone = joints3d[:, end] - joints3d[:, start]
        carried = rotations[:, part] @ np.array(direction)
        length = np.linalg.norm(bone, axis=-1)
        agreement = (bone * carried).sum(axis=-1)[length > 0] / length[length > 0]
        if agreement.size and np.median(agreement) < MIN_AGREEMENT:
            yield (
                f"orientations of part {part} do not carry the bone from joint {start} to {end};"
                " they must be accumulated along the chain, in the axes of the joints"
            )


def _compare(
    name: str,
    arrays: Mapping[str, np.ndarray],
    expected: Expectation | None,
    findings: Findings,
) -> Iterator[ChallengeErrors]:
    """Errors of the people of a sequence whom the evaluator looks at."""
    if expected is None or name not in expected.labels:
        return
    labels = expected.labels[name]
    people, frames = next(iter(arrays.values())).shape[:2]
    is_inside = (labels.person < people) & (labels.frame < frames) & (labels.frame >= 0)
    labels = labels.take(np.flatnonzero(labels.is_scored & is_inside))
    place = (labels.person, labels.frame)
    picked = {key: array[place].astype(np.float64) for key, array in arrays.items()}
    lacking = np.any([is_empty(array) for array in picked.values()], axis=0)
    findings.n_unscored += int(lacking.sum())
    if lacking.any():
        findings.notes.append(f"{name}: {lacking.sum()} people who are scored have no result")
    if expected.body_of is None or lacking.all():
        return
    labels = labels.take(np.flatnonzero(~lacking))
    joints, rotations = true_joints(labels, expected.body_of)
    none = {key: np.full((len(lacking), *shape), np.nan) for key, shape in TRAILING.items()}
    given = {key: picked.get(key, none[key])[~lacking] for key in TRAILING}
    findings.doubts += _other_order(name, labels, given[JOINTS], joints)
    yield challenge_errors(given[JOINTS], given[ORIENTATIONS], joints, rotations)


def _other_order(name: str, labels: Labels, pred: Floats, true: Floats) -> Iterator[str]:
    """People of a sequence who fit the labels of somebody else in it."""
    rows = {person: labels.person == person for person in np.unique(labels.person).tolist()}
    for first, second in [(a, b) for a in rows for b in rows if a < b]:
        _, ours, theirs = np.intersect1d(
            labels.frame[rows[first]], labels.frame[rows[second]], return_indices=True
        )
        one, two = np.flatnonzero(rows[first])[ours], np.flatnonzero(rows[second])[theirs]
        straight = _distance(pred[one], true[one]) + _distance(pred[two], true[two])
        crossed = _distance(pred[one], true[two]) + _distance(pred[two], true[one])
        if len(one) and crossed < CLEARLY_BETTER * straight:
            yield (
                f"{name}: people {first} and {second} fit each other's labels;"
                " they must come in the order of the ground truth"
            )


def _distance(pred: Floats, true: Floats) -> float:
    if not len(pred):
        return 0.0
    off = (pred - pred[:, :1]) - (true - true[:, :1])
    return float(np.median(np.linalg.norm(off, axis=-1).mean(axis=1)))


def _other_axes(errors: list[ChallengeErrors]) -> Iterator[str]:
    turned = [
        float(np.median(part.turn))
        for part in errors
        if np.median(part.joint_pa.mean(axis=1)) < FAR_BETTER * np.median(part.joint.mean(axis=1))
        and np.median(part.turn) > OTHER_AXES_DEGREES
    ]
    if 2 * len(turned) > len(errors):
        yield (
            f"bodies of {len(turned)} of {len(errors)} sequences are turned against the labels,"
            f" by {np.median(turned):.0f} degrees in the median, and fit once turned back: axes"
            " must be the camera's (x right, y down, z forward), not the world's"
        )


def _drops(arrays: Mapping[str, np.ndarray]) -> Iterator[Floats]:
    if JOINTS in arrays:
        joints3d = arrays[JOINTS].reshape(-1, 24, 3)
        yield head_drop(joints3d[~is_empty(joints3d)])


def _upside_down(drops: list[Floats]) -> Iterator[str]:
    fault = axes_fault(np.concatenate(drops)) if drops else None
    if fault:
        yield fault


def _incompleteness(
    found: Mapping[str, SequenceSize], expected: Expectation | None, *, is_void: bool
) -> Iterator[str]:
    if not found:
        yield "no sequence could be read"
    elif is_void:
        yield "holds no result at all, only NaN"
    if expected is None:
        return
    for name, size in expected.sizes.items():
        if name not in found:
            yield f"sequence is missing or unusable: {name}"
            continue
        lacks = any(ours < theirs for ours, theirs in zip(found[name], size, strict=True))
        if lacks or (expected.is_exact and found[name] != size):
            yield (
                f"{name}: holds {found[name].num_people} people and {found[name].num_frames}"
                f" frames, the data set {size.num_people} and {size.num_frames}"
            )
    for name in sorted(set(found) - set(expected.sizes)):
        yield f"sequence is not in the data set: {name}"


def _official_verdict(findings: Findings) -> Iterator[str]:
    """What the official evaluator would make of the file."""
    size = (findings.counts["sequences"], findings.counts["people"])
    if size != (OFFICIAL_SEQUENCES, OFFICIAL_TRACKS) and not findings.is_demo:
        yield (
            f"THE OFFICIAL EVALUATOR GIVES NO SCORE for this file: it holds {size[0]} sequences"
            f" with {size[1]} people, and for anything but {OFFICIAL_SEQUENCES} and"
            f" {OFFICIAL_TRACKS} it stops, or writes an empty scores.txt and reports success"
        )
    if findings.n_unscored:
        yield (
            "THE OFFICIAL EVALUATOR GIVES NO SCORE for this file: it does not pass over"
            f" the {findings.n_unscored} people without a result"
        )
