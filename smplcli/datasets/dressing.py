"""Synthetic people dressed and drawn: from a posed body to the pixels that it covers."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from smplcli.body.layer import BodyLayer, Motion
from smplcli.body.model import BodyModel
from smplcli.datasets.appearance import Look, draw_look, find_landmarks
from smplcli.datasets.colouring import ANY_SKIN, draw_colours
from smplcli.datasets.garments import Garment, draw_garments
from smplcli.datasets.photography import Light, find_openness, shade
from smplcli.datasets.schema import CROP_SIZE, PART_SIZE
from smplcli.rendering.parts import part_labels, vertex_parts
from smplcli.rendering.rasteriser import rasterise
from smplcli.rendering.shading import vertex_normals
from smplcli.rotations import rotmat_to_aa
from smplcli.types import Floats, Pixels


class Body(NamedTuple):
    """A posed body in front of the camera."""

    full_pose: Tensor
    """(24, 3, 3), the root in camera axes."""

    betas: Tensor
    """(10,)."""

    vertices: Tensor
    """(V, 3), metres, camera axes, placed."""

    joints3d: Floats
    """(41, 3) SMPL's joints, then COCO's, metres, camera axes, not placed."""

    transl: Floats
    """(3,) what was added to place it."""

    @property
    def pose(self) -> Floats:
        """(72,) axis-angle."""
        return np.asarray(rotmat_to_aa(self.full_pose).flatten().numpy())


class View(NamedTuple):
    """The crop's camera."""

    focal_length: float
    """Crop pixels."""

    principal_point: Floats
    """(2,) crop pixels."""

    def project(self, points: Floats) -> Floats:
        """Crop pixels (N, 2) of points (N, 3), metres."""
        return self.focal_length * points[:, :2] / points[:, 2:] + self.principal_point

    def to_screen(self, points: Tensor) -> Tensor:
        """Points (N, 3) with crop pixels for x and y, ready to be rasterised, (1, N, 3)."""
        centre = torch.from_numpy(self.principal_point).float()
        pixels = self.focal_length * points[:, :2] / points[:, 2:] + centre
        return torch.cat([pixels, points[:, 2:]], dim=1)[None]


class Layer(NamedTuple):
    """One dressed person in the picture's frame."""

    colours: Floats
    """(S, S, 3), RGB in 0..255, black outside."""

    mask: Floats
    """(S, S), 1 on the person."""


class _Mesh(NamedTuple):
    """A dressed body, at rest and posed; the body's own points and faces come first."""

    points: Tensor  # (N, 3) posed, metres
    rest: Tensor  # (N, 3)
    faces: Tensor  # (M, 3)
    regions: Tensor  # (M,) of the garments' faces; -1 on the body


class Wardrobe:
    """Dresses bodies.

    Args:
        model: The body.
        is_tight: Whether clothes are only painted on.
        skins: The first of the possible `SKIN_TONES`, and the one after the last.
    """

    def __init__(
        self, model: BodyModel, *, is_tight: bool = False, skins: tuple[int, int] = ANY_SKIN
    ) -> None:
        self._is_tight, self._skins = is_tight, skins
        self._skeleton = BodyLayer(model).skeleton
        self._faces = torch.from_numpy(model.faces)
        self._rest = torch.from_numpy(model.v_template).float()
        self._shapedirs = torch.from_numpy(model.shapedirs).float()
        self._weights = model.weights
        self._vertex_part = vertex_parts(model.weights)
        self._nearest = cKDTree(model.v_template)
        self._marks = find_landmarks(model)

    def draw(self, rng: np.random.Generator, body: Body, view: View, light: Light) -> Layer:
        """A body in random clothes."""
        look = draw_look(rng, self._marks)
        if self._is_tight:
            look = replace(look, garments=frozenset(), looseness={})
        garments = draw_garments(rng, self._marks, look.garments)
        mesh = self._dress(body, look, garments)
        size = (CROP_SIZE, CROP_SIZE)
        fragments = rasterise(view.to_screen(mesh.points), mesh.faces, size)
        mask = fragments.face_index[0] >= 0
        face = fragments.face_index[0][mask]
        corners, share = mesh.faces[face], fragments.barycentrics[0][mask][..., None]
        normals = vertex_normals(mesh.points[None], mesh.faces)[0]
        normal = (normals[corners] * share).sum(1).numpy()
        rest = (mesh.rest[corners] * share).sum(1).double().numpy()
        nearest = corners.gather(1, share.squeeze(-1).argmax(1, keepdim=True)).squeeze(1).numpy()
        on_body = nearest < len(self._rest)
        part = np.where(on_body, self._vertex_part[np.where(on_body, nearest, 0)], -1)
        region = np.where(on_body, look.regions(rest, part), mesh.regions[face].numpy())
        covered = mask.numpy()
        openness = find_openness(fragments.depth[0].numpy(), covered.astype(np.float32))[covered]
        dyed = draw_colours(rng, look, rest, part, region, skins=self._skins)
        colours = np.zeros((*size, 3), np.float32)
        colours[covered] = shade(dyed, normal, openness, light)
        return Layer(colours, covered.astype(np.float32))

    def part_map(self, body: Body, view: View) -> Pixels:
        """Part labels of the bare body over the crop, whatever stands in front, (P, P)."""
        points = view.to_screen(body.vertices)
        points[..., :2] = (points[..., :2] + 0.5) * (PART_SIZE / CROP_SIZE) - 0.5
        fragments = rasterise(points, self._faces, (PART_SIZE, PART_SIZE))
        return np.asarray(part_labels(fragments, self._faces, self._weights)[0].numpy())

    def _dress(self, body: Body, look: Look, garments: list[Garment]) -> _Mesh:
        drape = torch.from_numpy(look.drape(self._rest.numpy(), self._vertex_part)).float()
        normals = vertex_normals(body.vertices[None], self._faces)[0]
        points, rest = [body.vertices + normals * drape[:, None]], [self._rest]
        faces, regions = [self._faces], [torch.full((len(self._faces),), -1)]
        motion = self._skeleton(body.full_pose[None], body.betas[None])
        for garment in garments:
            faces.append(torch.from_numpy(garment.faces) + sum(map(len, points)))
            regions.append(torch.full((len(garment.faces),), int(garment.region)))
            rest.append(torch.from_numpy(garment.points))
            points.append(self._carry(garment, motion, body))
        return _Mesh(torch.cat(points), torch.cat(rest), torch.cat(faces), torch.cat(regions))

    def _carry(self, garment: Garment, motion: Motion, body: Body) -> Tensor:
        """A garment's points (N, 3) where body shape and pose take them."""
        vertex = torch.from_numpy(self._nearest.query(garment.points)[1])
        shaped = torch.from_numpy(garment.points) + self._shapedirs[vertex] @ body.betas
        weights = torch.from_numpy(garment.weights)
        rotation = torch.einsum("nj,jab->nab", weights, motion.rotation[0])
        moved = (rotation @ shaped[..., None]).squeeze(-1) + weights @ motion.offset[0]
        return moved + torch.from_numpy(body.transl)
