"""Joints of a posed body by the name of their set.

SMPL poses 24 joints of its own. Every other joint is a vertex or a weighted sum of vertices, so a
set is two matrices: what it takes from the 24 joints and what it takes from the vertices.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from smplcli.body.model import BodyModel
from smplcli.conventions import (
    COCO17_JOINTS,
    H36M_TO_LSP14,
    LSP14_JOINTS,
    NUM_JOINTS,
    OPENPOSE25_JOINTS,
    SMPL_JOINTS,
    SPIN24_JOINTS,
    SPIN49_JOINTS,
)
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.types import Floats

H36M17_JOINTS = (
    "pelvis",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_hip",
    "right_knee",
    "right_ankle",
    "spine",
    "neck",
    "jaw",
    "head_top",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
)
"""Rows of J_regressor_h36m.npy, whose first is the root of SPIN's protocol."""

JOINT_SETS = {
    "smpl24": SMPL_JOINTS,
    "coco17": COCO17_JOINTS,
    "spin49": SPIN49_JOINTS,
    "lsp14": LSP14_JOINTS,
    "h36m17": H36M17_JOINTS,
}
"""Names of the joints of each set, in order."""

GIVEN_REGRESSORS = {
    "spin49": ("J_regressor_extra.npy", 9),
    "lsp14": ("J_regressor_h36m.npy", 17),
    "h36m17": ("J_regressor_h36m.npy", 17),
}
"""The file that a set needs beside an SMPL body, and its number of rows."""

EXTRA_JOINTS = (
    "right_hip",
    "left_hip",
    "neck",
    "head_top",
    "pelvis",
    "thorax",
    "spine",
    "jaw",
    "head",
)
"""Rows of J_regressor_extra.npy, which take the place of SMPL's joints of the same name."""

SMPLX_VERTEX_NAMES = {
    "nose": "nose",
    "left_eye": "leye",
    "right_eye": "reye",
    "left_ear": "lear",
    "right_ear": "rear",
    "left_big_toe": "LBigToe",
    "left_small_toe": "LSmallToe",
    "left_heel": "LHeel",
    "right_big_toe": "RBigToe",
    "right_small_toe": "RSmallToe",
    "right_heel": "RHeel",
}
"""Joints that are one vertex each, with the names that smplx gives them."""


class JointSet(NamedTuple):
    """J joints as ``from_joints @ joints + from_vertices @ vertices`` of a posed body."""

    from_joints: Floats
    """(J, 24) shares of SMPL's own joints."""

    from_vertices: Floats
    """(J, V) shares of the vertices."""


def joint_set(model: BodyModel, name: str, *, given: Path | Floats | None = None) -> JointSet:
    """How the joints of a set follow from a posed body.

    Args:
        model: The body. The demo body brings a stand-in for the regressor of ``spin49``.
        name: ``smpl24``, ``coco17``, ``spin49`` or ``lsp14``.
        given: The regressor of GIVEN_REGRESSORS, (9, V) for ``spin49`` and (17, V) for ``lsp14``.

    Returns:
        The set, its joints in the order of JOINT_SETS.

    Raises:
        ConfigError: There is no such set, or the body does not name the vertices that it needs.
        MissingFileError: The set needs a regressor that was not given or does not exist.
        UnreadableFileError: The regressor does not fit the body.

    Source:
        SPIN (Kolotouros et al., ICCV 2019), constants.py: JOINT_MAP, H36M_TO_J14.
    """
    if name == "smpl24":
        rows = np.stack([_named(model, joint) for joint in SMPL_JOINTS])
    elif name == "coco17":
        rows = _coco17(model)
    elif name == "spin49":
        rows = _spin49(model, given)
    elif name == "lsp14":
        rows = _given_rows(model, name, given)[list(H36M_TO_LSP14)]
    elif name == "h36m17":
        rows = _given_rows(model, name, given)
    else:
        raise ConfigError(
            f"no such joint set: {name}", hint=f"Choose from {', '.join(JOINT_SETS)}."
        )
    return JointSet(rows[:, :NUM_JOINTS], rows[:, NUM_JOINTS:])


