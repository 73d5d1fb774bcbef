"""Names: which public names of each PyTorch namespace exist, and with which parameters."""

from __future__ import annotations

import importlib
import inspect
import re
import types

import torch

from .adapter import Mismatch
from .core import Check

NAMESPACES = (
    "torch",
    "torch.Tensor",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.utils",
    "torch.nn.utils.parametrizations",
    "torch.nn.utils.rnn",
    "torch.nn.attention",
    "torch.nn.parallel",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.autograd",
    "torch.autograd.functional",
    "torch.autograd.forward_ad",
    "torch.func",
    "torch.linalg",
    "torch.fft",
    "torch.special",
    "torch.signal.windows",
    "torch.sparse",
    "torch.distributions",
    "torch.distributions.constraints",
    "torch.distributions.transforms",
    "torch.distributions.kl",
    "torch.utils.data",
    "torch.utils.checkpoint",
    "torch.utils.dlpack",
    "torch.utils.tensorboard",
    "torch.amp",
    "torch.random",
    "torch.serialization",
    "torch.hub",
    "torch.distributed",
    "torch.onnx",
    "torch.export",
    "torch.compiler",
    "torch.profiler",
    "torch.cuda",
    "torch.mps",
    "torch.backends",
)
#: Names of namespaces which the reference may lack an optional dependency for.
OPTIONAL = {"torch.utils.tensorboard": ("FileWriter", "SummaryWriter")}
#: Bindings for other backends, quantisation, symbolic shapes, unfinished dtypes and the like.
INTERNAL = re.compile(
    r"((cudnn|miopen|mkldnn|fbgemm|sym|q|quantize|quantized|fake_quantize|fused|import|parse|unify"
    r"|merge|rowwise)_|batch_norm_(backward|elemt|gather|stats|update)|quantize_per).*"
    r"|(get|set|is)_autocast_(ipu|xla)\w*|autocast_\w+crement_nesting|(is_|to_)?(vulkan|mkldnn|ipu"
    r"|maia|mtia|xla|xpu)|is_vulkan_available|q?u?int[1-7](x\d)?|qu?int\w+|bit|bits\w+|float4\w+"
    r"|choose_qparams_optimized|init_num_threads|int_repr|dequantize|empty_quantized|(ds|hs|hsp)mm"
    r"|cpp|SUM|AVG|Sym\w+|(?!index_|narrow_)\w+_copy|qscheme|is_quantized|qat|quantizable|intrinsic"
    r"|common_types|factory_kwargs|per_(tensor|channel)_\w+|Q\w+Storage|PRIVATE_OPS|classproperty"
    r"|legacy_contiguous_format|prepare_multiprocessing_environment|get_file_path"
    r"|compiled_with_cxx11_abi|profiler_allow_\w+"
)
OPERATORS = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__repr__", "__format__"}
NOT_OPERATORS = {
    "__module__",
    "__weakref__",
    "__dict__",
    "__cuda_array_interface__",
    "__annotations__",
    "__annotate_func__",
    "__torch_function__",
}


def items(options):
    """Name the namespaces."""
    return NAMESPACES


def checks(namespace, options):
    """Plan the existence and, where Python knows it, the signature of each public name."""
    try:
        home = torch.Tensor if namespace == "torch.Tensor" else importlib.import_module(namespace)
    except ImportError:
        home = None
    for name in public_names(namespace, home):
        path = f"{namespace}.{name}".removeprefix("torch.")
        yield Check(namespace, path, name, lambda target, path=path: _exists(target, path))
        wanted = _parameters(getattr(home, name, None))
        if wanted and wanted[0]:
            yield Check(
                f"{namespace}:signature",
                path,
                name,
                lambda target, path=path, wanted=wanted: _matches(target, path, wanted),
            )


def public_names(namespace, home):
    """List the names that users of ``namespace`` may rely on."""
    if home is None:
        return sorted(OPTIONAL.get(namespace, ()))
    listed = set(getattr(home, "__all__", ()))
    names = set(dir(home)) if namespace == "torch" or not listed else listed & set(dir(home))
    return sorted(
        name
        for name in names
        if not INTERNAL.fullmatch(name)
        and _is_public(namespace, name, getattr(home, name, None), name in listed)
    )


def _is_public(namespace, name, value, listed):
    if namespace == "torch.Tensor" and name.startswith("__"):
        return name in OPERATORS or not (hasattr(object, name) or name in NOT_OPERATORS)
    if name.startswith("_") or type(value).__name__ == "pybind11_type" and namespace == "torch":
        return False
    if listed or namespace == "torch.Tensor":
        return True
    if isinstance(value, types.ModuleType):
        path = f"{namespace}.{name}"
        return value.__name__ == path and (namespace != "torch" or path in NAMESPACES)
    owner = getattr(value, "__module__", None) or "torch"
    leftover = owner.startswith(("torch._jit_internal", "torch.overrides", "torch._VF"))
    return (
        owner.startswith("torch")
        and not leftover
        and not isinstance(value, (dict, str, bool))
        and value is not torch.Tensor
    )


def _parameters(thing):
    """Return the named public parameters of a Python callable, and how many come by position."""
    try:
        parameters = list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return None
    named = [
        p
        for p in parameters
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and not p.name.startswith("_")
        and p.name != "self"
    ]
    return [p.name for p in named], [p.name for p in named if p.kind is not p.KEYWORD_ONLY]


def _exists(target, path):
    target.lookup(path)


def _matches(target, path, wanted):
    thing = target.lookup(path)
    found = _parameters(thing)
    if found is None:
        raise Mismatch("has no readable signature")
    lacking = [name for name in wanted[0] if name not in found[0]]
    if lacking:
        raise Mismatch(f"lacks the parameter {lacking[0]}" + " and more" * (len(lacking) > 1))
    if found[1][: len(wanted[1])] != wanted[1]:
        raise Mismatch("takes parameters in another order")
