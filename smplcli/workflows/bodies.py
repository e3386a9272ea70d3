"""From people in pictures to bodies in front of the camera: network, body and placement."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from smplcli.body.files import load_body
from smplcli.body.fitting import KeypointFitter
from smplcli.body.layer import BodyLayer, JointsLayer
from smplcli.camera import (
    crop_camera_to_transl,
    default_focal_length,
    project_points,
    solve_translation,
)
from smplcli.conventions import COCO17_JOINTS, NUM_JOINTS
from smplcli.crops import box_to_crop, crop_matrix, extract_crop, transform_points
from smplcli.detection.people import Detection
from smplcli.errors import ConfigError
from smplcli.models.averaging import mean_answer
from smplcli.models.inference import (
    DType,
    Precision,
    has_fast_bf16,
    is_large,
    prepare_network,
    resolve_precision,
)
from smplcli.models.keypoints import MIN_SCORE
from smplcli.models.network import NetworkOutput
from smplcli.models.preprocess import to_network_input
from smplcli.models.weights import LoadedNetwork, load_network
from smplcli.types import Camera, Crop, Floats, Pixels
from smplcli.workflows.lenses import Lens
from smplcli.workflows.stages import StageClock

logger = logging.getLogger(__name__)

MIN_KEYPOINTS = 4
"""With fewer trusted keypoints the network's own camera places the body."""

FOUND_SCORE = 0.3
"""The network's own keypoints are as good as the detector's of this score."""

FACE = ("nose", "eye", "ear")
FACE_WEIGHT = 0.3
"""Weight of each keypoint of the face, over others, where a body is placed: five on one bone would
put the head in its place and leave the rest beside the person."""

MAX_RESIDUAL = 0.1
"""The same if the joints miss the keypoints by more than this, over the side of the crop."""

_WEIGHT = [FACE_WEIGHT if name.split("_")[-1] in FACE else 1.0 for name in COCO17_JOINTS]


class Subject(NamedTuple):
    """One person, cut out of a picture."""

    image_index: int
    person_id: int
    """Number of the person in the picture."""

    person: Detection
    image_size: tuple[int, int]
    """Width, height of the whole picture, pixels."""

    crop: Pixels
    """(S, S, 3), what the network sees."""

    lens: Lens | None = None
    """What is known of the picture's camera."""


class Bodies(NamedTuple):
    """N estimated people; on the processor, whatever computed them."""

    full_pose: Tensor
    """(N, 24, 3, 3) rotation matrices: the root in camera axes, the rest relative to parents."""

    betas: Tensor
    """(N, 10), standard deviations."""

    pred_cam: Tensor
    """(N, 3) the network's s (half crops per metre), tx, ty (metres) in the crop."""

    transl: Tensor
    """(N, 3) place in the full image's camera frame, metres."""

    is_placed_by_keypoints: Tensor
    """(N,) whether keypoints gave the place; else the network's own camera."""

    joints3d: Tensor
    """(N, 24, 3) before ``transl``, metres, camera axes."""

    joints2d: Tensor
    """(N, 24, 2), pixels of the full image."""

    camera: Camera
    crop: Crop


