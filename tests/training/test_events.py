import importlib.util
import sys

import numpy as np
import pytest

from smplcli.errors import ConfigError
from smplcli.training.events import Events, scalars

STEP = {
    "step": 20,
    "losses": {"pose": 1.0},
    "learning_rate": 1e-3,
    "waiting": 0.01,
}
VALIDATION = {
    "step": 40,
    "weights": "ema",
    "validation": {"mpjpe": 90.0, "pa_mpjpe": 60.0},
    "by_weights": {"raw": {"mpjpe": 95.0, "pa_mpjpe": 62.0}, "ema": {"pa_mpjpe": 60.0}},
}
needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="TensorBoard is not installed"
)


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def test_lines_of_the_log_become_named_numbers():
    assert scalars(STEP) == {
        "losses/pose": 1.0,
        "conduct/learning_rate": 1e-3,
        "conduct/waiting": 0.01,
    }
    assert scalars(VALIDATION) == {
        "validation/mpjpe": 90.0,
        "validation/pa_mpjpe": 60.0,
        "pa_mpjpe/raw": 62.0,
        "pa_mpjpe/ema": 60.0,
    }


def test_without_tensorboard_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(ConfigError, match="not installed") as caught:
        Events(tmp_path)

    assert "pip install tensorboard" in caught.value.hint


@needs_tensorboard
def test_tensorboard_reads_numbers_and_pictures(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    events = Events(tmp_path)

    events.add_line(STEP)
    events.add_pictures({"people": picture}, 40)
    events.close()

    found = read(tmp_path)
    assert [(e.step, e.value) for e in found.Scalars("losses/pose")] == [(20, 1.0)]
    (image,) = found.Images("people")
    assert (image.step, image.width, image.height) == (40, 6, 4)


@needs_tensorboard
def test_what_is_taken_again_is_shown_once(tmp_path):
    before = Events(tmp_path)
    for step in (20, 40, 60):
        before.add_line({**STEP, "step": step})
    before.close()

    after = Events(tmp_path)
    after.add_line({**STEP, "step": 40, "waiting": 0.5})
    after.close()

    steps = [(e.step, round(e.value, 2)) for e in read(tmp_path).Scalars("conduct/waiting")]
    assert steps == [(20, 0.01), (40, 0.5)]


def test_nothing_is_written_before_there_is_something_to_say(tmp_path):
    pytest.importorskip("tensorboard")

    Events(tmp_path).close()

    assert list(tmp_path.iterdir()) == []
