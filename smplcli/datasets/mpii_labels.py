"""From MPII's labels of a person, in whichever file they are, to ours."""

from typing import NamedTuple

import numpy as np

from smplcli.conventions import MPII16_JOINTS, OPENPOSE25_JOINTS, SPIN24_JOINTS
from smplcli.datasets.annotations import Person
from smplcli.datasets.joint_orders import reorder_joints
from smplcli.datasets.label_checks import MAX_LABEL, NO_PICTURE, NOT_NUMBERS
from smplcli.types import Floats, Ints

BOX_SHIFT, BOX_PADDING = 15.0, 1.25
"""How far MPII's box, of side ``200 * scale`` about ``objpos``, is moved down, in pixels per
``scale``, and how much it is enlarged, so that feet and raised arms are inside.

Source:
    Stacked hourglass networks (Newell et al., ECCV 2016), and everybody since.
"""

HEAD_SIZE = 0.6
"""Length that PCKh is relative to, over the diagonal of the head box (MPII's own evaluation)."""

OPENPOSE_NAMES = tuple("" if name == "neck" else name for name in MPII16_JOINTS)
"""OpenPose's neck lies between the shoulders, MPII's where the neck meets the head."""

NO_JOINTS = "no joint labelled"
NO_BOX = "no scale or position"
BAD_NAME = "picture has no proper name"
NOT_CHOSEN = "not among those to validate on"
TEST_PICTURE = "test picture, labels not published"
LISTED_TWICE = "person listed twice"

FAILURES = frozenset({NOT_NUMBERS, BAD_NAME, NO_PICTURE, LISTED_TWICE})
"""Reasons that speak of damaged data; the others are MPII's ways."""


class Annotation(NamedTuple):
    """One person of an annotation file, or why there is none."""

    file: str
    """Name of the picture."""

    split: str
    """``train`` or ``validation``; empty where the file does not say."""

    person_id: int
    person: Person | None
    problem: str = ""
    cam_int: Floats | None = None
    """(3, 3) of the camera that the person's labels assume, which others need not share."""


class RawLabels(NamedTuple):
    """What files say about a person; pixels count from 1."""

    joints: Floats
    """(16, 3) x, y, and whether it is labelled at all, in MPII's order."""

    scale: float
    objpos: Floats
    """(2,)."""

    is_visible: Floats | None = None
    """(16,) more than 0 for joints that are seen, NaN where the file does not say."""

    head_size: float = 0.0
    activity: str = ""


def to_person(person_id: int, labels: RawLabels) -> Person | str:
    """The person, or why there is none.

    Points above or left of the picture are labelled in MPII where somebody guessed; here they are
    not labelled.
    """
    joints = np.where(labels.joints[:, 2:] > 0, labels.joints, 0.0)
    box = np.array([*labels.objpos, labels.scale])
    if not np.isfinite(joints).all() or np.abs(joints).max() > MAX_LABEL:
        return NOT_NUMBERS
    if not np.isfinite(box).all() or labels.scale <= 0:
        return NO_BOX
    if np.abs(box).max() > MAX_LABEL:
        return NOT_NUMBERS
    joints = joints - [1, 1, 0]
    joints[:, 2] = (joints[:, 2] > 0) & (joints[:, :2] > -0.5).all(axis=1)
    joints[joints[:, 2] == 0] = 0
    if not joints.any():
        return NO_JOINTS
    return Person(
        person_id=person_id,
        gender="n",
        center=labels.objpos - 1 + [0, BOX_SHIFT * labels.scale],
        scale=BOX_PADDING * labels.scale,
        part=reorder_joints(joints, MPII16_JOINTS, SPIN24_JOINTS),
        openpose=reorder_joints(joints, OPENPOSE_NAMES, OPENPOSE25_JOINTS),
        is_visible=_visible(joints, labels.is_visible),
        head_size=labels.head_size,
        activity=labels.activity,
    )


def _visible(joints: Floats, is_visible: Floats | None) -> Ints | None:
    """What a file says about SPIN's 24 joints (24,): 1 for seen, 0 for hidden, -1 for nothing."""
    if is_visible is None:
        return None
    is_told = (joints[:, 2] > 0) & ~np.isnan(is_visible)
    told = np.where(is_told, 1 + (is_visible > 0), 0)[:, None]
    return reorder_joints(told, MPII16_JOINTS, SPIN24_JOINTS)[:, 0].astype(np.int8) - np.int8(1)


def to_annotation(file: str, split: str, person_id: int, labels: RawLabels) -> Annotation:
    """The person's place in the data set, with or without labels."""
    person = to_person(person_id, labels)
    if isinstance(person, str):
        return Annotation(file, split, person_id, None, person)
    return Annotation(file, split, person_id, person)
