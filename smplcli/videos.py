"""Video files: read frame by frame as players show them, and written whole or not at all.

A frame is named as if the video were a folder of its frames, counted from 0: ``clip.mp4/000012``.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copyfileobj
from types import TracebackType
from typing import Any, NamedTuple, Self

import cv2
import numpy as np

from smplcli.errors import MissingFileError, ResourceError, UnreadableFileError
from smplcli.files import atomic_write
from smplcli.images import MAX_PIXELS
from smplcli.types import Pixels

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"}
    | {".mts", ".m2ts", ".3gp", ".ogv"}
)
"""Names that promise a video."""

DEFAULT_FPS = 30.0
"""Frames per second where nothing says how many there are."""

MAX_FPS = 1000.0
FRAME_DIGITS = 6
OUT_CODEC = "mp4v"
"""MPEG-4 part 2: what every build of OpenCV can write, without a patent or a system's library."""

HEAD_BYTES = 512
ENDS_EARLY = 0.95
"""A video that ends before this share of the time that it promises is cut off."""

IRREGULAR = 0.25
"""Frames whose distances differ by more than this share of the usual one have no one rate."""

_STARTS = (
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (0, b"\0\0\x01\xba"),  # MPEG programme stream
    (0, b"\0\0\x01\xb3"),  # MPEG video
    (0, b"FLV\x01"),
    (0, b"OggS"),
    (0, b"0&\xb2u\x8ef\xcf\x11"),  # ASF, as in wmv
    (8, b"AVI "),
)
_ATOMS = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_PICTURE_BRANDS = {b"heic", b"heix", b"mif1", b"avif"}
_TRANSPORT_SYNC = 0x47
_TRANSPORT_PACKETS = ((0, 188), (4, 192))


class VideoFrame(NamedTuple):
    """One picture of a video."""

    number: int
    """Counted from 0 in the file, whether or not those before were handed out."""

    time: float
    """Seconds since the video began."""

    pixels: Pixels
    """RGB, (height, width, 3), turned as the file asks."""


def frame_name(video: Path, number: int) -> Path:
    """What a frame is called."""
    return video / f"{number:0{FRAME_DIGITS}d}"


def split_frame_name(name: Path) -> tuple[Path, int] | None:
    """Video and number of a frame by its name; nothing if it is no frame's name."""
    if name.parent.suffix.lower() in VIDEO_SUFFIXES and re.fullmatch("[0-9]{1,12}", name.name):
        return name.parent, int(name.name)
    return None


