import json

import pytest
import torch

from smplcli.training.logs import LOG_EVERY, StepFacts, Steps, TrainingLog
from smplcli.training.loop import run_training
from tests.training.tiny import STEPS, tiny_run, train_whole

CPU = torch.device("cpu")
FACTS = StepFacts(
    losses={"pose": 1.0, "parts": 0.5},
    learning_rate=1e-3,
    grad_norm=2.0,
    pictures=8,
    seconds=0.5,
    waited=0.1,
)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_holds_the_means_of_the_steps_up_to_it(tmp_path):
    log = TrainingLog(tmp_path / "log.jsonl", CPU)

    for step in range(1, 2 * LOG_EVERY + 1):
        log.add(step, FACTS._replace(losses={"pose": float(step)}))

    first, second = lines(log.path)
    assert (first["step"], second["step"]) == (LOG_EVERY, 2 * LOG_EVERY)
    assert first["losses"]["pose"] == pytest.approx((1 + LOG_EVERY) / 2)
    assert second["losses"]["pose"] == pytest.approx((1 + 3 * LOG_EVERY) / 2)
    assert first["learning_rate"] == 1e-3
    assert first["grad_norm"] == 2.0
    assert first["images_per_second"] == 16
    assert first["steps_per_second"] == 2
    assert first["waiting"] == 0.2
    assert 0 < first["memory_gb"] < 1000


def test_the_last_step_has_a_line_however_few_there_were(tmp_path):
    log = TrainingLog(tmp_path / "log.jsonl", CPU)

    log.add(1, FACTS)
    log.add(2, FACTS, is_last=True)

    assert [line["step"] for line in lines(log.path)] == [2]


def test_a_remark_tells_loss_speed_waiting_and_memory(tmp_path):
    log = TrainingLog(tmp_path / "log.jsonl", CPU)
    assert log.remark() == ""

    log.add(1, FACTS)

    *words, memory = log.remark().split(", ")
    assert words == ["loss 1.500", "16 images/s", "20% waiting for data"]
    assert memory.endswith(" GB")


def test_steps_without_pictures_have_no_images_to_speak_of(tmp_path):
    log = TrainingLog(tmp_path / "log.jsonl", CPU)

    log.add(1, FACTS._replace(pictures=0))

    assert "images" not in log.remark()


def test_whoever_listens_hears_every_line(tmp_path):
    heard = []
    log = TrainingLog(tmp_path / "log.jsonl", CPU, heard.append)

    log.add(1, FACTS, is_last=True)
    log.write({"step": 1, "validation": {"mpjpe": 90.0}})

    assert heard == lines(log.path)


def test_a_run_logs_its_steps_and_remarks_on_them_as_it_goes(tmp_path):
    remarks = []

    def progress(steps, label):
        assert label != "train" or len(steps) == STEPS
        for step in steps:
            yield step
            remarks.append(steps.remark())

    run = tiny_run(tmp_path / "run")
    run_training(run, progress)

    (line,) = [line for line in lines(run.run_dir / "log.jsonl") if "losses" in line]
    assert line["step"] == STEPS
    assert 0 <= line["waiting"] <= 1
    assert line["images_per_second"] > 0
    assert "waiting for data" in remarks[0]


def test_who_looks_at_judged_networks_sees_them_with_their_best_weights(tmp_path):
    seen = []
    run = tiny_run(tmp_path / "run")
    run.on_judged = lambda network, step: seen.append(
        (step, network.training, run.validate(network, lambda items, _: items)["pa_mpjpe"])
    )

    train_whole(run)

    assert seen == [(entry["step"], False, entry["pa_mpjpe"]) for entry in run.history]


def test_steps_are_counted_and_passed_through():
    steps = Steps(range(3, 7), lambda: "fine")

    assert (len(steps), list(steps), steps.remark()) == (4, [3, 4, 5, 6], "fine")
