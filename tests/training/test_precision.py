import pytest
import torch

from smplcli.errors import RefusedError
from smplcli.models.config import ModelConfig
from smplcli.training.config import ComputeConfig, Recipe, ScheduleConfig
from smplcli.training.precision import autocast, compile_failure, compiled, part_size
from smplcli.training.run import begin_state
from smplcli.training.step import Stepper
from tests.people import FewPeople, few_people
from tests.training.tiny import tiny_run

NO_NORMS = Recipe(
    model=ModelConfig(
        backbone="test_efficientnet", head="baseline", input_size=64, hidden=8, fold_norm=True
    ),
    schedule=ScheduleConfig(batch_size=6, warmup=0),
)
CPU, GPU = torch.device("cpu"), torch.device("cuda")


def some_unlabelled():
    """People of whom the first three have no body, so that parts of a batch differ in labels."""
    people = few_people()
    return FewPeople(
        person._replace(has_smpl=0) if number < 3 else person
        for number, person in enumerate(people.samples)
    )


def gradients(tmp_path, **compute):
    recipe = NO_NORMS.model_copy(update={"compute": ComputeConfig(**compute)})
    run = tiny_run(tmp_path / str(compute), samples=some_unlabelled(), recipe=recipe)
    stepper = Stepper(run, begin_state(run))
    batch = run.samples[[(0, index) for index in range(6)]]
    outcome = stepper.take(0, batch)
    return outcome.terms, {
        name: parameter.grad for name, parameter in run.network.named_parameters()
    }


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_has_the_losses_and_the_gradient_of_the_whole(tmp_path, parts):
    terms, whole = gradients(tmp_path)
    terms_of_parts, summed = gradients(tmp_path, accumulate=parts)

    assert terms_of_parts == pytest.approx(terms, rel=1e-5)
    scale = max(gradient.abs().max() for gradient in whole.values())
    for name, gradient in whole.items():
        # Rounding of sums in another order.
        torch.testing.assert_close(summed[name], gradient, rtol=0, atol=float(1e-5 * scale))


def test_bfloat16_steps_are_near_those_of_float32_and_weights_stay_float32(tmp_path):
    terms, exact = gradients(tmp_path, precision="fp32")
    rough_terms, rough = gradients(tmp_path, precision="bf16")

    assert rough_terms != terms
    assert rough_terms == pytest.approx(terms, rel=0.05)
    assert {gradient.dtype for gradient in rough.values()} == {torch.float32}
    assert rough.keys() == exact.keys()


@pytest.mark.parametrize(
    ("precision", "device", "is_half"),
    [
        ("auto", GPU, True),
        ("auto", CPU, False),
        ("bf16", CPU, True),
        ("bf16", GPU, True),
        ("fp32", GPU, False),
    ],
)
# Where there is no GPU, torch says that it turns this off.
@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_a_gpu_computes_in_bfloat16_unless_told_otherwise(precision, device, is_half):
    context = autocast(precision, device)

    assert context.fast_dtype == torch.bfloat16
    if device == CPU or torch.cuda.is_available():
        assert context._enabled == is_half


def test_nothing_is_compiled_unless_asked_for():
    assert compiled(len, ComputeConfig()) is len
    assert compiled(len, ComputeConfig(compile=True)) is not len


def test_what_cannot_be_compiled_is_an_error_that_says_what_to_do():
    def fail(_graph, _inputs):
        raise OSError("no compiler here")

    broken = torch.compile(lambda x: x + 1, backend=fail)

    with pytest.raises(RuntimeError) as caught:
        broken(torch.ones(1))

    failure = compile_failure(caught.value)
    assert isinstance(failure, RefusedError)
    assert "no compiler here" in failure.message
    assert "compile" in failure.hint
    assert compile_failure(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


@pytest.mark.parametrize(
    ("processes", "accumulate", "size"), [(1, 1, 64), (2, 1, 32), (2, 3, 11), (1, 64, 1)]
)
def test_pictures_pass_the_network_in_parts_of_a_process_share(processes, accumulate, size):
    recipe = Recipe(compute=ComputeConfig(accumulate=accumulate))

    assert part_size(recipe, processes) == size


@pytest.mark.gpu
def test_a_gpu_takes_steps_in_bfloat16_like_those_of_float32(tmp_path):
    terms = {}
    for precision in ("fp32", "auto"):
        recipe = NO_NORMS.model_copy(update={"compute": ComputeConfig(precision=precision)})
        run = tiny_run(tmp_path / precision, recipe=recipe)
        run.device = GPU
        stepper = Stepper(run, begin_state(run))
        batch = run.samples[[(0, index) for index in range(6)]]
        terms[precision] = stepper.take(0, batch).terms

    assert terms["auto"] != terms["fp32"]
    assert terms["auto"] == pytest.approx(terms["fp32"], rel=0.05)
