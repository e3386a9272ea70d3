"""Rendered people in the raw layout of MPII, with everything that makes that layout hard to read.

It lets anyone try the way from raw data on without a licence, and tests the reader.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from scipy.io import savemat

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.body.model import BodyModel
from smplcli.conventions import COCO17_JOINTS, MPII16_JOINTS, NUM_BETAS, SMPL_JOINTS
from smplcli.datasets.backgrounds import PhotoLibrary, draw_background
from smplcli.datasets.mpii_mat import MAT_FILE
from smplcli.datasets.poses import Clips, draw_pose
from smplcli.errors import OutputExistsError
from smplcli.files import atomic_write
from smplcli.images import write_image
from smplcli.rendering.overlay import draw_people
from smplcli.types import Floats, Pixels

ANNOTATIONS_DIR, IMAGES_DIR = "mpii_human_pose_v1_u12_2", "images"

SIZES = ((1280, 720), (640, 480), (1280, 720), (480, 640), (640, 360))
"""Width and height of the pictures, in turn."""

FIELD_OF_VIEW = (35.0, 65.0)
"""Degrees over the longer side."""

MOST_PEOPLE = 3
TEST_SHARE = 0.25
STANDING_HEIGHT = 1.7
"""Metres; MPII's ``scale`` is the height of the person standing upright, over 200 pixels."""

BACKGROUND_SIZE = 320
ACTIVITIES = (
    ("curling", "winter activities", 1),
    ("bicycling, mountain", "bicycling", 2),
    ("yoga, Power", "conditioning exercise", 3),
)
HEAD_PART = SMPL_JOINTS.index("head")
FRACTIONAL = frozenset({"neck", "head_top"})
"""Joints whose positions are not whole pixels."""

WRITTEN_SHARE = 0.85
"""Share of the joints of a labelled person that are labelled."""


class SyntheticPerson(NamedTuple):
    """What is true of a person in a picture, whatever the annotations say; pixels from 0."""

    joints: Floats
    """(16, 2), in MPII's order."""

    head: Floats
    """(4,) left, top, right, bottom of the head."""

    center: Floats
    """(2,) middle of the joints."""

    height: float
    """Pixels, if the person stood upright."""


class SyntheticPicture(NamedTuple):
    """A picture and the people in it, in the order of its annotations."""

    file: str
    people: tuple[SyntheticPerson, ...]


def write_mpii_layout(
    root: Path,
    *,
    count: int,
    seed: int = 0,
    body: BodyModel | None = None,
    clips: Clips = (),
    photos: PhotoLibrary | None = None,
) -> list[SyntheticPicture]:
    """Render people and write them in the layout of MPII.

    Args:
        root: Folder, which gets ``images`` and ``mpii_human_pose_v1_u12_2``.
        count: Pictures, about a quarter of them for testing, so without joints.
        seed: The same seed writes the same people.
        body: The demo body without one.
        clips: Poses; made-up ones without.
        photos: Backgrounds; generated ones without.

    Returns:
        What the pictures show, in the order of the annotations.

    Raises:
        OutputExistsError: ``root`` holds such folders already.
        ResourceError: They cannot be written.
    """
    for folder in (root / IMAGES_DIR, root / ANNOTATIONS_DIR):
        if folder.exists():
            raise OutputExistsError(
                f"output exists: {folder}", hint="Choose another folder or remove this one."
            )
    studio = _Studio(body or load_body(), clips, photos)
    pictures, entries = [], []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        picture, image = studio.take_picture(rng, index)
        write_image(root / IMAGES_DIR / picture.file, image)
        pictures.append(picture)
        peculiar = np.random.default_rng([seed, index, 1])
        entries.append(_Annotator(peculiar, index).annotate(picture))
    content = BytesIO()
    savemat(content, {"RELEASE": _release(entries)}, do_compression=True)
    with atomic_write(root / ANNOTATIONS_DIR / MAT_FILE) as file:
        file.write(content.getvalue())
    return pictures


