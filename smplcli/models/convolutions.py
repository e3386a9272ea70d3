"""Convolutions as prepared networks compute them."""

from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

_FROM_DOUBLED = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""What each row of a 4x4 kernel with stride 2 sums up of a 3x3 kernel behind a doubling."""

_PADDED_BY_SIZE = "Conv2dSame"
"""timm's convolution that pads as TensorFlow does; other variants change their weights as well."""


MOST_SIZES = 16
"""Sizes of pictures for which ordered weights are kept."""


class Convolution(nn.Module):
    """A convolution with what follows it: a sum with something else, and an activation.

    The weights are ordered when the size of pictures is known: oneDNN orders them by that, and
    orders them anew at every call where it would do otherwise.

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
        self._packed: dict[torch.Size, Tensor | None] = {}
        conv.bias = conv.bias if conv.bias is None else _fixed(conv.bias.detach().to(dtype))

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Activation of convolved x (B, C, H, W), to which ``other`` is added before."""
        x = x.to(self._dtype)
        packed = self._pack(x.shape)
        if packed is not None:
            return self._run_packed(x, other, packed)
        y = cast("Tensor", self.conv(x))
        if other is not None:
            y = y + other
        return _activate(y, self.activation, self.limits)

    def _pack(self, shape: torch.Size) -> Tensor | None:
        """Weights for pictures of some size, kept for the next ones."""
        size, known = shape[2:], self._packed
        if size not in known:
            kept = known if len(known) < MOST_SIZES else {}
            known = {**kept, size: _pack(self.conv, shape)}
            self._packed = known  # other threads go on reading what they had
        return known[size]

    def _run_packed(self, x: Tensor, other: Tensor | None, packed: Tensor) -> Tensor:
        conv = self.conv
        weights, where = (packed, conv.bias), (conv.stride, conv.dilation, conv.groups)
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


class Doubling(nn.Module):
    """A 3x3 convolution of a picture whose resolution is doubled by repeating its pixels.

    Every pixel is multiplied by each of the nine taps once, before it is repeated, and what a
    pixel of the larger picture needs is summed up from these products: nine for four pixels,
    where 36 are computed in the larger picture.

    Args:
        conv: The convolution, padded by 1.
        dtype: What it computes in.
        activation: What comes last.
    """

    def __init__(
        self,
        conv: nn.Conv2d | nn.ConvTranspose2d,
        dtype: torch.dtype,
        activation: tuple[str, list[float]],
    ) -> None:
        super().__init__()
        taps = nn.Conv2d(conv.in_channels, 9 * conv.out_channels, 1, device="meta")
        weight = conv.weight.detach().permute(2, 3, 0, 1)
        taps.weight = _fixed(weight.reshape(*taps.weight.shape))
        bias = weight.new_zeros(9, conv.out_channels)
        if conv.bias is not None:
            bias[4] = conv.bias.detach()  # every pixel takes the middle tap once
        taps.bias = _fixed(bias.flatten())
        self.products = Convolution(taps, dtype, ("none", []))
        self.activation, self.limits = activation

    def forward(self, x: Tensor) -> Tensor:
        """Doubled features (B, C, 2H, 2W) of x (B, D, H, W)."""
        height, width = x.shape[2:]
        products = self.products(x).permute(0, 2, 3, 1).unflatten(3, (3, 3, -1))
        doubled = products.new_empty(len(x), height, 2, width, 2, products.shape[-1])
        for one, out in zip(products, doubled, strict=True):  # one at a time stays in the cache
            _sum_products(one, out)
            _activate(out, self.activation, self.limits)
        pixels: Tensor = doubled.view(len(x), 2 * height, 2 * width, -1)
        return pixels.permute(0, 3, 1, 2)


def convolve_doubled(x: Tensor, weight: Tensor) -> Tensor:
    """What `Doubling` computes, before its activation, with gradients.

    Args:
        x: (B, D, H, W).
        weight: (C, D, 3, 3).

    Returns:
        (B, C, 2H, 2W).
    """
    if x.device.type != "cpu":
        return functional.conv_transpose2d(x, _merged_kernel(weight), stride=2, padding=1)
    taps = weight.permute(2, 3, 0, 1).flatten(0, 2)
    products = functional.linear(x.permute(0, 2, 3, 1), taps).unflatten(3, (3, 3, -1))
    doubled = cast("Tensor", _SummedProducts.apply(products))
    return doubled.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


