"""Looks for what AGORA's evaluation would refuse or misread in predictions for SMPL.

Source:
    github.com/pixelite1201/agora_evaluation, docs/prediction_format.md, check_pred_format.py,
    load_predictions.py.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from smplcli.body.unpickle import load_pickle_bytes
from smplcli.submission.checks.archives import NOTE, Members
from smplcli.submission.checks.bodies import rotation_matrices
from smplcli.submission.checks.report import Findings
from smplcli.submission.checks.values import head_drop, rotation_fault, unit_fault
from smplcli.types import Floats

MEMBER = re.compile(r"predictions/([^/]+)_personId_(\d+)\.pkl")
VECTORS = {"transl": (1, 3), "global_orient": (1, 1, 3), "body_pose": (1, 23, 3)}
MATRICES = {"transl": (1, 3), "global_orient": (1, 1, 3, 3), "body_pose": (1, 23, 3, 3)}
NUM_BETAS, NUM_BETAS_KID = 10, 11
NUM_VERTICES, NUM_VERTICES_SMPLX = 6890, 10475

WIDTH, HEIGHT = 3840, 2160
SMALL_WIDTH, SMALL_HEIGHT = 1280, 720
"""Pictures are handed out in both sizes; results count in the larger."""

ENOUGH_PEOPLE = 5
"""From so many on it is no chance that all of them are in the first ninth of their pictures."""

MARGIN = 2.0
"""How many pictures wide the joints of people who are cut off may lie."""

PLAUSIBLE_DEPTH = (0.2, 200.0)
MAX_ANGLE = 2 * np.pi + 0.1
UPSIDE_DOWN = 0.5


def check_agora(members: Members) -> Findings:
    """Look for faults in predictions for AGORA.

    Args:
        members: The files of the zip.

    Raises:
        UnreadableFileError: A member is damaged.
        HostileFileError: A pickle asks for code to be run.
    """
    findings = Findings(is_demo=NOTE in members.names)
    findings.problems += _stray_members(members)
    people: dict[str, list[int]] = defaultdict(list)
    pixels: list[Floats] = []
    upright: list[float] = []
    for name in members.names:
        match = MEMBER.fullmatch(name)
        if match is None:
            continue
        people[match[1]].append(int(match[2]))
        content = load_pickle_bytes(members.read(name), name)
        faults = [*_faults(content)]
        findings.problems += [f"{name}: {fault}" for fault in faults]
        if not faults:
            pixels.append(_squeezed(content["joints"])[:24, :2])
            upright += _uprightness(content)
    findings.count("pictures", len(people))
    findings.count("people", sum(map(len, people.values())))
    findings.problems += _numbering(people)
    findings.problems += _pixel_problems(pixels)
    if upright and np.median(upright) < -UPSIDE_DOWN:
        findings.doubts.append(
            "people stand on their heads: y must point down, as in the camera's frame"
        )
    if not people:
        findings.problems.append("no prediction could be read")
    return findings


def _stray_members(members: Members) -> Iterator[str]:
    files = [name for name in members.names if name != NOTE]
    if files and not any(name.startswith("predictions/") for name in files):
        yield "predictions must lie in a folder predictions/ at the zip's root"
        return
    for name in files:
        if not MEMBER.fullmatch(name):
            yield f"member is not predictions/<image>_personId_<k>.pkl: {name!r}"
    for name in members.repeated:
        yield f"member occurs more than once: {name!r}"


def _numbering(people: Mapping[str, list[int]]) -> Iterator[str]:
    for image, numbers in people.items():
        if sorted(numbers) != list(range(len(numbers))):
            yield f"{image}: people must be numbered from 0 without a gap, are {sorted(numbers)}"
        if image.endswith("_1280x720"):
            yield f"{image}: pictures are named without _1280x720, as the large ones are"


def _faults(content: Any) -> Iterator[str]:
    if not isinstance(content, dict):
        yield f"must be a dict, is a {type(content).__name__}"
        return
    joints = content.get("joints")
    if not isinstance(joints, np.ndarray) or joints.dtype.kind != "f":
        yield "joints must be an array of floating point numbers"
        return
    flat = _squeezed(joints)
    if flat.ndim != 2 or flat.shape[0] < 24 or flat.shape[1] < 2:
        yield f"joints must be (24, 2) pixels, is {joints.shape}"
        return
    if not np.isfinite(flat).all():
        yield "joints are not finite"
    if "params" in content:
        yield from _param_faults(content)
    elif "verts" in content or "allSmplJoints3d" in content:
        yield from _mesh_faults(content)
    else:
        yield "must hold params, or verts and allSmplJoints3d"


def _param_faults(content: Mapping[str, Any]) -> Iterator[str]:
    params = content["params"]
    if not isinstance(params, dict):
        yield f"params must be a dict, is a {type(params).__name__}"
        return
    is_kid = bool(content.get("kid_flag", False))
    shapes = dict(VECTORS if content.get("pose2rot", True) else MATRICES)
    shapes["betas"] = (1, NUM_BETAS_KID if is_kid else NUM_BETAS)
    for name, shape in shapes.items():
        array = params.get(name)
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            yield f"params lack the array {name}, of floating point numbers"
        elif array.shape != shape:
            yield f"{name} must be {shape}, is {array.shape}"
        elif not np.isfinite(array).all():
            yield f"{name} is not finite"
        elif name not in ("transl", "betas"):
            yield from _turn_faults(name, array, is_matrix=array.ndim == 4)
        elif name == "transl" and not PLAUSIBLE_DEPTH[0] < array[0, 2] < PLAUSIBLE_DEPTH[1]:
            yield f"transl must be metres before the camera, is {array[0, 2]:.4g} along z"


def _turn_faults(name: str, array: Floats, *, is_matrix: bool) -> Iterator[str]:
    if is_matrix:
        fault = rotation_fault(array.astype(np.float64))
        if fault:
            yield f"{name} {fault}"
    elif np.linalg.norm(array, axis=-1).max() > MAX_ANGLE:
        yield f"{name} must be axis-angle in radians, not degrees"


def _mesh_faults(content: Mapping[str, Any]) -> Iterator[str]:
    wanted = {"verts": NUM_VERTICES, "allSmplJoints3d": 24}
    for name, count in wanted.items():
        array = content.get(name)
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            yield f"lacks the array {name}, of floating point numbers"
            continue
        flat = _squeezed(array)
        is_exact = name == "verts"
        if flat.ndim != 2 or flat.shape[1:] != (3,) or len(flat) < count:
            yield f"{name} must be ({count}, 3), is {array.shape}"
        elif is_exact and len(flat) != count:
            is_smplx = len(flat) == NUM_VERTICES_SMPLX
            yield f"{name} must be ({count}, 3), is {array.shape}{': SMPL-X' * is_smplx}"
        elif not np.isfinite(flat).all():
            yield f"{name} are not finite"
        else:
            fault = unit_fault(flat[None].astype(np.float64))
            if fault:
                yield f"{name} {fault}"


def _uprightness(content: Mapping[str, Any]) -> Iterator[float]:
    """How far up, from -1 to 1, the root's y axis points in the picture."""
    if "params" in content:
        root = np.asarray(content["params"]["global_orient"], dtype=np.float64)[0]
        matrix = root[0] if root.ndim == 3 else rotation_matrices(root[None])[0, 0]
        yield -float(matrix[1, 1])
    else:
        joints3d = _squeezed(content["allSmplJoints3d"])[None, :24]
        yield -float(np.sign(head_drop(joints3d.astype(np.float64))[0]))


def _pixel_problems(pixels: list[Floats]) -> Iterator[str]:
    if not pixels:
        return
    joints = np.stack(pixels)
    middle = joints.mean(axis=1)
    away = np.abs(middle - [WIDTH / 2, HEIGHT / 2])
    far = (away > [MARGIN * WIDTH, MARGIN * HEIGHT]).any(axis=1)
    if far.any():
        yield f"joints of {far.sum()} people lie far outside of their {WIDTH} x {HEIGHT} pictures"
    if len(joints) < ENOUGH_PEOPLE:
        return
    if (np.abs(joints) <= 1.5).all():
        yield f"joints must be pixels of the {WIDTH} x {HEIGHT} picture, are fractions"
    elif (middle < [SMALL_WIDTH, SMALL_HEIGHT]).all():
        yield (
            f"joints of all people lie within {SMALL_WIDTH} x {SMALL_HEIGHT}: they must be pixels"
            f" of the {WIDTH} x {HEIGHT} picture, three times as much"
        )


def _squeezed(array: np.ndarray) -> np.ndarray:
    return np.squeeze(array)