class _Studio:
    """Takes pictures of people who stand beside each other."""

    def __init__(self, model: BodyModel, clips: Clips, photos: PhotoLibrary | None) -> None:
        self._layer, self._joints = BodyLayer(model), JointsLayer(model)
        self._faces = model.faces
        self._is_head = model.weights.argmax(axis=1) == HEAD_PART
        self._top = int(model.v_template[:, 1].argmax())
        self._clips, self._photos = clips, photos

    @torch.inference_mode()
    def take_picture(
        self, rng: np.random.Generator, index: int
    ) -> tuple[SyntheticPicture, Pixels]:
        """What a picture shows, and the picture (H, W, 3), RGB."""
        width, height = SIZES[index % len(SIZES)]
        angle = np.radians(rng.uniform(*FIELD_OF_VIEW))
        focal = max(width, height) / 2 / np.tan(angle / 2)
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        number = 1 + index % MOST_PEOPLE
        bodies = [self._pose(rng, focal / height, slot, number) for slot in range(number)]
        image = draw_background(rng, self._photos, BACKGROUND_SIZE).astype(np.uint8)
        drawn = draw_people(
            np.asarray(cv2.resize(image, (width, height)), dtype=np.uint8),
            np.stack([vertices for vertices, _ in bodies]),
            self._faces,
            focal_length=focal,
            principal_point=middle,
            colours=rng.integers(60, 230, (number, 3)).astype(np.uint8),
        )
        people = tuple(self._describe(*body, focal, middle) for body in bodies)
        return SyntheticPicture(f"{15601864 + 7919 * index:09d}.jpg", people), drawn

    def _pose(
        self, rng: np.random.Generator, focal: float, slot: int, number: int
    ) -> tuple[Floats, Floats]:
        """Vertices (V, 3) and joints (41, 3) of one of several people side by side, metres."""
        full_pose = torch.from_numpy(draw_pose(rng, self._clips)).float()[None]
        betas = torch.from_numpy(rng.normal(size=(1, NUM_BETAS))).float()
        joints = self._joints(full_pose, betas)[0].numpy()
        depth = focal * STANDING_HEIGHT / rng.uniform(0.45, 0.85) + rng.uniform(0, 1)
        aside = (slot - (number - 1) / 2) * 0.8 + rng.normal(0, 0.1)
        transl = np.array([aside, rng.normal(0, 0.1), depth]) - joints[0]
        vertices = self._layer(full_pose, betas).vertices[0].numpy()
        return vertices + transl, joints + transl

    def _describe(
        self, vertices: Floats, joints: Floats, focal: float, middle: Floats
    ) -> SyntheticPerson:
        named = dict(zip((*SMPL_JOINTS, *COCO17_JOINTS), joints, strict=True))  # COCO's win
        named["pelvis"] = (named["left_hip"] + named["right_hip"]) / 2
        named["thorax"] = (named["left_shoulder"] + named["right_shoulder"]) / 2
        named["head_top"] = vertices[self._top]
        seen = _project(np.stack([named[name] for name in MPII16_JOINTS]), focal, middle)
        head = _project(vertices[self._is_head], focal, middle)
        return SyntheticPerson(
            joints=seen,
            head=np.concatenate([head.min(axis=0), head.max(axis=0)]),
            center=(seen.min(axis=0) + seen.max(axis=0)) / 2,
            height=float(focal * STANDING_HEIGHT / joints[0, 2]),
        )


def _project(points: Floats, focal: float, middle: Floats) -> Floats:
    return focal * points[:, :2] / points[:, 2:] + middle


