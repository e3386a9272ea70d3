"""A network made ready to answer fast; nothing but the last digits of its answers changes.

Batch norms, activations and residual sums become part of the convolutions they follow, doubling
the resolution becomes part of the convolution that follows it, and weights are kept in the order
in which the processor reads them.
"""

import operator
from copy import deepcopy
from typing import Any, Literal, TypeGuard, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from smplcli.errors import ConfigError
from smplcli.models.network import Network

Precision = Literal["auto", "fp32", "bf16"]
"""``auto`` is bf16 for large networks on devices that are made for it."""

LARGE = 15_000_000
"""Parameters; smaller networks take less time than the rest of the work, and round worse."""

_FROM_DOUBLED = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""What each row of a 4x4 kernel with stride 2 sums up of a 3x3 kernel behind a doubling."""

_ACTIVATIONS: dict[Any, tuple[str, list[float]]] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    functional.relu: ("relu", []),
    torch.relu: ("relu", []),
}
"""oneDNN's names and numbers of the activations that convolutions take in."""

WIDE = 1024
"""Channels from which oneDNN is slow at transposed convolutions in bf16 of few pictures."""

_SUMS = (operator.add, operator.iadd, torch.add)

_PADDED_BY_SIZE = "Conv2dSame"
"""timm's convolution that pads as TensorFlow does; other variants change their weights as well."""


def resolve_precision(precision: Precision, network: Network) -> Literal["fp32", "bf16"]:
    """What ``auto`` means for a network where it is.

    Raises:
        ConfigError: bf16 is asked for where torch has none of it.
    """
    device = network.mean_rot6d.device
    has_bf16 = device.type == "cpu" or (device.type == "cuda" and torch.cuda.is_bf16_supported())
    if precision == "bf16" and not has_bf16:
        raise ConfigError(
            f"device does not compute with bf16: {device}", hint="Choose precision fp32."
        )
    if precision != "auto":
        return precision
    is_large = sum(x.numel() for x in network.parameters()) >= LARGE
    return "bf16" if is_large and has_fast_bf16(device) else "fp32"


def has_fast_bf16(device: torch.device) -> bool:
    """Whether a device has instructions of its own for bf16, which others only imitate."""
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def prepare_network(network: Network, *, precision: Precision = "fp32") -> Network:
    """A copy of a network that answers alike, but faster, and learns nothing any more.

    Convolutions take in what surrounds them and compute in ``precision``; the perceptrons of the
    heads and everything after them stay in float32.

    Args:
        network: The network, on the device that computes.
        precision: Of the convolutions.

    Raises:
        ConfigError: The device does not compute in that precision.
    """
    is_bf16 = resolve_precision(precision, network) == "bf16"
    dtype = torch.bfloat16 if is_bf16 else torch.float32
    tensors = {id(x): x for x in (*network.parameters(), *network.buffers())}
    prepared = deepcopy(network, tensors).eval()  # tensors are shared until they are replaced
    prepared.backbone.net = _prepare(prepared.backbone.net, dtype)
    for name, child in list(prepared.head.named_children()):
        if isinstance(child, nn.ModuleList):
            setattr(prepared.head, name, nn.ModuleList(_prepare(each, dtype) for each in child))
        elif any(_is_convolution(each) for each in child.modules()):
            setattr(prepared.head, name, _prepare(child, dtype))
    return prepared


