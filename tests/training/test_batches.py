import numpy as np
import pytest

from smplcli.training.batches import StepBatches, epoch_order
from smplcli.training.config import ScheduleConfig
from smplcli.training.schedule import learning_rate


def _batches(first, last, *, count=7, batch_size=3, seed=0):
    steps = range(first, last)
    return list(StepBatches(count=count, batch_size=batch_size, seed=seed, steps=steps))


def test_every_epoch_visits_every_sample_once():
    keys = [key for batch in _batches(0, 14) for key in batch]

    for epoch in range(6):
        assert sorted(index for e, index in keys if e == epoch) == list(range(7))


def test_epochs_differ_in_order():
    orders = {tuple(epoch_order(20, seed=0, epoch=epoch)) for epoch in range(5)}

    assert len(orders) == 5


@pytest.mark.parametrize("first", [1, 5, 9])
def test_going_on_at_a_step_sees_what_an_unbroken_run_sees(first):
    assert _batches(first, 12) == _batches(0, 12)[first:]


def test_learning_rate_rises_stays_and_falls():
    schedule = ScheduleConfig(steps=1000, warmup=99, flat=0.5, learning_rate=1.0)

    rates = np.array([learning_rate(schedule, step) for step in range(1000)])

    assert rates[0] == pytest.approx(0.01)
    np.testing.assert_allclose(rates[100:500], 1)
    assert (np.diff(rates[500:]) <= 0).all()
    assert rates[-1] < 1e-4


def test_lifting_steps_have_a_rate_of_their_own_and_the_others_start_afresh():
    changes = {"warmup": 9, "flat": 0.5, "learning_rate": 1.0}
    alone = ScheduleConfig(steps=100, **changes)
    behind = ScheduleConfig(steps=150, lifting_steps=50, lifting_rate=2.0, **changes)

    assert learning_rate(behind, 49) == 2.0
    assert [learning_rate(behind, 50 + step) for step in range(100)] == [
        learning_rate(alone, step) for step in range(100)
    ]
