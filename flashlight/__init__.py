"""flashlight: PyTorch's API on Apple's MLX. `import flashlight as torch`."""

from __future__ import annotations

import sys as _sys
from typing import TYPE_CHECKING as _TYPE_CHECKING

from . import version
from ._core import blas as _blas
from ._core import dtype as _dtypes
from ._core.device import device, get_default_device, set_default_device
from ._core.dtype import (
    bfloat16, bool_, complex32, complex64, complex128, dtype, finfo, float16, float32, float64,
    get_default_dtype, iinfo, int8, int16, int32, int64, set_default_dtype, uint8, uint16, uint32,
    uint64,
)  # fmt: skip
from ._core.printing import set_printoptions
from ._core.promotion import can_cast, promote_types
from ._core.size import Size
from ._core.tensor import Tensor
from ._core.threads import (
    get_num_interop_threads,
    get_num_threads,
    set_num_interop_threads,
    set_num_threads,
)
from ._autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from . import _ops
from ._ops.conversion import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from ._ops.legacy import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from .torch_version import __version__

if _TYPE_CHECKING:
    from ._names import *  # noqa: F403
globals().update(_ops.FUNCTIONS)
for _kind in _dtypes.ALL:
    for _name in (_kind.name, _kind.alias):
        if _name:
            globals()[_name] = _kind
for _layout in _ops.conversion.LAYOUTS.values():
    globals()[_layout.name] = _layout
from .types_ import result_type, is_tensor, is_storage, set_default_tensor_type, typename

from math import e, inf, nan, pi

newaxis = None
legacy_contiguous_format = contiguous_format
torch = _sys.modules[__name__]

from . import random
from ._core.generator import Generator, default_generator
from .random import (
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
    thread_safe_generator,
)

from . import autograd
from . import storage
from .storage import (
    BFloat16Storage, BoolStorage, ByteStorage, CharStorage, ComplexDoubleStorage,
    ComplexFloatStorage, DoubleStorage, FloatStorage, HalfStorage, IntStorage, LongStorage,
    ShortStorage, StorageBase, TypedStorage, UntypedStorage,
)  # fmt: skip
from .storage import FloatStorage as Storage
from . import _tensor, _tensor_str, _utils, serialization
from .serialization import load, save

from . import accelerator, backends, cpu, cuda, mps, profiler
from . import fft, linalg, nn, quasirandom, special
from . import compiler, func
from .compiler import compile
from .func import vmap
from . import amp, distributions, masked, optim, signal, sparse, utils
from .amp.autocast_mode import (
    autocast, autocast_decrement_nesting, autocast_increment_nesting, clear_autocast_cache,
    get_autocast_cpu_dtype, get_autocast_dtype, get_autocast_gpu_dtype, is_autocast_cache_enabled,
    is_autocast_cpu_enabled, is_autocast_enabled, set_autocast_cache_enabled,
    set_autocast_cpu_dtype, set_autocast_cpu_enabled, set_autocast_dtype, set_autocast_enabled,
    set_autocast_gpu_dtype,
)  # fmt: skip
from .accelerator.streams import Event, Stream
from .cuda import OutOfMemoryError
from . import _C
from . import (
    distributed, functional, futures, hub, jit, mtia, multiprocessing, overrides, testing, types,
    xpu,
)  # fmt: skip
from .futures import Future
from .jit import fork, wait
from ._higher_order_ops import cond, while_loop
from .utils import checkpoint as _checkpoint
from .utils import data as _data
from .utils import dlpack as _dlpack

from ._checks import (
    _assert, _assert_async, _check, _check_index, _check_is_size, _check_not_implemented,
    _check_tensor_all, _check_tensor_all_with, _check_type, _check_value, _check_with,
)  # fmt: skip
from ._settings import *  # noqa: F403
from ._symbolic import (
    SymBool, SymFloat, SymInt, sym_float, sym_int, sym_ite, sym_max, sym_min, sym_not, sym_sqrt,
    sym_sum,
)  # fmt: skip
from .amp import GradScaler
from .nn.functional import (
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    embedding_bag,
    hinge_embedding_loss,
    kl_div,
    margin_ranking_loss,
    poisson_nll_loss,
    triplet_margin_loss,
)

_blas.install()

# Last: what explains missing names is put on the modules that are there by now.
from . import compat

compat.missing.attach(Tensor)
