"""Print what refinement and flip test change: ``python -m tests.benchmarks.refinement DATA``.

DATA is a prepared synthetic data set, of whose test split the people are measured who have enough
keypoints to be refined. They are predicted as `smplcli predict` does it, from the truth's boxes.

Refinement could fit keypoints ever better while bodies get worse, so besides errors in space the
table shows wrists and ankles in the picture that neither the network nor the fit was given, knees
and elbows that bend backwards, and how much more than in truth the torso leans.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.camera import project_points
from smplcli.conventions import (
    BOX_PADDING,
    COCO17_JOINTS,
    NUM_JOINTS,
    SCALE_PIXELS,
    SMPL_JOINTS,
)
from smplcli.datasets.keypoint_noise import TORSO, corrupt_keypoints
from smplcli.datasets.shards import PreparedSample, open_prepared
from smplcli.detection.people import Detection
from smplcli.evaluation.inference import index_batches, network_crops
from smplcli.evaluation.metrics import mpjpe, pa_mpjpe
from smplcli.files import asset
from smplcli.models.keypoints import MIN_SCORE
from smplcli.rotations import aa_to_rotmat, rotmat_to_aa
from smplcli.types import Floats
from smplcli.workflows.bodies import MIN_KEYPOINTS, Bodies, BodyEstimator, Subject
from smplcli.workflows.lenses import Lens

BATCH = 32
LEFT_OUT = [COCO17_JOINTS.index(f"{s}_{j}") for s in ("left", "right") for j in ("wrist", "ankle")]
NEAR = 0.2
"""PCK: share of joints that are off by less than this, over the length of the torso."""

UPRIGHT = 0.8
BACKWARDS = np.radians(5)
BENDS = {"left_knee": (0, 1), "right_knee": (0, 1), "left_elbow": (1, -1), "right_elbow": (1, 1)}
"""Axis about which joints bend, and the sign."""

SOURCES: dict[str, Callable[[PreparedSample, int], Floats]] = {
    "detector's": lambda person, index: person.detected,
    "made-up": lambda person, index: corrupt_keypoints(
        person.keypoints[None], np.random.default_rng(index)
    )[0],
    "exact": lambda person, index: person.keypoints,
}
"""Where keypoints come from."""

FOCAL_LENGTH = 1000.0
"""Pixels to which pictures are scaled whose camera is known."""


HEAD = """\
| keypoints, method | MPJPE / PA-MPJPE, mm | left out: PCK@0.2, median | bent backwards \
| leans away, forward, degrees | ms a person |
|---|---|---|---|---|---|"""


class Truth(NamedTuple):
    """What is known of N people."""

    joints: Floats
    """(N, 41, 3): SMPL's 24 and COCO's 17, metres, camera axes."""

    root: Floats
    """(N, 3, 3)."""

    keypoints: Floats
    """(N, 17, 3), 1 where inside the picture."""

    torso: Floats
    """(N,) pixels."""


class Found(NamedTuple):
    """Predictions of N people."""

    joints: Floats
    full_pose: Floats
    points: Floats
    """(N, 17, 2), pixels."""

    milliseconds: float
    """Per person; network, body and refinement."""


def main(data: Path) -> None:
    """Measure all methods on keypoints of all sources."""
    torch.set_num_threads(1)
    split = open_prepared(data, "test")
    layer = JointsLayer(load_body())
    print(HEAD)
    for camera, focal_length in (("assumed", None), ("known", FOCAL_LENGTH)):
        estimators = open_estimators()
        lens = None if focal_length is None else Lens(focal_length)
        for source, keypoints_of in SOURCES.items():
            people = [
                as_photograph(split[index], keypoints_of(split[index], index), focal_length)
                for index in range(len(split))
            ]
            people = [p for p in people if (p.detected[:, 2] >= MIN_SCORE).sum() >= MIN_KEYPOINTS]
            truth = truth_of(people, layer)
            for name, estimator in estimators.items():
                subjects = [subject_of(person, estimator)._replace(lens=lens) for person in people]
                given = predict(estimator, subjects, layer)
                hidden = predict(estimator, list(map(leave_out, subjects)), layer)
                label = f"{source} ({len(people)}), camera {camera}: {name}"
                print(row(label, truth, given, hidden), flush=True)


def open_estimators() -> dict[str, BodyEstimator]:
    """The methods that are compared."""

    def estimator(*, refine: bool = False, flip_test: bool = False) -> BodyEstimator:
        return BodyEstimator(
            asset("network.safetensors"),
            None,
            torch.device("cpu"),
            refine=refine,
            flip_test=flip_test,
        )

    return {
        "network": estimator(),
        "refined": estimator(refine=True),
        "flip test": estimator(flip_test=True),
        "both": estimator(refine=True, flip_test=True),
    }


def as_photograph(
    person: PreparedSample, detected: Floats, focal_length: float | None
) -> PreparedSample:
    """The person moved in the picture until the camera looks through its centre.

    Args:
        person: As rendered.
        detected: (17, 3) keypoints to give.
        focal_length: Pixels to scale to; ``None`` for no scaling.
    """
    scale = focal_length / person.cam_int[0, 0] if focal_length else 1.0
    shift = (person.image_size - 1) / 2 - scale * person.cam_int[:2, 2]

    def moved(points: Floats) -> Floats:
        return np.concatenate([scale * points[:, :2] + shift, points[:, 2:]], axis=1)

    from_crop = scale * person.crop_to_image
    from_crop[:, 2] += shift
    return person._replace(
        center=scale * person.center + shift,
        scale=scale * person.scale,
        keypoints=moved(person.keypoints),
        detected=moved(detected),
        crop_to_image=from_crop,
    )


def subject_of(person: PreparedSample, estimator: BodyEstimator) -> Subject:
    """A person as `predict` cuts one out, the box from the truth."""
    half = SCALE_PIXELS * person.scale / BOX_PADDING / 2
    box = np.concatenate([person.center - half, person.center + half])
    width, height = (int(value) for value in person.image_size)
    crop = network_crops([person], estimator.loaded.network.config.input_size)[0][0]
    return Subject(0, 0, Detection(box, 1.0, person.detected), (width, height), crop)


def leave_out(subject: Subject) -> Subject:
    """The same person, wrists and ankles not detected."""
    keypoints = subject.person.keypoints.copy()
    keypoints[LEFT_OUT] = 0
    return subject._replace(person=subject.person._replace(keypoints=keypoints))


def truth_of(people: list[PreparedSample], layer: JointsLayer) -> Truth:
    """Labels of people."""
    pose = torch.from_numpy(np.stack([person.pose for person in people]))
    rotmat = aa_to_rotmat(pose.unflatten(1, (NUM_JOINTS, 3)))
    betas = torch.from_numpy(np.stack([person.shape for person in people]))
    keypoints = np.stack([person.keypoints for person in people])
    shoulders_and_hips = keypoints[:, TORSO, :2]
    length = shoulders_and_hips[:, :2].mean(1) - shoulders_and_hips[:, 2:].mean(1)
    width = shoulders_and_hips[:, 0] - shoulders_and_hips[:, 1]
    torso = np.maximum(np.linalg.norm(length, axis=-1), np.linalg.norm(width, axis=-1))
    return Truth(layer(rotmat, betas).numpy(), rotmat[:, 0].numpy(), keypoints, torso)


def predict(estimator: BodyEstimator, subjects: list[Subject], layer: JointsLayer) -> Found:
    """Predict people as `smplcli predict` does."""
    estimator.estimate(subjects[:BATCH])  # warm
    batches = [[subjects[row] for row in rows] for rows in index_batches(len(subjects), BATCH)]
    start = perf_counter()
    parts: list[Bodies] = [estimator.estimate(batch) for batch in batches]
    milliseconds = 1000 * (perf_counter() - start) / len(subjects)
    joints, points = [], []
    for bodies in parts:
        joints.append(layer(bodies.full_pose, bodies.betas))
        points.append(project_points(joints[-1][:, NUM_JOINTS:], bodies.transl, bodies.camera))
    return Found(
        torch.cat(joints).numpy(),
        torch.cat([bodies.full_pose for bodies in parts]).numpy(),
        torch.cat(points).numpy(),
        milliseconds,
    )


def row(name: str, truth: Truth, given: Found, hidden: Found) -> str:
    """One line of the table."""
    smpl = slice(0, NUM_JOINTS)
    errors = [f(given.joints[:, smpl], truth.joints[:, smpl]).mean() for f in (mpjpe, pa_mpjpe)]
    off = np.linalg.norm(hidden.points - truth.keypoints[..., :2], axis=-1) / truth.torso[:, None]
    off = off[:, LEFT_OUT][truth.keypoints[:, LEFT_OUT, 2] > 0]
    away, forward = leans(given.joints, truth)
    return (
        f"| {name} | {errors[0]:.1f} / {errors[1]:.1f} | {(off < NEAR).mean():.3f}, "
        f"{np.median(off):.3f} | {num_backwards(given.full_pose)} | "
        f"{away.mean():+.1f} (±{np.abs(away).mean():.1f}) / "
        f"{forward.mean():+.1f} (±{np.abs(forward).mean():.1f}) | {given.milliseconds:.1f} |"
    )


def leans(joints: Floats, truth: Truth) -> tuple[Floats, Floats]:
    """Degrees by which torsos of upright people lean too much: from the camera, and forward."""
    upright = truth.root[:, 1, 1] < -UPRIGHT
    facing = truth.root[upright, :, 2]
    away = np.array([0.0, 0, 1])
    found, real = (torso_of(values[upright]) for values in (joints, truth.joints))

    def lean(axis: Floats) -> Floats:
        angles = [np.arcsin((torso * axis).sum(-1)) for torso in (found, real)]
        return np.asarray(np.degrees(angles[0] - angles[1]))

    return lean(away), lean(facing)


def torso_of(joints: Floats) -> Floats:
    """(N, 3) directions from pelvis to neck."""
    torso = joints[:, SMPL_JOINTS.index("neck")] - joints[:, SMPL_JOINTS.index("pelvis")]
    return np.asarray(torso / np.linalg.norm(torso, axis=-1, keepdims=True))


def num_backwards(full_pose: Floats) -> int:
    """Knees and elbows that bend the wrong way."""
    aa = rotmat_to_aa(torch.from_numpy(full_pose)).numpy()
    return sum(
        int((sign * aa[:, SMPL_JOINTS.index(joint), axis] < -BACKWARDS).sum())
        for joint, (axis, sign) in BENDS.items()
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
