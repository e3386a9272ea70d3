"""Score people in photographs: ``python -m tests.benchmarks.photographs FOLDER... [--network N]``.

`photographs.json` holds joints that a person marked, in pixels, which way each body faces, and the
outlines of ten of them; the photographs themselves may not be passed on, and those that are in no
FOLDER are left out. `messi5.jpg`, `basketball1.png` and the first frame of `vtest.avi`
(`vtest_0.png`) are of Debian's opencv-doc, `bus.jpg` is of the package ultralytics.

The detector's wrists and ankles are kept from the network and from the fit, and scored: joints
that were fitted would only tell how well one can fit. The network may look for them in the
picture. Outlines are those of clothes and hair, which the body does not have.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.camera import project_points
from smplcli.conventions import COCO17_JOINTS, NUM_JOINTS
from smplcli.detection.movenet import PersonDetector
from smplcli.detection.people import Detection
from smplcli.files import asset
from smplcli.images import read_image
from smplcli.types import Floats
from smplcli.workflows.bodies import Bodies, BodyEstimator

MARKS = Path(__file__).with_suffix(".json")
LEFT_OUT = ("left_wrist", "right_wrist", "left_ankle", "right_ankle")
FACING = {"front": (0, 0, -1), "back": (0, 0, 1), "left": (-1, 0, 0), "right": (1, 0, 0)}
"""Where a body's chest points, camera axes, by the word for it: left is the picture's left."""

MAX_MISS = 0.4
"""Farther from the marks than this, over the torso, findings are of somebody else."""


class Marked(NamedTuple):
    """Somebody in a photograph whose joints were marked."""

    photo: Path
    joints: dict[str, Floats]
    """(2,) x, y, pixels."""

    facing: str
    silhouette: Floats | None
    """(N, 2) its outline, pixels, of some."""

    @property
    def torso(self) -> float:
        """Mean distance of shoulders and hips, pixels."""
        ends = [
            np.mean([xy for name, xy in self.joints.items() if name.endswith(part)], axis=0)
            for part in ("shoulder", "hip")
        ]
        return float(np.linalg.norm(ends[0] - ends[1]))


class Score(NamedTuple):
    """How one body does."""

    misses: list[float]
    """Of each left-out joint, over the torso."""

    facing: str
    faces_right_way: bool
    overlap: float | None
    """Of the body with the outline: what both cover over what either does."""


def main() -> None:
    """Print a line of the table per way to estimate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--network", type=Path, default=asset("network.safetensors"))
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    arguments = parser.parse_args()
    people = list(_find_marked(arguments.folders))
    detector = PersonDetector(precision=arguments.precision)
    found = [(person, finding) for person in people if (finding := _detect(detector, person))]
    print(f"{len(people)} people marked, {len(found)} of them detected\n")
    print(
        "| method | joints | PCK@0.2 | PCK@0.5 | median | overlap of outlines "
        "| facing right: all, front, back, side |"
    )
    print("|---|---|---|---|---|---|---|")
    for label, refine in (("network", False), ("network, refined", True)):
        estimator = BodyEstimator(arguments.network, None, torch.device("cpu"), refine=refine)
        _print_row(label, [_score(estimator, *pair) for pair in found])


def _find_marked(folders: Sequence[Path]) -> Iterator[Marked]:
    """Marked people of the photographs that are there."""
    marks: dict[str, list[dict[str, Any]]] = json.loads(MARKS.read_text())
    for name, people in marks.items():
        places = [folder / name for folder in folders if (folder / name).exists()]
        if not places:
            print(f"not found: {name}")
            continue
        for person in people:
            joints = {joint: np.array(xy, float) for joint, xy in person["joints"].items()}
            outline = np.array(person["silhouette"]) if "silhouette" in person else None
            yield Marked(places[0], joints, person["facing"], outline)


def _detect(detector: PersonDetector, person: Marked) -> Detection | None:
    """What the detector finds of somebody."""
    rows = [COCO17_JOINTS.index(name) for name in person.joints]
    places = np.stack(list(person.joints.values()))

    def miss(finding: Detection) -> float:
        away = np.linalg.norm(finding.keypoints[rows, :2] - places, axis=1)
        return float(np.median(away)) / person.torso

    findings = detector.detect(read_image(person.photo, orientation="displayed"))
    best = min(findings, key=miss, default=None)
    return best if best is not None and miss(best) < MAX_MISS else None


def _score(estimator: BodyEstimator, person: Marked, finding: Detection) -> Score:
    keypoints = finding.keypoints.copy()
    left_out = [COCO17_JOINTS.index(name) for name in LEFT_OUT]
    keypoints[left_out] = 0
    image = read_image(person.photo, orientation="displayed")
    subject = estimator.cut_out(
        image, finding._replace(keypoints=keypoints), image_index=0, person_id=0
    )
    bodies = estimator.estimate([subject])
    projected = _project(bodies)
    misses = [
        float(np.linalg.norm(projected[COCO17_JOINTS.index(name)] - person.joints[name]))
        / person.torso
        for name in LEFT_OUT
        if name in person.joints
    ]
    chest = bodies.full_pose[0, 0, :, 2].numpy()
    faces_right_way = bool(chest @ np.array(FACING[person.facing]) > 0)
    overlap = None
    if person.silhouette is not None:
        overlap = _overlap(estimator, bodies, person.silhouette, image.shape[:2])
    return Score(misses, person.facing, faces_right_way, overlap)


def _overlap(
    estimator: BodyEstimator, bodies: Bodies, outline: Floats, shape: tuple[int, ...]
) -> float:
    vertices = project_points(estimator.surfaces(bodies), bodies.transl, bodies.camera)[0].numpy()
    covered, drawn = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for triangle in vertices[estimator.body.faces].round().astype(np.int32):
        cv2.fillConvexPoly(covered, triangle, 1)
    cv2.fillPoly(drawn, [outline.astype(np.int32)], 1)
    return float((covered & drawn).sum() / (covered | drawn).sum())


def _project(bodies: Bodies) -> Floats:
    """COCO-17 joints of the first body (17, 2), pixels."""
    with torch.inference_mode():
        joints = JointsLayer(load_body())(bodies.full_pose, bodies.betas)[:, NUM_JOINTS:]
        return project_points(joints, bodies.transl, bodies.camera)[0].numpy()


def _print_row(label: str, scores: Sequence[Score]) -> None:
    misses = np.array([miss for score in scores for miss in score.misses])
    groups = (("front", "back", "left", "right"), ("front",), ("back",), ("left", "right"))
    facing = [
        f"{sum(s.faces_right_way for s in group)} of {len(group)}"
        for names in groups
        if (group := [score for score in scores if score.facing in names])
    ]
    cells = [label, len(misses), *(f"{np.mean(misses < near):.2f}" for near in (0.2, 0.5))]
    overlaps = [score.overlap for score in scores if score.overlap is not None]
    shared = f"{np.mean(overlaps):.2f} ({len(overlaps)})" if overlaps else "-"
    cells += [f"{np.median(misses):.2f}", shared, ", ".join(facing)]
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
