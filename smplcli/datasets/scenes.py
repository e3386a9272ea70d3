"""Pictures of synthetic people with exact labels: one sample is a function of its random numbers.

The picture is the stored crop itself, seen by the camera of a larger picture, so its principal
point need not lie inside it.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import (
    BOX_PADDING,
    COCO17_JOINTS,
    NUM_BETAS,
    NUM_JOINTS,
    SCALE_PIXELS,
    SPIN24_JOINTS,
)
from smplcli.datasets.appearance import draw_colours, draw_look, find_landmarks
from smplcli.datasets.backgrounds import draw_background
from smplcli.datasets.photography import (
    Light,
    cast_shadow,
    cut_off,
    draw_light,
    draw_occluders,
    paste,
    photograph,
    shade,
)
from smplcli.datasets.poses import Clips, draw_pose
from smplcli.datasets.schema import CONTEXT, CROP_SIZE, PART_SIZE
from smplcli.datasets.shards import PreparedSample
from smplcli.detection.movenet import PersonDetector
from smplcli.rendering.parts import part_labels, vertex_parts
from smplcli.rendering.rasteriser import rasterise
from smplcli.rendering.shading import vertex_normals
from smplcli.rotations import rotmat_to_aa
from smplcli.types import Floats, Pixels

WIDE_BODY_SHARE, WIDE_BODY = 0.2, 1.6
"""Share of bodies whose betas spread more widely than people's, and how much."""

FIELD_OF_VIEW = (25.0, 75.0)
"""Degrees over the larger picture."""

STANDING_HEIGHT = 1.9
"""Metres; with the share of the picture's height that a person takes, this sets the distance."""

NEAREST = 1.3
"""Metres."""

CUT_OFF = ((0.12, 13), (0.1, 15), (0.08, 11))
"""Shares of people cut off below, and how many of COCO's joints, from the nose down, are left."""

OTHER_PERSON_SHARE = 0.22
OCCLUDER_SHARE = 0.35
SHADOW_SHARE = 0.4
EDGE_SHARE = 0.06
"""Share of whole people whose crop reaches over an edge of the picture."""

MATCH_DISTANCE, MATCHED_KEYPOINTS = 0.15, 3
"""A finding is this person if so many keypoints lie this near, over the size of the person."""


class Body(NamedTuple):
    """A posed body in front of the camera."""

    full_pose: Floats
    """(24, 3, 3)."""

    betas: Floats
    vertices: Tensor
    """(V, 3), metres, camera axes, placed."""

    joints3d: Floats
    """(41, 3) SMPL's joints, then COCO's, metres, camera axes, not placed."""

    transl: Floats
    """(3,) what was added to place it."""


class View(NamedTuple):
    """The crop's camera."""

    focal_length: float
    """Crop pixels."""

    principal_point: Floats
    """(2,) crop pixels."""

    is_cut_off: bool
    """Whether the picture ends with the square, below the joints that it was made for."""

    def project(self, points: Floats) -> Floats:
        """Crop pixels (N, 2) of points (N, 3), metres."""
        return self.focal_length * points[:, :2] / points[:, 2:] + self.principal_point


class Layer(NamedTuple):
    """One dressed person in the picture's frame."""

    colours: Floats
    """(S, S, 3), RGB in 0..255, black outside."""

    mask: Floats
    """(S, S), 1 on the person."""

    part_map: Pixels
    """(S, S) part labels, whatever stands in front."""


class Shot(NamedTuple):
    """What is known of a picture."""

    body: Body
    view: View
    part_map: Pixels
    keypoints: Floats
    """(17, 2), pixels."""

    inside: NDArray[np.bool_]
    """(17,) which of them are in the picture."""


