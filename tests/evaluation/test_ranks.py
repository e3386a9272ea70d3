"""Samples shared among processes give what one process gives, to the last digit."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from smplcli.evaluation.inference import index_batches
from smplcli.evaluation.metrics import mpjpe, pa_mpjpe
from smplcli.evaluation.ranks import Rank, own_rows
from smplcli.evaluation.summaries import Counted, exact_mean
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from tests.evaluation.prepared import write_prepared

SIZES, RANKS, BATCHES = range(1, 18), (1, 2, 3), range(1, 6)


def joints(seed, count):
    return np.random.default_rng(seed).normal(size=(count, 24, 3))


def measured_together(pred, gt, metric, num_ranks, batch_size):
    """What the processes know after each has measured its share and all have been summed."""
    batches = index_batches(len(pred), batch_size)
    total = np.zeros(len(pred))
    for number in range(num_ranks):
        own = Rank(number, num_ranks).share(batches)
        errors = np.full(len(pred), np.nan)
        for rows in own:
            errors[rows] = metric(pred[rows], gt[rows])
        total += own_rows(errors, own)
    return total


@pytest.mark.parametrize("metric", [mpjpe, pa_mpjpe])
@pytest.mark.parametrize("count", SIZES)
def test_any_number_of_processes_and_any_batch_give_the_mean_of_a_plain_loop(count, metric):
    pred, gt = joints(0, count), joints(1, count)
    alone = np.array([metric(p[None], g[None])[0] for p, g in zip(pred, gt, strict=True)])

    for num_ranks in RANKS:
        for batch_size in BATCHES:
            errors = measured_together(pred, gt, metric, num_ranks, batch_size)

            assert errors == pytest.approx(alone, rel=1e-12)
            mean = exact_mean(Counted(errors, np.ones(count)))
            assert mean == pytest.approx(alone.mean(), rel=1e-12)


@pytest.mark.parametrize("count", SIZES)
def test_the_same_batches_give_the_same_bits_whoever_measures_them(count):
    pred, gt = joints(0, count), joints(1, count)

    results = {measured_together(pred, gt, pa_mpjpe, n, 4).tobytes() for n in RANKS}

    assert len(results) == 1


def test_a_sample_without_a_number_keeps_none_and_takes_nobody_elses():
    pred, gt = joints(0, 7), joints(1, 7)
    pred[4, 3, 0] = np.nan

    errors = measured_together(pred, gt, mpjpe, 3, 2)

    assert np.isnan(errors).nonzero()[0].tolist() == [4]


def test_a_mean_of_the_processes_means_would_be_another_number():
    errors = mpjpe(joints(0, 7), joints(1, 7))
    batches = index_batches(7, 2)

    naive = np.mean(
        [
            np.mean(np.concatenate([errors[rows] for rows in Rank(n, 3).share(batches)]))
            for n in range(3)
        ]
    )

    assert naive != pytest.approx(errors.mean(), rel=1e-6)


@pytest.mark.slow
def test_torchrun_writes_the_files_that_one_process_writes(tmp_path):
    write_prepared(tmp_path / "set")
    torch.manual_seed(0)
    network = build_network(
        ModelConfig(
            backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8, keypoints=8
        )
    )
    save_network(tmp_path / "net.safetensors", network, {})
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "import torch\n"
        "import smplcli\n"
        "torch.set_num_threads(1)\n"
        f"root = Path({str(tmp_path)!r})\n"
        "smplcli.evaluate(root / 'net.safetensors', root / 'set', split='test', batch_size=2,\n"
        "    device='cpu', out=root / sys.argv[1])\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]

    for name, launcher in (("one", []), ("two", torchrun)):
        subprocess.run(
            [sys.executable, *launcher, script, name], check=True, env=environment, timeout=300
        )

    tables = [(tmp_path / name / "per_sample.csv").read_bytes() for name in ("one", "two")]
    reports = [
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two")
    ]
    for report in reports:
        report.pop("written")
    assert tables[0] == tables[1]
    assert reports[0] == reports[1]