def joint_regressor(model: BodyModel, name: str, *, given: Path | Floats | None = None) -> Floats:
    """Joints of a set from vertices alone, for meshes whose own joints are not known.

    SMPL's joints are then what its regressor sees in the posed mesh, which lies up to centimetres
    beside the joints that carry the mesh.

    Args:
        model: As for ``joint_set``.
        name: As for ``joint_set``.
        given: As for ``joint_set``.

    Returns:
        (J, V), float32.

    Raises:
        ConfigError: As ``joint_set``.
        MissingFileError: As ``joint_set``.
        UnreadableFileError: As ``joint_set``.
    """
    joints = joint_set(model, name, given=given)
    regressor: Floats = joints.from_vertices + joints.from_joints @ model.joint_regressor
    return regressor


def _named(model: BodyModel, name: str) -> Floats:
    """(24 + V,) shares of the SMPL joint of this name, else of the vertex that smplx names so."""
    row = np.zeros(NUM_JOINTS + len(model.v_template), dtype=np.float32)
    if name in SMPL_JOINTS:
        row[SMPL_JOINTS.index(name)] = 1
        return row
    vertex = model.vertex_ids.get(SMPLX_VERTEX_NAMES[name])
    if vertex is None:
        raise ConfigError(
            f"body does not say which vertex is the {name.replace('_', ' ')}: {model.name}",
            hint="Use joint set smpl24, or a body with SMPL's own mesh.",
        )
    row[NUM_JOINTS + vertex] = 1
    return row


def _from_vertices(regressor: Floats) -> Floats:
    """(J, 24 + V) shares of a regressor (J, V)."""
    return np.pad(regressor, ((0, 0), (NUM_JOINTS, 0)))


def _coco17(model: BodyModel) -> Floats:
    if "coco17" in model.regressors:
        return _from_vertices(model.regressors["coco17"])
    return np.stack([_named(model, joint) for joint in COCO17_JOINTS])


def _spin49(model: BodyModel, given: Path | Floats | None) -> Floats:
    if model.is_demo and given is None:
        extra = _stand_in_for_extra(model)
    else:
        extra = dict(zip(EXTRA_JOINTS, _given_rows(model, "spin49", given), strict=True))
    openpose = [_named(model, "pelvis" if n == "mid_hip" else n) for n in OPENPOSE25_JOINTS]
    others = [extra[n] if n in extra else _named(model, n) for n in SPIN24_JOINTS]
    return np.stack(openpose + others)


def _stand_in_for_extra(model: BodyModel) -> dict[str, Floats]:
    """Rows near the joints that J_regressor_extra.npy marks on SMPL, for a body without one.

    They let everything that handles 49 joints run on the demo body; they are nobody's definition.
    """
    coco = dict(zip(COCO17_JOINTS, _coco17(model), strict=True))
    neck, head = _named(model, "neck"), _named(model, "head")
    head_top = np.zeros_like(neck)
    head_top[NUM_JOINTS + model.v_template[:, 1].argmax()] = 1
    shoulders = (coco["left_shoulder"] + coco["right_shoulder"]) / 2
    return {
        "right_hip": coco["right_hip"],
        "left_hip": coco["left_hip"],
        "neck": neck,
        "head_top": head_top,
        "pelvis": (coco["left_hip"] + coco["right_hip"]) / 2,
        "thorax": (shoulders + neck) / 2,
        "spine": _named(model, "spine2"),
        "jaw": (neck + coco["nose"]) / 2,
        "head": (head + head_top) / 2,
    }


def _given_rows(model: BodyModel, name: str, given: Path | Floats | None) -> Floats:
    """(rows, 24 + V) shares of a regressor that does not come with SMPL."""
    file, num_rows = GIVEN_REGRESSORS[name]
    if given is None:
        raise MissingFileError(
            f"joint set {name} needs {file}",
            hint="Take it from the data of SPIN (github.com/nkolot/SPIN) and give its path.",
        )
    regressor = _read_regressor(given) if isinstance(given, Path) else given
    expected = (num_rows, len(model.v_template))
    if regressor.shape != expected or not np.isfinite(regressor).all():
        source = given if isinstance(given, Path) else "array"
        raise UnreadableFileError(
            f"not a {file} for this body: {source}: "
            f"expected finite numbers of shape {expected}, got shape {regressor.shape}"
        )
    return _from_vertices(regressor.astype(np.float32))


def _read_regressor(path: Path) -> Floats:
    try:
        regressor = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise MissingFileError(f"joint regressor not found: {path}") from error
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableFileError(f"not a readable npy file: {path}") from error
    if not isinstance(regressor, np.ndarray) or regressor.dtype.kind != "f":
        raise UnreadableFileError(f"not an npy file of real numbers: {path}")
    return regressor
