"""Synthetic people on disk exactly as 3DPW is, for trying everything without its licence.

The files have 3DPW's 16 keys, types and peculiarities: labels in world axes under a moving
camera, shapes of 10 and of 300 numbers, people without keypoints, frames whose camera was not
aligned, frame numbers that are not image numbers, and a folder of images without labels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import COCO17_JOINTS, NUM_BETAS, NUM_JOINTS
from smplcli.datasets.joint_orders import reorder_joints
from smplcli.datasets.poses import Clips, made_up_pose
from smplcli.datasets.python2_pickle import python2_pickle
from smplcli.datasets.threedpw_files import IMAGE_FOLDER, SEQUENCE_FOLDER
from smplcli.datasets.threedpw_labels import COCO18_JOINTS, Cameras
from smplcli.errors import MissingFileError, OutputExistsError
from smplcli.files import atomic_write
from smplcli.images import write_image
from smplcli.rendering.overlay import draw_people
from smplcli.rotations import aa_to_rotmat, rotmat_to_aa
from smplcli.types import Floats, Ints, Pixels


class SequencePlan(NamedTuple):
    """A sequence to be written."""

    split: str
    name: str
    num_people: int
    num_frames: int


PLANS = (
    SequencePlan("train", "synthetic_talking_00", 2, 24),
    SequencePlan("train", "synthetic_walking_00", 1, 24),
    SequencePlan("validation", "synthetic_meeting_00", 2, 12),
    SequencePlan("test", "synthetic_passing_00", 2, 12),
    SequencePlan("test", "synthetic_waiting_00", 1, 12),
)

IMAGE_SIZE = (270, 480)
"""Width and height, pixels: a quarter of 3DPW's 1080 x 1920."""

FOCAL_LENGTH = (1961.85 / 1920, 1969.23 / 1920)
"""Of x and y, over the picture's height, as 3DPW's camera."""

WORLD_ORIGIN = np.array([2.0, -1.0, 3.5])
"""Where the scene's floor is; not at zero, so that nothing comes out right by chance."""

UNLABELLED = "synthetic_unlabelled_00"
WIDE_SHAPE = 300
"""Length of every other person's betas; all after the tenth are zero."""

NOISE = 0.002
"""Standard deviation of keypoints over the picture's height."""

UNSEEN_SHARE = 0.1
"""Share of keypoints that were not found."""

NO_KEYPOINTS_EVERY, NOT_ALIGNED_EVERY = 5, 6
"""Every so many frames someone has no keypoints, or no aligned camera."""

GENDERS = "mf"
"""Of people in turn."""

README = """People in these pictures are rendered. The files are laid out as those of 3DPW
(virtualhumans.mpi-inf.mpg.de/3DPW), of which they hold nothing.
"""


class _Stage(NamedTuple):
    """What all sequences share."""

    bodies: Mapping[str, BodyModel]
    clips: Clips
    image_size: tuple[int, int]


class _Actor(NamedTuple):
    """One person through N frames, in world axes: y up, metres."""

    gender: str
    pose: Floats  # (N, 72)
    trans: Floats  # (N, 3)
    betas: Floats  # (10,)
    vertices: Floats  # (N, V, 3)
    joints: Floats  # (N, 24 + 17, 3)


def write_3dpw_layout(
    root: Path,
    *,
    plans: Sequence[SequencePlan] = PLANS,
    seed: int = 0,
    bodies: Mapping[str, BodyModel] | None = None,
    clips: Clips = (),
    image_size: tuple[int, int] = IMAGE_SIZE,
) -> None:
    """Render people and write them in the layout of 3DPW.

    Args:
        root: New folder, which gets ``imageFiles`` and ``sequenceFiles``.
        plans: The sequences.
        seed: The same seed gives the same bytes.
        bodies: By ``m`` and ``f``; the demo body for both without them.
        clips: Motions to take poses from; made-up ones without them.
        image_size: Width, height, pixels.

    Raises:
        MissingFileError: The body of a gender is missing.
        OutputExistsError: ``root`` holds such folders already.
        ResourceError: They cannot be written.
    """
    for folder in (root / IMAGE_FOLDER, root / SEQUENCE_FOLDER):
        if folder.exists():
            raise OutputExistsError(
                f"output exists: {folder}", hint="Choose another folder or remove this one."
            )
    cast = dict.fromkeys(GENDERS, load_body()) if bodies is None else bodies
    if not set(GENDERS) <= set(cast):
        raise MissingFileError(
            "3DPW's people are men and women: a male and a female body are needed",
            hint="Give a folder with both, or one file for everybody.",
        )
    stage = _Stage(cast, clips, image_size)
    for number, plan in enumerate(plans):
        rng = np.random.Generator(np.random.Philox(key=[seed, number]))
        _write_sequence(root, plan, rng, stage)
    write_image(root / IMAGE_FOLDER / UNLABELLED / "image_00000.jpg", _background(image_size))
    with atomic_write(root / "README.txt") as file:
        file.write(README.encode())


