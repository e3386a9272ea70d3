"""The learning rate over a run."""

import math

from smplcli.training.config import ScheduleConfig


def learning_rate(schedule: ScheduleConfig, step: int) -> float:
    """Learning rate at a step: rising, flat, then a cosine towards zero.

    Steps without pictures come before all that and have a rate of their own; so may those at the
    end whose weights are averaged as snapshots.
    """
    start = schedule.swa_start
    if schedule.swa_rate is not None and start is not None and step >= start:
        return schedule.swa_rate
    if step < schedule.lifting_steps:
        return schedule.lifting_rate * _rise(schedule, step)
    step, steps = step - schedule.lifting_steps, schedule.steps - schedule.lifting_steps
    fallen = max(0.0, step / steps - schedule.flat) / max(1 - schedule.flat, 1e-9)
    rate = schedule.learning_rate * _rise(schedule, step)
    return rate * (0.5 + 0.5 * math.cos(math.pi * fallen))


def _rise(schedule: ScheduleConfig, step: int) -> float:
    return min(1.0, (step + 1) / (schedule.warmup + 1))
