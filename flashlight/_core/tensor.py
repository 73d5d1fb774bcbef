"""`Tensor`: a layout over a storage, plus the history of how it was made.

Data and properties only. History is added by `_autograd`, operations by `_ops`: both attach
their methods to this class when the package is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from .batch import in_use
from .batched_storage import storage_for
from .device import CPU, META, device
from .dtype import FROM_MLX, FROM_NUMPY, bfloat16, check_supported, dtype
from .evaluation import ensure_memory, evaluate, local, track
from .layout import Layout, contiguous
from .layout import layout as layout_of
from .storage import HostStorage, Storage

if TYPE_CHECKING:
    from .methods import TensorMethods
else:
    TensorMethods = object

new = object.__new__


class TensorMeta(type):
    """The class of tensor classes: what a missing class attribute is asked of."""


class Tensor(TensorMethods, metaclass=TensorMeta):
    """A multi-dimensional array of one dtype, as `torch.Tensor`."""

    __slots__ = ("_storage", "_layout", "_node", "_index", "_meta", "__weakref__", "__dict__")

    # NumPy leaves `ndarray + tensor` to our reflected operators only if we outrank it.
    __array_priority__ = 1000

    @property
    def shape(self):
        """The lengths of the dimensions, as a `Size`."""
        return self._layout.size

    @property
    def dtype(self) -> dtype:
        """The type of the elements."""
        return self._layout.dtype

    @property
    def device(self) -> device:
        """The device on whose stream the tensor's work runs."""
        return self._layout.device

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._layout.ndim

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self._layout.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._layout.numel * self._layout.dtype.itemsize

    @property
    def _version(self) -> int:
        version = self._storage.version
        if version < 0:
            raise RuntimeError("Inference tensors do not track version counter.")
        return version

    def size(self, dim=None):
        """Return the lengths of all dimensions, or of one."""
        size = self._layout.size
        return size if dim is None else size[self._wrap(dim)]

    def stride(self, dim=None):
        """Return, in elements, the steps of all dimensions, or of one."""
        stride = self._layout.stride
        return stride if dim is None else stride[self._wrap(dim)]

    def _wrap(self, dim):
        ndim = self._layout.ndim
        if not -max(ndim, 1) <= dim < max(ndim, 1) or ndim == 0:
            limit = max(ndim, 1)
            raise IndexError(f"Dimension out of range (expected to be in range of [{-limit}, "
                             f"{limit - 1}], but got {dim})" if ndim else
                             f"Dimension specified as {dim} but tensor has no dimensions")
        return dim

    def storage_offset(self) -> int:
        """Return the position in the storage of the first element."""
        return self._layout.offset

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self._layout.ndim

    ndimension = dim

    def numel(self) -> int:
        """Return the number of elements."""
        return self._layout.numel

    nelement = numel

    def element_size(self) -> int:
        """Return the bytes of one element."""
        return self._layout.dtype.itemsize

    def get_device(self) -> int:
        """Return the index of the accelerator, -1 for the CPU."""
        return -1 if self._layout.device.type in ("cpu", "meta") else 0

    def data_ptr(self) -> int:
        """Return a number equal for tensors that start at one element of one storage.

        It is no address: MLX's arrays move. For memory that other code may use, see `numpy()`.
        """
        if self._layout.numel == 0 or self._layout.device is META:
            return 0
        return self._storage.address() + self._layout.offset * self._layout.dtype.itemsize

    def is_floating_point(self) -> bool:
        """Tell whether the elements are floating point numbers."""
        return self._layout.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Tell whether the elements are complex numbers."""
        return self._layout.dtype.is_complex

    def is_signed(self) -> bool:
        """Tell whether the elements have a sign."""
        return self._layout.dtype.is_signed

    is_cuda = property(lambda self: self._layout.device.type == "cuda", doc="On a CUDA device?")
    is_mps = property(lambda self: self._layout.device.type == "mps", doc="On Metal?")
    is_cpu = property(lambda self: self._layout.device.type == "cpu", doc="On the CPU?")
    is_meta = property(lambda self: self._layout.device is META, doc="Without data?")
    # What a plain tensor is not; sparse tensors answer for themselves.
    is_sparse = is_sparse_csr = is_mkldnn = is_quantized = is_nested = False
    is_xpu = is_xla = is_hpu = is_ipu = is_mtia = is_maia = is_vulkan = False

    def item(self) -> Any:
        """Return the value of a tensor of one element as a Python number.

        Raises RuntimeError for any other number of elements.
        """
        layout = self._layout
        if layout.numel != 1:
            raise RuntimeError(
                f"a Tensor with {layout.numel} elements cannot be converted to Scalar; "
                "item() is for one element, use tolist() for more")
        return evaluate(self._read("item()"), "item()").item()

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers, or one number for 0 dimensions."""
        return evaluate(self._read("tolist()"), "tolist()").tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """Return a NumPy array that shares memory with this tensor.

        Writes on either side are seen on the other. With `force`, also for tensors that need
        grad (shares the detached data). Raises RuntimeError for tensors that require grad and
        TypeError for bfloat16, which NumPy lacks.
        """
        if not force and self._node is not None:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. "
                               "Use tensor.detach().numpy() instead.")
        if self._layout.device is META:
            raise TypeError("can't convert meta device type tensor to numpy: it has no data")
        storage = self._storage
        host = storage.to_host()
        window = storage.window(self._layout)
        if window.size == host.size == 1 and window.dtype == host.dtype:
            return host.reshape(window.shape)
        return window

    def _read(self, reader="this"):
        """Return the tensor's values as an MLX array of its shape; lazy."""
        if self._layout.device is META:
            raise NotImplementedError(
                f"Cannot copy out of meta tensor; no data! ({reader} needs values)")
        storage, layout = self._storage, self._layout
        return storage.array if storage.layout is layout else storage.read(layout)


