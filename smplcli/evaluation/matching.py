"""Which predicted person is which person of the data."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

import numpy as np

from smplcli.types import Floats, Ints

NEAR = 0.5
"""People of the same place are no farther apart than this share of the person's square."""

MAX_ASTRAY = 0.02
"""Share of people whose number fits and whose place does not, up to which numbers are believed."""


class Places(NamedTuple):
    """Where the people of the data are, in their order."""

    center: Floats
    """(N, 2) middle of each person's square, pixels of the picture."""

    side: Floats
    """(N,) side of the square, pixels."""

    image_size: Floats
    """(N, 2) width, height, pixels."""


class Match(NamedTuple):
    """Rows of a file for the people of the data."""

    rows: Ints
    """(N,) row of each person, -1 for nobody."""

    by: Literal["number", "place", "row"]
    """What told people of one picture apart."""

    num_unmatched: int
    """Rows of people who are not in the data."""

    num_duplicates: int = 0
    """Rows of people who had one already."""


def match_people(
    pictures: Sequence[str],
    numbers: Ints | None,
    points: Floats | None,
    wanted: Sequence[tuple[str, int]],
    places: Places | None,
) -> Match:
    """Find the people of the data among predicted ones.

    Numbers tell people of one picture apart if there are any, unless places show that they count
    otherwise; then, or without numbers, places do. With neither, people who are alone in their
    picture are found, in the file as in the data.

    Args:
        pictures: (R,) names of the pictures of predicted people; folders in front of the data's
            names, and lacking ones, do not matter.
        numbers: (R,) numbers of predicted people.
        points: (R, 2) where they are, pixels of the picture.
        wanted: (N,) pictures and numbers of the people of the data.
        places: Where those are.
    """
    names = _known_names(pictures, [imgname for imgname, _ in wanted])
    if numbers is not None:
        match = _by_number(names, numbers, wanted)
        if points is None or places is None or _is_plausible(match, points, places):
            return match
    if points is not None and places is not None:
        return _by_place(names, points, [imgname for imgname, _ in wanted], places)
    return _alone(names, [imgname for imgname, _ in wanted])


def _known_names(offered: Sequence[str], wanted: Sequence[str]) -> list[str | None]:
    """The data's name of each picture; ``None`` for others, and where several fit."""
    known = set(wanted)
    by_tail: dict[str, str | None] = {}
    for name in known:
        for tail in _tails(name):
            by_tail[tail] = name if tail not in by_tail else None
    found = {
        name: next((tail for tail in _tails(name) if tail in known), by_tail.get(_clean(name)))
        for name in set(offered)
    }
    return [found[name] for name in offered]


def _tails(name: str) -> Iterator[str]:
    """The name itself, then without its first folder, and so on."""
    parts = _clean(name).split("/")
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _clean(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))


def _by_number(
    names: Sequence[str | None], numbers: Ints, wanted: Sequence[tuple[str, int]]
) -> Match:
    rows: dict[tuple[str | None, int], int] = {}
    for row, identity in enumerate(zip(names, numbers.tolist(), strict=True)):
        rows.setdefault(identity if identity[0] is not None else (None, row), row)
    people = set(wanted)
    return Match(
        rows=np.array([rows.get(identity, -1) for identity in wanted], dtype=np.int64),
        by="number",
        num_unmatched=sum(identity not in people for identity in rows),
        num_duplicates=len(names) - len(rows),
    )


def _is_plausible(match: Match, points: Floats, places: Places) -> bool:
    """Whether people who were found by their number are where they should be."""
    has_row = match.rows >= 0
    away = np.linalg.norm(points[match.rows[has_row]] - places.center[has_row], axis=1)
    is_astray = away > NEAR * places.side[has_row]
    return bool(is_astray.size) and float(is_astray.mean()) <= MAX_ASTRAY


def _by_place(
    names: Sequence[str | None], points: Floats, wanted: Sequence[str], places: Places
) -> Match:
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow, and seldom needed

    rows = np.full(len(wanted), -1, dtype=np.int64)
    offered = _by_name(names)
    for name, people in _by_name(wanted).items():
        candidates = np.array(offered.get(name, []), dtype=np.int64)
        away = np.linalg.norm(points[candidates][None] - places.center[people][:, None], axis=-1)
        away = np.where(np.isfinite(away), away / places.side[people][:, None], np.inf)
        # Whoever is too far away costs the same, so that nobody near is given up for them.
        pairs = linear_sum_assignment(np.minimum(away, 2 * NEAR))
        for person, candidate in zip(*pairs, strict=True):
            if away[person, candidate] <= NEAR:
                rows[people[person]] = candidates[candidate]
    return Match(rows, "place", len(names) - int((rows >= 0).sum()))


def _alone(names: Sequence[str | None], wanted: Sequence[str]) -> Match:
    rows = np.full(len(wanted), -1, dtype=np.int64)
    offered = _by_name(names)
    for name, people in _by_name(wanted).items():
        if len(people) == 1 and len(offered.get(name, [])) == 1:
            rows[people] = offered[name]
    return Match(rows, "row", len(names) - int((rows >= 0).sum()))


def _by_name(names: Sequence[str | None]) -> dict[str | None, list[int]]:
    rows: dict[str | None, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        rows[name].append(row)
    return rows
