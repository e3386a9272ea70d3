"""Poses for synthetic people: from motion capture, or made up within the limits of joints."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from smplcli.conventions import NUM_JOINTS, SMPL_JOINTS, SMPL_MIRROR
from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.files import read_npz
from smplcli.rotations import aa_to_rotmat, mirror_rotmat, rotmat_to_aa
from smplcli.types import Floats, Ints

Clips = Sequence[Floats]
"""Motion clips, each (N, 24, 3) axis-angle, y up, facing z where the root does not turn."""


@dataclass(frozen=True, slots=True)
class PoseLibrary:
    """Clips in one piece of memory, which processes can share."""

    poses: Floats
    """(N, 24, 3)."""

    starts: Ints
    """(C,) where each of the C clips begins."""

    @property
    def clips(self) -> Clips:
        """The clips."""
        return np.split(self.poses, self.starts[1:]) if len(self.starts) else []


HELD_OUT = {"validation": 7, "test": 3}
"""Last digit of the clips that a split has to itself."""

FRAMES_PER_CLIP, FILES_AS_CLIPS = 100, 10
"""Frames that count as one clip where a file does not say, unless there are so many files; then
each is a clip."""

FRAMES_KEPT = 200
"""Most frames of a clip that are kept, spread over it; all of AMASS would not fit into memory."""

BUILT_IN_SHARE = 0.4
"""Share of made-up poses beside motion capture, which seldom sits or crouches."""

LYING_SHARE = 0.04
JITTER_SHARE = 0.5
JITTER = 0.08
"""Radians; standard deviation of what is added to each joint of some poses."""

PITCH, ROLL = np.radians(12.0), np.radians(6.0)
STEEP_SHARE, STEEPEST = 0.15, 0.9
"""Share of cameras that look down or up steeply, and how far, radians."""


def load_poses(path: Path) -> PoseLibrary:
    """Clips of a pose file, or of all pose files in a folder.

    Files hold ``poses`` or ``pose`` in axis-angle: (N, 72) with y up, as SMPL's own, or (N, 156)
    or (N, 165) with z up, as AMASS has them, whose hands are left out. ``clip`` (N,), if there,
    says which frames belong together; else each of many files is a clip.

    Raises:
        MissingFileError: Nothing is there.
        UnreadableFileError: A file holds no such poses.
    """
    files = sorted(path.rglob("*.npz")) if path.is_dir() else [path]
    files = [file for file in files if file.name != "shape.npz"]  # AMASS keeps betas there
    if not files:
        raise MissingFileError(f"no pose file (.npz) in folder: {path}")
    length = None if len(files) >= FILES_AS_CLIPS else FRAMES_PER_CLIP
    return _join([clip for file in files for clip in _read_clips(file, length)])


def clips_of_split(library: PoseLibrary, split: str) -> PoseLibrary:
    """The clips that a split has to itself.

    Raises:
        UnreadableFileError: There are none.
    """
    chosen = [clip for number, clip in enumerate(library.clips) if _split_of(number) == split]
    if not chosen:
        raise UnreadableFileError(
            f"too few motion clips: {len(library.starts)}, none for the {split} split",
            hint="Give poses of at least 10 clips, or 1000 frames.",
        )
    return _join(chosen)


def _join(clips: Clips) -> PoseLibrary:
    starts = np.cumsum([0, *map(len, clips)])[:-1]
    poses = np.concatenate([*clips, np.zeros((0, NUM_JOINTS, 3))])
    return PoseLibrary(poses.astype(np.float32), starts)


def _split_of(number: int) -> str:
    held_out = [split for split, digit in HELD_OUT.items() if number % 10 == digit]
    return held_out[0] if held_out else "train"


def _read_clips(file: Path, length: int | None) -> list[Floats]:
    """Clips of a file, of this many frames each where the file does not say, or one clip."""
    arrays = read_npz(file)
    poses = arrays.get("poses", arrays.get("pose"))
    if poses is None or poses.ndim != 2 or poses.shape[1] not in (72, 156, 165):
        raise UnreadableFileError(
            f"no poses in {file}", hint="Give an npz with 'poses' (N, 72), or AMASS files."
        )
    if not np.isfinite(poses).all():
        raise UnreadableFileError(f"poses are not finite: {file}")
    clip = arrays.get("clip", np.arange(len(poses)) // (length or max(1, len(poses))))
    if clip.shape != (len(poses),):
        raise UnreadableFileError(f"poses and clip disagree: {file}")
    return [_to_body(_thin(poses[clip == number])) for number in np.unique(clip)]


def _to_body(poses: Floats) -> Floats:
    """Poses (N, 24, 3), y up and without hands, from rows of 72, 156 or 165 numbers."""
    body = np.zeros((len(poses), NUM_JOINTS, 3))
    body[:, :22] = poses[:, :66].reshape(-1, 22, 3)
    if poses.shape[1] != body[0].size:
        body[:, 0] = _z_up_to_y_up(body[:, 0])
    return body


def _thin(clip: Floats) -> Floats:
    return clip[:: -(-len(clip) // FRAMES_KEPT)]


def _z_up_to_y_up(root: Floats) -> Floats:
    turn = aa_to_rotmat(torch.tensor([-np.pi / 2, 0, 0], dtype=torch.float64))
    return rotmat_to_aa(turn @ aa_to_rotmat(torch.from_numpy(root))).numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Posing:
    """What people do, and from where they are seen."""

    made_up: float = BUILT_IN_SHARE
    """Share of made-up poses where there are clips."""

    is_seated: bool = False
    """Whether all made-up poses are seated ones."""

    lying: float = LYING_SHARE
    steep: float = STEEP_SHARE


ANY_POSE = Posing()


def draw_pose(rng: np.random.Generator, clips: Clips, posing: Posing = ANY_POSE) -> Floats:
    """A pose in front of a camera: any yaw, some pitch and roll, mirrored half of the time.

    Args:
        rng: Source of chance.
        clips: Clips to choose from, evenly by clip; none for made-up poses only.
        posing: What people do.

    Returns:
        (24, 3, 3) rotation matrices, the root in camera axes.
    """
    if not clips or rng.random() < posing.made_up:
        pose = made_up_pose(rng, is_seated=posing.is_seated)
    else:
        clip = clips[int(rng.integers(len(clips)))]
        pose = clip[rng.integers(len(clip))]
    rotmat = _rotmat(pose)
    if rng.random() < JITTER_SHARE:
        rotmat[1:22] = rotmat[1:22] @ _rotmat(rng.normal(0, JITTER, (21, 3)))
    if rng.random() < 0.5:
        rotmat = mirror_rotmat(torch.from_numpy(rotmat)).numpy()[list(SMPL_MIRROR)]
    if rng.random() < posing.lying:
        rotmat[0] = _turn("x", rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.2)) @ rotmat[0]
    rotmat[0] = _view(rng, posing.steep) @ rotmat[0]
    return rotmat


def _view(rng: np.random.Generator, steep_share: float) -> Floats:
    """Rotation (3, 3) from a y-up world with any yaw to the axes of a camera."""
    steep = rng.random() < steep_share
    pitch = rng.uniform(-STEEPEST, STEEPEST) if steep else rng.normal(0, PITCH)
    yaw = rng.uniform(-np.pi, np.pi)
    return _turn("z", rng.normal(0, ROLL)) @ _turn("x", np.pi + pitch) @ _turn("y", yaw)


def _turn(axis: str, angle: float) -> Floats:
    vector = np.zeros(3)
    vector["xyz".index(axis)] = angle
    return _rotmat(vector)


def _rotmat(aa: Floats) -> Floats:
    # A copy: clips that processes share may not be written to, of which torch would warn.
    return np.asarray(aa_to_rotmat(torch.tensor(aa)).numpy())


SEAT_TILT = 0.25
"""Standard deviation of how far who sits leans forward or back from the seat, radians."""

CROSSED_ARMS_SHARE = 0.08
"""Of made-up poses."""

JOINT = {name: index for index, name in enumerate(SMPL_JOINTS)}
SIDES = (("left", 1.0), ("right", -1.0))
"""Left lies towards +x, so turns about y and z change sign from side to side."""

LIMITS = {
    "spine": ((-0.3, 0.6), (-0.5, 0.5), (-0.4, 0.4)),
    "neck": ((-0.6, 0.6), (-0.9, 0.9), (-0.4, 0.4)),
    "hip": ((-2.1, 0.5), (-0.7, 0.7), (-0.3, 0.9)),
    "knee": ((0.0, 2.4), (0.0, 0.0), (0.0, 0.0)),
    "ankle": ((-0.5, 0.7), (-0.3, 0.3), (-0.2, 0.2)),
    "shoulder": ((-0.8, 0.8), (-1.3, 1.0), (-1.5, 1.3)),
    "elbow": ((0.0, 0.0), (-2.4, 0.0), (0.0, 0.0)),
    "wrist": ((-0.8, 0.8), (-0.4, 0.4), (-0.6, 0.6)),
}
"""Range of each turn, radians, about x, y and z, for the left side (hips: z opens the legs)."""


def made_up_pose(rng: np.random.Generator, *, is_seated: bool = False) -> Floats:
    """A pose (24, 3), axis-angle, within `LIMITS`: standing, walking, sitting, crouching."""
    draw_legs = _sitting if is_seated else _LEGS[rng.integers(len(_LEGS))]
    legs, sits = draw_legs(rng), draw_legs is _sitting
    pose = np.zeros((NUM_JOINTS, 3))
    lean = rng.normal([0.05, 0, 0], [0.12, 0.12, 0.06])
    if sits:
        pose[0, 0] = rng.normal(0, SEAT_TILT)
    for name in ("spine1", "spine2", "spine3"):
        pose[JOINT[name]] = _limited("spine", lean + rng.normal(0, 0.04, 3))
    for name in ("neck", "head"):
        pose[JOINT[name]] = _limited("neck", rng.normal(0, [0.15, 0.25, 0.08]))
    crosses_arms = rng.random() < CROSSED_ARMS_SHARE
    for side, sign in SIDES:
        mirror = np.array([1.0, sign, sign])
        arm = _crossed_arm(rng) if crosses_arms else _arm(rng, sits=sits)
        for joint, angles in (*legs[side].items(), *arm.items()):
            pose[JOINT[f"{side}_{joint}"]] = mirror * _limited(joint, angles)
    return pose


def _limited(joint: str, angles: Floats) -> Floats:
    low, high = np.array(LIMITS[joint]).T
    return np.clip(angles, low, high)


def _arm(rng: np.random.Generator, *, sits: bool) -> dict[str, Floats]:
    """Angles of a left arm: hanging, or on the lap, bent before the body, raised, or anything."""
    kind = rng.random()
    if kind < 0.4:
        middle, bend = ([0, -0.5, -1.1], 0.9) if sits else ([0, 0, -1.2], 0.2)
        shoulder, bend = rng.normal(middle, [0.2, 0.2, 0.15]), abs(rng.normal(bend, 0.3))
    elif kind < 0.7:
        shoulder, bend = rng.normal([0.2, -0.4, -1.0], [0.3, 0.4, 0.25]), rng.uniform(0.6, 2.2)
    elif kind < 0.85:
        shoulder, bend = rng.normal([0, -0.3, 0.5], [0.3, 0.5, 0.5]), rng.uniform(0, 2.0)
    else:
        shoulder, bend = rng.uniform([-0.5, -1.3, -1.4], [0.5, 0.8, 1.2]), rng.uniform(0, 2.3)
    return _bent_arm(rng, shoulder, bend)


def _crossed_arm(rng: np.random.Generator) -> dict[str, Floats]:
    return _bent_arm(rng, rng.normal([0.6, -0.75, -1.15], 0.12), rng.normal(1.75, 0.15))


def _bent_arm(rng: np.random.Generator, shoulder: Floats, bend: float) -> dict[str, Floats]:
    return {
        "shoulder": shoulder,
        "elbow": np.array([0.0, -bend, 0.0]),
        "wrist": rng.normal(0, [0.3, 0.1, 0.2]),
    }


def _leg(rng: np.random.Generator, bend: float, knee: float, spread: float) -> dict[str, Floats]:
    return {
        "hip": np.array([-bend, rng.normal(0, 0.12), spread]),
        "knee": np.array([knee, 0.0, 0.0]),
        "ankle": rng.normal(0, [0.15, 0.08, 0.05]),
    }


def _standing(rng: np.random.Generator) -> dict[str, dict[str, Floats]]:
    return {
        side: _leg(rng, rng.normal(0, 0.1), abs(rng.normal(0, 0.12)), rng.normal(0.08, 0.08))
        for side, _ in SIDES
    }


def _walking(rng: np.random.Generator) -> dict[str, dict[str, Floats]]:
    swing = rng.uniform(0.15, 0.7)
    front, back = rng.permutation(["left", "right"])
    return {
        front: _leg(rng, swing, abs(rng.normal(0.2, 0.2)), 0.03),
        back: _leg(rng, -0.6 * swing, rng.uniform(0.1, 1.2), 0.03),
    }


def _sitting(rng: np.random.Generator) -> dict[str, dict[str, Floats]]:
    bend, knee, spread = rng.uniform(1.1, 1.8), rng.uniform(0.7, 2.0), rng.uniform(0, 0.5)
    if rng.random() < 0.25:
        bend, knee, spread = 1.5, 2.1, 0.7  # cross-legged
    return {
        side: _leg(rng, bend + rng.normal(0, 0.1), knee + rng.normal(0, 0.2), spread)
        for side, _ in SIDES
    }


def _crouching(rng: np.random.Generator) -> dict[str, dict[str, Floats]]:
    depth, spread = rng.uniform(0.5, 1.0), rng.uniform(0.05, 0.4)
    return {
        side: _leg(rng, 2.0 * depth + rng.normal(0, 0.1), 2.3 * depth, spread) for side, _ in SIDES
    }


_LEGS: tuple[Callable[[np.random.Generator], dict[str, dict[str, Floats]]], ...] = (
    _standing,
    _walking,
    _sitting,
    _sitting,
    _sitting,
    _crouching,
)
