"""Bodies of the people in pictures."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import smplcli
from smplcli.conventions import SCALE_PIXELS
from smplcli.detection.movenet import MIN_SCORE
from smplcli.detection.people import Detection
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.files import asset, write_npz
from smplcli.images import write_image
from smplcli.rendering.overlay import overlay_with_side_view
from smplcli.rotations import rotmat_to_aa
from smplcli.types import Floats, Pixels
from smplcli.workflows.bodies import Bodies, BodyEstimator, Subject
from smplcli.workflows.devices import choose_device
from smplcli.workflows.finders import BadBoxError, choose_finder
from smplcli.workflows.meshes import MeshFormat, write_meshes
from smplcli.workflows.people import (
    BAD_BOX,
    CONVENTIONS,
    NO_PERSON,
    OK,
    PERSON_FIELDS,
    UNREADABLE,
    Status,
    people_from,
)
from smplcli.workflows.pictures import PictureInputs, claim_outputs, name_drawings, open_pictures
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.tables import TableFormat, write_table
from smplcli.workflows.targets import body_label, refuse_existing

SHIPPED_NETWORK = "network.safetensors"
OUT_SUFFIX = ".npz"

MAX_BATCH = 32
"""People estimated at once; this, not the number of pictures, bounds the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictReport:
    """What was found, and in which pictures nothing could be looked for."""

    arrays: dict[str, NDArray[Any]] = field(compare=False, repr=False)
    """Everything in the file, by name; not part of the JSON-like form."""

    out: Path | None
    num_images: int
    num_people: int
    num_placed_by_keypoints: int
    """People whose place keypoints gave; the network's own camera gave that of the others."""

    counts: dict[str, int]
    """Pictures by status."""

    failed: tuple[Status, ...]
    """Pictures that could not be used."""

    network: str
    network_sha256: str
    body: str
    body_sha256: str
    overlays: tuple[Path, ...]
    """Pictures drawn: those with people."""

    meshes: tuple[Path, ...]
    """Mesh files written, of the same pictures."""

    num_unused_boxes: int
    """Given boxes that are of no input."""

    @property
    def is_complete(self) -> bool:
        """Whether every picture could be looked at."""
        return not self.failed

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {
            "smplcli": smplcli.__version__,
            "out": self.out and str(self.out),
            "num_images": self.num_images,
            "num_people": self.num_people,
            "num_placed_by_keypoints": self.num_placed_by_keypoints,
            "counts": self.counts,
            "failed": [status._asdict() for status in self.failed],
            "network": self.network,
            "network_sha256": self.network_sha256,
            "body": self.body,
            "body_sha256": self.body_sha256,
            "overlays": [str(path) for path in self.overlays],
            "meshes": [str(path) for path in self.meshes],
            "num_unused_boxes": self.num_unused_boxes,
            "is_complete": self.is_complete,
        }


@dataclass(slots=True, kw_only=True)
class _Run:
    """Work in progress."""

    pictures: Sequence[Path]
    read: Callable[[Path], Pixels]
    estimator: BodyEstimator
    drawings: Mapping[Path, Path]
    find: Callable[[int, Pixels], list[Detection]]
    overwrite: bool
    statuses: list[Status] = field(default_factory=list)
    rows: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    num_placed: int = 0
    drawn: list[Path] = field(default_factory=list)
    meshes: list[Path] = field(default_factory=list)


