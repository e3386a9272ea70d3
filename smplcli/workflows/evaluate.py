"""Measuring a network, or predictions of any origin, on a prepared data set."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from smplcli.datasets.schema import MANIFEST_FILE
from smplcli.errors import ConfigError
from smplcli.evaluation.comparison import Other, compare, comparison_notes, read_other
from smplcli.evaluation.frames import sequence_of
from smplcli.evaluation.inference import KeypointSource, index_batches
from smplcli.evaluation.limits import exceeded, read_limits
from smplcli.evaluation.predictions import Predictions, match_predictions
from smplcli.evaluation.ranks import Rank, joined
from smplcli.evaluation.reports import PER_SAMPLE_FILE, write_per_sample_csv
from smplcli.evaluation.scoring import RawErrors, SampleErrors, finish, measure_batches
from smplcli.files import sha256_of, write_json
from smplcli.paths import check_folder, refuse_existing, takes_texts
from smplcli.workflows.evaluation_ground import Ground, open_ground, posers_of, without_camera
from smplcli.workflows.evaluation_report import (
    Evaluation,
    EvaluationReport,
    Source,
    build_report,
    units_of,
)
from smplcli.workflows.evaluation_settings import EvaluationOptions, How
from smplcli.workflows.occlusion import (
    Occlusion,
    analyse_occlusion,
    occlusion_files,
    open_targets,
    write_occlusion,
)
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.report import REPORT_FILE, Material, write_report
from smplcli.workflows.targets import (
    is_predictions,
    load_checkpoint,
    open_predictor,
    prediction_notes,
    predictions_sha256,
    weights_file,
)

METRICS_FILE = "metrics.json"
SCORED_AT_ONCE = 128
"""People posed together for comparison: of one or of several genders, the body's large products
are then efficient. The same for all, as the last digits depend on it."""

SELF_TEST = "ground truth against itself"
SELF_TEST_LIMIT = 1e-6
"""Millimetres, degrees and the like that the truth may seem to be off from itself."""


@takes_texts
def evaluate(
    target: Path | None,
    data: Path,
    *,
    split: str = "validation",
    keypoints: KeypointSource = "detected",
    body: Path | None = None,
    device: str = "auto",
    batch_size: int = 64,
    options: EvaluationOptions | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> EvaluationReport:
    """Measure the errors of a network, or of predictions, on a split of a prepared data set.

    Under torchrun each process measures a share of the samples; all of them return the report
    that one would, and the first writes it.

    Args:
        target: A checkpoint, or predictions (npz), whose rows are matched by image and person;
            ``None`` compares the labels with themselves, which must give no errors.
        data: Prepared data set.
        split: Which part of it.
        keypoints: Whether the network is given what the detector found, or the picture alone.
        body: SMPL file, or folder that may hold gendered bodies for the labels and joint
            regressors as well; the demo body without one.
        device: ``auto``, ``cpu``, or a CUDA device.
        batch_size: Samples computed at a time.
        options: Protocols and rules.
        out: Folder for ``metrics.json``, ``per_sample.csv``, ``report.html`` and what was asked
            for besides; ``None`` writes nothing.
        overwrite: Whether results that are there may be replaced.
        progress: Shows the batches.

    Raises:
        ConfigError: There is no such protocol, regressor or metric, or what should be measured
            behind a patch is no network.
        MissingFileError: Target, data, split or body are not there.
        UnreadableFileError: One of them is not what it should be, or no prediction is of the data.
        OutputExistsError: ``out`` holds results and ``overwrite`` is false.
    """
    options = options or EvaluationOptions()
    _refuse_idle(target, options)
    written = () if out is None else _files(out, options)
    refuse_existing(*written, overwrite=overwrite)
    if out is not None:
        check_folder(out)
    limits = read_limits(options.limits)
    other = None if options.compare_with is None else read_other(options.compare_with)
    ground = open_for(data, split, body, device, options)
    networks = options.occlusion and open_targets(
        target, options.occlusion, options.weights, ground.device
    )
    how = How(keypoints=keypoints, batch_size=batch_size, options=options, progress=progress)
    evaluation = evaluate_samples(target, ground, how)
    report = evaluation.report if other is None else _beside(other, evaluation)
    broken = exceeded(limits, report.measurements)
    if target is None:
        broken += _self_test_faults(report)
    occlusion = None
    if options.occlusion and networks and evaluation.is_first:
        occlusion = analyse_occlusion(
            networks, ground, options.occlusion, batch_size=batch_size, progress=progress
        )
        report = replace(report, occlusion=occlusion.report)
    report = replace(report, exceeded=broken, written=written)
    if written and evaluation.is_first:
        evaluation = evaluation._replace(report=report)
        _write(evaluation, occlusion, written, target, options, overwrite=overwrite)
    return report


def _refuse_idle(target: Path | None, options: EvaluationOptions) -> None:
    """Refuse what is asked of a network where there is none."""
    is_asked = options.flip_test or options.weights == "last"
    if is_asked and (target is None or is_predictions(target)):
        raise ConfigError(
            f"only a network has weights to choose and sees mirror images: {target or SELF_TEST}",
            hint="Give the checkpoint that made the predictions.",
        )


def _beside(other: Other, evaluation: Evaluation) -> EvaluationReport:
    """The report with its differences from another evaluation."""
    report, ground = evaluation.report, evaluation.ground
    return replace(
        report,
        differences=compare(other, ground.ids, evaluation.samples, units_of(ground)),
        notes=(*report.notes, *comparison_notes(other, report.to_dict())),
    )


def evaluate_samples(target: Path | None, ground: Ground, how: How) -> Evaluation:
    """Measure the errors of every sample; `evaluate` is what sums them up.

    Args:
        target: As for `evaluate`.
        ground: Samples, bodies and protocols.
        how: The rest.
    """
    with joined() as rank:
        predictions, source = _predict(target, ground, how, rank)
        return judge(ground, predictions, source, how, rank)


def open_for(
    data: Path, split: str, body: Path | None, device: str, options: EvaluationOptions
) -> Ground:
    """Open what an evaluation with these options stands on."""
    return open_ground(
        data,
        split,
        body=body,
        protocols=options.protocols,
        joint_regressors=options.joint_regressors,
        device=device,
    )


def _predict(
    target: Path | None, ground: Ground, how: How, rank: Rank
) -> tuple[Predictions, Source]:
    """Predictions for all samples, and where they come from."""
    if target is None:
        digest = sha256_of(ground.data / MANIFEST_FILE)
        return _truth_itself(ground), Source(SELF_TEST, digest, "given")
    if is_predictions(target):
        predictions = match_predictions(target, ground.ids, ground.places)
        notes = prediction_notes(predictions)
        return predictions, Source(str(target), predictions_sha256(target), "given", notes)
    predict = open_predictor(
        target,
        keypoints=how.keypoints,
        device=str(ground.device),
        batch_size=how.batch_size,
        weights=how.options.weights,
        flip_test=how.options.flip_test,
        rank=rank,
        progress=how.progress,
    )
    digest = sha256_of(weights_file(target, how.options.weights))
    return predict(ground.samples), Source(str(target), digest, how.keypoints, _habits(how))


def judge(
    ground: Ground, predictions: Predictions, source: Source, how: How, rank: Rank
) -> Evaluation:
    """Compare predictions with the labels and report that."""
    is_self_test = source.target == SELF_TEST
    blind = () if is_self_test else without_camera(ground, predictions)
    refused = {protocol.protocol for protocol in blind}
    ground = replace(
        ground,
        protocols=tuple(p for p in ground.protocols if p.name not in refused),
        not_evaluated=(*ground.not_evaluated, *blind),
    )
    samples = _score(ground, predictions, how, rank, is_self_test=is_self_test)
    report = build_report(ground, samples, source, missing=how.options.missing)
    return Evaluation(report, ground, predictions, samples, rank.is_first)


def _score(
    ground: Ground, predictions: Predictions, how: How, rank: Rank, *, is_self_test: bool
) -> dict[str, SampleErrors]:
    """Errors by protocol; every process comes to know those of all."""
    if not ground.protocols:
        return {}
    batches = index_batches(len(ground.ids), SCORED_AT_ONCE)
    own = how.progress(rank.share(batches), "score")
    posers = posers_of(ground, is_self_test=is_self_test)
    raw = measure_batches(ground.protocols, posers, predictions, ground.truth, own)
    gathered = RawErrors(
        *(
            {
                protocol: {name: rank.gather(array, batches) for name, array in arrays.items()}
                for protocol, arrays in part.items()
            }
            for part in raw
        )
    )
    ids = ground.ids if ground.has_sequences else None
    return {
        protocol.name: finish(protocol, gathered, predictions, ground.truth, ids=ids)
        for protocol in ground.protocols
    }


def _habits(how: How) -> tuple[str, ...]:
    """What is unusual about how a network was asked, in sentences."""
    habits = {
        "answers to pictures and to their mirror images were averaged": how.options.flip_test,
        "weights of the last step, not averaged ones": how.options.weights == "last",
    }
    return tuple(habit for habit, is_so in habits.items() if is_so)


def _truth_itself(ground: Ground) -> Predictions:
    return Predictions(
        full_pose=ground.truth.full_pose,
        betas=ground.truth.betas,
        is_missing=np.zeros(len(ground.ids), dtype=bool),
        pose=ground.truth.pose,
    )


def _self_test_faults(report: EvaluationReport) -> tuple[str, ...]:
    """Numbers that are not what they must be where the truth is compared with itself."""
    return tuple(
        f"self-test: {number.protocol} {number.label} is {number.value} {number.unit}"
        for number in report.measurements
        if number.value is not None
        and abs(number.value - 100 * number.higher_is_better) > SELF_TEST_LIMIT
    )


def _files(out: Path, options: EvaluationOptions) -> tuple[Path, ...]:
    """What an evaluation writes, the files of the occlusion analysis last."""
    return (
        out / METRICS_FILE,
        out / PER_SAMPLE_FILE,
        out / REPORT_FILE,
        *(occlusion_files(out, options.occlusion) if options.occlusion else ()),
    )


def _write(
    evaluation: Evaluation,
    occlusion: Occlusion | None,
    files: Sequence[Path],
    target: Path | None,
    options: EvaluationOptions,
    *,
    overwrite: bool,
) -> None:
    metrics, per_sample, page, *others = files
    ids = evaluation.ground.ids
    sequences = [sequence_of(imgname) for imgname, _ in ids]
    write_per_sample_csv(per_sample, ids, sequences, evaluation.samples, overwrite=overwrite)
    if occlusion is not None:
        write_occlusion(occlusion, evaluation.ground, others, overwrite=overwrite)
    loaded = None
    if target is not None and not is_predictions(target):
        loaded = load_checkpoint(target, options.weights)
    material = Material(evaluation, occlusion, target, loaded, options.command)
    write_report(page, material, overwrite=overwrite)
    write_json(metrics, evaluation.report.to_dict(), overwrite=overwrite)
