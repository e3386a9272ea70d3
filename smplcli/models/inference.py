"""A network made ready to answer fast; nothing but the last digits of its answers changes.

Batch norms, activations and residual sums become part of the convolutions they follow, doubling
the resolution becomes part of the convolution that follows it, and weights are kept in the order
in which the processor reads them.
"""

import operator
from copy import deepcopy
from typing import Any, Literal, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from smplcli.errors import ConfigError
from smplcli.models.convolutions import (
    Convolution,
    doubling,
    is_convolution,
    merge_padding,
)
from smplcli.models.network import Network

Precision = Literal["auto", "fp32", "bf16"]
"""``auto`` is bf16 for what takes long, on devices that are made for it."""

DType = Literal["fp32", "bf16"]
"""What convolutions compute in."""

DTYPES: dict[DType, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}

LARGE = 15_000_000
"""Parameters; smaller networks take less time than the rest of the work, and round worse."""

_ACTIVATIONS: dict[Any, tuple[str, list[float]]] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    functional.relu: ("relu", []),
    torch.relu: ("relu", []),
}
"""oneDNN's names and numbers of the activations that convolutions take in."""

_SUMS = (operator.add, operator.iadd, torch.add)


def is_large(network: Network) -> bool:
    """Whether a network takes so long that less exact numbers are worth it."""
    return sum(x.numel() for x in network.parameters()) >= LARGE


def resolve_precision(precision: Precision, device: torch.device, *, takes_long: bool) -> DType:
    """What ``auto`` means on a device.

    Raises:
        ConfigError: bf16 is asked for where torch has none of it.
    """
    has_bf16 = device.type == "cpu" or (device.type == "cuda" and torch.cuda.is_bf16_supported())
    if precision == "bf16" and not has_bf16:
        raise ConfigError(
            f"device does not compute with bf16: {device}", hint="Choose precision fp32."
        )
    if precision != "auto":
        return precision
    return "bf16" if takes_long and has_fast_bf16(device) else "fp32"


def has_fast_bf16(device: torch.device) -> bool:
    """Whether a device has instructions of its own for bf16, which others only imitate."""
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def prepare_network(network: Network, *, precision: DType = "fp32") -> Network:
    """A copy of a network that answers alike, but faster, and learns nothing any more.

    Convolutions take in what surrounds them and compute in ``precision``; the perceptrons of the
    heads and everything after them stay in float32.

    Args:
        network: The network, on the device that computes.
        precision: Of the convolutions.
    """
    tensors = {id(x): x for x in (*network.parameters(), *network.buffers())}
    prepared = deepcopy(network, tensors).eval()  # tensors are shared until they are replaced
    prepared.backbone.net = prepare_module(prepared.backbone.net, precision)
    for name, child in list(prepared.head.named_children()):
        if isinstance(child, nn.ModuleList):
            parts = (prepare_module(each, precision) for each in child)
            setattr(prepared.head, name, nn.ModuleList(parts))
        elif any(is_convolution(each) for each in child.modules()):
            setattr(prepared.head, name, prepare_module(child, precision))
    return prepared


class _Tracer(fx.Tracer):
    """Sees convolutions and norms as a whole, also timm's variants of them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_whole = isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d)
        return is_whole or super().is_leaf_module(m, module_qualified_name)


class _InBf16(nn.Module):
    """What cannot be taken apart, under torch's own rules for mixed precision."""

    def __init__(self, net: nn.Module, device: str) -> None:
        super().__init__()
        self.net, self.device = net, device

    def forward(self, x: Any) -> Any:
        with torch.autocast(self.device, torch.bfloat16):
            return self.net(x)


def prepare_module(module: nn.Module, precision: DType) -> nn.Module:
    """A module of convolutions that computes the same faster.

    Args:
        module: Used up; what it returns goes on as it is.
        precision: Of the convolutions.
    """
    dtype = DTYPES[precision]
    device = next(module.parameters(), torch.empty(0)).device.type
    try:
        prepared: nn.Module = _Rewriter(nn.Sequential(module), dtype).rewrite()
    except Exception:  # noqa: BLE001 - networks of others may do anything that cannot be traced
        prepared = module
    others = (x for x in prepared.modules() if not is_convolution(x))
    has_others = any(True for x in others for _ in x.parameters(recurse=False))
    if dtype == torch.float32 or (prepared is not module and not has_others):
        return prepared
    return _InBf16(prepared, device)


