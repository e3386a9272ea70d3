"""What is written of sequences once all of their people are known, linked and smoothed."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer
from smplcli.body.model import BodyModel
from smplcli.files import atomic_write
from smplcli.images import write_image
from smplcli.rendering.overlay import PALETTE
from smplcli.rendering.views import OverlayStyle
from smplcli.types import Ints, Pixels
from smplcli.videos import write_video
from smplcli.workflows.in_order import in_order
from smplcli.workflows.meshes import write_meshes
from smplcli.workflows.motion_files import animation, pose_of, track_motions
from smplcli.workflows.parallel import one_thread
from smplcli.workflows.people import PERSON_FIELDS, People
from smplcli.workflows.pictures import Drawings, read_by_name
from smplcli.workflows.predict_outputs import name_outputs
from smplcli.workflows.predict_report import PredictReport
from smplcli.workflows.predict_task import Task
from smplcli.workflows.predict_write import SHARD
from smplcli.workflows.progress import Progress, Remarked
from smplcli.workflows.sequence_drawing import Drawer, framing_of
from smplcli.workflows.sequences import (
    FrameSequence,
    find_sequences,
    frame_times,
    track_colours,
)

logger = logging.getLogger(__name__)

HAND_OVER = 2
"""Frames that are drawn ahead, for each thread."""


class Written(NamedTuple):
    """Files made of sequences, and of motion."""

    overlays: tuple[Path, ...]
    meshes: tuple[Path, ...]
    motions: tuple[Path, ...]


def with_sequence_files(report: PredictReport, task: Task) -> PredictReport:
    """Write what `predict` was asked for of sequences, and of motion, and report it as well.

    Args:
        report: Of the run that the people come from.
        task: What that run was.

    Raises:
        OutputExistsError: A file is there that may not be replaced.
        ResourceError: A file cannot be written.
    """
    settings, conduct = task.settings, task.conduct
    if not (settings.overlay_dir or settings.mesh_dir or settings.bvh_dir):
        return report
    if SHARD in json.loads(str(report.arrays["meta"])):
        logger.warning("a part of a run draws no videos and writes no motion: the whole run does")
        return report
    names = [str(name) for name in report.arrays["status_imgname"]]
    outputs = name_outputs(names, None, replace(settings, table_format=None))
    start = perf_counter()
    files = SequenceFiles(
        arrays=report.arrays,
        body=load_body(settings.body),
        drawings=outputs.drawings,
        meshes=outputs.meshes,
        motions=outputs.motions,
        style=settings.overlay_style,
        read=read_by_name(task.inputs, every=settings.every),
        overwrite=conduct.overwrite or conduct.resume,
        progress=conduct.progress,
    )
    written, seconds = files.write(), perf_counter() - start
    return replace(
        report,
        overlays=report.overlays + written.overlays,
        meshes=report.meshes + written.meshes,
        motions=written.motions,
        seconds=report.seconds + seconds,
        stages={**report.stages, "sequences": seconds},
    )


class SequenceFiles(NamedTuple):
    """Writes them."""

    arrays: Mapping[str, NDArray[Any]]
    """Of the predictions file."""

    body: BodyModel
    drawings: Drawings | None
    meshes: Drawings | None
    motions: Drawings | None
    style: OverlayStyle
    read: Callable[[Path], Pixels]
    """Reads a picture or frame by its name."""

    overwrite: bool
    progress: Progress

    def write(self) -> Written:
        """Write what is wanted, sequence by sequence.

        Raises:
            OutputExistsError: A file is there and ``overwrite`` is false.
            ResourceError: A file cannot be written.
        """
        meta = json.loads(str(self.arrays["meta"]))
        sequences = find_sequences(self.arrays["imgname"], meta)
        frames = self._frames(meta)
        overlays: list[Path] = []
        meshes: list[Path] = []
        for sequence in sequences:
            pictures = frames[sequence.name]
            overlays += self._draw(sequence, pictures)
            meshes += self._write_meshes(sequence, pictures)
        motions = self._write_motions(self.motions, sequences, meta) if self.motions else ()
        return Written(tuple(overlays), tuple(meshes), tuple(motions))

    def _frames(self, meta: Mapping[str, Any]) -> dict[str, list[int]]:
        """Numbers of the pictures of each sequence, in the order of time."""
        names = self.arrays["status_imgname"].tolist()
        times = frame_times(names, meta)
        frames: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            if name in times:
                frames.setdefault(times[name][0], []).append(index)
        for members in frames.values():
            members.sort(key=lambda index: times[names[index]][1])
        return frames

    def _rows_of(self, sequence: FrameSequence) -> dict[str, Ints]:
        names = self.arrays["imgname"][sequence.rows]
        edges = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
        parts = np.split(sequence.rows, edges[1:])
        return dict(zip(names[edges].tolist(), parts, strict=True))

    def _colours(self, sequence: FrameSequence) -> dict[int, int]:
        return track_colours([sequence], self.arrays["track_id"], num_colours=len(PALETTE))

    def _draw(self, sequence: FrameSequence, pictures: list[int]) -> list[Path]:
        if self.drawings is None:
            return []
        rows_of, nobody = self._rows_of(sequence), np.zeros(0, np.int64)
        framing = framing_of(self.arrays, sequence.rows)
        layer = BodyLayer(self.body)
        drawer = Drawer(
            self.arrays, layer, self.body.faces, self.style, self._colours(sequence), framing
        )
        names = self.arrays["status_imgname"]

        def draw(index: int) -> Pixels:
            name = str(names[index])
            return drawer.draw(self.read(Path(name)), rows_of.get(name, nobody))

        if not sequence.is_video:
            pictures = [index for index in pictures if str(names[index]) in rows_of]
        threads = max(1, torch.get_num_threads())
        with one_thread(), ThreadPoolExecutor(threads, "draw") as pool:
            drawn = in_order(pool, draw, pictures, ahead=HAND_OVER * threads)
            shown = iter(self.progress(Remarked(drawn, len(pictures), str), "draw"))
            if sequence.is_video:
                return [self._write_video(sequence, self.drawings, shown)]
            files = [self.drawings[index] for index in pictures]
            for file, picture in zip(files, shown, strict=True):
                write_image(file, picture, overwrite=self.overwrite)
            return files

    def _write_video(
        self, sequence: FrameSequence, drawings: Drawings, pictures: Iterator[Pixels]
    ) -> Path:
        file, first = drawings.of_sequence(sequence.name), next(pictures)
        fps, size = sequence.fps / sequence.every, (first.shape[1], first.shape[0])
        with write_video(file, fps=fps, size=size, overwrite=self.overwrite) as video:
            video.add(first)
            for picture in pictures:
                video.add(picture)
        return file

    def _write_meshes(self, sequence: FrameSequence, pictures: list[int]) -> list[Path]:
        if self.meshes is None:
            return []
        if sequence.name in self.meshes.joined:
            file = self.meshes.of_sequence(sequence.name)
            colours = self._colours(sequence)
            content = animation(self.arrays, sequence, self.body, colours, name=file.stem)
            return self._write(file, content)
        names, rows_of = self.arrays["status_imgname"], self._rows_of(sequence)
        files: list[Path] = []
        for index in pictures:
            rows = rows_of.get(str(names[index]), np.zeros(0, np.int64))
            rows = rows[np.isfinite(self.arrays["joints3d"][rows]).all(axis=(1, 2))]
            if len(rows):
                people = People({x: self.arrays[x][rows] for x in PERSON_FIELDS}, 0, (), {})
                target = {str(names[index]): self.meshes[index]}
                files += write_meshes(people, self.body, target, overwrite=self.overwrite)
        return files

    def _write_motions(
        self, motions: Drawings, sequences: Sequence[FrameSequence], meta: Mapping[str, Any]
    ) -> Iterator[Path]:
        for sequence in sequences:
            base = motions.of_sequence(sequence.name)
            for number, content in track_motions(self.arrays, sequence, self.body):
                yield from self._write(base.with_name(f"{base.name}-track_{number}.bvh"), content)
        index_of = {name: x for x, name in enumerate(self.arrays["status_imgname"].tolist())}
        in_sequences = frame_times(index_of, meta)
        for row, name in enumerate(self.arrays["imgname"].tolist()):
            if name not in in_sequences:
                base = motions[index_of[name]]
                file = base.with_name(f"{base.name}-person_{self.arrays['person_id'][row]}.bvh")
                yield from self._write(file, pose_of(self.arrays, row, self.body))

    def _write(self, file: Path, content: bytes | None) -> list[Path]:
        """Write a file, if there is something to write."""
        if content is None:
            return []
        with atomic_write(file, overwrite=self.overwrite) as stream:
            stream.write(content)
        return [file]