class Studio:
    """Everything that pictures of one data set share.

    Args:
        model: The body.
        clips: Poses; none for made-up poses only.
        photos: Backgrounds, RGB; none for generated ones only.
    """

    def __init__(self, model: BodyModel, clips: Clips, photos: list[Pixels]) -> None:
        self._layer, self._joints = BodyLayer(model), JointsLayer(model)
        self._faces = torch.from_numpy(model.faces)
        self._rest = torch.from_numpy(model.v_template)
        self._weights = model.weights
        self._vertex_part = vertex_parts(model.weights)
        self._marks = find_landmarks(model)
        self._clips, self._photos = clips, photos
        self._detector = PersonDetector(longest_sides=(CROP_SIZE,), threads=1)

    def take_picture(self, rng: np.random.Generator, imgname: str) -> PreparedSample:
        """One person, perhaps others, and all labels of the one."""
        focal = 0.5 / np.tan(np.radians(rng.uniform(*FIELD_OF_VIEW)) / 2)
        body = self._draw_body(rng, _draw_place(rng, focal))
        view = _frame(rng, body, focal)
        light = draw_light(rng)
        layer = self._draw_layer(rng, body.vertices, view, light)
        layers = [layer]
        if rng.random() < OTHER_PERSON_SHARE and (other := self._draw_other(rng, body)):
            layers.append(self._draw_layer(rng, other.vertices, view, light))
            if other.transl[2] > body.transl[2]:
                layers.reverse()
        image = draw_background(rng, self._photos, CROP_SIZE)
        if rng.random() < SHADOW_SHARE:
            cast_shadow(rng, image, layer.mask)
        for colours, mask, _ in layers:
            image = paste(rng, image, colours, mask)
        if rng.random() < OCCLUDER_SHARE:
            draw_occluders(rng, image, self._photos)
        keypoints = view.project(body.joints3d[NUM_JOINTS:] + body.transl)
        in_crop = (keypoints > -0.5) & (keypoints < CROP_SIZE - 0.5)
        inside = np.asarray(in_crop.all(axis=1))
        if view.is_cut_off or rng.random() < EDGE_SHARE:
            inside &= cut_off(rng, image, keypoints, below=view.is_cut_off)
        picture = photograph(rng, image)
        shot = Shot(body, view, layer.part_map, keypoints, inside)
        return self._label(imgname, picture, shot)

    def _draw_body(self, rng: np.random.Generator, pelvis: Floats) -> Body:
        full_pose = draw_pose(rng, self._clips)
        width = WIDE_BODY if rng.random() < WIDE_BODY_SHARE else 1.0
        betas = (rng.normal(size=NUM_BETAS) * width).astype(np.float32)
        pose = torch.from_numpy(full_pose).float()[None]
        shape = torch.from_numpy(betas)[None]
        with torch.inference_mode():
            posed = self._layer(pose, shape)
            joints = self._joints(pose, shape)[0].numpy()
        transl = (pelvis - joints[0]).astype(np.float32)
        return Body(full_pose, betas, posed.vertices[0] + torch.from_numpy(transl), joints, transl)

    def _draw_other(self, rng: np.random.Generator, body: Body) -> Body | None:
        """Someone beside, behind or before the person; ``None`` if that is into the camera."""
        aside = rng.choice([-1, 1]) * rng.uniform(0.3, 0.9)
        deep = rng.uniform(-0.4, 1.5) if rng.random() < 0.7 else rng.uniform(1, 5)
        pelvis = body.joints3d[0] + body.transl + [aside, rng.uniform(-0.1, 0.1), deep]
        other = self._draw_body(rng, pelvis)
        return other if float(other.vertices[:, 2].min()) > 0.3 else None

    def _draw_layer(
        self, rng: np.random.Generator, vertices: Tensor, view: View, light: Light
    ) -> Layer:
        look = draw_look(rng, self._marks)
        drape = torch.from_numpy(look.drape(self._rest.numpy(), self._vertex_part)).float()
        dressed = vertices + vertex_normals(vertices[None], self._faces)[0] * drape[:, None]
        focal, centre = view.focal_length, torch.from_numpy(view.principal_point).float()
        pixels = focal * dressed[:, :2] / dressed[:, 2:] + centre
        points = torch.cat([pixels, dressed[:, 2:]], dim=1)[None]
        fragments = rasterise(points, self._faces, (CROP_SIZE, CROP_SIZE))
        face = fragments.face_index[0]
        mask = face >= 0
        corners = self._faces[face[mask]]
        share = fragments.barycentrics[0][mask][..., None]
        normals = vertex_normals(dressed[None], self._faces)[0]
        rest = (self._rest[corners] * share).sum(1).double().numpy()
        normal = (normals[corners] * share).sum(1).numpy()
        parts = part_labels(fragments, self._faces, self._weights)[0].numpy()
        covered = mask.numpy()
        dyed = draw_colours(rng, look, rest, parts[covered].astype(np.int64) - 1)
        colours = np.zeros((CROP_SIZE, CROP_SIZE, 3), np.float32)
        colours[covered] = shade(dyed, normal, light)
        return Layer(colours, covered.astype(np.float32), parts)

    def _label(self, imgname: str, image: Pixels, shot: Shot) -> PreparedSample:
        keypoints = np.column_stack([shot.keypoints, shot.inside]).astype(np.float32)
        part, spin = _spin_joints(keypoints, shot.body)
        matrix = np.diag([shot.view.focal_length, shot.view.focal_length, 1.0])
        matrix[:2, 2] = shot.view.principal_point
        pose = rotmat_to_aa(torch.from_numpy(shot.body.full_pose)).flatten().numpy()
        reduced = cv2.resize(
            shot.part_map, (PART_SIZE, PART_SIZE), interpolation=cv2.INTER_NEAREST_EXACT
        )
        return PreparedSample(
            imgname=imgname,
            person_id=0,
            gender="n",
            image_size=np.full(2, CROP_SIZE),
            center=np.full(2, (CROP_SIZE - 1) / 2),
            scale=CROP_SIZE / CONTEXT / SCALE_PIXELS,
            cam_int=matrix,
            has_smpl=1,
            pose=pose,
            shape=shot.body.betas,
            transl=shot.body.transl,
            part=part,
            S=spin,
            keypoints=keypoints,
            detected=self._detect(image, keypoints),
            part_map=np.asarray(reduced, dtype=np.uint8),
            crop_to_image=np.eye(2, 3),
            image=image,
        )

    def _detect(self, image: Pixels, keypoints: Floats) -> Floats:
        """What the detector finds of this person (17, 3), or zeros."""
        best, most = np.zeros((len(COCO17_JOINTS), 3), np.float32), MATCHED_KEYPOINTS - 1
        inside = keypoints[:, 2] > 0
        if not inside.any():
            return best
        size = np.ptp(keypoints[inside, :2], axis=0).max() + 1
        for found in self._detector.detect(image):
            distance = np.linalg.norm(found.keypoints[:, :2] - keypoints[:, :2], axis=1) / size
            near = inside & (found.keypoints[:, 2] > 0.2) & (distance < MATCH_DISTANCE)
            if near.sum() > most:
                best, most = found.keypoints.astype(np.float32), int(near.sum())
        return best


