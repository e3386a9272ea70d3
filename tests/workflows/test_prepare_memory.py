"""What `prepare` holds in memory hardly grows with the people in files of SPIN's form."""

import numpy as np
import pytest

from smplcli.datasets.spin import read_spin
from smplcli.workflows.parallel import run_tasks
from smplcli.workflows.prepare import prepare
from smplcli.workflows.progress import no_progress
from tests.memory import peak_of

FEW, MANY = 1000, 4000
LABELS = 8 * (72 + 10 + 24 * 3 + 25 * 3 + 24 * 4)
"""Bytes of one person's numbers in a file."""

PER_PERSON = 300
"""Bytes that a person may take: those of the name of a picture, and a few numbers."""


def write_labels(folder, count, save=np.savez):
    """Labels of people, two to a picture, every tenth of them without a square."""
    rng = np.random.default_rng(0)
    names = [f"{row // 2:06d}.jpg" for row in range(count)]
    for name in names:
        (folder / name).touch()
    save(
        folder / f"{count}_train.npz",
        imgname=np.array(names),
        center=np.full((count, 2), 100.0),
        scale=np.arange(count) % 10 / 5,
        pose=rng.normal(size=(count, 72)),
        shape=rng.normal(size=(count, 10)),
        part=rng.normal(size=(count, 24, 3)),
        openpose=rng.normal(size=(count, 25, 3)),
        S=rng.normal(size=(count, 24, 4)),
    )
    return folder / f"{count}_train.npz"


def growth(function, folder, save):
    """Bytes that each further person takes at most."""
    few, many = (write_labels(folder, count, save) for count in (FEW, MANY))
    function(few)  # what is loaded once
    return (peak_of(function, many) - peak_of(function, few)) / (MANY - FEW)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_further_people_take_few_bytes_each(tmp_path, save):
    def count(path):
        report = prepare("spin", path, tmp_path / "out", dry_run=True)
        assert report.num_failed * 9 == report.num_kept

    assert growth(count, tmp_path, save) < PER_PERSON


def test_who_keeps_the_people_has_all_their_labels_in_memory(tmp_path):
    assert growth(lambda path: list(read_spin(path).pictures), tmp_path, np.savez) > LABELS / 2


def test_people_are_the_same_at_each_walk(tmp_path):
    raw = read_spin(write_labels(tmp_path, FEW, np.savez_compressed))

    first, again = (
        [
            (person.person_id, person.part.tobytes())
            for one in raw.pictures
            for person in one.people
        ]
        for _ in range(2)
    )

    assert first == again
    assert len(first) == FEW * 9 // 10
    assert len(list(raw.dropped)) == FEW // 10


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_that_cannot_be_made_is_an_error_and_not_an_end(jobs):
    def tasks():
        yield from range(5)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(run_tasks(abs, tasks(), count=10, jobs=jobs, progress=no_progress, label="x"))


def test_tasks_are_made_when_their_turn_is_near():
    made = []

    done = run_tasks(
        abs, map(made.append, range(100)), count=100, jobs=1, progress=no_progress, label="x"
    )
    with pytest.raises(TypeError):
        next(done)

    assert len(made) < 10
