"""Tensors from nothing, from numbers and from other data."""

from __future__ import annotations

import math
import operator

import mlx.core as mx
import numpy as np

from .._core.arrangement import preserved_stride
from .._core.device import CPU, META, NATIVE, STREAMS, resolve
from .._core.dtype import (
    FROM_MLX,
    FROM_NUMPY,
    TO_COMPLEX,
    bfloat16,
    bool_,
    check_supported,
    complex128,
    dtype,
    float32,
    float64,
    get_default_dtype,
    int64,
)  # fmt: skip
from .._core.evaluation import ensure_memory, ready
from .._core.layout import layout as layout_of
from .._core.promotion import number_dtype, promote_types
from .._core.storage import Storage
from .._core.tensor import Tensor, from_host, make, read, to_array, wrap
from .kinds import composite, primitive


def size_from(name: str, sizes) -> tuple:
    """Return the size meant by positional arguments: `f(2, 3)` or `f((2, 3))`.

    Raises TypeError for other than integers, RuntimeError for negative ones.
    """
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    elif len(sizes) == 1 and isinstance(sizes[0], Tensor) and sizes[0].ndim:
        sizes = sizes[0].tolist()
    try:
        size = tuple([operator.index(n) for n in sizes])
    except TypeError:
        position, bad = next((i, n) for i, n in enumerate(sizes)
                             if not hasattr(n, "__index__") or isinstance(n, Tensor))
        raise TypeError(
            f"{name}(): argument 'size' (position 1) must be tuple of ints, but found element of "
            f"type {type(bad).__name__} at pos {position}"
        ) from None
    for n in size:
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(size)}")
    return size


def _bytes_of(size, kind):
    count = math.prod(size) * kind.itemsize
    if count >= 2**63:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(size)}")
    return count


def finish(array: mx.array, where, requires_grad=False) -> Tensor:
    """Wrap a new array, let it require grad if asked."""
    tensor = wrap(array, where)
    if requires_grad:
        tensor.requires_grad_(True)
    return tensor


def filled(size: tuple, value, kind: dtype, where) -> Tensor:
    """Return a new tensor of one value."""
    check_supported(kind)
    ready()
    nbytes = _bytes_of(size, kind)
    if where is not META:
        ensure_memory(nbytes)
    if NATIVE != "cpu" and (kind is float64 or where.type == "cpu"):
        with mx.stream(STREAMS.cpu):
            return wrap(mx.full(size, to_array(value, kind), kind.mlx), where)
    return wrap(mx.full(size, to_array(value, kind), kind.mlx), where)


def _place(layout, pin_memory):
    if layout is not None and getattr(layout, "name", "strided") != "strided":
        raise RuntimeError("full(...) is not implemented for sparse layout; use to_sparse()")


def _factory(name, value):
    def make_filled(*size, out=None, dtype=None, layout=None, device=None, pin_memory=False,
                    requires_grad=False, names=None, memory_format=None, **kwargs):
        if "size" in kwargs:
            size = (kwargs.pop("size"),)
        if kwargs:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(kwargs))}'")
        size = size_from(name, size)
        if layout is not None and layout.name != "strided" and value == 0 and out is None:
            from .sparse import empty_of_layout

            made = empty_of_layout(layout, size, dtype or get_default_dtype(), resolve(device))
            return made.requires_grad_() if requires_grad else made
        _place(layout, pin_memory)
        if out is not None:
            out.resize_(size)
            return out.fill_(value) if name != "empty" else out
        tensor = filled(size, value, dtype or get_default_dtype(), resolve(device))
        if memory_format is not None and memory_format.name != "contiguous_format":
            tensor = tensor.contiguous(memory_format=memory_format)
        return tensor.requires_grad_() if requires_grad else tensor
    make_filled.__name__ = make_filled.__qualname__ = name
    make_filled.__doc__ = {"zeros": "Return a tensor of zeros.", "ones": "Return a tensor of ones.",
                           "empty": "Return a tensor of unspecified values (here: zeros)."}[name]
    return make_filled


zeros = _factory("zeros", 0)
ones = _factory("ones", 1)
empty = _factory("empty", 0)


def full(size, fill_value, *, out=None, names=None, dtype=None, layout=None, device=None,
         pin_memory=False, requires_grad=False) -> Tensor:
    """Return a tensor of one value; its dtype is the value's unless given."""
    _place(layout, pin_memory)
    size = size_from("full", (size,) if isinstance(size, (tuple, list)) else ((size,),))
    if isinstance(fill_value, Tensor):
        kind = dtype or fill_value.dtype
        tensor = fill_value.detach().to(dtype=kind, device=resolve(device)).expand(size).clone()
    else:
        tensor = filled(size, fill_value, dtype or number_dtype(fill_value), resolve(device))
    if out is not None:
        out.resize_(size)
        return out.copy_(tensor)
    return tensor.requires_grad_() if requires_grad else tensor


