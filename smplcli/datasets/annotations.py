"""What a reader of raw data hands on: pictures, and what is known about the people in them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from smplcli.types import Floats, Ints

T = TypeVar("T")


class Person(NamedTuple):
    """Labels of one person in one picture; what is not known is ``None`` or zeros.

    Points are image pixels with pixel centres at integers, in the file's own orientation.
    """

    person_id: int
    """Place among the people of the sequence or picture, as its owners count them."""

    gender: str
    """``n``, ``m`` or ``f``: the neutral, male or female body of ``pose`` and ``shape``."""

    center: Floats
    """(2,) centre of the person's square."""

    scale: float
    """Side of the person's square over 200 pixels."""

    part: Floats
    """(24, 3) x, y, confidence in the order of SPIN's 24 joints."""

    openpose: Floats
    """(25, 3) x, y, confidence in the order of OpenPose's 25 joints."""

    pose: Floats | None = None
    """(72,) axis-angle, the root in camera axes."""

    shape: Floats | None = None
    """(10,)."""

    transl: Floats | None = None
    """(3,) metres, camera frame, to add to the body in ``pose``; needs the picture's camera."""

    S: Floats | None = None
    """(24, 4) metres from the pelvis in camera axes, confidence; SPIN's 24 joints."""

    is_visible: Ints | None = None
    """(24,) whether SPIN's 24 joints are seen, 1, or hidden, 0; -1 where nobody says (MPII)."""

    head_size: float = 0.0
    """Length that PCKh is relative to, 0.6 of the head box's diagonal, pixels (MPII)."""

    activity: str = ""
    """What the picture's people do (MPII)."""


class Picture(NamedTuple):
    """A picture and the people in it that are to be kept."""

    split: str
    imgname: str
    """``<sequence or folder>/<file>``, as prepared files and predictions name it."""

    path: Path
    people: tuple[Person, ...]
    cam_int: Floats | None = None
    """(3, 3) intrinsics, pixels; ``None`` where nobody knows."""


class SequenceSize(NamedTuple):
    """What a whole sequence holds, whatever is kept of it; leaderboards want all of it."""

    num_frames: int
    num_people: int


class Dropped(NamedTuple):
    """A person or picture that is not handed on."""

    split: str
    imgname: str
    person_id: int
    """-1 for a whole picture or sequence."""

    reason: str
    """The same few words each time, so that they can be counted."""

    is_failure: bool
    """Whether something is wrong with the data, rather than left out by the data set's rules."""


@dataclass(frozen=True, slots=True)
class Remade(Generic[T]):
    """Items that are made anew at each walk over them, so that nobody has to keep them."""

    walk: Callable[[], Iterator[T]]

    def __iter__(self) -> Iterator[T]:
        return self.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSet:
    """A raw data set, read except for its pictures."""

    source: str
    """``3dpw``, ``mpii``, ``eth`` or ``spin``."""

    pictures: Iterable[Picture]
    """In an order that only depends on the data; people of one picture in order of their ids.

    They may be walked over again and again, and not be kept: there may be any number."""

    dropped: Iterable[Dropped] = ()
    """Likewise."""

    sequences: Mapping[str, Mapping[str, SequenceSize]] = field(default_factory=dict)
    """By split and name, for video data."""

    notes: Sequence[str] = ()
    """What a user should know about how the data was read, a sentence each."""

    published: Mapping[str, int] = field(default_factory=dict)
    """People per split that a full copy gives, where it is known."""
