"""The names of PyTorch's that flashlight does not have, each with its reason and an alternative.

Such a name is absent: `hasattr` is False, so that packages fall back as they do on an older
PyTorch. `module.*` stands for whatever of a module is not in our module's `__all__`. Asking for it raises AttributeError, or ImportError in `from torch import name`, with the
reason. `attach` puts that in place for the public modules and for Tensor.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import ModuleType
from typing import NoReturn

PACKAGE = "flashlight"


@dataclass(frozen=True)
class Missing:
    """Names absent for one reason; a name may have `*`."""

    names: tuple[str, ...]
    reason: str
    instead: str


MISSING = (
    Missing(
        names=("torch.jit.*",),
        reason="TorchScript compiles to PyTorch's own interpreter, which MLX has no part of",
        instead="call the function as it is (torch.compile traces it into fused MLX kernels), and "
        "save the state_dict",
    ),
    Missing(
        names=("torch.fx", "torch.export", "torch.onnx", "torch._dynamo", "torch._inductor"),
        reason="there is no graph of PyTorch operators to export: operations run on MLX directly",
        instead="save the state_dict and rebuild the model where it is needed",
    ),
    Missing(
        names=("torch.ao", "torch.quantization", "torch.quantize_*", "torch.quantized_*",
               "torch.q_*", "torch.dequantize", "torch.empty_quantized", "torch.fbgemm_*",
               "torch.Tensor.q_*", "torch.Tensor.dequantize", "torch.Tensor.int_repr",
               "torch.Tensor.qscheme", "torch.nn.intrinsic", "torch.nn.qat",
               "torch.nn.quantizable"),
        reason="PyTorch's quantized tensors have no counterpart in MLX, whose quantization packs "
        "weights in groups",
        instead="use bfloat16 or float16, or mlx.core.quantize on the weights",
    ),
    Missing(
        names=("torch.mkldnn_*", "torch.cudnn_*", "torch.miopen_*", "torch.Tensor.to_mkldnn",
               "torch.utils.mkldnn"),
        reason="it calls one library of one backend, which MLX does not use",
        instead="call the function of torch.nn.functional that it speeds up",
    ),
    Missing(
        names=("torch.sparse.SparseSemiStructuredTensor*", "torch.sparse.to_sparse_semi_structured",
               "torch._sparse_semi_structured_*", "torch._to_sparse_semi_structured",
               "torch._cslt_*"),
        reason="2:4 sparsity is a feature of some NVIDIA GPUs, for which MLX has no kernels",
        instead="use to_sparse_bsr(), or a dense tensor with zeros",
    ),
    Missing(
        names=("torch.xpu.*", "torch.mtia.*", "torch.Tensor.xpu", "torch.Tensor.ipu",
               "torch.Tensor.mtia", "torch.is_vulkan_available"),
        reason="MLX runs on Metal, CUDA and the CPU only",
        instead='use the devices "mps", "cuda" or "cpu"',
    ),
    Missing(
        names=("torch.cuda.MemPool", "torch.cuda.use_mem_pool", "torch.cuda.CUDAPluggableAllocator",
               "torch.cuda.change_current_allocator", "torch.cuda.caching_allocator_alloc",
               "torch.cuda.caching_allocator_delete", "torch.cuda.memory_snapshot"),
        reason="MLX has one allocator, which hands out no memory but that of arrays",
        instead="use torch.cuda.memory_stats(), set_per_process_memory_fraction() and "
        "caching_allocator_enable()",
    ),
    Missing(
        names=("torch.cuda.ExternalStream", "torch.cuda.get_stream_from_external",
               "torch.cuda.GreenContext", "torch.cuda.current_blas_handle",
               "torch.cuda.current_solver_handle", "torch.cuda.tunable"),
        reason="MLX keeps its streams and the handles of its libraries to itself",
        instead="call torch.cuda.synchronize() before another library reads the memory",
    ),
    Missing(
        names=("torch.cuda.nccl", "torch.cuda.comm"),
        reason="MLX drives one GPU a process",
        instead="use mlx.core.distributed on the arrays, with a process for each GPU",
    ),
    Missing(
        names=("torch.cuda.jiterator", "torch.mps.compile_shader", "torch.mps.load_metallib"),
        reason="MLX compiles kernels from the body of a function, not from whole programs",
        instead="use mlx.core.fast.metal_kernel or cuda_kernel on the arrays "
        "(flashlight.compat.to_mlx)",
    ),
    Missing(
        names=("torch.compiler.*_unsafe", "torch.compiler.set_enable_guard_collectives",
               "torch.compiler.load_compiled_function"),
        reason="torch.compile has no guards that one could choose from, and keeps nothing on disk",
        instead="compile a function that reaches less state, which is compared before each call",
    ),
    Missing(
        names=("torch.profiler.ExecutionTraceObserver",),
        reason="its format records PyTorch's dispatcher",
        instead="use torch.profiler.profile and export_chrome_trace()",
    ),
    Missing(
        names=("torch.nested", "torch._nested_*", "torch.Tensor.to_padded_tensor"),
        reason="MLX's arrays have one length for each dimension",
        instead="pad with torch.nn.utils.rnn.pad_sequence, and mask",
    ),
    Missing(
        names=("torch.Tensor.index",),
        reason="it is of PyTorch's first-class dimensions, which functorch.dim makes",
        instead="use torch.einsum, or index with tensors",
    ),
    Missing(
        names=("torch.Tensor.__torch_dispatch__",),
        reason="operations do not go through PyTorch's dispatcher",
        instead="define __torch_function__, or use torch.overrides.TorchFunctionMode",
    ),
    Missing(
        names=("torch.utils.cpp_extension", "torch.cpp", "torch.classes", "torch.ops",
               "torch.library", "torch._C.*"),
        reason="extensions in C++ are written against PyTorch's binary interface",
        instead="write the operation with tensors, or as an mlx.core.fast kernel",
    ),
    Missing(
        names=("torch.distributed.*",),
        reason="processes do not exchange tensors yet, so this is a PyTorch built without it, and "
        "torch.distributed.is_available() returns False",
        instead="train in one process, or use mlx.core.distributed on the arrays",
    ),
    Missing(
        names=("torch.package", "torch.monitor"),
        reason="it belongs to PyTorch's deployment services",
        instead="use pickle or torch.save",
    ),
)


def find(name: str) -> Missing | None:
    """The entry that explains why `name` (torch.jit) or its parent is absent."""
    while "." in name:
        for entry in MISSING:
            if any(name == known or fnmatchcase(name, known) for known in entry.names):
                return entry
        name = name.rpartition(".")[0]
    return None


def explain(owner: str, name: str, sentence: str) -> str:
    """`sentence` (module 'torch' has no attribute 'jit'), with the reason if there is one."""
    entry = find(f"{owner}.{name}")
    return sentence if entry is None else f"{sentence}: {entry.reason}. Instead: {entry.instead}."


def _module_getattr(module: ModuleType) -> Callable[[str], object]:
    owner = "torch" + module.__name__.removeprefix(PACKAGE)
    earlier = module.__dict__.get("__getattr__")

    def __getattr__(name: str) -> object:
        if earlier is not None:
            try:
                return earlier(name)
            except AttributeError:
                if find(f"{owner}.{name}") is None:
                    raise
        sentence = f"module '{owner}' has no attribute '{name}'"
        raise AttributeError(explain(owner, name, sentence), name=name, obj=module)

    return __getattr__


def _tensor_getattr(tensor: object, name: str) -> NoReturn:
    if find(f"torch.Tensor.{name}") is None:
        # Asked a second time, so that an error inside a property is told as it was.
        object.__getattribute__(tensor, name)
    kind = type(tensor).__name__
    sentence = f"'{kind}' object has no attribute '{name}'"
    raise AttributeError(explain("torch.Tensor", name, sentence), name=name, obj=tensor)


def _class_getattr(cls: type, name: str) -> NoReturn:
    sentence = f"type object '{cls.__name__}' has no attribute '{name}'"
    raise AttributeError(explain("torch.Tensor", name, sentence), name=name, obj=cls)


class MissingFinder(importlib.abc.MetaPathFinder):
    """Last on sys.meta_path: tells why a module could not be found."""

    def find_spec(self, fullname, path=None, target=None):
        top, _, rest = fullname.partition(".")
        if not rest or top not in (PACKAGE, "torch") or not _is_ours(top):
            return None
        entry = find(f"torch.{rest}")
        callers = _importlib_callers()
        if entry is None or "_find_and_load" not in callers:
            return None  # importlib.util.find_spec answers None for what isn't there
        reason = f"{entry.reason}. Instead: {entry.instead}."
        if "_handle_fromlist" in callers:
            # `from torch import jit` would drop a ModuleNotFoundError and its text.
            owner, _, name = f"torch.{rest}".rpartition(".")
            raise ImportError(f"cannot import name {name!r} from {owner!r}: {reason}", name=fullname)
        raise ModuleNotFoundError(f"No module named 'torch.{rest}': {reason}", name=fullname)


def _is_ours(top: str) -> bool:
    return getattr(sys.modules.get(top), "__name__", None) == PACKAGE


def _importlib_callers() -> list[str]:
    """The functions of the import system that are asking, innermost first."""
    names = []
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename == "<frozen importlib._bootstrap>":
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def attach(tensor: type) -> None:
    """Explain the missing names of the public modules loaded so far and of the class `tensor`."""
    for name, module in list(sys.modules.items()):
        inner = name.removeprefix(PACKAGE)
        if inner == name or (inner and inner[0] != ".") or any(
            (part.startswith("_") and part != "_C") or part == "compat"
            for part in inner.split(".")
        ):
            continue
        module.__getattr__ = _module_getattr(module)
    tensor.__getattr__ = _tensor_getattr
    if type(tensor) is not type:
        type(tensor).__getattr__ = _class_getattr
    sys.meta_path.append(MissingFinder())