class Convolution(nn.Module):
    """A convolution with what follows it: a sum with something else, and an activation.

    The weights are ordered at the first call, when it is known what size pictures have: oneDNN
    orders them by that, and orders them anew at every call where it would do otherwise.

    Args:
        conv: The convolution, whose weights are replaced.
        dtype: What it computes in, whatever it is given.
        activation: What comes last, by oneDNN's name, and its numbers.
    """

    def __init__(
        self,
        conv: nn.Conv2d | nn.ConvTranspose2d,
        dtype: torch.dtype,
        activation: tuple[str, list[float]],
    ) -> None:
        super().__init__()
        self.conv, self._dtype = conv, dtype
        self.activation, self.limits = activation
        weight = conv.weight.detach().to(dtype)
        conv.weight = _fixed(weight.to(memory_format=torch.channels_last))
        self._packed: Tensor | None = None
        self._is_new = True
        conv.bias = conv.bias if conv.bias is None else _fixed(conv.bias.detach().to(dtype))

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Activation of convolved x (B, C, H, W), to which ``other`` is added before."""
        x = x.to(self._dtype)
        if self._is_new:
            self._order_weights(x)
        if self._packed is not None:
            return self._run_packed(x, other)
        y = cast("Tensor", self.conv(x))
        if other is not None:
            y = y + other
        if self.activation == "relu":
            return functional.relu(y)
        return y.clamp(*self.limits) if self.limits else y

    def _order_weights(self, x: Tensor) -> None:
        self._is_new = False
        self._packed = _pack(self.conv, x.shape)
        if self._packed is not None:
            self.conv.weight = _fixed(self.conv.weight.new_zeros(0))

    def _run_packed(self, x: Tensor, other: Tensor | None) -> Tensor:
        conv = self.conv
        weights, where = (self._packed, conv.bias), (conv.stride, conv.dilation, conv.groups)
        after = (self.activation, self.limits, "")
        if isinstance(conv, nn.ConvTranspose2d):
            pads = (conv.padding, conv.output_padding)
            y = _operation("_convolution_transpose_pointwise")(x, *weights, *pads, *where, *after)
        elif other is None:
            y = _operation("_convolution_pointwise")(x, *weights, conv.padding, *where, *after)
        else:
            unary = None if self.activation == "none" else self.activation
            y = _operation("_convolution_pointwise").binary(
                x, other, *weights, conv.padding, *where, "add", 1.0, unary, [], ""
            )
        return cast("Tensor", y)


class Interleaved(nn.Module):
    """A 4x4 convolution, transposed with stride 2, as one of 2x2 for all four kinds of pixels.

    Args:
        conv: The transposed convolution, padded by 1.
        dtype: What it computes in.
        activation: What comes last.
    """

    def __init__(
        self, conv: nn.ConvTranspose2d, dtype: torch.dtype, activation: tuple[str, list[float]]
    ) -> None:
        super().__init__()
        self.channels = conv.out_channels
        plain = nn.Conv2d(conv.in_channels, 4 * self.channels, 2, padding=1, device="meta")
        taps = torch.tensor([[3, 1], [2, 0]], device=conv.weight.device)  # even, odd pixels
        kernel = conv.weight.detach()[:, :, taps][..., taps]  # in, out, kind, 2, kind, 2
        plain.weight = _fixed(kernel.permute(2, 4, 1, 0, 3, 5).flatten(0, 2).contiguous())
        bias = kernel.new_zeros(self.channels) if conv.bias is None else conv.bias.detach()
        plain.bias = _fixed(bias.repeat(4))
        self.convolution = Convolution(plain, dtype, activation)

    def forward(self, x: Tensor) -> Tensor:
        """Doubled features (B, C, 2H, 2W) of x (B, D, H, W)."""
        height, width = x.shape[2:]
        y: Tensor = self.convolution(x)  # each kind at all places, and one row and column too many
        doubled = y.new_empty(len(y), self.channels, 2 * height, 2 * width)
        doubled = doubled.to(memory_format=torch.channels_last)
        for kind, part in enumerate(y.split(self.channels, dim=1)):
            row, column = divmod(kind, 2)
            values = part[:, :, row : row + height, column : column + width]
            doubled[:, :, row::2, column::2] = values
        return doubled


def _fixed(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def _pack(conv: nn.Conv2d | nn.ConvTranspose2d, shape: torch.Size) -> Tensor | None:
    """Weights in the order in which oneDNN reads them, where it can be asked to order them."""
    weight = conv.weight
    if weight.device.type != "cpu" or type(conv).__name__ == _PADDED_BY_SIZE:
        return None
    where = (conv.stride, conv.dilation, conv.groups)
    try:
        if isinstance(conv, nn.ConvTranspose2d):
            pads = (conv.padding, conv.output_padding)
            packed = _operation("_reorder_convolution_transpose_weight")(
                weight, *pads, *where, shape
            )
        else:
            packed = _operation("_reorder_convolution_weight")(weight, conv.padding, *where, shape)
    except (AttributeError, RuntimeError):  # a torch without oneDNN, or another processor's
        return None
    return cast("Tensor", packed)


def _operation(name: str) -> Any:
    """An operation of oneDNN as torch's own compiler calls it."""
    return getattr(torch.ops.mkldnn, name)


