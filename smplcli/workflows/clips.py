"""Videos as pictures: a first look counts the frames, then threads ask for them by number."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple

from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.images import read_image
from smplcli.motion.cuts import CutFinder
from smplcli.types import Pixels
from smplcli.videos import DEFAULT_FPS, Video, frame_name, split_frame_name

MAX_KEPT = 16
"""Frames that were passed on the way to one that was asked for first, and are asked for next."""


class Clip(NamedTuple):
    """What a first look at a video found."""

    path: Path
    numbers: range
    """Of the frames to look at."""

    fps: float
    """Of the whole video, whichever frames are looked at."""

    is_irregular: bool
    """Whether the frames lie at different distances in time; ``fps`` is their mean then."""

    cuts: tuple[int, ...]
    """Numbers of the frames that begin a new shot."""

    problem: str
    """Why it cannot be read, or not to its end; empty if nothing is wrong."""

    def names(self) -> Iterator[str]:
        """Names of the frames, and that of the video itself if something is wrong with it."""
        yield from (frame_name(self.path, number).as_posix() for number in self.numbers)
        if self.problem:
            yield self.path.as_posix()

    def facts(self) -> dict[str, Any]:
        """What a predictions file says of it."""
        return {
            "fps": self.fps,
            "every": self.numbers.step,
            "frames": len(self.numbers),
            "cuts": list(self.cuts),
            "is_irregular": self.is_irregular,
        }


def scan_clip(path: Path, *, every: int = 1) -> Clip:
    """Pass once over a video, since headers often promise more or fewer frames than there are.

    Args:
        path: The file; what is wrong with it becomes its ``problem``.
        every: Look at the frames whose numbers divide by this.
    """
    finder, cuts, last = CutFinder(), [], -1
    try:
        with Video(path) as video:
            for frame in video.frames(every=every):
                last = frame.number
                if finder.is_cut(frame.pixels):
                    cuts.append(frame.number)
            problem = ""
            if last < 0:
                problem = f"video has no frame that can be read: {path}"
            elif video.seconds_missing:
                problem = (
                    f"video ends {video.seconds_missing:.1f} s early,"
                    f" after frame {video.num_passed - 1}: {path}"
                )
            numbers = range(0, last + 1, every)
            return Clip(path, numbers, video.fps, video.is_irregular, tuple(cuts), problem)
    except (MissingFileError, UnreadableFileError) as error:
        return Clip(path, range(0, 0, every), DEFAULT_FPS, False, (), error.message)


class FrameReader:
    """Reads pictures and frames of videos by their names.

    Args:
        every: Only frames whose numbers divide by this are asked for.
        clips: What is known of the videos, by their paths.
    """

    def __init__(self, *, every: int, clips: Mapping[str, Clip] = MappingProxyType({})) -> None:
        self._every = every
        self._problems = {name: clip.problem for name, clip in clips.items()}
        self._readers: dict[Path, ClipReader] = {}

    def read(self, name: Path) -> Pixels:
        """A picture or frame, (H, W, 3) RGB, as viewers show it; several threads may ask at once.

        Raises:
            MissingFileError: It is not there.
            UnreadableFileError: It is no picture, or damaged, or a video with a problem.
        """
        problem = self._problems.get(name.as_posix())
        if problem:
            raise UnreadableFileError(problem)
        frame = split_frame_name(name)
        if frame is None:
            return read_image(name, orientation="displayed")
        video, number = frame
        if video not in self._readers:
            self._readers.setdefault(video, ClipReader(video, every=self._every))
        return self._readers[video].read(number)


class ClipReader:
    """Hands out the frames of a video to threads that ask for them roughly in order.

    The video is never in memory: a few frames that were passed wait for who asks for them next,
    and for what was passed before, the video is opened again.

    Args:
        path: The file.
        every: Only frames whose numbers divide by this are asked for.
        ahead: How many of those later frames may be asked for before a frame is.
    """

    def __init__(self, path: Path, *, every: int = 1, ahead: int = MAX_KEPT) -> None:
        self._path, self._every, self._ahead = path, every, ahead
        self._lock = Lock()
        self._video: Video | None = None
        self._kept: dict[int, Pixels] = {}

    def read(self, number: int) -> Pixels:
        """A frame, (H, W, 3) RGB, as players show it.

        Raises:
            MissingFileError: The video is not there any more.
            UnreadableFileError: It has no such frame.
        """
        with self._lock:
            if number in self._kept:
                return self._kept.pop(number)
            if self._video is None or number < self._video.num_passed:
                self.close()
                self._video = Video(self._path)
            first = max(self._video.num_passed, number - self._ahead * self._every)
            for passed in range(first, number):
                if passed % self._every == 0:
                    self._keep(self._video, passed)
            frame = self._video.frame(number)
            if frame is None:
                raise UnreadableFileError(f"video has no frame {number}: {self._path}")
            return frame.pixels

    def close(self) -> None:
        """Let go of the file."""
        if self._video is not None:
            self._video.close()
        self._video, self._kept = None, {}

    def _keep(self, video: Video, number: int) -> None:
        frame = video.frame(number)
        if frame is not None:
            self._kept[number] = frame.pixels
        while len(self._kept) > self._ahead:
            del self._kept[next(iter(self._kept))]
