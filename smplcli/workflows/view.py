"""`smplcli view`: a file of predictions as a page to look at."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

import smplcli
from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.files import atomic_write
from smplcli.images import encode_jpeg, read_image
from smplcli.paths import check_folder, refuse_existing, takes_texts
from smplcli.rendering.overlay import PALETTE
from smplcli.rendering.viewer import Figure, Scene, view_page
from smplcli.types import Pixels
from smplcli.videos import split_frame_name
from smplcli.workflows.clips import ClipReader
from smplcli.workflows.people import (
    NO_PERSON,
    OK,
    People,
    check_body,
    posed_vertices,
    read_people,
)
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.sequences import find_sequences, frame_times, track_colours

OUT_SUFFIXES = (".html", ".htm")

MAX_PICTURES, MAX_PEOPLE = 120, 240
"""What a page of photos holds, so that a phone can open it: about 30 MB at worst."""

MAX_FRAMES, MAX_FIGURES = 240, 320
"""The same of a page with sequences, whose photos are smaller."""

PHOTO_SIDE, FRAME_SIDE = 1024, 640
PHOTO_QUALITY = 80
"""Longest side of an embedded photo or frame in pixels, and its JPEG quality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewReport:
    """What a page shows."""

    out: Path
    num_images: int
    num_people: int
    notes: tuple[str, ...]
    """What it does not show, in sentences."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form."""
        return {
            "smplcli": smplcli.__version__,
            "out": str(self.out),
            "num_images": self.num_images,
            "num_people": self.num_people,
            "notes": self.notes,
        }


class _Selection(NamedTuple):
    """Pictures to show, each with the rows of its people."""

    rows_of: dict[str, list[int]]
    times: dict[str, tuple[str, float]]
    """Sequence of each picture that is of one, and seconds since that began."""

    notes: tuple[str, ...]


class _Photos:
    """Pictures and frames, by the names that predictions have for them.

    Args:
        folder: Where to look for those that are not where they were.
        side: Longest side, in pixels, that the page gives them.
    """

    def __init__(self, folder: Path, side: int) -> None:
        self._folder = folder
        self.side = side
        self._readers: dict[Path, ClipReader] = {}

    def read(self, name: str) -> Pixels:
        frame = split_frame_name(Path(name))
        path = frame[0] if frame else Path(name)
        found = path if _is_there(path) else self._folder / path
        if frame is None:
            return read_image(found, orientation="displayed")
        reader = self._readers.setdefault(path, ClipReader(found, ahead=0))
        return reader.read(frame[1])