class BodyEstimator:
    """A network, or several, and a body, loaded once.

    Args:
        network: Weights file.
        body: SMPL file; the demo body without one.
        device: Where the network computes.
        average: Weights files of further networks; bodies are the mean of all answers.
        flip_test: Whether the networks also see everybody in a mirror, for the mean.
        refine: Whether bodies are fitted to the keypoints.
        precision: Of the networks' convolutions.
        clock: Counts the time of the network and of what follows it.

    Raises:
        ConfigError: The networks look at pictures of different sizes, or the device does not
            compute in that precision.
    """

    def __init__(
        self,
        network: Path,
        body: Path | None,
        device: torch.device,
        *,
        average: Sequence[Path] = (),
        flip_test: bool = False,
        refine: bool = False,
        precision: Precision = "auto",
        clock: StageClock | None = None,
    ) -> None:
        read = [load_network(path, device=device) for path in (network, *average)]
        takes_long = is_large(read[0].network)
        self.precision = resolve_precision(precision, device, takes_long=takes_long)
        if self.precision == "bf16" and not has_fast_bf16(device):
            logger.warning("%s has no instructions for bf16: fp32 is much faster", device)
        self.loaded, *self.averaged = (_prepared(each, self.precision) for each in read)
        for path, loaded in zip(average, self.averaged, strict=True):
            _check_size(self.loaded, loaded, path)
        self.flip_test, self.refine = flip_test, refine
        self.body = load_body(body)
        self.name, self.device = network.name, device
        self._clock = clock or StageClock()
        self._joints, self._layer = JointsLayer(self.body), BodyLayer(self.body)
        self._fitter = KeypointFitter(self.body) if refine else None

    def cut_out(
        self,
        image: Pixels,
        person: Detection,
        *,
        image_index: int,
        person_id: int,
        lens: Lens | None = None,
    ) -> Subject:
        """Cut a person out of a picture, for later."""
        size = self.loaded.network.config.input_size
        center, side = box_to_crop(person.bbox)
        crop = extract_crop(image, crop_matrix(center, float(side), size), size)
        height, width = image.shape[:2]
        return Subject(image_index, person_id, person, (width, height), crop, lens)

    def camera_of(self, subjects: Sequence[Subject]) -> Camera:
        """Cameras of the pictures that people are in."""
        sizes = [subject.image_size for subject in subjects]
        return assume_camera(sizes, [subject.lens for subject in subjects])

    @torch.inference_mode()
    def estimate(self, subjects: Sequence[Subject]) -> Bodies:
        """Bodies of people, at least one, all computed at once."""
        crop, camera = _crop_of(subjects), self.camera_of(subjects)
        keypoints = np.stack([subject.person.keypoints for subject in subjects])
        with self._clock.stage("network"):
            answer = self._run_network(subjects, keypoints, crop)
            pred_cam = answer.pred_cam.cpu()
        with self._clock.stage("body"):
            default = crop_camera_to_transl(pred_cam, crop, camera)
            known = join_keypoints(torch.from_numpy(keypoints).float(), answer.keypoints, crop)
            view = _View(known, default, crop, camera)
            placed = self._place(answer.rotmat.cpu(), answer.betas.cpu(), view)
        if self._fitter is not None:
            with self._clock.stage("refine"):
                placed = self._fit(self._fitter, placed, view)
        joints3d = placed.joints[:, :NUM_JOINTS]
        return Bodies(
            full_pose=placed.full_pose,
            betas=placed.betas,
            pred_cam=pred_cam,
            transl=placed.transl,
            is_placed_by_keypoints=placed.by_keypoints,
            joints3d=joints3d,
            joints2d=project_points(joints3d, placed.transl, camera),
            camera=camera,
            crop=crop,
        )

    def _place(self, full_pose: Tensor, betas: Tensor, view: "_View") -> "_Placed":
        joints = self._joints(full_pose, betas)
        return _Placed(full_pose, betas, joints, *place_bodies(joints[:, NUM_JOINTS:], *view))

    def _fit(self, fitter: KeypointFitter, placed: "_Placed", view: "_View") -> "_Placed":
        """Bodies fitted to keypoints, where these then give the place; the others as they were."""
        keypoints = view.keypoints2d.clone()
        keypoints[..., 2] *= keypoints[..., 2] >= MIN_SCORE
        fitted = fitter(placed.full_pose, placed.betas, placed.transl, keypoints, view.camera)
        refined = self._place(fitted.full_pose, fitted.betas, view)
        return _Placed(
            *(
                torch.where(refined.by_keypoints.view(-1, *[1] * (new.ndim - 1)), new, old)
                for new, old in zip(refined, placed, strict=True)
            )
        )

    def _run_network(
        self, subjects: Sequence[Subject], keypoints: Floats, crop: Crop
    ) -> NetworkOutput:
        image, unit_keypoints = to_network_input(
            np.stack([subject.crop for subject in subjects]),
            _to_crop_pixels(keypoints, crop, self.loaded.network.config.input_size),
        )
        if unit_keypoints is not None:
            unit_keypoints = unit_keypoints.to(self.device)
        networks = [loaded.network for loaded in (self.loaded, *self.averaged)]
        return mean_answer(
            networks, image.to(self.device), unit_keypoints, flip_test=self.flip_test
        )

    @torch.inference_mode()
    def surfaces(self, bodies: Bodies) -> Tensor:
        """Vertices (N, V, 3) before ``transl``, metres, camera axes."""
        vertices: Tensor = self._layer(bodies.full_pose, bodies.betas).vertices
        return vertices