class _SummedProducts(torch.autograd.Function):
    """Pixels (B, H, 2, W, 2, C) of the larger pictures from products (B, H, W, 3, 3, C)."""

    @staticmethod
    def forward(ctx: Any, products: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        count, height, width, *_, channels = products.shape
        doubled = products.new_empty(count, height, 2, width, 2, channels)
        for one, out in zip(products, doubled, strict=True):
            _sum_products(one, out)
        return doubled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        count, height, _, width, _, channels = gradient.shape
        products = gradient.new_empty(count, height, width, 3, 3, channels)
        for one, out in zip(gradient, products, strict=True):
            rows = one.new_empty(height, 2, width, 3, channels)
            _spread_taps(one.movedim(2, 0).unbind(3), rows.movedim(2, 0).unbind(3))
            _spread_taps(rows.unbind(1), out.unbind(2))
        return products


def _sum_products(products: Tensor, doubled: Tensor) -> None:
    """Sum products (H, W, 3, 3, C) up for pixels (H, 2, W, 2, C)."""
    height, width = products.shape[:2]
    rows = products.new_empty(height, 2, width, *products.shape[-2:])
    _sum_taps(products.unbind(2), rows.unbind(1))
    _sum_taps(rows.movedim(2, 0).unbind(3), doubled.movedim(2, 0).unbind(3))


def _sum_taps(taps: tuple[Tensor, ...], doubled: tuple[Tensor, ...]) -> None:
    """Sum products (N, ...) of three taps up for the even and the odd ones of 2 N pixels."""
    before, here, after = taps
    even, odd = doubled
    torch.add(here, after, out=even)
    even[1:] += before[:-1]
    torch.add(before, here, out=odd)
    odd[:-1] += after[1:]


def _spread_taps(doubled: tuple[Tensor, ...], taps: tuple[Tensor, ...]) -> None:
    """Gradients of `_sum_taps`: of the taps from those of the pixels."""
    even, odd = doubled
    before, here, after = taps
    before.copy_(odd)
    before[:-1] += even[1:]
    torch.add(even, odd, out=here)
    after.copy_(even)
    after[1:] += odd[:-1]


def doubling(
    conv: nn.Conv2d | nn.ConvTranspose2d, dtype: torch.dtype, activation: tuple[str, list[float]]
) -> Doubling | Convolution:
    """What does the work of a 3x3 convolution behind a doubling by repetition."""
    if conv.weight.device.type == "cpu":
        return Doubling(conv, dtype, activation)
    # Elsewhere a few more products cost less than many small steps.
    return Convolution(merge_doubling(conv), dtype, activation)


def merge_doubling(conv: nn.Conv2d | nn.ConvTranspose2d) -> nn.ConvTranspose2d:
    """A 3x3 convolution behind a doubling by repetition, as one transposed convolution.

    Of the nine pixels that a 3x3 kernel reads there, several are the same: each kind of
    neighbourhood needs the sums of some of its weights only, and 16 products do for 36.
    """
    merged = nn.ConvTranspose2d(
        conv.in_channels, conv.out_channels, 4, stride=2, padding=1, device="meta"
    )
    merged.weight = _fixed(_merged_kernel(conv.weight.detach().double()).float())
    merged.bias = conv.bias
    return merged


def _merged_kernel(weight: Tensor) -> Tensor:
    """Weights (D, C, 4, 4) of the transposed convolution of those of a 3x3 one (C, D, 3, 3)."""
    rows = torch.tensor(_FROM_DOUBLED, dtype=weight.dtype, device=weight.device)
    return torch.einsum("ak,bl,oikl->ioab", rows, rows, weight)


def _activate(y: Tensor, activation: str, limits: list[float]) -> Tensor:
    if activation == "relu":
        return y.relu_()
    return y.clamp_(*limits) if limits else y


def merge_padding(conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Make a convolution add a row of zeros below and a column at the right, as TensorFlow does.

    Its kernel gets a row and a column of zeros at the other sides, and every side is padded.
    """
    conv.weight = _fixed(functional.pad(conv.weight.detach(), (1, 0, 1, 0)))
    conv.kernel_size = (conv.kernel_size[0] + 1, conv.kernel_size[1] + 1)
    conv.padding = (1, 1)


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


def is_convolution(module: nn.Module | None) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    """Whether `Convolution` knows what a module computes."""
    return (
        type(module) in {nn.Conv2d, nn.ConvTranspose2d} or type(module).__name__ == _PADDED_BY_SIZE
    )