class _Rewriter:
    """Takes a module's graph of operations and puts `Convolution` where it can.

    Args:
        module: What is traced; its convolutions are used up.
        dtype: What convolutions shall compute in.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        graph = _Tracer().trace(module)
        self._net, self._dtype = fx.GraphModule(module, graph), dtype

    def rewrite(self) -> fx.GraphModule:
        """The same function with fewer operations."""
        graph = self._net.graph
        for node in list(graph.nodes):
            if isinstance(self._module(node), nn.Identity | nn.Dropout):
                self._skip(node, node.args[0])
        for node in list(graph.nodes):
            conv = self._module(node)
            if is_convolution(conv):
                self._replace(node, conv)
        graph.eliminate_dead_code()
        self._net.delete_all_unused_submodules()
        self._net.recompile()
        return self._net

    def _replace(self, node: fx.Node, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        self._fold_norm(node, conv)
        source, last = cast("fx.Node", node.args[0]), node
        if self._pads_unevenly(source, conv):
            source = cast("fx.Node", source.args[0])
            merge_padding(conv)
        total = _only_user(node)
        is_doubling = _reads_doubled(source, conv)
        if is_doubling:
            inputs = [source.args[0]]
        elif total is not None and type(conv) is nn.Conv2d and _is_sum(total):
            first, second = total.args
            inputs, last = [source, second if first is node else first], total
        else:
            inputs = [source]
        activation = self._activation(_only_user(last))
        if activation and (last is node or activation[0] == "relu"):
            (last,) = last.users
        else:
            activation = None
        name = f"convolution_{node.name}"
        how = self._dtype, activation or ("none", [])
        step = doubling(conv, *how) if is_doubling else Convolution(conv, *how)
        self._net.add_submodule(name, step)
        with self._net.graph.inserting_before(last):
            call = self._net.graph.call_module(name, tuple(inputs))
        last.replace_all_uses_with(call)

    def _pads_unevenly(self, source: fx.Node, conv: nn.Conv2d | nn.ConvTranspose2d) -> bool:
        pad = self._module(source)
        is_uneven = isinstance(pad, nn.ZeroPad2d) and tuple(pad.padding) == (0, 1, 0, 1)
        return is_uneven and type(conv) is nn.Conv2d and conv.padding == (0, 0)

    def _fold_norm(self, node: fx.Node, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        user = _only_user(node)
        norm = self._module(user)
        if user is None or not isinstance(norm, nn.BatchNorm2d):
            return
        activation = getattr(norm, "act", nn.Identity())  # timm's norms have theirs inside
        if isinstance(activation, nn.Identity):
            self._skip(user, node)
        else:
            self._net.set_submodule(str(user.target), activation)
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            cast("Tensor", norm.running_mean),
            cast("Tensor", norm.running_var),
            norm.eps,
            norm.weight,
            norm.bias,
            transpose=isinstance(conv, nn.ConvTranspose2d),
        )

    def _skip(self, node: fx.Node, value: Any) -> None:
        node.replace_all_uses_with(value)
        self._net.graph.erase_node(node)

    def _module(self, node: fx.Node | None) -> nn.Module | None:
        if node is None or node.op != "call_module":
            return None
        return self._net.get_submodule(str(node.target))

    def _activation(self, node: fx.Node | None) -> tuple[str, list[float]] | None:
        if node is None or node.op not in {"call_module", "call_function"}:
            return None
        module = self._module(node)
        return _ACTIVATIONS.get(node.target if module is None else type(module))


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_sum(node: fx.Node) -> bool:
    """Whether it adds two different tensors, and nothing else."""
    if node.op != "call_function" or node.target not in _SUMS or node.kwargs:
        return False
    return all(isinstance(x, fx.Node) for x in node.args) and len(set(node.args)) == 2


def _reads_doubled(source: Any, conv: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether a 3x3 convolution reads a picture whose pixels were repeated."""
    if not isinstance(source, fx.Node) or source.target is not functional.interpolate:
        return False
    if (source.kwargs.get("scale_factor"), source.kwargs.get("mode")) != (2.0, "nearest"):
        return False
    sizes = (conv.kernel_size, conv.padding, conv.stride, conv.dilation, conv.groups)
    return type(conv) is nn.Conv2d and sizes == ((3, 3), (1, 1), (1, 1), (1, 1), 1)