def _like(name, value):
    def make_like(
        input,
        *,
        dtype=None,
        layout=None,
        device=None,
        requires_grad=False,
        pin_memory=False,
        memory_format=None,
    ):
        where = input.device if device is None else resolve(device)
        kind = dtype or input.dtype
        tensor = strided_like(input, filled(tuple(input.shape), value, kind, where), memory_format)
        return tensor.requires_grad_() if requires_grad else tensor
    make_like.__name__ = make_like.__qualname__ = name
    make_like.__doc__ = f"Return a tensor of {value}s with the size, dtype and device of `input`."
    return composite(make_like)


def strided_like(input: Tensor, made: Tensor, memory_format=None) -> Tensor:
    """Return `made`, contiguous, with the strides that an operation preserving `input`'s would
    give.
    """
    name = getattr(memory_format, "name", "preserve_format")
    source = input._layout
    if name == "contiguous_format" or (name == "preserve_format" and source.contiguous):
        return made
    if name != "preserve_format":
        return made.contiguous(memory_format=memory_format)
    stride = preserved_stride(source)
    if stride == made._layout.stride:
        return made
    target = layout_of(made._layout.size, stride, 0, made.dtype, made.device)
    return make(Storage(read(made), target), target)


zeros_like = _like("zeros_like", 0)
ones_like = _like("ones_like", 1)
empty_like = _like("empty_like", 0)


@composite
def full_like(input, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False,
              pin_memory=False, memory_format=None):
    """Return a tensor of one value with the size, dtype and device of `input`."""
    where = input.device if device is None else resolve(device)
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    made = filled(tuple(input.shape), fill_value, dtype or input.dtype, where)
    tensor = strided_like(input, made, memory_format)
    return tensor.requires_grad_() if requires_grad else tensor


def _new(name, value):
    def new_filled(
        self,
        *size,
        dtype=None,
        device=None,
        requires_grad=False,
        layout=None,
        pin_memory=False,
        **kwargs,
    ):
        if "size" in kwargs:
            size = (kwargs.pop("size"),)
        tensor = filled(size_from(name, size), value, dtype or self.dtype,
                        self.device if device is None else resolve(device))
        return tensor.requires_grad_() if requires_grad else tensor
    new_filled.__name__ = new_filled.__qualname__ = name
    new_filled.__doc__ = "Return a new tensor with the dtype and device of this one."
    return new_filled


new_zeros, new_ones, new_empty = _new("new_zeros", 0), _new("new_ones", 1), _new("new_empty", 0)


def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None,
             pin_memory=False) -> Tensor:
    """Return a new tensor of one value with the dtype and device of this one."""
    return full(size, fill_value, dtype=dtype or self.dtype, device=device or self.device,
                requires_grad=requires_grad)


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, layout=None,
               pin_memory=False) -> Tensor:
    """Return a new tensor of `data`, by default with the device of this one."""
    if dtype is None:
        dtype = data.dtype if isinstance(data, (Tensor, np.ndarray)) else self.dtype
        dtype = FROM_NUMPY.get(dtype, dtype) if not isinstance(dtype, type(self.dtype)) else dtype
    return tensor(data, dtype=dtype, device=device or self.device, requires_grad=requires_grad)


def empty_strided(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False,
                  pin_memory=False) -> Tensor:
    """Return a tensor of unspecified values (here: zeros) with the strides given."""
    kind, where = dtype or get_default_dtype(), resolve(device)
    own = layout_of(
        size_from("empty_strided", (size,)), tuple(stride), 0, check_supported(kind), where
    )
    flat = filled((own.extent(),), 0, kind, where)
    made = make(flat._storage, own)
    return made.requires_grad_() if requires_grad else made


def new_empty_strided(self, size, stride, *, dtype=None, layout=None, device=None,
                      requires_grad=False, pin_memory=False) -> Tensor:
    """Return an uninitialised tensor of these strides with the dtype and device of this one."""
    return empty_strided(size, stride, dtype=dtype or self.dtype, device=device or self.device,
                         requires_grad=requires_grad)