def _is_convolution(module: nn.Module | None) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    return (
        type(module) in {nn.Conv2d, nn.ConvTranspose2d} or type(module).__name__ == _PADDED_BY_SIZE
    )


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


def _prepare(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A module of convolutions that computes the same faster."""
    device = next(module.parameters(), torch.empty(0)).device.type
    try:
        prepared: nn.Module = _Rewriter(nn.Sequential(module), dtype).rewrite()
    except Exception:  # noqa: BLE001 - networks of others may do anything that cannot be traced
        prepared = module
    others = (x for x in prepared.modules() if not _is_convolution(x))
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
            if _is_convolution(conv):
                self._replace(node, conv)
        graph.eliminate_dead_code()
        self._net.delete_all_unused_submodules()
        self._net.recompile()
        return self._net

    def _replace(self, node: fx.Node, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        self._fold_norm(node, conv)
        source, conv = _merge_doubling(node.args[0], conv)
        inputs, last = [source], node
        total = _only_user(node)
        if total is not None and type(conv) is nn.Conv2d and _is_sum(total):
            first, second = total.args
            inputs, last = [source, second if first is node else first], total
        activation = self._activation(_only_user(last))
        if activation and (last is node or activation[0] == "relu"):
            (last,) = last.users
        else:
            activation = None
        name = f"convolution_{node.name}"
        is_wide = self._dtype == torch.bfloat16 and conv.in_channels >= WIDE
        how = self._dtype, activation or ("none", [])
        step = Interleaved(conv, *how) if is_wide and _doubles(conv) else Convolution(conv, *how)
        self._net.add_submodule(name, step)
        with self._net.graph.inserting_before(last):
            call = self._net.graph.call_module(name, tuple(inputs))
        last.replace_all_uses_with(call)

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


def _doubles(conv: nn.Conv2d | nn.ConvTranspose2d) -> TypeGuard[nn.ConvTranspose2d]:
    sizes = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    usual = sizes == ((4, 4), (2, 2), (1, 1), (1, 1), 1)
    return isinstance(conv, nn.ConvTranspose2d) and usual and not any(conv.output_padding)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_sum(node: fx.Node) -> bool:
    """Whether it adds two different tensors, and nothing else."""
    if node.op != "call_function" or node.target not in _SUMS or node.kwargs:
        return False
    return all(isinstance(x, fx.Node) for x in node.args) and len(set(node.args)) == 2


def _merge_doubling(
    source: Any, conv: nn.Conv2d | nn.ConvTranspose2d
) -> tuple[Any, nn.Conv2d | nn.ConvTranspose2d]:
    """What a convolution reads, and itself; one that does both if it reads a doubled picture.

    Of the nine pixels that a 3x3 kernel reads there, several are the same: each kind of
    neighbourhood needs the sums of some of its weights only, and 16 products do for 36.
    """
    if not isinstance(source, fx.Node) or source.target is not functional.interpolate:
        return source, conv
    if (source.kwargs.get("scale_factor"), source.kwargs.get("mode")) != (2.0, "nearest"):
        return source, conv
    sizes = (conv.kernel_size, conv.padding, conv.stride, conv.dilation, conv.groups)
    if type(conv) is not nn.Conv2d or sizes != ((3, 3), (1, 1), (1, 1), (1, 1), 1):
        return source, conv
    rows = torch.tensor(_FROM_DOUBLED, dtype=torch.float64, device=conv.weight.device)
    kernel = torch.einsum("ak,bl,oikl->ioab", rows, rows, conv.weight.double()).float()
    merged = nn.ConvTranspose2d(
        conv.in_channels, conv.out_channels, 4, stride=2, padding=1, device="meta"
    )
    merged.weight = _fixed(kernel)
    merged.bias = conv.bias
    return source.args[0], merged
