"""The learning rate over a run."""

import math

from smplcli.training.config import ScheduleConfig


def learning_rate(schedule: ScheduleConfig, step: int) -> float:
    """Learning rate at a step: rising, flat, then a cosine towards zero."""
    rise = min(1.0, (step + 1) / (schedule.warmup + 1))
    fallen = max(0.0, step / schedule.steps - schedule.flat) / max(1 - schedule.flat, 1e-9)
    return schedule.learning_rate * rise * (0.5 + 0.5 * math.cos(math.pi * fallen))
