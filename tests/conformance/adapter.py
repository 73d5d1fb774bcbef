"""Carry values between PyTorch and a module with the same API, through NumPy."""

from __future__ import annotations

import collections
import dataclasses
import functools
import importlib
import types

import numpy
import torch

DTYPES = (
    "float32",
    "int64",
    "bool",
    "complex64",
    "bfloat16",
    "float16",
    "float64",
    "complex128",
    "int32",
    "int16",
    "int8",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "complex32",
)
PUBLIC_PREFIXES = (
    "nn.",
    "nn.functional.",
    "nn.utils.rnn.",
    "distributions.",
    "distributions.transforms.",
    "distributions.constraints.",
    "",
)
#: How to widen a dtype for a result that serves as a yardstick of rounding error.
WIDER = {torch.float32: torch.float64, torch.complex64: torch.complex128}
#: How to narrow a dtype which NumPy lacks; every value survives the detour.
NUMPY_DTYPE = {torch.bfloat16: torch.float32, torch.complex32: torch.complex64}
RECORDED = (torch.nn.Module, torch.distributions.Distribution, torch.distributions.Transform)


class Missing(Exception):
    """The target has no such name."""


class Mismatch(Exception):
    """The target gave something else than PyTorch does."""


def record_constructions():
    """Make PyTorch's modules and distributions remember how they were built, to build them anew."""

    def new(cls, *args, **kwargs):
        instance = object.__new__(cls)
        instance.__dict__["_construction"] = (args, kwargs)
        return instance

    for base in RECORDED:
        base.__new__ = staticmethod(new)


def fields_of(value):
    """Return the field names of a named tuple or PyTorch return type, or an empty tuple."""
    return getattr(type(value), "__match_args__", ()) if isinstance(value, tuple) else ()


def is_helper(function):
    """Tell whether ``function`` is glue around PyTorch's API rather than a part of it."""
    if isinstance(function, functools.partial):
        return True
    module = getattr(function, "__module__", None) or ""
    return isinstance(function, types.FunctionType) and (
        module.startswith("torch.testing.") or module.partition(".")[0] != "torch"
    )


