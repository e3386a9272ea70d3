"""Pictures of synthetic people with exact labels: one sample is a function of its random numbers.

The picture is the stored crop itself, seen by the camera of a larger picture, so its principal
point need not lie inside it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import (
    BOX_PADDING,
    COCO17_JOINTS,
    NUM_BETAS,
    NUM_JOINTS,
    OPENPOSE25_JOINTS,
    SCALE_PIXELS,
    SPIN24_JOINTS,
)
from smplcli.datasets.backgrounds import PhotoLibrary, draw_background
from smplcli.datasets.colouring import ANY_SKIN
from smplcli.datasets.dressing import Body, View, Wardrobe
from smplcli.datasets.joint_orders import reorder_joints
from smplcli.datasets.occluders import draw_occluders, hide_below
from smplcli.datasets.photography import cast_shadow, cut_off, draw_light, paste, photograph
from smplcli.datasets.poses import ANY_POSE, Clips, Posing, draw_pose
from smplcli.datasets.schema import CONTEXT, CROP_SIZE
from smplcli.datasets.shards import PreparedSample
from smplcli.detection.movenet import PersonDetector
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

TABLE_SHARE = 0.3
"""Share of them that stand behind something instead."""

OTHER_PERSON_SHARE = 0.22
OCCLUDER_SHARE = 0.35
SHADOW_SHARE = 0.4
EDGE_SHARE = 0.06
"""Share of whole people whose crop reaches over an edge of the picture."""

MATCH_DISTANCE, MATCHED_KEYPOINTS, MATCHED_SHARE = 0.15, 3, 0.5
"""A finding is this person if so many of its sure keypoints, and this share of them, lie so near,
over the size of the person."""

SURE_KEYPOINT = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Who is photographed, and what is in the way."""

    posing: Posing = ANY_POSE
    is_tight: bool = False
    """Whether clothes are only painted on."""

    skins: tuple[int, int] = ANY_SKIN
    """The first of the possible `SKIN_TONES`, and the one after the last."""

    cut_off: float = 1.0
    """How many of the usual shares of people are cut off below."""

    other_person: float = OTHER_PERSON_SHARE
    occluder: float = OCCLUDER_SHARE
    edge: float = EDGE_SHARE


ANY_OCCASION = Occasion()