class Video:
    """An open video file; a context manager.

    Its container is told from its content, so that nothing is opened that only claims to be a
    video: playlists, for one, name other files and addresses.

    Args:
        path: The file.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is no video, damaged, or of a codec or size that is not read.
    """

    def __init__(self, path: Path) -> None:
        _check_head(path)
        self.path = path
        self._next = 0
        self._times: list[float] = []
        self._capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
        width = self._number(cv2.CAP_PROP_FRAME_WIDTH)
        height = self._number(cv2.CAP_PROP_FRAME_HEIGHT)
        if not self._capture.isOpened() or width < 1 or height < 1:
            self.close()
            raise UnreadableFileError(
                f"video is damaged, cut off, or of a codec that is not read: {path}",
                hint="Convert it with 'ffmpeg -i IN OUT.mp4', or leave it out.",
            )
        if width * height > MAX_PIXELS:
            self.close()
            raise UnreadableFileError(
                f"video is larger than {MAX_PIXELS:,} pixels ({width:.0f} x {height:.0f}): {path}"
            )
        nominal = self._number(cv2.CAP_PROP_FPS)
        self._nominal_fps = nominal if 0 < nominal <= MAX_FPS else DEFAULT_FPS
        self.num_frames_promised = max(0, int(self._number(cv2.CAP_PROP_FRAME_COUNT)))
        """Frames by the file's header, an estimate with many containers; 0 if it does not say."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()

    @property
    def is_irregular(self) -> bool:
        """Whether the frames passed so far lie at different distances in time."""
        steps = np.diff(self._times)
        return len(steps) > 1 and bool(np.ptp(steps) > IRREGULAR * np.median(steps) + 1e-3)

    @property
    def fps(self) -> float:
        """Frames per second: those the file states, or the mean of those passed if they vary."""
        if not self.is_irregular:
            return self._nominal_fps
        return float(1 / np.mean(np.diff(self._times)))

    @property
    def seconds_missing(self) -> float:
        """Seconds that a video read to its end lacks of what it promised; 0 for a whole one."""
        promised = self.num_frames_promised / self._nominal_fps
        last_step = max(np.diff(self._times), default=1 / self._nominal_fps)
        found = self._times[-1] + float(last_step) if self._times else 0.0
        return promised - found if found < ENDS_EARLY * promised else 0.0

    def frames(self, *, every: int = 1) -> Iterator[VideoFrame]:
        """The frames that were not passed yet whose numbers divide by ``every``, one by one."""
        while self._grab():
            if (self._next - 1) % every == 0:
                frame = self._retrieve()
                if frame is not None:
                    yield frame

    def frame(self, number: int) -> VideoFrame | None:
        """One frame that was not passed yet; nothing if the video ends before it."""
        while self._next <= number:
            if not self._grab():
                return None
        return self._retrieve()

    @property
    def num_passed(self) -> int:
        """Frames that can no longer be had but by opening the video again."""
        return self._next

    def _grab(self) -> bool:
        with suppress(cv2.error):
            if self._capture.grab():
                self._next += 1
                self._times.append(self._time())
                return True
        return False

    def _retrieve(self) -> VideoFrame | None:
        with suppress(cv2.error):
            is_there, pixels = self._capture.retrieve()
            if is_there:
                rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
                return VideoFrame(self._next - 1, self._times[-1], rgb)
        return None

    def _time(self) -> float:
        seconds = self._number(cv2.CAP_PROP_POS_MSEC) / 1000
        if not self._times or seconds > self._times[-1]:
            return max(0.0, seconds)
        return self._times[-1] + 1 / self._nominal_fps  # some containers give the last frame none

    def _number(self, which: int) -> float:
        value = float(self._capture.get(which))
        return value if np.isfinite(value) else 0.0


def _check_head(path: Path) -> None:
    try:
        if not path.is_file():
            raise MissingFileError(f"video not found: {path}")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        if isinstance(error, MissingFileError):
            raise
        raise UnreadableFileError(f"cannot read: {path} ({error.strerror})") from error
    if not head:
        raise UnreadableFileError(f"file is empty: {path}")
    if not _is_video(head):
        raise UnreadableFileError(
            f"not a video that is read, whatever its name says: {path}",
            hint="Give mp4, mov, avi, mkv, webm, mpg, ts, wmv, flv or ogv.",
        )


def _is_video(head: bytes) -> bool:
    if head[4:8] in _ATOMS:
        return head[8:12] not in _PICTURE_BRANDS
    is_transport = any(
        len(head) > start + size and head[start] == head[start + size] == _TRANSPORT_SYNC
        for start, size in _TRANSPORT_PACKETS
    )
    return is_transport or any(head[at : at + len(magic)] == magic for at, magic in _STARTS)


class VideoWriter:
    """A video that grows frame by frame.

    Args:
        path: The ``.mp4`` file.
        fps: Frames per second.
        size: Width and height, pixels, both even.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        self.num_frames = 0
        self.path, self.size = path, size
        codec = cv2.VideoWriter.fourcc(*OUT_CODEC)
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, fps, size)

    def add(self, frame: Pixels) -> None:
        """Append a frame, (H, W, 3) RGB, cut or padded with its edge at the right and bottom."""
        width, height = self.size
        frame = frame[:height, :width]
        missing = (height - frame.shape[0], width - frame.shape[1])
        if any(missing):
            frame = np.pad(frame, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        self._writer.write(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2BGR))
        self.num_frames += 1

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()


@contextmanager
def write_video(
    path: Path, *, fps: float, size: tuple[int, int], overwrite: bool = True
) -> Iterator[VideoWriter]:
    """Open a video that becomes ``path`` when the block ends, all frames in it.

    Args:
        path: The ``.mp4`` file; MPEG-4 part 2, which players show and browsers do not.
        fps: Frames per second.
        size: Width and height of the frames, pixels; made even by a pixel more.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    with atomic_write(path, overwrite=overwrite) as file:
        writing = Path(f"{file.name}.mp4")  # the suffix tells OpenCV the container
        try:
            writer = VideoWriter(writing, fps, even)
            try:
                yield writer
            finally:
                writer.close()
            _check_written(writing, writer.num_frames, path)
            with writing.open("rb") as content:
                copyfileobj(content, file)
        finally:
            writing.unlink(missing_ok=True)


def _check_written(written: Path, num_frames: int, path: Path) -> None:
    """Count what came to lie in a file, since OpenCV says nothing of frames that it drops."""
    capture: Any = cv2.VideoCapture(str(written), cv2.CAP_FFMPEG)
    found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    if found != num_frames:
        raise ResourceError(
            f"cannot write video: {path} ({found} of {num_frames} frames)",
            hint="Free space on the disk, or leave the video out.",
        )
