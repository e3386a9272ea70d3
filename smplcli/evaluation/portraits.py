"""Pictures of single people: as photographed, as labelled, as predicted, and from the side."""

import colorsys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from smplcli.conventions import NUM_PARTS, PELVIS, SCALE_PIXELS, SMPL_JOINTS
from smplcli.crops import compose_affine, crop_matrix, extract_crop, transform_points
from smplcli.datasets.shards import PreparedSample
from smplcli.evaluation.heat_maps import lay_over
from smplcli.evaluation.inference import network_crops
from smplcli.evaluation.posing import PosedBodies
from smplcli.evaluation.predictions import ImageCamera
from smplcli.models.network import Network
from smplcli.models.preprocess import to_network_input
from smplcli.rendering.overlay import draw_people, draw_side_view
from smplcli.types import Floats, Ints, Pixels

SIDE = 256
"""Side of a portrait, pixels."""

VIEW = 1.2
"""Side of what a portrait shows over that of the person's square: limbs may stick out."""

TRUTH_COLOUR, PREDICTION_COLOUR = (68, 187, 153), (238, 136, 102)

ATTENTION_JOINTS = tuple(
    SMPL_JOINTS.index(name)
    for name in (
        "head",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    )
)
"""Whose attention is shown: the limbs, which differ most."""

PART_OPACITY = 0.6


class Portrait(NamedTuple):
    """One person from all sides; each (S, S, 3) RGB."""

    photo: Pixels
    truth: Pixels | None
    """With the labelled body over it; ``None`` where nobody knows where it is."""

    prediction: Pixels | None
    side: Pixels
    """Both bodies from the side."""


class Attention(NamedTuple):
    """Where a network with part attention looks; each (S, S, 3) RGB."""

    parts: Pixels
    """The part that it takes each pixel for."""

    joints: dict[str, Pixels]
    """Attention of some joints, by name, each up to its own largest."""


def worst_median_best(
    errors: Floats, *, higher_is_better: bool, counts: Mapping[str, int]
) -> dict[str, Ints]:
    """Rows of samples to look at, nobody twice.

    Args:
        errors: (N,), NaN where not evaluated.
        higher_is_better: Whether the numbers are no errors but hits.
        counts: How many to show of ``worst``, ``median`` and ``best``; the first come first where
            there are too few people for all.
    """
    rows = np.flatnonzero(np.isfinite(errors))
    sign = 1 if higher_is_better else -1
    ordered = rows[np.argsort(sign * errors[rows], kind="stable")]
    middle = np.argsort(np.abs(np.arange(len(ordered)) - (len(ordered) - 1) / 2), kind="stable")
    orders = {"worst": ordered, "median": ordered[middle], "best": ordered[::-1]}
    picked: dict[str, Ints] = {}
    taken: set[int] = set()
    for name, count in counts.items():
        free = [row for row in orders[name].tolist() if row not in taken]
        picked[name] = np.array(free[:count], dtype=np.int64)
        taken.update(free[:count])
    return picked


class Subject(NamedTuple):
    """One person to draw."""

    sample: PreparedSample
    truth: Floats | None
    """(V, 3) labelled vertices from the pelvis on, metres; ``None`` where there is no label."""

    prediction: Floats
    """(V, 3) predicted vertices from the pelvis on, metres."""

    place: "Place | None"


class Place(NamedTuple):
    """Where a person's pelvis is, and the camera that sees it."""

    pelvis: Floats
    """(3,) metres, camera axes."""

    focal_length: float
    """Pixels of the picture."""

    principal_point: Floats
    """(2,) pixels of the picture."""