class Shot(NamedTuple):
    """What is known of a picture."""

    body: Body
    view: View
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
        occasion: What is photographed.
    """

    def __init__(
        self,
        model: BodyModel,
        clips: Clips,
        photos: PhotoLibrary | None,
        occasion: Occasion = ANY_OCCASION,
    ) -> None:
        self._layer, self._joints = BodyLayer(model), JointsLayer(model)
        self._wardrobe = Wardrobe(model, is_tight=occasion.is_tight, skins=occasion.skins)
        self._clips, self._photos, self._occasion = clips, photos, occasion
        self._detector = PersonDetector(longest_sides=(CROP_SIZE,), precision="fp32")

    @torch.inference_mode()
    def take_picture(self, rng: np.random.Generator, imgname: str) -> PreparedSample:
        """One person, perhaps others, and all labels of the one."""
        focal = 0.5 / np.tan(np.radians(rng.uniform(*FIELD_OF_VIEW)) / 2)
        body = self._draw_body(rng, _draw_place(rng, focal))
        view, is_cut_off = _frame(rng, body, focal, self._occasion.cut_off)
        image = draw_background(rng, self._photos, CROP_SIZE)
        light = draw_light(rng, image)
        layer = self._wardrobe.draw(rng, body, view, light)
        layers = [layer]
        if rng.random() < self._occasion.other_person and (other := self._draw_other(rng, body)):
            layers.append(self._wardrobe.draw(rng, other, view, light))
            if other.transl[2] > body.transl[2]:
                layers.reverse()
        if rng.random() < SHADOW_SHARE:
            cast_shadow(rng, image, layer.mask)
        for colours, mask in layers:
            image = paste(rng, image, colours, mask)
        if rng.random() < self._occasion.occluder:
            draw_occluders(rng, image, layer.mask, self._photos)
        keypoints = view.project(body.joints3d[NUM_JOINTS:] + body.transl)
        in_crop = (keypoints > -0.5) & (keypoints < CROP_SIZE - 0.5)
        inside = np.asarray(in_crop.all(axis=1))
        if is_cut_off and rng.random() < TABLE_SHARE:
            hide_below(rng, image, self._photos)
        elif is_cut_off or rng.random() < self._occasion.edge:
            inside &= cut_off(rng, image, keypoints, below=is_cut_off)
        picture = photograph(rng, image)
        return self._label(imgname, picture, Shot(body, view, keypoints, inside))

    def _draw_body(self, rng: np.random.Generator, pelvis: Floats) -> Body:
        full_pose = torch.from_numpy(draw_pose(rng, self._clips, self._occasion.posing)).float()
        width = WIDE_BODY if rng.random() < WIDE_BODY_SHARE else 1.0
        betas = torch.from_numpy(rng.normal(size=NUM_BETAS) * width).float()
        posed = self._layer(full_pose[None], betas[None]).vertices[0]
        joints = self._joints(full_pose[None], betas[None])[0].numpy()
        transl = (pelvis - joints[0]).astype(np.float32)
        return Body(full_pose, betas, posed + torch.from_numpy(transl), joints, transl)

    def _draw_other(self, rng: np.random.Generator, body: Body) -> Body | None:
        """Someone beside, behind or before the person; ``None`` if that is into the camera."""
        aside = rng.choice([-1, 1]) * rng.uniform(0.3, 0.9)
        deep = rng.uniform(-0.4, 1.5) if rng.random() < 0.7 else rng.uniform(1, 5)
        pelvis = body.joints3d[0] + body.transl + [aside, rng.uniform(-0.1, 0.1), deep]
        other = self._draw_body(rng, pelvis)
        return other if float(other.vertices[:, 2].min()) > 0.3 else None

    def _label(self, imgname: str, image: Pixels, shot: Shot) -> PreparedSample:
        keypoints = np.column_stack([shot.keypoints, shot.inside]).astype(np.float32)
        part, spin = _spin_joints(keypoints, shot.body)
        matrix = np.diag([shot.view.focal_length, shot.view.focal_length, 1.0])
        matrix[:2, 2] = shot.view.principal_point
        return PreparedSample(
            imgname=imgname,
            person_id=0,
            gender="n",
            image_size=np.full(2, CROP_SIZE),
            center=np.full(2, (CROP_SIZE - 1) / 2),
            scale=CROP_SIZE / CONTEXT / SCALE_PIXELS,
            cam_int=matrix,
            has_smpl=1,
            pose=shot.body.pose,
            shape=shot.body.betas.numpy(),
            transl=shot.body.transl,
            part=part,
            S=spin,
            openpose=reorder_joints(keypoints, COCO17_JOINTS, OPENPOSE25_JOINTS),
            head_size=0.0,
            activity="",
            keypoints=keypoints,
            detected=self._detect(image, keypoints),
            part_map=self._wardrobe.part_map(shot.body, shot.view),
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
            sure = inside & (found.keypoints[:, 2] > SURE_KEYPOINT)
            near = int((sure & (distance < MATCH_DISTANCE)).sum())
            if near > most and near >= MATCHED_SHARE * sure.sum():
                best, most = found.keypoints.astype(np.float32), near
        return best


def _draw_place(rng: np.random.Generator, focal: float) -> Floats:
    """Where the pelvis is, (3,), metres, for a focal length over the height of the picture."""
    share = rng.uniform(0.35, 1.0)
    depth = max(NEAREST, focal * STANDING_HEIGHT / share * rng.uniform(0.8, 1.2))
    aside, down = rng.uniform([-0.25, -0.15], [0.25, 0.15]) * depth / focal
    return np.array([aside, down, depth])


def _frame(
    rng: np.random.Generator, body: Body, focal: float, cut_off_share: float
) -> tuple[View, bool]:
    """The camera of a crop around the joints that the picture shows; whether those are not all.

    Where they are not, the person's square ends where the picture does, below the last of them.
    """
    kept, is_cut_off = len(COCO17_JOINTS), False
    chance = rng.random()
    for share, count in CUT_OFF:
        if 0 <= chance < share * cut_off_share:
            kept, is_cut_off = count, True
        chance -= share * cut_off_share
    placed = body.joints3d[NUM_JOINTS : NUM_JOINTS + kept] + body.transl
    seen = focal * placed[:, :2] / placed[:, 2:]
    low, high = seen.min(axis=0), seen.max(axis=0)
    smallest = focal * 0.25 / body.transl[2]
    side = max(BOX_PADDING * (high - low).max() * rng.uniform(0.95, 1.1), smallest)
    centre = (low + high) / 2 + rng.uniform(-0.03, 0.03, 2) * side
    pixels = CROP_SIZE / (CONTEXT * side)
    return View(focal * pixels, (CROP_SIZE - 1) / 2 - pixels * centre), is_cut_off


def _spin_joints(keypoints: Floats, body: Body) -> tuple[Floats, Floats]:
    """SPIN's 24 joints in 2D (24, 3) and 3D (24, 4); those that COCO does not have stay zero."""
    from_pelvis = body.joints3d[NUM_JOINTS:] - body.joints3d[0]
    known = np.column_stack([from_pelvis, np.ones(len(from_pelvis))])
    return (
        reorder_joints(keypoints, COCO17_JOINTS, SPIN24_JOINTS),
        reorder_joints(known, COCO17_JOINTS, SPIN24_JOINTS),
    )