class Adapter:
    """Access to one module: look names up in it, build its tensors, read them back.

    With ``double`` every float32 or complex64 tensor is built in twice the precision.
    """

    def __init__(self, module, double=False):
        self.module = module
        self.double = double

    def lookup(self, path):
        """Return the object at the dotted ``path`` below the module."""
        value, walked = self.module, self.module.__name__
        for part in path.split("."):
            walked = f"{walked}.{part}"
            try:
                value = getattr(value, part)
            except AttributeError:
                try:
                    value = importlib.import_module(walked)
                except ImportError:
                    raise Missing(f"no {path}") from None
        return value

    def retarget(self, function):
        """Return the counterpart of a PyTorch function, or glue code rebound to this module."""
        if not is_helper(function):
            return self.lookup(public_path(function))
        convert = Conversion(self)
        if isinstance(function, functools.partial):
            return functools.partial(
                self.retarget(function.func),
                *convert(list(function.args)),
                **convert(function.keywords),
            )
        scope = {**function.__globals__, "torch": self.module, "wrapper_set_seed": _call}
        cells = tuple(
            types.CellType(convert(cell.cell_contents)) for cell in function.__closure__ or ()
        )
        rebound = types.FunctionType(
            function.__code__, scope, function.__name__, function.__defaults__, cells
        )
        rebound.__kwdefaults__ = function.__kwdefaults__
        return rebound

    def is_tensor(self, value):
        """Tell whether ``value`` is one of the module's tensors."""
        return isinstance(value, self.module.Tensor)

    def dtype_name(self, tensor):
        """Return the canonical name of a tensor's dtype."""
        for name in DTYPES:
            if hasattr(self.module, name) and tensor.dtype == getattr(self.module, name):
                return name
        return str(tensor.dtype)

    def tensor(self, original):
        """Build the counterpart of a PyTorch tensor, without requiring grad."""
        dtype = WIDER.get(original.dtype, original.dtype) if self.double else original.dtype
        try:
            return self._build(original.detach().resolve_conj().resolve_neg(), dtype)
        except Missing:
            raise
        except Exception as error:
            raise Mismatch(
                f"cannot build a {_last(dtype)} tensor: {type(error).__name__}: {error}"
            ) from error

    def _build(self, source, dtype):
        if source.layout is torch.sparse_coo:
            source = source.coalesce()
            return self.lookup("sparse_coo_tensor")(
                self.tensor(source.indices()), self.tensor(source.values()), tuple(source.shape)
            )
        if source.layout is torch.sparse_csr:
            return self.lookup("sparse_csr_tensor")(
                self.tensor(source.crow_indices()),
                self.tensor(source.col_indices()),
                self.tensor(source.values()),
                tuple(source.shape),
            )
        target_dtype = self.lookup(_last(dtype))

        def make(part):
            return self.lookup("tensor")(_to_numpy(part), dtype=target_dtype)

        if source.is_contiguous():
            return make(source)
        extent = 1 + sum((n - 1) * step for n, step in zip(source.shape, source.stride()))
        try:
            base = make(source.as_strided((extent,), (1,)))
            view = base.as_strided(tuple(source.shape), source.stride())
            if torch.equal(self.to_torch(view).to(source.dtype), source):
                return view
        except Exception:  # a target without strided views gets a contiguous copy
            pass
        return make(source.contiguous())

    def to_torch(self, value):
        """Return ``value`` with every tensor, dtype and size in it turned into PyTorch's."""
        if self.is_tensor(value):
            return self._read(value)
        if isinstance(value, dict):
            return {key: self.to_torch(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            items = [self.to_torch(item) for item in value]
            named = fields_of(value)
            return collections.namedtuple("Named", named)(*items) if named else tuple(items)
        return value

    def _read(self, tensor):
        dtype = getattr(torch, self.dtype_name(tensor))
        tensor = tensor.detach()
        if self.module is torch:  # NumPy cannot read the zeros which autograd keeps symbolic
            tensor = tensor.clone()
        if "sparse" in str(getattr(tensor, "layout", "")):
            tensor = tensor.to_dense()
        for resolve in ("resolve_conj", "resolve_neg"):
            tensor = getattr(tensor, resolve)() if hasattr(tensor, resolve) else tensor
        if dtype in NUMPY_DTYPE:
            tensor = tensor.to(self.lookup(_last(NUMPY_DTYPE[dtype])))
        return torch.from_numpy(numpy.array(tensor.numpy())).to(dtype)


class Conversion:
    """One conversion of PyTorch values, which keeps sharing and collects the leaves.

    ``leaves`` lists pairs of original and made tensor for those that require grad,
    unless ``detach`` is set.
    """

    def __init__(self, adapter, detach=False):
        self.adapter = adapter
        self.detach = detach
        self.leaves = []
        self._made = {}

    def __call__(self, value):
        """Return the counterpart of ``value``; what is not PyTorch's stays as it is."""
        lookup = self.adapter.lookup
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
            return lookup(_last(value))
        if isinstance(value, torch.device):
            return lookup("device")(str(value))
        if isinstance(value, torch.Size):
            return getattr(self.adapter.module, "Size", tuple)(value)
        if fields_of(value):
            return lookup(public_path(type(value)))(*map(self, value))
        if isinstance(value, (list, tuple)):
            return type(value)(map(self, value))
        if isinstance(value, dict):
            return type(value)((key, self(item)) for key, item in value.items())
        if isinstance(value, RECORDED):
            return self._rebuild(value)
        if type(value).__module__.startswith("torch.") and dataclasses.is_dataclass(value):
            shallow = {f.name: self(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return lookup(public_path(type(value)))(**shallow)
        module = getattr(value, "__module__", None) or ""
        if callable(value) and (is_helper(value) or module.partition(".")[0] == "torch"):
            return self.adapter.retarget(value)
        return value

    def _tensor(self, original):
        if id(original) not in self._made:
            made = self.adapter.tensor(original)
            if isinstance(original, torch.nn.Parameter):
                made = self.adapter.lookup("nn.Parameter")(made, original.requires_grad)
            if original.requires_grad and not self.detach:
                made.requires_grad_(True)
                self.leaves.append((original, made))
            self._made[id(original)] = made
        return self._made[id(original)]

    def _rebuild(self, original):
        args, kwargs = original.__dict__["_construction"]
        made = self.adapter.lookup(public_path(type(original)))(*self(list(args)), **self(kwargs))
        if isinstance(original, torch.nn.Module):
            made.load_state_dict(Conversion(self.adapter, detach=True)(original.state_dict()))
        return made


def public_path(thing):
    """Return the dotted path, relative to ``torch``, by which users reach a function or class."""
    own = (getattr(thing, "__module__", None) or "").removeprefix("torch").lstrip(".")
    for prefix in (*PUBLIC_PREFIXES, f"{own}."):
        value = torch
        path = prefix + thing.__qualname__
        for part in path.split("."):
            value = getattr(value, part, None)
        if value is thing:
            return path
    raise Missing(f"{thing!r} has no public path")


def _call(function, *args, **kwargs):
    return function(*args, **kwargs)


def _last(value):
    return str(value).rpartition(".")[2]


def _to_numpy(tensor):
    return tensor.to(NUMPY_DTYPE.get(tensor.dtype, tensor.dtype)).numpy()