class _Annotator:
    """Writes people down as MPII does, each picture with other peculiarities."""

    def __init__(self, rng: np.random.Generator, index: int) -> None:
        self._rng, self._index = rng, index

    def annotate(self, picture: SyntheticPicture) -> dict[str, Any]:
        is_train = self._rng.random() > TEST_SHARE or self._index == 0
        rectangles = [self._rectangle(person, is_train=is_train) for person in picture.people]
        if self._index % 11 == 8:  # people in the picture, and nobody marked them
            rectangles = []
        if is_train and self._index % 5 == 3:  # someone whom nobody labelled further
            rectangles.append({"scale": np.float64(1.5), "objpos": {"x": 10, "y": 20}})
        if is_train and self._index % 7 == 4:  # a head and nothing else
            rectangles.append({"x1": 5, "y1": 6, "x2": 25, "y2": 30})
        return {
            "image": {"name": picture.file},
            "annorect": _struct(rectangles),
            "frame_sec": float(self._index) if self._index % 4 else EMPTY,
            "vidx": float(1 + self._index // 4) if self._index % 4 else EMPTY,
            "is_train": is_train,
            "single_person": np.arange(1.0, 1 + len(picture.people))[:, None],
        }

    def _rectangle(self, person: SyntheticPerson, *, is_train: bool) -> dict[str, Any]:
        center = np.rint(person.center).astype(int) + 1
        place = {
            "scale": person.height / 200,
            "objpos": {"x": int(center[0]), "y": int(center[1])},
        }
        if not is_train:
            return place
        left, top, right, bottom = np.rint(person.head + 1).astype(int).tolist()
        head = {"x1": left, "y1": top, "x2": right, "y2": bottom}
        return {**head, "annopoints": {"point": _struct(self._points(person))}, **place}

    def _points(self, person: SyntheticPerson) -> list[dict[str, Any]]:
        """Points in any order, some missing; a seventh of the lists names one of them twice."""
        kept = self._rng.permutation(len(MPII16_JOINTS))
        kept = kept[self._rng.random(len(kept)) < WRITTEN_SHARE]
        points = [self._point(int(joint), person.joints[joint]) for joint in kept]
        if len(points) > 1 and self._index % 7 == 2:
            points.append({**points[0], "x": points[0]["x"] + 40})
        if self._index % 6 == 5:
            points = points[:1]
        if self._index % 3 == 1:
            for point in points:
                del point["is_visible"]
        return points

    def _point(self, joint: int, position: Floats) -> dict[str, Any]:
        is_whole = MPII16_JOINTS[joint] not in FRACTIONAL
        x, y = (np.rint(position + 1) if is_whole else position + 1).tolist()
        hidden = int(self._rng.random() < 0.2)
        forms: tuple[Any, ...] = (1 - hidden, str(1 - hidden), EMPTY)
        visible = forms[self._rng.integers(2)] if is_whole else forms[2]
        return {"x": x, "y": y, "id": joint, "is_visible": visible}


EMPTY = np.zeros((0, 0))


def _release(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    fields = ("image", "annorect", "frame_sec", "vidx")
    videos = [f"synthetic_{number:04d}" for number in range(1 + len(entries) // 4)]
    names = ("act_name", "cat_name", "act_id")
    acts = [
        dict(
            zip(names, ACTIVITIES[index % 4] if index % 4 < 3 else (EMPTY, EMPTY, -1), strict=True)
        )
        for index in range(len(entries))
    ]
    return {
        "annolist": _struct([{name: entry[name] for name in fields} for entry in entries]),
        "img_train": np.array([[int(entry["is_train"]) for entry in entries]], np.uint8),
        "version": "12",
        "single_person": _cell([entry["single_person"] for entry in entries]).T,
        "act": _struct(acts).T,
        "video_list": _cell(videos),
    }


def _struct(records: Sequence[dict[str, Any]]) -> Any:
    """A struct array (1, N) with all fields that occur, empty where a record lacks one."""
    if not records:
        return EMPTY
    names = list(dict.fromkeys(name for record in records for name in record))
    array = np.empty((1, len(records)), dtype=[(name, object) for name in names])
    for column, record in enumerate(records):
        for name in names:
            array[name][0, column] = record.get(name, EMPTY)
    return array


def _cell(values: Sequence[Any]) -> Any:
    array = np.empty((1, len(values)), dtype=object)
    for column, value in enumerate(values):
        array[0, column] = value
    return array