def _write_sequence(
    root: Path, plan: SequencePlan, rng: np.random.Generator, stage: _Stage
) -> None:
    cameras = _draw_cameras(rng, plan, stage.image_size)
    actors = [_draw_actor(rng, person, plan, stage) for person in range(plan.num_people)]
    for frame in range(plan.num_frames):
        camera = cameras.at(np.array([frame]))
        seen = np.concatenate([camera.see(actor.vertices[[frame]]) for actor in actors])
        image = _photograph(seen, stage.bodies["m"].faces, cameras.cam_int, stage.image_size)
        write_image(root / IMAGE_FOLDER / plan.name / f"image_{frame:05d}.jpg", image)
    keypoints = [_find_keypoints(rng, actor, cameras, stage.image_size) for actor in actors]
    path = root / SEQUENCE_FOLDER / plan.split / f"{plan.name}.pkl"
    with atomic_write(path) as file:
        file.write(python2_pickle(_content(plan, actors, keypoints, cameras)))


def _content(
    plan: SequencePlan, actors: list[_Actor], keypoints: list[Floats], cameras: Cameras
) -> dict[str, Any]:
    """The dictionary of a sequence file."""
    extrinsics = np.tile(np.eye(4), (plan.num_frames, 1, 1))
    extrinsics[:, :3, :3], extrinsics[:, :3, 3] = cameras.rotation, cameras.translation
    frames = np.arange(plan.num_frames)
    lengths = [WIDE_SHAPE if person % 2 == 0 else NUM_BETAS for person in range(len(actors))]
    return {
        "sequence": np.array(plan.name),
        "genders": [actor.gender for actor in actors],
        "poses": [actor.pose for actor in actors],
        "trans": [actor.trans for actor in actors],
        "betas": [
            np.pad(actor.betas, (0, length - NUM_BETAS))
            for actor, length in zip(actors, lengths, strict=True)
        ],
        "betas_clothed": [actor.betas for actor in actors],
        "v_template_clothed": [actor.vertices[0] for actor in actors],
        "jointPositions": [
            actor.joints[:, :NUM_JOINTS].reshape(plan.num_frames, -1) for actor in actors
        ],
        "poses2d": keypoints,
        "cam_poses": extrinsics,
        "cam_intrinsics": cameras.cam_int,
        "campose_valid": [
            (frames % NOT_ALIGNED_EVERY != person + 1).astype(np.uint8)
            for person in range(len(actors))
        ],
        "img_frame_ids": (2 * frames).astype(np.uint16),
        "poses_60Hz": [actor.pose.repeat(2, axis=0) for actor in actors],
        "trans_60Hz": [actor.trans.repeat(2, axis=0) for actor in actors],
        "texture_maps": [],
    }


def _draw_actor(
    rng: np.random.Generator, person: int, plan: SequencePlan, stage: _Stage
) -> _Actor:
    """Someone who moves on the spot or walks slowly, beside those who are there already."""
    time = np.linspace(0, 1, plan.num_frames)
    gender = GENDERS[person % 2]
    body = stage.bodies[gender]
    pose = _draw_motion(rng, time, stage.clips)
    yaw = rng.uniform(-np.pi, np.pi) + rng.uniform(-1, 1) * time
    turn = np.stack([np.zeros_like(yaw), yaw, np.zeros_like(yaw)], axis=1)
    full_pose = aa_to_rotmat(torch.from_numpy(pose))
    full_pose[:, 0] = aa_to_rotmat(torch.from_numpy(turn)) @ full_pose[:, 0]
    betas = rng.normal(size=NUM_BETAS)
    arguments = full_pose.float(), torch.from_numpy(betas).float().repeat(plan.num_frames, 1)
    with torch.inference_mode():
        vertices = BodyLayer(body)(*arguments).vertices.numpy()
        joints = JointsLayer(body)(*arguments).numpy()
    trans = WORLD_ORIGIN - joints[:, 0].astype(np.float64)
    trans[:, 1] = WORLD_ORIGIN[1] - vertices[..., 1].min(axis=1)
    trans[:, 0] += 0.45 * (2 * person - plan.num_people + 1) + 0.3 * (time - 0.5)
    trans[:, 2] += 0.5 * (person % 2) + rng.uniform(-0.2, 0.2)
    return _Actor(
        gender=gender,
        pose=rotmat_to_aa(full_pose).numpy().reshape(plan.num_frames, -1),
        trans=trans,
        betas=betas,
        vertices=vertices + trans[:, None],
        joints=joints + trans[:, None],
    )


