"""From pictures to rows: decoding, detection, crops, network, body and drawing at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from itertools import chain, pairwise
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smplcli.conventions import SCALE_PIXELS
from smplcli.detection.people import Detection
from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.images import write_image
from smplcli.rendering.overlay import mesh_drawer, person_colours
from smplcli.rendering.skeletons import skeleton_drawer
from smplcli.rendering.views import Lens, OverlayStyle, add_views
from smplcli.rotations import rotmat_to_aa
from smplcli.types import Floats, Pixels
from smplcli.workflows.bodies import Bodies, BodyEstimator, Subject
from smplcli.workflows.finders import BadBoxError
from smplcli.workflows.in_order import in_order
from smplcli.workflows.lenses import Lenses
from smplcli.workflows.meshes import write_meshes
from smplcli.workflows.people import (
    BAD_BOX,
    NO_PERSON,
    NO_TRACK,
    OK,
    PERSON_FIELDS,
    UNREADABLE,
    People,
    Status,
)
from smplcli.workflows.pictures import Drawings, Pictures
from smplcli.workflows.stages import StageClock

BLOCK = 16
"""Fewest pictures after which people are estimated though they do not fill a batch.

The last digits of a network's output depend on who else is in the batch. Since batches end where
blocks do, and shards and resumed runs begin there, all of them compute the same batches.
"""

MAX_KEPT_BYTES = 512 << 20
"""Decoded pictures that wait to be drawn on; those that do not fit are read again."""


class Looked(NamedTuple):
    """A picture with the people in it."""

    position: int
    """In the pictures that this run works on."""

    status: Status
    people: list[Subject]
    image: Pixels | None
    """The picture, if it is to be drawn on and there is room to keep it."""


class Estimated(NamedTuple):
    """A picture whose people have bodies."""

    looked: Looked
    records: NDArray[Any]
    """One for each person, as `spool.person_record` says."""

    vertices: Floats | None
    """(P, V, 3) placed, metres, camera axes, if they are to be drawn."""

    is_last: bool
    """Whether no other picture follows in the group that was estimated together."""


class Drawn(NamedTuple):
    """A picture that is done with."""

    status: Status
    records: NDArray[Any]
    is_last: bool


class Pipeline(NamedTuple):
    """Everything that is done with a picture, in stages that run at the same time."""

    pictures: Pictures
    chosen: Sequence[int]
    """Numbers of the pictures that this run works on."""

    find: Callable[[int, Pixels], list[Detection]]
    lenses: Lenses
    estimator: BodyEstimator
    record: np.dtype[Any]
    batch_size: int
    drawings: Drawings | None
    """For all pictures."""

    meshes: Drawings | None
    """The same."""

    style: OverlayStyle
    overwrite: bool
    clock: StageClock
    room: "Room"

    def run(self, pool: Executor, threads: int, *, start: int) -> Iterator[Drawn]:
        """Work on the pictures chosen, from one on, and hand them out in order.

        Args:
            pool: Does the work.
            threads: How many threads it has.
            start: Position of the first picture; a group begins there.
        """
        ahead = 2 * threads
        positions = range(start, len(self.chosen))
        looked = in_order(pool, self.look_at, positions, ahead=ahead + 1)
        groups = group_pictures(looked, self.batch_size)
        estimated = in_order(pool, self.estimate, groups, ahead=threads)
        each = chain.from_iterable(estimated)
        if self.drawings is None and self.meshes is None:
            return (Drawn(x.looked.status, x.records, x.is_last) for x in each)
        return in_order(pool, self.draw, each, ahead=ahead)

    def look_at(self, position: int) -> Looked:
        """Decode a picture, find the people in it and cut them out."""
        index = self.chosen[position]
        imgname = self.pictures.names[index]
        try:
            with self.clock.stage("decode"):
                image = self.pictures.read(index)
            with self.clock.stage("detect"):
                people, fault = self._find(index, image)
            lens = self.lenses.of(imgname, (image.shape[1], image.shape[0])) if people else None
        except (UnreadableFileError, MissingFileError) as error:
            return Looked(position, Status(imgname, UNREADABLE, error.message), [], None)
        with self.clock.stage("crop"):
            subjects = [
                self.estimator.cut_out(
                    image, person, image_index=position, person_id=number, lens=lens
                )
                for number, person in enumerate(people)
            ]
        is_kept = bool(subjects) and self._is_drawn(position) and self.room.take(image.nbytes)
        nobody = BAD_BOX if fault else NO_PERSON
        status = Status(imgname, OK if people else nobody, fault)
        return Looked(position, status, subjects, image if is_kept else None)

    def _find(self, index: int, image: Pixels) -> tuple[list[Detection], str]:
        """The people of a picture, and what is wrong with a given box."""
        try:
            return self.find(index, image), ""
        except BadBoxError as error:
            return error.others, str(error)

    def estimate(self, group: Sequence[Looked]) -> list[Estimated]:
        """Estimate the bodies of the people in some pictures."""
        people = [person for looked in group for person in looked.people]
        is_drawn = self.style == "mesh" and any(self._is_drawn(x.position) for x in group)
        batches = split_evenly(people, self.batch_size)
        parts = [self._estimate_batch(batch, is_drawn=is_drawn) for batch in batches]
        if parts:
            records = np.concatenate([records for records, _ in parts])
            vertices = np.concatenate([x for _, x in parts]) if is_drawn else None
        else:
            records, vertices = np.zeros(0, self.record), None
        done, estimated = 0, []
        for looked in group:
            own = slice(done, done + len(looked.people))
            done = own.stop
            surfaces = vertices[own] if vertices is not None else None
            estimated.append(Estimated(looked, records[own], surfaces, looked is group[-1]))
        return estimated

    def _estimate_batch(
        self, batch: Sequence[Subject], *, is_drawn: bool
    ) -> tuple[NDArray[Any], Floats | None]:
        bodies = self.estimator.estimate(batch)
        records = to_records(batch, bodies, self.record)
        if not (is_drawn or self._keeps_vertices):
            return records, None
        with self.clock.stage("body"):
            surfaces = self.estimator.surfaces(bodies)
            if self._keeps_vertices:
                records["vertices"] = surfaces
            return records, (surfaces + bodies.transl[:, None]).numpy()

    def _is_drawn(self, position: int) -> bool:
        return self.drawings is not None and self.drawings.is_now(self.chosen[position])

    @property
    def _keeps_vertices(self) -> bool:
        return "vertices" in (self.record.names or ())

    def draw(self, estimated: Estimated) -> Drawn:
        """Draw the people of a picture, and write their meshes."""
        looked, records = estimated.looked, estimated.records
        index = self.chosen[looked.position]
        if len(records) and self.drawings and self._is_drawn(looked.position):
            image = self.pictures.read(index) if looked.image is None else looked.image
            with self.clock.stage("draw"):
                lens = Lens(float(records["focal_length"][0]), records["principal_point"][0])
                if estimated.vertices is None:
                    points = records["joints3d"] + records["cam_t"][:, None]
                    draw = skeleton_drawer(person_colours(len(records)))
                else:
                    points, draw = estimated.vertices, mesh_drawer(self.estimator.body.faces)
                drawing = add_views(image, points, lens, draw)
                write_image(self.drawings[index], drawing, overwrite=self.overwrite)
            if looked.image is not None:
                self.room.give_back(image.nbytes)
        if len(records) and self.meshes and self.meshes.is_now(index):
            with self.clock.stage("meshes"):
                people = to_people(looked.status.imgname, records)
                files = {looked.status.imgname: self.meshes[index]}
                write_meshes(people, self.estimator.body, files, overwrite=self.overwrite)
        return Drawn(looked.status, records, estimated.is_last)


class Room:
    """Bytes that threads may take while there are some."""

    def __init__(self, num_bytes: int) -> None:
        self._lock, self._left = Lock(), num_bytes

    def take(self, num_bytes: int) -> bool:
        """Take some if they are there."""
        with self._lock:
            if num_bytes > self._left:
                return False
            self._left -= num_bytes
            return True

    def give_back(self, num_bytes: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left += num_bytes


def group_pictures(looked: Iterator[Looked], batch_size: int) -> Iterator[list[Looked]]:
    """Pictures that are estimated together: enough to fill a batch, or the rest of a block."""
    group: list[Looked] = []
    for picture in looked:
        group.append(picture)
        is_full = sum(len(each.people) for each in group) >= batch_size
        if is_full or (picture.position + 1) % block_size(batch_size) == 0:
            yield group
            group = []
    if group:
        yield group


def block_size(batch_size: int) -> int:
    """Pictures of a block."""
    return max(BLOCK, batch_size)


def split_evenly(people: Sequence[Subject], batch_size: int) -> list[Sequence[Subject]]:
    """Batches of about one size, none of which is nearly empty."""
    count = max(1, len(people) // batch_size) if people else 0
    edges = [len(people) * number // count for number in range(count + 1)] if count else []
    return [people[start:stop] for start, stop in pairwise(edges)]


def to_records(subjects: Sequence[Subject], bodies: Bodies, record: np.dtype[Any]) -> NDArray[Any]:
    """Rows of people, without their vertices."""
    people = [subject.person for subject in subjects]
    values = {
        "picture": [subject.image_index for subject in subjects],
        "is_placed": bodies.is_placed_by_keypoints,
        "person_id": [subject.person_id for subject in subjects],
        "track_id": NO_TRACK,
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
    records = np.zeros(len(subjects), record)
    for name, value in values.items():
        records[name] = np.asarray(value)
    return records


def to_people(imgname: str, records: NDArray[Any]) -> People:
    """People of one picture, apart from those with numbers that are not finite."""
    names = [name for name, (_, kind) in PERSON_FIELDS.items() if kind[0] == "f"]
    finite = [np.isfinite(records[name]).reshape(len(records), -1).all(axis=1) for name in names]
    kept = records[np.all(finite, axis=0)]
    rows = {name: kept[name] for name in PERSON_FIELDS if name != "imgname"}
    rows["imgname"] = np.full(len(kept), imgname)
    return People(rows, len(records) - len(kept), (), {})