def empty_permuted(
    size,
    physical_layout,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Return a dense tensor whose dimensions lie in memory in the order given."""
    if len(size) != len(physical_layout):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. "
            f"len(size) = {len(size)} is not equal to len(physical_layout) = {len(physical_layout)}"
        )
    for position, dim in enumerate(physical_layout):
        if not 0 <= dim < len(size):
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {len(size) - 1}, but got "
                f"{dim} at index {position})."
            )
        if dim in physical_layout[:position]:
            raise RuntimeError("Duplicate dim not allowed")
    stride, step = [0] * len(size), 1
    for dim in reversed(physical_layout):
        stride[dim] = step
        step *= size[dim]
    return empty_strided(size, stride, dtype=dtype, device=device, requires_grad=requires_grad)


# ----- from data -----


def _infer(data):
    """Return the dtype and shape of nested sequences of numbers and tensors."""
    found = None
    shape: list = []
    level = data
    while isinstance(level, (list, tuple)):
        shape.append(len(level))
        if not level:
            break
        level = level[0]
    if isinstance(level, (Tensor, np.ndarray)) and level.ndim:
        shape += level.shape
    stack = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, (list, tuple)):
            stack.extend(item)
            continue
        kind = _dtype_of_item(item)
        found = kind if found is None else promote_types(found, kind)
    return found or get_default_dtype(), tuple(shape)


def _dtype_of_item(item):
    if isinstance(item, Tensor):
        return item.dtype
    if isinstance(item, np.ndarray):
        return _numpy_dtype(item)
    if isinstance(item, np.generic):
        return FROM_NUMPY[item.dtype]
    if isinstance(item, (bool, int, float, complex)):
        return number_dtype(item)
    if hasattr(item, "__index__"):
        return int64
    if hasattr(item, "__float__"):
        return get_default_dtype()
    if item is None or isinstance(item, (str, dict, set)):
        raise (TypeError if isinstance(item, str) else RuntimeError)(
            f"new(): invalid data type '{type(item).__name__}'" if isinstance(item, str)
            else f"Could not infer dtype of {type(item).__name__}")
    raise RuntimeError(f"Could not infer dtype of {type(item).__name__}")


def _numpy_dtype(array):
    found = FROM_NUMPY.get(array.dtype.newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type {array.dtype}. The only supported types are: "
            "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, "
            "uint64, uint32, uint16, uint8, and bool."
        )
    return found


def array_of(data, kind: dtype | None) -> mx.array:
    """Return `data` (numbers, nested sequences, arrays) as an MLX array.

    Raises ValueError for ragged sequences, TypeError for what is not a number.
    """
    if isinstance(data, (np.ndarray, np.generic)):
        data = np.asarray(data)
        own = _numpy_dtype(data)
        kind = check_supported(kind or own)
        if data.dtype.byteorder == ">":
            data = data.astype(data.dtype.newbyteorder("="))
        if own is complex128:
            data = data.astype(np.complex64)
        elif own.category > kind.category or (kind.category == 1 and own.category == 1):
            data = data.real if own.is_complex else data
            if kind.numpy is not None:
                data = data.astype(kind.numpy)
        source = np.ascontiguousarray(data).reshape(data.shape)  # NumPy makes 0-d arrays 1-d
        return _cast_host(source, kind)  # on the host: a GPU has no float64 to cast from
    if isinstance(data, (bool, int, float, complex)):
        kind = check_supported(kind or number_dtype(data))
        _check_fits(data, kind)
        return to_array(data, kind)
    own, shape = _infer(data)
    kind = check_supported(kind or own)
    host = np.empty(shape, np.complex64 if own.is_complex else
                    np.float64 if own.category == 2 else np.bool_ if own is bool_ else
                    np.uint64 if own.name == "uint64" else np.int64)
    _fill(host, data, kind)
    return _cast_host(host, kind)


def _cast_host(host, kind):
    if kind is bfloat16:
        return mx.array(host.astype(np.float32)).astype(mx.bfloat16)
    with np.errstate(all="ignore"):
        return mx.array(host.astype(kind.numpy), kind.mlx)


def _fill(host, data, kind):
    if not isinstance(data, (list, tuple)):
        value = data
        if isinstance(data, Tensor):
            value = data.detach().to(float32).numpy(force=True) if data.dtype is bfloat16 \
                else np.array(data.detach().numpy(force=True))
        elif isinstance(data, int) and not isinstance(data, bool):
            _check_fits(data, kind)
        elif not isinstance(data, (int, float, complex, np.ndarray, np.generic)):
            value = data.__index__() if hasattr(data, "__index__") else float(data)
        if isinstance(value, np.ndarray) and value.shape != host.shape:
            if value.size == 1 and host.ndim == 0:
                value = value.reshape(())
            else:
                raise ValueError("only one element tensors can be converted to Python scalars")
        try:
            host[...] = value
        except OverflowError:
            raise RuntimeError(
                "value cannot be converted to type int64_t without overflow"
            ) from None
        return
    if host.ndim == 0:
        raise TypeError(f"must be real number, not {type(data).__name__}")
    if len(data) != host.shape[0]:
        raise ValueError(f"expected sequence of length {host.shape[0]} at dim 0 (got {len(data)})")
    if host.ndim == 1 and all(type(item) in (int, float, bool, complex) for item in data):
        if kind.category == 1:
            for item in data:
                _check_fits(item, kind)
        host[...] = data
        return
    for position, item in enumerate(data):
        if host.ndim > 1 and not isinstance(item, (list, tuple, Tensor, np.ndarray)):
            raise TypeError(f"expected sequence, but found {type(item).__name__}")
        _fill(host[position:position + 1].reshape(host.shape[1:]), item, kind)


def _check_fits(value, kind):
    if kind.category != 1 or isinstance(value, (float, complex)):
        if isinstance(value, complex) and not kind.is_complex and kind is not bool_:
            raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")
        return
    bits = 8 * kind.itemsize
    if not -(1 << (bits - 1)) <= value < 1 << (bits if not kind.is_signed or bits < 64 else 63):
        if bits < 64 and kind.is_signed and value < 1 << bits:
            return
        if bits == 64:
            raise RuntimeError(f"value cannot be converted to type {kind.name}_t without overflow")
        raise RuntimeError(f"value cannot be converted to type {kind.name}_t without overflow")


def tensor(
    data, *, dtype=None, device=None, requires_grad=False, pin_memory=False, names=None
) -> Tensor:
    """Return a new tensor with a copy of `data`: numbers, nested sequences, arrays or a tensor."""
    if isinstance(data, Tensor):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() "
            "or sourceTensor.detach().clone().requires_grad_(True), rather than "
            "torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        made = data.detach().clone().to(device=device or data.device, dtype=dtype or data.dtype)
    else:
        where = resolve(device)
        if not isinstance(data, (list, tuple, np.ndarray, np.generic, bool, int, float, complex)):
            data = _foreign(data)
            if isinstance(data, Tensor):
                data = np.array(data.numpy())
        made = wrap(array_of(data, dtype), where)
    return made.requires_grad_() if requires_grad else made


def _foreign(data):
    """Return array-likes of other libraries as NumPy arrays or tensors."""
    if hasattr(data, "__array__"):
        return np.asarray(data)
    if hasattr(data, "__dlpack__"):
        from .dlpack import from_dlpack
        return from_dlpack(data)
    if (
        hasattr(data, "__len__")
        and hasattr(data, "__getitem__")
        and not isinstance(data, (str, dict))
    ):
        return list(data)
    return data


def scalar_tensor(
    s, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
) -> Tensor:
    """Return a 0-d tensor of a number, of the default dtype unless given."""
    return tensor(s, dtype=dtype or get_default_dtype(), device=device, requires_grad=requires_grad)


def as_tensor(data, dtype=None, device=None) -> Tensor:
    """Return `data` as a tensor, without a copy where possible (tensors, storages, NumPy arrays).
    """
    whole = getattr(type(data), "_flat_tensor", None)
    if whole is not None:
        data = whole(data)
    if isinstance(data, Tensor):
        return data.to(device=data.device if device is None else device, dtype=dtype or data.dtype)
    if isinstance(data, np.ndarray) and _numpy_dtype(data) is not complex128 and (
            dtype is None or dtype is _numpy_dtype(data)) and resolve(device).type == "cpu" \
            and data.flags.writeable and all(step >= 0 for step in data.strides):
        return from_host(data)
    return tensor(data, dtype=dtype, device=device)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False) -> Tensor:
    """Return `obj` as a tensor; `copy` says whether memory must or must not be copied."""
    made = as_tensor(obj, dtype, device)
    if copy is True and (made is obj or isinstance(obj, np.ndarray)):
        made = made.clone()
    elif copy is False and not isinstance(obj, (Tensor, np.ndarray)):
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    made = (
        made.detach()
        if isinstance(obj, Tensor) and not requires_grad and made.requires_grad
        else made
    )
    return made.requires_grad_() if requires_grad and not made.requires_grad else made


def from_numpy(ndarray) -> Tensor:
    """Return a tensor that shares the memory of a NumPy array.

    Raises TypeError for types that MLX lacks, ValueError for negative strides.
    """
    if isinstance(ndarray, np.ndarray) and not ndarray.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable "
            "tensors. This means writing to this tensor will result in undefined behavior. You "
            "may want to copy the array to protect its data or make it writable before "
            "converting it to a tensor. This type of warning will be suppressed for the rest of "
            "this program.",
            UserWarning,
            stacklevel=2,
        )
        ndarray = ndarray.copy()
    return from_host(ndarray)


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False) -> Tensor:
    """Return a 1-D tensor that shares the memory of an object with the buffer protocol."""
    view = memoryview(buffer)
    if len(view) == 0:
        raise ValueError("both buffer length (0) and count (-1) must not be 0")
    readonly = view.readonly
    raw = np.frombuffer(buffer, np.uint8)
    left = raw.size - offset
    if count == -1:
        if left % dtype.itemsize:
            raise ValueError(
                f"buffer length ({left} bytes) after offset ({offset} bytes) must be a multiple of "
                f"element size ({dtype.itemsize})"
            )
        count = left // dtype.itemsize
    if count * dtype.itemsize > left or left <= 0:
        raise ValueError(
            f"requested buffer length ({count} * {dtype.itemsize} bytes) after offset ({offset} "
            f"bytes) must not be greater than actual buffer length ({raw.size} bytes)"
        )
    raw = raw[offset:offset + count * dtype.itemsize]
    if dtype is bfloat16:
        array = mx.view(mx.array(raw.copy().view(np.uint16)), mx.bfloat16)
        made = wrap(array, CPU)
    else:
        check_supported(dtype)
        source = raw.view(dtype.numpy)
        made = from_host(source.copy() if readonly else source)
    return made.requires_grad_() if requires_grad else made


def _deliver(made, out, requires_grad):
    if out is not None:
        out.resize_(made.shape)
        return out.copy_(made)
    return made.requires_grad_() if requires_grad else made


def eye(n, m=None, *, out=None, dtype=None, layout=None, device=None, pin_memory=False,
        requires_grad=False) -> Tensor:
    """Return ones on the diagonal and zeros elsewhere, of size (n, m)."""
    m = n if m is None else m
    for name, value in (("n", n), ("m", m)):
        if not isinstance(value, (int, np.integer)):
            raise TypeError(f"eye(): argument '{name}' must be int, not {type(value).__name__}")
        if value < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {value}")
    kind, where = dtype or (out.dtype if out is not None else get_default_dtype()), resolve(device)
    check_supported(kind)
    ensure_memory(_bytes_of((n, m), kind))
    where_mx = STREAMS.cpu if kind is float64 or where.type == "cpu" else STREAMS.native
    with mx.stream(where_mx):
        base = mx.arange(n)[:, None] == mx.arange(m)[None, :]
        made = wrap(base.astype(kind.mlx), where)
    return _deliver(made, out, requires_grad)


@primitive(name="complex", elementwise=True)
def complex_(real: mx.array, imag: mx.array) -> mx.array:
    """Return real + 1j * imag."""
    for part in (real, imag):
        if part.dtype not in (mx.float32, mx.float64, mx.float16):
            raise RuntimeError("Expected both inputs to be Half, Float or Double tensors but got "
                               f"{FROM_MLX[real.dtype].name} and {FROM_MLX[imag.dtype].name}")
    if real.dtype != imag.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {FROM_MLX[real.dtype].name} but got scalar type "
            f"{FROM_MLX[imag.dtype].name} for second argument"
        )
    check_supported(TO_COMPLEX[FROM_MLX[real.dtype]])
    real, imag = mx.broadcast_arrays(real, imag)
    return mx.view(mx.stack([real, imag], axis=-1), mx.complex64).squeeze(-1)


complex_.gradients(real=lambda grad: grad.real, imag=lambda grad: grad.imag)


def polar(abs, angle, *, out=None) -> Tensor:
    """Return the complex tensor with this absolute value and angle."""
    for position, (name, value) in enumerate((("abs", abs), ("angle", angle)), 1):
        if not isinstance(value, Tensor):
            raise TypeError(f"polar(): argument '{name}' (position {position}) must be Tensor, not "
                            f"{type(value).__name__}")
    result = complex_(abs * angle.cos(), abs * angle.sin())
    return result if out is None else out.resize_(result.shape).copy_(result)


FUNCTIONS = {
    f.__name__: f
    for f in (
        zeros, ones, empty, full, zeros_like, ones_like, empty_like, full_like, empty_strided,
        empty_permuted, tensor, scalar_tensor, as_tensor, asarray, from_numpy, frombuffer,
        eye, complex_, polar,
    )
}
METHODS = {
    f.__name__: f
    for f in (new_zeros, new_ones, new_empty, new_full, new_tensor, new_empty_strided)
}
INPLACE = ()