def _draw_motion(rng: np.random.Generator, time: Floats, clips: Clips) -> Floats:
    """Poses (N, 24, 3) of a clip, or from one made-up pose to another."""
    if clips:
        clip = clips[int(rng.integers(len(clips)))]
        first = int(rng.integers(max(1, len(clip) - len(time) + 1)))
        frames = np.minimum(first + np.arange(len(time)), len(clip) - 1)
        return clip[frames].astype(np.float64)
    share = (1 - np.cos(np.pi * time))[:, None, None] / 2
    return np.asarray((1 - share) * made_up_pose(rng) + share * made_up_pose(rng))


def _draw_cameras(
    rng: np.random.Generator, plan: SequencePlan, image_size: tuple[int, int]
) -> Cameras:
    """A hand-held camera that walks around the middle of the scene."""
    width, height = image_size
    cam_int = np.array(
        [
            [FOCAL_LENGTH[0] * height, 0, width / 2],
            [0, FOCAL_LENGTH[1] * height, height / 2],
            [0, 0, 1],
        ]
    )
    time = np.linspace(0, 1, plan.num_frames)
    azimuth = rng.uniform(-0.4, 0.4) + 0.5 * time
    distance = 2.9 + 0.9 * (plan.num_people - 1) + 0.2 * np.sin(4 * time)
    eye_level = 1.4 + 0.2 * np.sin(3 * time)
    offset = np.stack([distance * np.sin(azimuth), eye_level, distance * np.cos(azimuth)], axis=1)
    place = WORLD_ORIGIN + offset
    forward = WORLD_ORIGIN + [0, 0.9, 0] - place
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    tilted_up = np.stack([0.05 * np.sin(5 * time), np.ones_like(time), 0 * time], axis=1)
    right = np.cross(forward, tilted_up)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
    return Cameras(rotation, -(rotation @ place[..., None])[..., 0], cam_int)


def _photograph(seen: Floats, faces: Ints, cam_int: Floats, image_size: tuple[int, int]) -> Pixels:
    """A picture of bodies (P, V, 3) in camera axes."""
    focal_x, focal_y = cam_int[0, 0], cam_int[1, 1]
    square_pixels = seen * [1, focal_y / focal_x, 1]
    return draw_people(
        _background(image_size),
        square_pixels,
        faces,
        focal_length=float(focal_x),
        principal_point=cam_int[:2, 2],
    )


def _background(image_size: tuple[int, int]) -> Pixels:
    """A grey floor before a lighter wall."""
    width, height = image_size
    wall, floor = np.linspace(225, 190, height * 2 // 3), np.linspace(120, 165, height)
    column = np.concatenate([wall, floor])[:height].astype(np.uint8)
    return np.tile(column[:, None, None], (1, width, 3))


def _find_keypoints(
    rng: np.random.Generator, actor: _Actor, cameras: Cameras, image_size: tuple[int, int]
) -> Floats:
    """``poses2d`` (N, 3, 18) as a detector might have found it."""
    shown = cameras.project(actor.joints[:, NUM_JOINTS:])
    num_frames = len(shown)
    coco = reorder_joints(shown.swapaxes(0, 1).reshape(17, -1), COCO17_JOINTS, COCO18_JOINTS)
    points = coco.reshape(len(COCO18_JOINTS), num_frames, 2).swapaxes(0, 1).astype(np.float64)
    shoulders = [COCO18_JOINTS.index(f"{side}_shoulder") for side in ("left", "right")]
    points[:, COCO18_JOINTS.index("neck")] = points[:, shoulders].mean(axis=1)
    points += rng.normal(0, NOISE * image_size[1], points.shape)
    confidence = rng.uniform(0.3, 0.95, points.shape[:2])
    inside = ((points >= 0) & (points <= np.array(image_size) - 1)).all(axis=2)
    is_found = inside & (rng.random(inside.shape) >= UNSEEN_SHARE)
    is_found &= (np.arange(num_frames) % NO_KEYPOINTS_EVERY != NO_KEYPOINTS_EVERY - 1)[:, None]
    keypoints = np.concatenate([points, confidence[..., None]], axis=2) * is_found[..., None]
    return np.asarray(keypoints.swapaxes(1, 2))
