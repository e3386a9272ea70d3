"""Prepared networks beside the same networks as they are trained, and beside other engines.

Random weights: how long it takes does not depend on them. The plain form doubles the resolution
bilinearly, as public code of part attention does; the prepared one and the engines by repetition.
"""

import functools
import importlib.util
import io
import tomllib
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from smplcli.models.config import ModelConfig
from smplcli.models.inference import DType, has_fast_bf16, prepare_network
from smplcli.models.network import Network, build_network
from tests.benchmarks.duel import Duel

REACH: dict[DType, float] = {"fp32": 2.0, "bf16": 4.0}
REACH_OF_ENGINES = 0.9
BATCHES = (1, 8)


def duels() -> Iterator[Duel]:
    """`pare` on ResNet-50 with one picture and a batch, and what ships, `lite`."""
    network = build_network(recipe("pare")).eval()
    plain = build_network(recipe("pare", upsample_mode="bilinear")).eval()
    plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    lite = build_network(recipe("lite")).eval()
    for precision, reach in REACH.items():
        if precision == "bf16" and not has_fast_bf16(torch.device("cpu")):
            print("  skipped bf16: this processor has no instructions for it")
            return
        prepared = prepare_network(network, precision=precision)
        for batch in BATCHES:
            job = f"pare network, {precision}, batch {batch}"
            image = torch.rand(batch, 3, network.config.input_size, network.config.input_size)
            ours = forward(prepared, image.to(memory_format=torch.channels_last))
            yield Duel(job, ours, "plain", forward(plain, image), reach)
            for name, theirs in engines(network, image, precision):
                yield Duel(job, ours, name, theirs, REACH_OF_ENGINES)
        image = torch.rand(8, 3, lite.config.input_size, lite.config.input_size)
        image = image.to(memory_format=torch.channels_last)
        ours = forward(prepare_network(lite, precision=precision), image)
        yield Duel(f"lite network, {precision}, batch 8", ours, "plain", forward(lite, image))


def recipe(name: str, **changes: Any) -> ModelConfig:
    """The model of a recipe that ships."""
    text = (files("smplcli") / "recipes" / f"{name}.toml").read_text()
    return ModelConfig(**tomllib.loads(text)["model"] | changes)


def forward(network: Network, image: Tensor) -> Callable[[], object]:
    """One pass of a network."""
    return torch.inference_mode()(functools.partial(network, image))


def engines(
    network: Network, image: Tensor, precision: str
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Other engines with the same weights, those that are there; says which are not."""
    missing = [x for x in ("onnx", "onnxscript") if importlib.util.find_spec(x) is None]
    if missing:
        print(f"  skipped engines: not installed: {', '.join(missing)}")
        return
    model = exported(network, image)
    pixels = image.numpy()
    if importlib.util.find_spec("onnxruntime") is None:
        print("  skipped onnxruntime: not installed")
    elif precision == "fp32":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(model, options)
        name = session.get_inputs()[0].name
        yield "onnxruntime", lambda: session.run(None, {name: pixels})
    if importlib.util.find_spec("openvino") is None:
        print("  skipped openvino: not installed")
        return
    import openvino

    core = openvino.Core()
    hints = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
    hints["INFERENCE_PRECISION_HINT"] = {"fp32": "f32", "bf16": "bf16"}[precision]
    compiled = core.compile_model(core.read_model(model), "CPU", hints)
    yield "openvino", lambda: compiled(pixels)


def exported(network: Network, image: Tensor) -> bytes:
    """A network as ONNX."""
    file = io.BytesIO()
    torch.onnx.export(network, (image,), file, dynamo=True, verbose=False)
    return file.getvalue()