#: The classes whose instances every operation takes as they are. Other subclasses go through
#: `__torch_function__`.
TENSORS = {Tensor}


def make(storage: Storage, layout: Layout) -> Tensor:
    """Return a tensor without history."""
    tensor = new(Tensor)
    tensor._storage = storage
    tensor._layout = layout
    tensor._node = tensor._meta = None
    tensor._index = 0
    return tensor


def around(storage: Storage, layout: Layout) -> Tensor:
    """`make` for a storage that may be of another class of tensors, such as sparse ones."""
    tensor = make(storage, layout)
    kind = getattr(storage, "tensor_class", None)
    if kind is not None:
        tensor.__class__ = kind
    return tensor


def wrap(array: mx.array, where: device) -> Tensor:
    """Return a tensor without history around a new array."""
    layout = contiguous(array.shape, FROM_MLX[array.dtype], where)
    storage = storage_for(array, layout) if in_use[0] else Storage(array, layout)
    if where is not META:
        nbytes = array.nbytes
        if nbytes > 1 << 28:
            ensure_memory(nbytes)
        pending = local.pending
        pending.append(storage)
        if len(pending) > 192:
            track(storage)
    return make(storage, layout)


def restride(made: Tensor, stride: tuple) -> Tensor:
    """Give a new contiguous tensor, of which there is no view yet, other dense strides."""
    own = made._layout
    if own.stride != stride:
        target = made._layout = layout_of(own.size, stride, 0, own.dtype, own.device)
        if type(made._storage) is Storage:
            made._storage.layout = target
        else:
            made._storage = storage_for(made._storage.read(own), target)
    return made


def read(tensor: Tensor) -> mx.array:
    """Return a tensor's values as an MLX array of its shape; lazy."""
    storage, layout = tensor._storage, tensor._layout
    return storage.array if storage.layout is layout else storage.read(layout)


def snapshot(tensor: Tensor) -> Tensor:
    """Return a tensor of the same value and history that later writes do not reach."""
    layout = tensor._layout
    copy = new(type(tensor) if type(tensor) in TENSORS else Tensor)
    compact = layout if layout.plain else layout.compact()
    copy._storage = storage_for(read(tensor), compact)
    copy._layout = compact
    copy._node = tensor._node
    copy._index = tensor._index
    copy._meta = None
    return copy


def from_host(array: np.ndarray) -> Tensor:
    """Return a tensor that shares the memory of a NumPy array, as `torch.from_numpy`."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    found = FROM_NUMPY.get(array.dtype.newbyteorder("=")) if array.dtype.isnative else None
    if found is None:
        if not array.dtype.isnative:
            raise ValueError(
                "given numpy array has byte order different from the native byte order. "
                "Conversion between byte orders is currently not supported."
            )
        raise TypeError(
            f"can't convert np.ndarray of type {array.dtype}. The only supported types are: "
            "float64, float32, float16, complex64, int64, int32, int16, int8, uint64, uint32, "
            "uint16, uint8, and bool."
        )
    check_supported(found)
    if any(step < 0 for step in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with "
            "negative strides are not currently supported. (You can probably work around "
            "this by making a copy of your array  with array.copy().) "
        )
    size = array.itemsize
    if any(step % size for step in array.strides) and array.size:
        raise ValueError("given numpy array strides not a multiple of the element byte size. "
                         "Copy the numpy array to reallocate the memory.")
    stride = tuple(step // size for step in array.strides)
    own = layout_of(tuple(array.shape), stride, 0, found, CPU)
    extent = own.extent()
    host = array if array.ndim == 1 and stride == (1,) else np.lib.stride_tricks.as_strided(
        array, (extent,), (size,))
    return make(HostStorage.around(host, contiguous((extent,), found, CPU)), own)


def to_array(value, dtype: dtype) -> mx.array:
    """Return an evaluated 0-d array of a Python number; the cast wraps as PyTorch's does."""
    if dtype is bfloat16:
        return mx.array(value, mx.float32).astype(mx.bfloat16)
    if (
        dtype.numpy is not None
        and not isinstance(value, (bool, float, complex))
        and dtype.category == 1
    ):
        return mx.array(
            np.array(int(value) % (1 << 8 * dtype.itemsize), np.uint64).astype(dtype.numpy),
            dtype.mlx,
        )
    return mx.array(value, dtype.mlx)