def subject_of(
    sample: PreparedSample,
    truth: PosedBodies,
    pred: PosedBodies,
    row: int,
    camera: ImageCamera | None,
) -> Subject:
    """One of several people, both bodies with the pelvis at the same place.

    It is where the label has it, or else where the prediction has it. That is how errors are
    measured, and so these alone are seen.

    Args:
        sample: Who.
        truth: Labelled bodies, with vertices.
        pred: Predicted bodies, with vertices.
        row: Which of the bodies it is.
        camera: The places of the same predictions in their pictures, if known.
    """
    if truth.vertices is None or pred.vertices is None:
        raise TypeError("bodies to draw need vertices")
    gt_pelvis, pred_pelvis = (posed.joints["smpl24"][row, PELVIS] for posed in (truth, pred))
    is_labelled = bool(sample.has_smpl)
    intrinsics = sample.cam_int.astype(np.float64)
    place = None
    if is_labelled and sample.transl[2] > 0 and intrinsics[0, 0] > 0:
        place = Place(gt_pelvis + sample.transl, float(intrinsics[0, 0]), intrinsics[:2, 2])
    elif camera is not None and np.isfinite(camera.transl[row]).all():
        place = Place(
            pred_pelvis + camera.transl[row],
            float(camera.focal_length[row]),
            camera.principal_point[row].astype(np.float64),
        )
    return Subject(
        sample=sample,
        truth=truth.vertices[row] - gt_pelvis if is_labelled else None,
        prediction=pred.vertices[row] - pred_pelvis,
        place=place,
    )


def draw_portrait(subject: Subject, faces: Ints) -> Portrait:
    """Draw one person.

    Args:
        subject: Who.
        faces: (F, 3) of both bodies.
    """
    sample = subject.sample
    to_view = crop_matrix(sample.center, VIEW * SCALE_PIXELS * float(sample.scale), SIDE)
    photo = extract_crop(sample.image, compose_affine(to_view, sample.crop_to_image), SIDE)
    drawn = [(subject.truth, TRUTH_COLOUR), (subject.prediction, PREDICTION_COLOUR)]
    known = [(vertices, colour) for vertices, colour in drawn if vertices is not None]
    side = draw_side_view(
        (SIDE, SIDE),
        np.stack([vertices for vertices, _ in known]),
        faces,
        colours=np.array([colour for _, colour in known], np.uint8),
    )
    truth, prediction = (
        _draw_over(photo, to_view, subject.place, vertices, faces, colour)
        for vertices, colour in drawn
    )
    return Portrait(photo, truth, prediction, side)


def _draw_over(  # noqa: PLR0917 - private
    photo: Pixels,
    to_view: Floats,
    place: Place | None,
    vertices: Floats | None,
    faces: Ints,
    colour: tuple[int, int, int],
) -> Pixels | None:
    if place is None or vertices is None:
        return None
    return draw_people(
        photo,
        (vertices + place.pelvis)[None],
        faces,
        focal_length=float(place.focal_length * to_view[0, 0]),
        principal_point=transform_points(to_view, place.principal_point[None])[0],
        colours=np.array([colour], np.uint8),
    )


@torch.inference_mode()
def attention_of(network: Network, samples: Sequence[PreparedSample]) -> list[Attention]:
    """Where a network looks, empty if it has no part attention.

    Args:
        network: On any device.
        samples: Whom it looks at.
    """
    if not samples or network.config.head != "part-attention":
        return []
    crops, _ = network_crops(samples, network.config.input_size)
    image, _ = to_network_input(crops)
    logits = network(image.to(network.mean_rot6d.device)).part_logits
    if logits is None:
        return []
    fine = interpolate(logits, size=crops.shape[1:3], mode="bilinear")
    parts = fine.argmax(dim=1).cpu().numpy()
    attention = logits[:, 1:].flatten(2).softmax(dim=-1).view_as(logits[:, 1:]).cpu().numpy()
    return [
        Attention(
            parts=_paint_parts(crop, labels),
            joints={
                SMPL_JOINTS[joint]: lay_over(crop, maps[joint] / maps[joint].max())
                for joint in ATTENTION_JOINTS
            },
        )
        for crop, labels, maps in zip(crops, parts, attention, strict=True)
    ]


def part_colours() -> Pixels:
    """A colour for each part label, (25, 3) RGB; neighbours in number are far apart in hue."""
    hues = [(0.61803 * label) % 1 for label in range(1, NUM_PARTS)]
    colours = [colorsys.hsv_to_rgb(hue, 0.6, 0.95) for hue in hues]
    return np.array([(0, 0, 0), *((255 * r, 255 * g, 255 * b) for r, g, b in colours)], np.uint8)


def _paint_parts(crop: Pixels, labels: NDArray[np.int64]) -> Pixels:
    opacity = np.where(labels > 0, PART_OPACITY, 0.0)[..., None]
    mixed = crop * (1 - opacity) + part_colours()[labels] * opacity
    return np.asarray(mixed.round(), dtype=np.uint8)
