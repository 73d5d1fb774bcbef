"""Tensors as buffers, for other processes; and what a process must do before and after a fork."""

from __future__ import annotations

import pickle
from typing import Any

import mlx.core as mx
import numpy as np

from flashlight._core import device as devices
from flashlight._core.dtype import BY_NAME, bfloat16, dtype
from flashlight._core.evaluation import evaluate, flush
from flashlight._core.layout import contiguous
from flashlight._core.layout import layout as layout_of
from flashlight._core.storage import Storage
from flashlight._core.tensor import Tensor, make, read

_on_cpu_only = [False]


def reduce(tensor: Tensor) -> tuple:
    """Return the arguments with which `rebuild` makes a copy of `tensor`, without its history.

    The data is a `pickle.PickleBuffer`: protocol 5 can carry it outside of the pickle. Raises
    RuntimeError for a tensor that needs grad and has a history.
    """
    if tensor.requires_grad and not tensor.is_leaf:
        raise RuntimeError(
            "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd "
            "does not support crossing process boundaries.  If you just want to transfer the "
            "data, call detach() on the tensor before serializing (e.g., putting it on the queue)."
        )
    layout = tensor._layout
    where = layout.device.type
    if _on_cpu_only[0] and where == "cpu":
        where = None
    stride = layout.stride if layout.is_dense() and not layout.contiguous else None
    if where == "meta":
        data = None
    else:
        values = read(tensor)
        if stride is not None:
            values = mx.transpose(values, _memory_order(stride))
        values = evaluate(mx.contiguous(values), "sending a tensor")
        data = pickle.PickleBuffer(_as_numpy(values).reshape(-1))
    return data, layout.dtype.name, tuple(layout.size), stride, where, tensor.requires_grad


def rebuild(
    data: Any,
    dtype_name: str,
    size: tuple[int, ...],
    stride: tuple[int, ...] | None,
    where: str | None,
    requires_grad: bool,
) -> Tensor:
    """Return the tensor that `reduce` took apart; without a device, on the default one."""
    kind: dtype = BY_NAME[dtype_name]
    device = devices.resolve(where)
    layout = contiguous(size, kind, device)
    if stride is not None:
        layout = layout_of(size, stride, 0, kind, device)
    if device is devices.META:
        tensor = make(Storage(mx.zeros((0,), kind.mlx), contiguous((0,), kind, device)), layout)
    else:
        source = np.frombuffer(data, np.uint16 if kind is bfloat16 else kind.numpy)
        values = mx.array(source)
        if kind is bfloat16:
            with mx.stream(devices.STREAMS.cpu):
                values = mx.view(values, mx.bfloat16)
        elif values.dtype != kind.mlx:
            values = mx.array(source, kind.mlx)
        own = layout if stride is None else contiguous((layout.numel,), kind, device)
        shape = size if stride is None else (layout.numel,)
        tensor = make(Storage(mx.reshape(values, shape), own), layout)
        evaluate(tensor._storage.array)
    return tensor.requires_grad_() if requires_grad else tensor


def _memory_order(stride: tuple[int, ...]) -> list[int]:
    """Return the dimensions from the outermost in memory to the innermost."""
    return sorted(range(len(stride)), key=lambda dim: -stride[dim])


def _as_numpy(values: mx.array) -> np.ndarray:
    """Return the memory of an evaluated array; bfloat16, which NumPy lacks, as its bits."""
    if values.dtype == mx.bfloat16:
        with mx.stream(devices.STREAMS.cpu):
            values = evaluate(mx.view(values, mx.uint16))
    return np.asarray(values)


def settle() -> None:
    """Finish all work that is under way: what is left lazy, a forked child could not compute."""
    flush()
    mx.synchronize(devices.STREAMS.cpu)
    if devices.STREAMS.native is not devices.STREAMS.cpu:
        mx.synchronize(devices.STREAMS.native)


def stay_on_cpu() -> None:
    """Make the CPU this process's default device, for tensors that go to another process."""
    if devices.NATIVE != "cpu":
        devices.set_default_device("cpu")
        _on_cpu_only[0] = True


def take_data(tensor: Tensor, source: Tensor) -> None:
    """Let `tensor`, a new result, have the data of `source` from now on, as if computed so.

    A view's data is not its own, and stays.
    """
    own = tensor._storage.layout
    if own is tensor._layout and source._layout.size == own.size:
        tensor._storage.array = read(source)
