"""Reads a 3DPW challenge submission back and looks for what the leaderboard would stumble over.

Nothing here is shared with the writer, so that a mistake of the writer is not repeated.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from smplcli.body.unpickle import load_pickle_bytes
from smplcli.errors import HostileFileError, MissingFileError, SmplCliError, UnreadableFileError

MEMBER = re.compile(r"(train|validation|test)/([A-Za-z0-9_.-]+)\.pkl")
NOTE = "DEMO.txt"
TRAILING = {"jointPositions": (24, 3), "orientations": (9, 3, 3)}
PLAUSIBLE_METRES = (0.2, 3.0)
"""How far the farthest joint of a person is from the pelvis, in the median over a sequence."""

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

ROTATION_TOLERANCE = 1e-3
"""Single precision keeps 1e-6; nine numbers that nobody made orthogonal miss by far more."""

MAX_MEMBER_BYTES = 256 << 20
"""The longest 3DPW sequence takes about 8 MB."""


class SequenceSize(NamedTuple):
    """How many people and frames the ground truth of a sequence has."""

    num_people: int
    num_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a submission holds and what is wrong with it."""

    problems: tuple[str, ...]
    """One sentence for each thing that the leaderboard would refuse or misread."""

    num_sequences: int
    num_tracks: int
    """People, summed over sequences; the challenge has 87."""

    num_person_frames: int
    num_empty: int
    """Person-frames without a result (all NaN)."""

    is_demo: bool
    """Whether the file says that it is no result."""


@dataclass(slots=True)
class _Findings:
    """What has been seen so far."""

    problems: list[str] = field(default_factory=list)
    sizes: dict[str, SequenceSize] = field(default_factory=dict)
    keys: Counter[frozenset[str]] = field(default_factory=Counter)
    num_empty: int = 0


def check_threedpw(
    file: Path | BinaryIO, expected: Mapping[str, SequenceSize] | None = None
) -> CheckReport:
    """Look for faults in a submission to the 3DPW challenge.

    Args:
        file: The zip, as a path or open for reading.
        expected: Size of every sequence of the data set by the name of its member, such as
            ``test/downtown_bar_00.pkl``; ``None`` checks everything but completeness.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no zip, or a part of it is damaged.
        HostileFileError: A pickle asks for code to be run, or a member is far too large.
    """
    if isinstance(file, Path) and not file.is_file():
        raise MissingFileError(f"submission not found: {file}")
    findings = _Findings()
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            findings.problems += _stray_members(names)
            for name in sorted(set(filter(MEMBER.fullmatch, names))):
                _check_sequence(name, _read(archive, name), findings)
    except SmplCliError:
        raise
    except Exception as error:  # zipfile and zlib raise a dozen kinds on damaged bytes
        raise UnreadableFileError(f"not a readable zip file: {_name_of(file)}: {error}") from error
    findings.problems += _incompleteness(findings.sizes, expected)
    if len(findings.keys) > 1:
        findings.problems.append(
            "some sequences lack a key that others have; keep it in all or none"
        )
    return CheckReport(
        problems=tuple(findings.problems),
        num_sequences=len(findings.sizes),
        num_tracks=sum(size.num_people for size in findings.sizes.values()),
        num_person_frames=sum(people * frames for people, frames in findings.sizes.values()),
        num_empty=findings.num_empty,
        is_demo=NOTE in names,
    )


def _name_of(file: Path | BinaryIO) -> str:
    return str(file if isinstance(file, Path) else getattr(file, "name", "submission"))


def _stray_members(names: list[str]) -> Iterator[str]:
    folders = {name.partition("/")[0] for name in names}
    if len(folders) == 1 and not folders & {"train", "validation", "test"}:
        yield f"everything lies inside {folders.pop()!r}; its content must lie at the zip's root"
        return
    for name, count in Counter(names).items():
        if name.endswith("/") or name == NOTE:
            continue
        if not MEMBER.fullmatch(name):
            yield f"member is not train|validation|test/<sequence>.pkl: {name!r}"
        elif count > 1:
            yield f"member occurs {count} times: {name!r}"


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    info = archive.getinfo(name)
    if info.file_size > MAX_MEMBER_BYTES:
        raise HostileFileError(f"member expands to {info.file_size} bytes: {name}")
    return load_pickle_bytes(archive.read(info), name)