class _View(NamedTuple):
    """What `place_bodies` takes beside the joints."""

    keypoints2d: Tensor
    default: Tensor
    crop: Crop
    camera: Camera


class _Placed(NamedTuple):
    """Bodies with their 24 + 17 joints, and what `place_bodies` says of them."""

    full_pose: Tensor
    betas: Tensor
    joints: Tensor
    transl: Tensor
    by_keypoints: Tensor


def _prepared(loaded: LoadedNetwork, precision: DType) -> LoadedNetwork:
    return loaded._replace(network=prepare_network(loaded.network, precision=precision))


def _check_size(first: LoadedNetwork, other: LoadedNetwork, path: Path) -> None:
    sizes = [loaded.network.config.input_size for loaded in (other, first)]
    if sizes[0] != sizes[1]:
        raise ConfigError(
            f"networks to average look at {sizes[0]} and {sizes[1]} pixels: {path}",
            hint="Average networks of the same input_size.",
        )


def join_keypoints(keypoints2d: Tensor, found: Tensor | None, crop: Crop) -> Tensor:
    """The detector's keypoints, and where it is not sure of one, the network's own.

    Args:
        keypoints2d: (B, 17, 3) x, y in pixels of the full image, and the detector's score.
        found: (B, 17, 3) x, y in -1..1 of the crops, and how likely it is inside; ``None`` of a
            network that does not look for any.
        crop: The squares around the people.
    """
    if found is None:
        return keypoints2d
    place, score = found.cpu().split([2, 1], dim=-1)
    center, side = crop.bbox_center[:, None], crop.bbox_size[:, None, None]
    own = torch.cat([center + place * side / 2, FOUND_SCORE * score], dim=-1)
    return torch.where(keypoints2d[..., 2:] >= MIN_SCORE, keypoints2d, own)


def place_bodies(
    joints3d: Tensor, keypoints2d: Tensor, default: Tensor, crop: Crop, camera: Camera
) -> tuple[Tensor, Tensor]:
    """Put bodies where their joints fall on the keypoints, where there are enough that agree.

    Args:
        joints3d: (B, 17, 3) COCO-17 joints, metres, camera axes.
        keypoints2d: (B, 17, 3) x, y in pixels of the full image, and score.
        default: (B, 3) translation without keypoints, metres.
        crop: The squares around the people.
        camera: The full image's camera.

    Returns:
        Translations (B, 3), metres, and whether keypoints gave them (B,).
    """
    trusted = keypoints2d[..., 2] >= MIN_SCORE
    score = keypoints2d[..., 2] * trusted * keypoints2d.new_tensor(_WEIGHT)
    solved, residual = solve_translation(
        joints3d, torch.cat([keypoints2d[..., :2], score[..., None]], dim=-1), camera
    )
    is_placed = trusted.sum(dim=-1) >= MIN_KEYPOINTS
    is_placed &= residual <= MAX_RESIDUAL * crop.bbox_size  # false for NaN as well
    return torch.where(is_placed[:, None], solved, default), is_placed


def assume_camera(
    image_sizes: Sequence[tuple[int, int]], lenses: Sequence[Lens | None] = ()
) -> Camera:
    """Cameras of pictures, as far as they are known; else through centres, with their diagonals.

    Args:
        image_sizes: B times width and height, pixels.
        lenses: What is known of each, if anything is.
    """
    size = torch.tensor(image_sizes, dtype=torch.float32)
    focal, centre = default_focal_length(size), (size - 1) / 2
    for row, lens in enumerate(lenses):
        if lens is not None:
            focal[row] = lens.focal_length
            if lens.principal_point is not None:
                centre[row] = torch.tensor(lens.principal_point)
    return Camera(focal, centre, size)


def _to_crop_pixels(keypoints: Floats, crop: Crop, size: int) -> Floats:
    """(B, 17, 3) from full-image to crop pixels."""
    points = keypoints.copy()
    for index, (center, side) in enumerate(zip(*crop, strict=True)):
        matrix = crop_matrix(center.double().numpy(), float(side), size)
        points[index, :, :2] = transform_points(matrix, keypoints[index, :, :2])
    return points


def _crop_of(subjects: Sequence[Subject]) -> Crop:
    center, side = box_to_crop(np.stack([subject.person.bbox for subject in subjects]))
    return Crop(torch.from_numpy(center).float(), torch.from_numpy(side).float())
