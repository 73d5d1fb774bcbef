"""Memory shared with other libraries by DLPack. https://dmlc.github.io/dlpack/latest/"""

from __future__ import annotations

import ctypes

import mlx.core as mx
import numpy as np

from .._core.device import META, device, get_default_device, resolve
from .._core.dtype import bfloat16
from .._core.tensor import Tensor, from_host, read, wrap
from .conversion import strided

CPU = (1, 0)


def dlpack(self, *, stream=-1, max_version=None, dl_device=None, copy=None):
    """Return a DLPack capsule over memory shared with this tensor, or over a copy.

    Raises BufferError if it needs grad, is sparse, has no memory or is to be on another device.
    """
    if self._node is not None:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if self.layout is not strided:
        raise BufferError("Can't export tensors with layout other than torch.strided")
    if self.device is META:
        raise BufferError("Cannot pack tensors on meta")
    if stream not in (None, -1):
        raise AssertionError("stream should be None on cpu.")
    if copy:
        self = self.clone()
    if self.dtype is bfloat16:
        return read(self).__dlpack__()
    return self.numpy().__dlpack__(max_version=max_version, dl_device=dl_device)


def dlpack_device(self):
    """Return DLPack's (device type, index): unified memory is the CPU's."""
    return CPU


def to_dlpack(tensor, /):
    """Return a DLPack capsule over memory shared with a tensor, for one `from_dlpack`."""
    if not isinstance(tensor, Tensor):
        raise TypeError("_to_dlpack(): argument 'data' (position 1) must be Tensor, not "
                        f"{type(tensor).__name__}")
    return tensor.detach().__dlpack__()


class _Exporter:
    """Another library's tensor, or a capsule, as NumPy wants to see it."""

    def __init__(self, source):
        self.source = source
        self.versioned = True

    def __dlpack__(self, **options):
        capsule = self.source
        if hasattr(capsule, "__dlpack__"):
            capsule = capsule.__dlpack__(**options)
        self.versioned = not _is_capsule(capsule, b"dltensor")
        return capsule

    def __dlpack_device__(self):
        return self.source.__dlpack_device__() if hasattr(self.source, "__dlpack__") else CPU


_is_capsule = ctypes.pythonapi.PyCapsule_IsValid
_is_capsule.argtypes = (ctypes.py_object, ctypes.c_char_p)


class _Writable:
    """An array that NumPy takes for read-only, since its capsule was of DLPack before 1.0."""

    def __init__(self, host):
        self.host = host
        self.__array_interface__ = host.__array_interface__ | {"data": (host.ctypes.data, False)}


def from_dlpack(ext_tensor, *, device=None, copy=None) -> Tensor:
    """Return a tensor from any object with `__dlpack__`, or from a capsule, sharing the CPU's memory.

    Raises AssertionError for `device` or `copy` with a capsule, RuntimeError for what is neither.
    """
    where = None if device is None else _device(device)
    if isinstance(ext_tensor, Tensor):
        made = ext_tensor.clone() if copy else ext_tensor.detach()
    elif hasattr(ext_tensor, "__dlpack__"):
        made = _imported(_Exporter(ext_tensor), copy)
    else:
        if where is not None or copy is not None:
            raise AssertionError(
                "device and copy kwargs not supported when ext_tensor is already a DLPack capsule."
            )
        try:
            made = _imported(_Exporter(ext_tensor), None)
        except (TypeError, ValueError):
            raise RuntimeError(
                "from_dlpack received an invalid capsule. Note that DLTensor capsules can be "
                "consumed only once, so you might have already constructed a tensor from it once."
            ) from None
    return made if where is None else made.to(where)


def _device(where):
    if isinstance(where, str):
        where = device(where)
    if not isinstance(where, device):
        raise AssertionError(f"from_dlpack: unsupported device type: {type(where)}")
    return resolve(where)


def _imported(exporter, copy):
    try:
        host = np.from_dlpack(exporter)
    except (BufferError, RuntimeError) as error:
        try:  # bfloat16, or on a GPU
            return wrap(mx.array(exporter), get_default_device())
        except RuntimeError:
            raise error from None
    if not exporter.versioned:
        host = np.asarray(_Writable(host))
    return from_host(host if host.flags.writeable and not copy else host.copy())


FUNCTIONS = {"from_dlpack": from_dlpack, "to_dlpack": to_dlpack}
METHODS = {"__dlpack__": dlpack, "__dlpack_device__": dlpack_device}
INPLACE = ()
