"""Mesh files of the bodies in a predictions file, one for each picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from smplcli.body.layer import BodyLayer
from smplcli.body.model import BodyModel
from smplcli.files import atomic_write
from smplcli.rendering.gltf import PhotoCamera, Rig, RiggedFigure, rigged_glb
from smplcli.rendering.meshes import obj_file, ply_file
from smplcli.rotations import aa_to_rotmat
from smplcli.workflows.people import People, posed_vertices

MeshFormat = Literal["glb", "obj", "ply"]


def write_meshes(
    people: People, body: BodyModel, files: Mapping[str, Path], *, overwrite: bool
) -> list[Path]:
    """Write the bodies of each picture that has some.

    Args:
        people: The bodies.
        body: What they were made with.
        files: Where those of a picture go; the suffix names the format.
        overwrite: Whether files that are there may be replaced.

    Returns:
        The files written.

    Raises:
        OutputExistsError: A file is there and ``overwrite`` is false.
        ResourceError: A file cannot be written.
    """
    layer = BodyLayer(body)
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(people.rows["imgname"].tolist()):
        rows_of.setdefault(name, []).append(row)
    for name, rows in rows_of.items():
        content = _content(people, rows, body, layer, files[name].suffix)
        with atomic_write(files[name], overwrite=overwrite) as file:
            file.write(content)
    return [files[name] for name in rows_of]


def _content(
    people: People, rows: list[int], body: BodyModel, layer: BodyLayer, suffix: str
) -> bytes:
    names = [f"person_{people.rows['person_id'][row]}" for row in rows]
    if suffix == ".obj":
        return obj_file(names, posed_vertices(people, rows, layer), body.faces)
    if suffix == ".ply":
        return ply_file(posed_vertices(people, rows, layer), body.faces)
    figures = [_rigged(people, row, name, body) for row, name in zip(rows, names, strict=True)]
    width, height = people.rows["img_size"][rows[0]].tolist()
    camera = PhotoCamera(float(people.rows["focal_length"][rows[0]]), (width, height))
    return rigged_glb(figures, Rig(body.faces, body.weights, body.parents), camera)


def _rigged(people: People, row: int, name: str, body: BodyModel) -> RiggedFigure:
    pose = torch.from_numpy(people.rows["pose"][row]).double()
    rotations = aa_to_rotmat(pose.view(-1, 3)).numpy()
    vertices = body.v_template + body.shapedirs @ people.rows["betas"][row]
    return RiggedFigure(
        name=name,
        vertices=vertices,
        correction=body.posedirs @ (rotations[1:] - np.eye(3)).ravel(),
        joints=body.joint_regressor @ vertices,
        rotations=rotations,
        transl=people.rows["cam_t"][row],
    )