@takes_texts
def view(
    predictions: Path,
    out: Path,
    *,
    body: Path | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> ViewReport:
    """Write one page that shows pictures and the bodies found in them, and needs no network.

    Pictures are looked for where the predictions name them, and beside the predictions. Of one
    that is not there any more, the people are shown.

    Args:
        predictions: File written by `predict`.
        out: The ``.html`` file to write.
        body: SMPL file that the predictions were made with; the demo body without one.
        overwrite: Whether a file that is there may be replaced.
        progress: Shows the pictures.

    Raises:
        ConfigError: ``out`` is no page, or the body another one.
        MissingFileError: Predictions or body are not there.
        UnreadableFileError: Predictions or body are not what they should be.
        HostileFileError: They ask for more than data.
        OutputExistsError: ``out`` is there and ``overwrite`` is false.
        ResourceError: The page cannot be written.
    """
    if out.suffix.lower() not in OUT_SUFFIXES:
        raise ConfigError(f"a page is written as {OUT_SUFFIXES[0]}, not: {out}")
    refuse_existing(out, overwrite=overwrite)
    check_folder(out.parent)
    people, model = read_people(predictions), load_body(body)
    check_body(people, model, predictions)
    layer, selection = BodyLayer(model), _select(people)
    photos = _Photos(predictions.parent, FRAME_SIDE if selection.times else PHOTO_SIDE)
    scenes = [
        _scene(name, people, rows, layer, photos)._replace(**_place(selection, name))
        for name, rows in progress(list(selection.rows_of.items()), "view")
    ]
    colours = track_colours(
        find_sequences(people.rows["imgname"], people.meta),
        people.rows["track_id"],
        num_colours=len(PALETTE),
    )
    page = view_page(predictions.name, scenes, model.faces, notes=selection.notes, colours=colours)
    with atomic_write(out, overwrite=overwrite) as file:
        file.write(page)
    return ViewReport(
        out=out,
        num_images=len(scenes),
        num_people=sum(len(scene.people) for scene in scenes),
        notes=(*selection.notes, *(x.note for x in scenes if x.note not in ("", NO_PERSON))),
    )


def _select(people: People) -> _Selection:
    """As many pictures as a page holds, in the order of the predictions."""
    looked_at = [x.imgname for x in people.statuses if x.status in (OK, NO_PERSON)]
    all_rows: dict[str, list[int]] = {name: [] for name in looked_at}
    for row, name in enumerate(people.rows["imgname"].tolist()):
        all_rows.setdefault(name, []).append(row)
    times = frame_times(all_rows, people.meta)
    limits = (MAX_FRAMES, MAX_FIGURES) if times else (MAX_PICTURES, MAX_PEOPLE)
    step = _thinning(all_rows, times, *limits)
    seen: Counter[str] = Counter()
    rows_of: dict[str, list[int]] = {}
    room = limits[1]
    for name, rows in all_rows.items():
        if name in times:
            seen[times[name][0]] += 1
            if (seen[times[name][0]] - 1) % step:
                continue
        if len(rows_of) == limits[0] or (rows and not room):
            break
        rows_of[name] = rows[:room]
        room -= len(rows_of[name])
    notes = [f"one frame in {step} of videos and numbered pictures"] if step > 1 else []
    wanted = [x for x in all_rows if x not in times] if step > 1 else list(all_rows)
    num_people = sum(len(all_rows[name]) for name in wanted)
    shown = [name for name in wanted if name in rows_of]
    counts = (
        ("pictures", len(shown), len(wanted)),
        ("people", sum(len(rows_of[name]) for name in shown), num_people),
    )
    notes += [f"the first {n} of {total} {kind}" for kind, n, total in counts if n < total]
    failed = len(people.statuses) - len(looked_at)
    notes += [f"pictures that could not be looked at: {failed}"] if failed else []
    unusable = people.num_not_finite
    notes += [f"people left out, whose numbers are not finite: {unusable}"] if unusable else []
    return _Selection(rows_of, times, tuple(notes))


def _thinning(
    rows_of: Mapping[str, list[int]],
    times: Mapping[str, tuple[str, float]],
    max_pictures: int,
    max_people: int,
) -> int:
    """How many frames of sequences stand for one that is shown, so that all of them fit."""
    room = max(1, max_pictures - (len(rows_of) - len(times)))
    in_frames = sum(len(rows_of[name]) for name in times)
    others = sum(map(len, rows_of.values())) - in_frames
    room_for_people = max(1, max_people - others)
    return max(1, -(-len(times) // room), -(-in_frames // room_for_people))


def _place(selection: _Selection, name: str) -> dict[str, Any]:
    """Where a picture stands in time, as a scene says it."""
    sequence, time = selection.times.get(name, (None, 0.0))
    return {"sequence": sequence, "time": time}


def _scene(name: str, people: People, rows: list[int], layer: BodyLayer, photos: _Photos) -> Scene:
    expected = tuple(people.rows["img_size"][rows[0]].tolist()) if rows else None
    photo, size, note = _photo(name, photos, expected)
    if not rows:
        note = note or NO_PERSON
        return Scene(name, note, photo, size, sum(size), (size[0] / 2, size[1] / 2), ())
    focal_length = float(people.rows["focal_length"][rows[0]])
    x, y = people.rows["principal_point"][rows[0]].tolist()
    figures = _figures(people, rows, layer)
    return Scene(name, note, photo, size, focal_length, (x, y), figures)


def _figures(people: People, rows: Sequence[int], layer: BodyLayer) -> tuple[Figure, ...]:
    vertices = posed_vertices(people, list(rows), layer)
    return tuple(
        Figure(
            person_id=int(people.rows["person_id"][row]),
            track_id=int(people.rows["track_id"][row]),
            score=float(people.rows["score"][row]),
            vertices=vertices[index],
            joints3d=people.rows["joints3d"][row] + people.rows["cam_t"][row],
            joints2d=people.rows["joints2d"][row],
        )
        for index, row in enumerate(rows)
    )


def _photo(
    name: str, photos: _Photos, expected: tuple[int, int] | None
) -> tuple[bytes | None, tuple[int, int], str]:
    """A photo as a small JPEG, the size of the picture, and what is wrong with it."""
    unknown = expected or (4, 3)
    try:
        image = photos.read(name)
    except (MissingFileError, UnreadableFileError) as error:
        return None, unknown, error.message
    height, width = image.shape[:2]
    if expected not in (None, (width, height)):
        return None, unknown, f"picture is not the one that was looked at: {name}"
    factor = min(1.0, photos.side / max(width, height))
    small = (max(1, round(factor * width)), max(1, round(factor * height)))
    if factor < 1:
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    return encode_jpeg(image, quality=PHOTO_QUALITY), (width, height), ""


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # names in files need not be names of files
        return False
