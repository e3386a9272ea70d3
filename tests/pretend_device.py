"""A second device that is the processor again: mixing its tensors with others fails, as on a GPU.

Its tensors hold others, which compute. It goes by the name of ``meta``, the one device that torch
lets everybody hand to anything on every machine; a tensor that is really of that device, and holds
nothing, was made past us and is an error.
"""

import contextlib
import threading

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")

_aten = torch.ops.aten
_INDEXING = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default}
"""A GPU takes indices that lie in the processor's memory, but not the other way round."""

_COPYING = {_aten.copy_.default, _aten._to_copy.default}

_tensor, _as_tensor, _autocast = torch.tensor, torch.as_tensor, torch.autocast
_run_thread = threading.Thread.run


class _There(torch.Tensor):
    """A tensor on the device."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=DEVICE,
        )

    def __init__(self, here):
        self.here = here

    @classmethod
    def __torch_dispatch__(cls, func, _types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})

    # What follows never reaches the dispatcher.

    def __getitem__(self, index):
        return super().__getitem__(_with_tensors(index))

    def __setitem__(self, index, value):
        super().__setitem__(_with_tensors(index), value)

    def __array__(self, *_args, **_options):
        raise TypeError("can't convert a tensor of another device to numpy")

    numpy = __array__

    def new_tensor(self, data, **options):
        return _There(self.here.new_tensor(data, **options))

    def tolist(self):
        return self.here.tolist()


class _Everywhere(TorchDispatchMode):
    """Also sees calls that have no tensor of the device among their arguments."""

    def __torch_dispatch__(self, func, _types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})


def _compute(func, args, kwargs):
    leaves = tree_leaves((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, _There)]
    here = [tensor for tensor in tensors if tensor.dim() and not isinstance(tensor, _There)]
    if any(tensor.is_meta for tensor in here):
        raise RuntimeError(f"a tensor was made past the pretended device: {func}")
    is_mixed = bool(there and here) and func not in _COPYING
    if is_mixed and not (func in _INDEXING and isinstance(args[0], _There)):
        raise RuntimeError(f"expected all tensors to be on the same device: {func}")
    target = kwargs.get("device")
    goes_there = bool(there)
    if target is not None:
        goes_there = _is_there(target)
        kwargs = {**kwargs, "device": torch.device("cpu")}
    elif func is _aten.copy_.default:
        goes_there = isinstance(args[0], _There)
    out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if not goes_there:
        return out
    known = {id(tensor.here): tensor for tensor in there}
    out = tree_map(lambda leaf: _outer(leaf, known), out)
    if target is not None:
        return out
    return return_and_correct_aliasing(func, args, kwargs, out)


def _inner(leaf):
    return leaf.here if isinstance(leaf, _There) else leaf


def _outer(leaf, known):
    if not isinstance(leaf, torch.Tensor):
        return leaf
    return known[id(leaf)] if id(leaf) in known else _There(leaf)


def _is_there(device):
    return device is not None and torch.device(device) == DEVICE


def _with_tensors(index):
    """Lists of an index as tensors of the device, where torch would make them itself."""
    if isinstance(index, list):
        return _There(_tensor(index))
    return tuple(map(_with_tensors, index)) if isinstance(index, tuple) else index


def _made(data, *, device=None, **options):
    made = _tensor(data, **options)
    return _There(made) if _is_there(device) else made


def _moved(data, *args, device=None, **options):
    made = _as_tensor(data, *args, **options)
    return made if device is None else made.to(device)


def _mixed_precision(device, *args, **options):
    return contextlib.nullcontext() if _is_there(device) else _autocast(device, *args, **options)


def _run_there(thread):
    with _Everywhere():
        _run_thread(thread)


def _begin_inference(mode):
    """Without the rest of inference mode, which has no views of tensors that hold others."""
    mode.before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)


def _end_inference(mode, *_error):
    torch.set_grad_enabled(mode.before)


@contextlib.contextmanager
def pretended_device():
    """The name of the device, which is there until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "tensor", _made)
        patch.setattr(torch, "as_tensor", _moved)
        patch.setattr(torch, "autocast", _mixed_precision)
        patch.setattr(torch.inference_mode, "__enter__", _begin_inference)
        patch.setattr(torch.inference_mode, "__exit__", _end_inference)
        patch.setattr(threading.Thread, "run", _run_there)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            with _Everywhere():
                yield DEVICE.type
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(False)