def predict(
    inputs: PictureInputs,
    out: Path | None = None,
    *,
    boxes: Path | None = None,
    whole_image: bool = False,
    network: Path | None = None,
    body: Path | None = None,
    overlay_dir: Path | None = None,
    mesh_dir: Path | None = None,
    mesh_format: MeshFormat = "glb",
    table_format: TableFormat | None = None,
    device: str = "auto",
    min_score: float = MIN_SCORE,
    max_people: int | None = None,
    focal_length: float | None = None,
    recursive: bool = False,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> PredictReport:
    """Estimate pose, shape and place of the people in pictures.

    A picture that cannot be read gets a row that says so, and the others are worked on.

    Args:
        inputs: Pictures, folders, patterns, or text files of paths, as `find_pictures` takes them;
            or pictures as arrays, (H, W, 3) of RGB, uint8.
        out: The ``.npz`` file to write; ``np.load`` reads from it what the report has as arrays.
        boxes: csv, JSON or npz file of boxes, instead of detecting people.
        whole_image: Take every picture as one person's box, instead of detecting people.
        network: Weights file; the one that is shipped without.
        body: SMPL file; the demo body without one.
        overlay_dir: Folder for pictures of the bodies over the photos, and from the side.
        mesh_dir: Folder for mesh files of the bodies, one for each picture with people.
        mesh_format: ``glb`` with skin, skeleton and camera, or posed surfaces: ``obj``, ``ply``.
        table_format: Also write the rows beside ``out``, as ``jsonl`` or ``csv``.
        device: ``auto``, ``cpu``, or a CUDA device.
        min_score: Least score of a person who is detected, 0..1.
        max_people: People who are detected in a picture at most: the surest.
        focal_length: Of the camera, pixels of the pictures; without one, their diagonals.
        recursive: Whether folders are looked into with all that is in them.
        overwrite: Whether results that are there may be replaced.
        progress: Shows the pictures.

    Raises:
        ConfigError: The arguments contradict each other.
        MissingFileError: An input, boxes, network or body are not there.
        UnreadableFileError: Boxes, network or body are not what they should be.
        OutputExistsError: A result is there and ``overwrite`` is false.
        ResourceError: A result cannot be written.
    """
    if focal_length is not None and not 0 < focal_length < float("inf"):
        raise ConfigError(f"focal_length must be a positive number, got {focal_length}")
    pictures, read = open_pictures(inputs, recursive=recursive)
    drawings = name_drawings(overlay_dir, pictures) if overlay_dir else {}
    meshes = name_drawings(mesh_dir, pictures, f".{mesh_format}") if mesh_dir else {}
    files = _name_files(out, table_format)
    outputs = [*files, *drawings.values(), *meshes.values()]
    refuse_existing(*outputs, overwrite=overwrite)
    find, num_unused = choose_finder(
        pictures, boxes=boxes, whole_image=whole_image, min_score=min_score, max_people=max_people
    )
    weights = network or asset(SHIPPED_NETWORK)
    estimator = BodyEstimator(weights, body, choose_device(device), focal_length=focal_length)
    claim_outputs(outputs, pictures)
    run = _Run(
        pictures=pictures,
        read=read,
        estimator=estimator,
        drawings=drawings,
        find=find,
        overwrite=overwrite,
    )
    _work(run, progress)
    arrays = _arrays(run, weights)
    _write(run, arrays, files, meshes)
    return _report(run, arrays, out, weights, num_unused)


def _name_files(out: Path | None, table_format: TableFormat | None) -> list[Path]:
    """Files of all predictions: npz, and a table beside it if one is wanted."""
    if out is None:
        if table_format:
            raise ConfigError(f"there is no file to write {table_format} beside")
        return []
    if out.suffix.lower() != OUT_SUFFIX:
        raise ConfigError(f"predictions are written as {OUT_SUFFIX}, not: {out}")
    return [out, *([out.with_suffix(f".{table_format}")] if table_format else [])]


def _write(
    run: _Run,
    arrays: Mapping[str, NDArray[Any]],
    files: Sequence[Path],
    meshes: Mapping[Path, Path],
) -> None:
    for path in files[:1]:
        write_npz(path, arrays, overwrite=run.overwrite)
    if not (files[1:] or meshes):
        return  # people are a copy of all arrays
    people = people_from(arrays, "predictions")
    for path in files[1:]:
        write_table(people, path, overwrite=run.overwrite)
    if meshes:
        named = {path.as_posix(): file for path, file in meshes.items()}
        run.meshes = write_meshes(people, run.estimator.body, named, overwrite=run.overwrite)


def _work(run: _Run, progress: Progress) -> None:
    """Look at one picture after the other, and estimate people as soon as they fill a batch."""
    waiting: list[Subject] = []
    for index, path in enumerate(progress(run.pictures, "predict")):
        status, subjects = _look_at(run, index, path)
        run.statuses.append(status)
        waiting += subjects
        if len(waiting) >= MAX_BATCH:
            _finish(run, waiting)
            waiting = []
    _finish(run, waiting)


def _look_at(run: _Run, index: int, path: Path) -> tuple[Status, list[Subject]]:
    imgname = path.as_posix()
    try:
        image = run.read(path)
        people = run.find(index, image)
    except (UnreadableFileError, MissingFileError) as error:
        return Status(imgname, UNREADABLE, error.message), []
    except BadBoxError as error:
        return Status(imgname, BAD_BOX, str(error)), []
    subjects = [
        run.estimator.cut_out(image, person, image_index=index, person_id=number)
        for number, person in enumerate(people)
    ]
    return Status(imgname, OK if people else NO_PERSON), subjects


def _finish(run: _Run, subjects: Sequence[Subject]) -> None:
    """Estimate people, keep their rows, and draw the pictures that they are in."""
    vertices = []
    for start in range(0, len(subjects), MAX_BATCH):
        batch = subjects[start : start + MAX_BATCH]
        bodies = run.estimator.estimate(batch)
        run.rows.append(_rows(run, batch, bodies))
        run.num_placed += int(bodies.is_placed_by_keypoints.sum())
        if run.drawings:
            vertices.append(run.estimator.vertices(bodies).numpy())
    if vertices:
        _draw(run, subjects, np.concatenate(vertices))


def _draw(run: _Run, subjects: Sequence[Subject], vertices: Floats) -> None:
    for index in dict.fromkeys(subject.image_index for subject in subjects):
        rows = [row for row, subject in enumerate(subjects) if subject.image_index == index]
        camera = run.estimator.camera_of([subjects[rows[0]]])
        path = run.pictures[index]
        drawing = overlay_with_side_view(
            run.read(path),
            vertices[rows],
            run.estimator.body.faces,
            focal_length=float(camera.focal_length[0]),
            principal_point=camera.principal_point[0].numpy(),
        )
        write_image(run.drawings[path], drawing, overwrite=run.overwrite)
        run.drawn.append(run.drawings[path])


def _rows(run: _Run, subjects: Sequence[Subject], bodies: Bodies) -> dict[str, NDArray[Any]]:
    people = [subject.person for subject in subjects]
    values = {
        "imgname": [run.pictures[subject.image_index].as_posix() for subject in subjects],
        "person_id": [subject.person_id for subject in subjects],
        "bbox": np.stack([person.bbox for person in people]),
        "score": [person.score for person in people],
        "center": bodies.crop.bbox_center,
        "scale": bodies.crop.bbox_size / SCALE_PIXELS,
        "pose": rotmat_to_aa(bodies.full_pose).flatten(1),
        "betas": bodies.betas,
        "cam": bodies.pred_cam,
        "cam_t": bodies.transl,
        "focal_length": bodies.camera.focal_length,
        "principal_point": bodies.camera.principal_point,
        "img_size": bodies.camera.image_size,
        "joints3d": bodies.joints3d,
        "joints2d": bodies.joints2d,
    }
    return {
        name: np.asarray(value, dtype=str if name == "imgname" else PERSON_FIELDS[name][1])
        for name, value in values.items()
    }


def _arrays(run: _Run, weights: Path) -> dict[str, NDArray[Any]]:
    empty = {name: np.zeros((0, *shape), kind) for name, (shape, kind) in PERSON_FIELDS.items()}
    parts = run.rows or [empty]
    people = {name: np.concatenate([part[name] for part in parts]) for name in PERSON_FIELDS}
    body = run.estimator.body
    meta = {
        "smplcli": smplcli.__version__,
        "network": {"name": weights.name, "sha256": run.estimator.loaded.sha256},
        "body": {"name": body.name, "sha256": body.sha256, "is_demo": body.is_demo},
        **CONVENTIONS,
    }
    if run.estimator.focal_length is not None:
        meta["focal_length"] = "pixels, given"
    statuses = {
        "status_imgname": [status.imgname for status in run.statuses],
        "status": [status.status for status in run.statuses],
        "status_detail": [status.detail for status in run.statuses],
    }
    return {
        **people,
        "meta": np.array(json.dumps(meta)),
        **{name: np.array(values, dtype=str) for name, values in statuses.items()},
    }


def _report(
    run: _Run, arrays: dict[str, NDArray[Any]], out: Path | None, weights: Path, num_unused: int
) -> PredictReport:
    body = run.estimator.body
    return PredictReport(
        arrays=arrays,
        out=out,
        num_images=len(run.pictures),
        num_people=sum(len(rows["imgname"]) for rows in run.rows),
        num_placed_by_keypoints=run.num_placed,
        counts=dict(Counter(status.status for status in run.statuses)),
        failed=tuple(s for s in run.statuses if s.status in (UNREADABLE, BAD_BOX)),
        network=str(weights),
        network_sha256=run.estimator.loaded.sha256,
        body=body_label(body),
        body_sha256=body.sha256,
        overlays=tuple(run.drawn),
        meshes=tuple(run.meshes),
        num_unused_boxes=num_unused,
    )