def _draw_place(rng: np.random.Generator, focal: float) -> Floats:
    """Where the pelvis is, (3,), metres, for a focal length over the height of the picture."""
    share = rng.uniform(0.35, 1.0)
    depth = max(NEAREST, focal * STANDING_HEIGHT / share * rng.uniform(0.8, 1.2))
    aside, down = rng.uniform([-0.25, -0.15], [0.25, 0.15]) * depth / focal
    return np.array([aside, down, depth])


def _frame(rng: np.random.Generator, body: Body, focal: float) -> View:
    """The camera of a crop around the joints that the picture shows."""
    kept, is_cut_off = len(COCO17_JOINTS), False
    chance = rng.random()
    for share, count in CUT_OFF:
        if 0 <= chance < share:
            kept, is_cut_off = count, True
        chance -= share
    placed = body.joints3d[NUM_JOINTS : NUM_JOINTS + kept] + body.transl
    seen = focal * placed[:, :2] / placed[:, 2:]
    low, high = seen.min(axis=0), seen.max(axis=0)
    smallest = focal * 0.25 / body.transl[2]
    side = max(BOX_PADDING * (high - low).max() * rng.uniform(0.95, 1.1), smallest)
    centre = (low + high) / 2 + rng.uniform(-0.03, 0.03, 2) * side
    pixels = CROP_SIZE / (CONTEXT * side)
    return View(focal * pixels, (CROP_SIZE - 1) / 2 - pixels * centre, is_cut_off)


def _spin_joints(keypoints: Floats, body: Body) -> tuple[Floats, Floats]:
    """SPIN's 24 joints in 2D (24, 3) and 3D (24, 4); those that COCO does not have stay zero."""
    part = np.zeros((len(SPIN24_JOINTS), 3), np.float32)
    spin = np.zeros((len(SPIN24_JOINTS), 4), np.float32)
    from_pelvis = body.joints3d[NUM_JOINTS:] - body.joints3d[0]
    for row, name in enumerate(SPIN24_JOINTS):
        if name in COCO17_JOINTS:
            joint = COCO17_JOINTS.index(name)
            part[row] = keypoints[joint]
            spin[row] = [*from_pelvis[joint], 1]
    return part, spin
