"""Looks for what EMDB's own evaluation would refuse or misread in a folder of results.

Source:
    github.com/eth-ait/emdb, evaluation_engine.py and evaluation_loaders.py: load_hybrik.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from smplcli.body.unpickle import load_pickle_bytes
from smplcli.submission.checks.archives import NOTE, Members
from smplcli.submission.checks.report import Findings
from smplcli.submission.checks.values import rotation_fault
from smplcli.types import Floats

MEMBER = re.compile(r"(P\d+/[^/]+)/hybrIK-out/(\d{6})\.pkl")
ARRAYS_MEMBER = re.compile(r"(P\d+/[^/]+)/smpl\.npz")
ENTRIES = {"pred_theta_mats": 24 * 9, "pred_shape": 10, "transl": 3}
"""Numbers per frame; the loader takes any shape of them that has one frame."""

SHAPES = {"pred_shape": (1, 10), "transl": (1, 3)}
"""These are laid end to end, so their shapes are fixed."""

UPRIGHT = 0.5
FAR = 200.0
"""Metres; nobody whom EMDB shows is farther from the camera."""


def check_emdb(members: Members) -> Findings:
    """Look for faults in results for EMDB.

    Args:
        members: The files below the folder of results.

    Raises:
        UnreadableFileError: A member is damaged.
        HostileFileError: A pickle asks for code to be run.
    """
    findings = Findings(is_demo=NOTE in members.names)
    findings.problems += _stray_members(members)
    frames: dict[str, list[int]] = defaultdict(list)
    upright: list[float] = []
    for name in members.names:
        match = MEMBER.fullmatch(name)
        if match is None:
            continue
        frames[match[1]].append(int(match[2]))
        content = load_pickle_bytes(members.read(name), name)
        faults = [*_faults(content)]
        findings.problems += [f"{name}: {fault}" for fault in faults]
        if not faults:
            root = np.asarray(content["pred_theta_mats"]).reshape(24, 3, 3)[0]
            upright.append(-float(root[1, 1]))
    findings.count("sequences", len(frames))
    findings.count("frames", sum(map(len, frames.values())))
    findings.problems += _numbering(frames)
    if upright and np.median(upright) < -UPRIGHT:
        findings.doubts.append(
            "people stand on their heads: rotations must lead to the camera's axes, with y"
            " down, and not to the world's"
        )
    if not frames:
        findings.problems.append("no frame could be read")
    return findings


def _stray_members(members: Members) -> Iterator[str]:
    for name in members.names:
        if name != NOTE and not MEMBER.fullmatch(name) and not ARRAYS_MEMBER.fullmatch(name):
            yield f"file is not P<n>/<sequence>/hybrIK-out/<six digits>.pkl: {name!r}"


def _numbering(frames: Mapping[str, list[int]]) -> Iterator[str]:
    for sequence, numbers in frames.items():
        lacking = sorted(set(range(max(numbers) + 1)) - set(numbers))
        if lacking:
            yield (
                f"{sequence}: lacks {len(lacking)} frames, first {lacking[0]}; the evaluation"
                " counts files, so all later frames would be compared with the wrong labels"
            )


def _faults(content: Any) -> Iterator[str]:
    if not isinstance(content, dict):
        yield f"must be a dict, is a {type(content).__name__}"
        return
    for name, count in ENTRIES.items():
        array = content.get(name)
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            yield f"lacks the array {name}, of floating point numbers"
        elif array.size != count or array.shape != SHAPES.get(name, array.shape):
            yield f"{name} must be {SHAPES.get(name, (1, 24, 3, 3))}, is {array.shape}"
        elif not np.isfinite(array).all():
            yield f"{name} is not finite"
        else:
            yield from _value_faults(name, array.astype(np.float64))


def _value_faults(name: str, array: Floats) -> Iterator[str]:
    if name == "pred_theta_mats":
        fault = rotation_fault(array.reshape(1, 24, 3, 3))
        if fault:
            yield f"{name} {fault}"
    elif name == "transl" and np.abs(array).max() > FAR:
        yield f"transl must be metres, is {np.abs(array).max():.4g}"