def _check_sequence(name: str, content: Any, findings: _Findings) -> None:
    """Note the size of a sequence and what is wrong with its arrays."""
    if not isinstance(content, dict) or not content or not set(content) <= set(TRAILING):
        findings.problems.append(f"{name}: must be a dict of jointPositions and orientations")
        return
    findings.keys[frozenset(content)] += 1
    problems = [
        f"{name}: {key} {fault}"
        for key, array in content.items()
        for fault in _array_faults(array, TRAILING[key])
    ]
    sizes = {np.shape(array)[:2] for array in content.values()}
    if len(sizes) > 1:
        problems.append(f"{name}: jointPositions and orientations disagree in people or frames")
    if not problems:
        findings.sizes[name] = SequenceSize(*sizes.pop())
        flat = {key: array.reshape(-1, *TRAILING[key]) for key, array in content.items()}
        faults = [*_value_faults(flat)] or [*_chain_faults(flat)]
        problems = [f"{name}: {fault}" for fault in faults]
        findings.num_empty += _count_empty(flat)
    findings.problems += problems


def _array_faults(array: Any, trailing: tuple[int, ...]) -> Iterator[str]:
    wanted = ", ".join(["people", "frames", *map(str, trailing)])
    if not isinstance(array, np.ndarray):
        yield f"must be an array, is a {type(array).__name__}"
    elif array.dtype.kind != "f":
        yield f"must hold floating point numbers, holds {array.dtype}"
    elif array.ndim != 2 + len(trailing) or array.shape[2:] != trailing or 0 in array.shape:
        yield f"must be ({wanted}), is {array.shape}"


def _value_faults(flat: Mapping[str, np.ndarray]) -> Iterator[str]:
    for key, array in flat.items():
        finite = np.isfinite(array).reshape(len(array), -1)
        broken = np.flatnonzero(~finite.all(axis=1) & ~_is_empty(array))
        if broken.size:
            yield f"{key} partly not finite in {broken.size} person-frames, first {broken[0]}"
        sound = array[finite.all(axis=1)].astype(np.float64)
        if sound.size:
            yield from _unit_faults(sound) if key == "jointPositions" else _rotation_faults(sound)


def _unit_faults(joints3d: np.ndarray) -> Iterator[str]:
    reach = np.linalg.norm(joints3d - joints3d[:, :1], axis=-1).max(axis=1)
    low, high = PLAUSIBLE_METRES
    if not low < np.median(reach) < high:
        yield (
            f"jointPositions must be metres, but the farthest joint is {np.median(reach):.4g}"
            " from the pelvis"
        )


def _rotation_faults(rotations: np.ndarray) -> Iterator[str]:
    skew = np.abs(rotations @ rotations.swapaxes(-1, -2) - np.eye(3)).max(axis=(-1, -2))
    wrong = (skew > ROTATION_TOLERANCE) | (np.linalg.det(rotations) < 0)
    if wrong.any():
        first = np.argwhere(wrong)[0]
        yield (
            f"orientations hold {wrong.sum()} matrices that are no rotations,"
            f" first person-frame {first[0]}, part {first[1]}"
        )


def _chain_faults(flat: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Rotations relative to parents, parts in another order and bones in other axes."""
    if len(flat) < len(TRAILING):
        return
    has_both = ~np.any([_is_empty(array) for array in flat.values()], axis=0)
    joints3d, rotations = flat["jointPositions"][has_both], flat["orientations"][has_both]
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


def _is_empty(array: np.ndarray) -> np.ndarray:
    return np.asarray(np.isnan(array).reshape(len(array), -1).all(axis=1))


def _count_empty(flat: Mapping[str, np.ndarray]) -> int:
    return int(np.any([_is_empty(array) for array in flat.values()], axis=0).sum())


def _incompleteness(
    found: Mapping[str, SequenceSize], expected: Mapping[str, SequenceSize] | None
) -> Iterator[str]:
    if not found:
        yield "no sequence could be read"
    for name, size in (expected or {}).items():
        if name not in found:
            yield f"sequence is missing or unusable: {name}"
        elif found[name] != size:
            people, frames = found[name]
            yield (
                f"{name}: holds {people} people and {frames} frames,"
                f" the data set {size.num_people} and {size.num_frames}"
            )
    for name in sorted(set(found) - set(expected or found)):
        yield f"sequence is not in the data set: {name}"
