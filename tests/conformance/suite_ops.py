"""Operators: every OpInfo of PyTorch's ``op_db`` in all its variants."""

from __future__ import annotations

import itertools

import torch
from torch.testing._internal.common_methods_invocations import op_db

from .adapter import Conversion, Mismatch, Missing, is_helper
from .core import REFERENCE, backward, gradients, paired, raising, spread

#: Ops whose results are unique only up to sign or phase; the sample's own
#: post-processing makes them comparable.
GAUGE = {"svd", "linalg.svd", "linalg.eig", "linalg.eigh", "svd_lowrank", "pca_lowrank"}
#: Ops whose results come in an order that depends on the linear algebra library.
UNORDERED = {"linalg.eig", "linalg.eigvals"}
#: Ops which return memory that nobody has written.
UNINITIALISED = {
    "empty",
    "empty_like",
    "empty_strided",
    "empty_permuted",
    "new_empty",
    "new_empty_strided",
    "resize_",
    "resize_as_",
}
#: How many samples to draw before some are chosen evenly among them.
DRAWN = 400
FALLBACK_DTYPES = ("float32", "int64", "bool", "complex64")
#: What an output buffer holds before the op: a value that no op should leave there.
STALE = 77

_OPS = {op.formatted_name: op for op in op_db}


def is_internal(op):
    """Tell whether an OpInfo covers private, ATen-only or CUDA-only functions."""
    last = op.name.rpartition(".")[2]
    private = last.startswith("_") and not last.startswith("__")
    aten = (getattr(op.op, "__module__", None) or "").startswith("torch._ops")
    named = op.name.startswith(("torch.", "jiterator")) or "triton" in op.variant_test_name
    return private or aten or named or op.name == "max_pool2d_with_indices_backward"


def items(options):
    """Name each op with each selected dtype it supports, or else its first fallback dtype."""
    for op in op_db:
        if is_internal(op) and not options.internal:
            continue
        supported = {str(dtype).rpartition(".")[2] for dtype in op.supported_dtypes("cpu")}
        chosen = [dtype for dtype in options.dtypes if dtype in supported]
        if not chosen and "float32" in options.dtypes:
            chosen = [dtype for dtype in FALLBACK_DTYPES if dtype in supported][:1]
        for dtype in chosen:
            yield f"{op.formatted_name}[{dtype}]"


def checks(item, options):
    """Plan all checks of one op and dtype."""
    name, _, dtype_name = item.removesuffix("]").rpartition("[")
    op, dtype = _OPS[name], getattr(torch, dtype_name)
    trains = op.supports_autograd and dtype in op.supported_backward_dtypes("cpu")
    samples = itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=trains), DRAWN)
    chosen = spread([sample for sample in samples if _is_ordered(op, sample)], options.limit)
    for index, sample in enumerate(chosen):
        label = f"sample {index}"
        probes = _Probes(op, sample)
        values = op.name not in UNINITIALISED
        yield from paired("forward", item, label, probes.forward, values=values, graded=True)
        if op.method_variant:
            yield from paired("method", item, label, probes.method, values=values)
        if op.operator_variant:
            yield from paired("operator", item, label, probes.operator)
        if op.inplace_variant:
            yield from paired("inplace", item, label, probes.inplace, values=values)
        if op.supports_out:
            yield from paired("out", item, label, probes.out, values=values)
        if trains:
            yield from paired("grad", item, label, probes.grad, graded=True)
            if op.inplace_variant:
                yield from paired("inplace_grad", item, label, probes.inplace_grad)
    for alias in op.aliases if chosen else ():
        probe = _Probes(op, chosen[0], alias.name.removeprefix("torch.")).forward
        yield from paired("alias", item, alias.name, probe)
    if op.error_inputs_func and dtype_name in FALLBACK_DTYPES:
        for index, error in enumerate(op.error_inputs("cpu")):
            probe = _Probes(op, error.sample_input).forward
            yield from raising("error", item, f"error {index}", probe)


class _Probes:
    """The ways to call one op on one sample."""

    def __init__(self, op, sample, path=None):
        self.op, self.sample, self.path = op, sample, path

    def forward(self, adapter):
        _, first, args, kwargs = self._bind(adapter, detach=True)
        return self._read(adapter, self._function(adapter)(first, *args, **kwargs))

    def grad(self, adapter):
        convert, first, args, kwargs = self._bind(adapter)
        outputs = self._function(adapter)(first, *args, **kwargs)
        if self.op.name in GAUGE:
            outputs = adapter.retarget(self.sample.output_process_fn_grad)(outputs)
        backward(adapter, outputs, symmetric=self.op.name in UNORDERED)
        return gradients(adapter, convert.leaves)

    def method(self, adapter):
        _, first, args, kwargs = self._bind(adapter, detach=True)
        outputs = self._variant(adapter, self.op.method_variant, first)(*args, **kwargs)
        return self._read(adapter, outputs)

    def operator(self, adapter):
        _, first, args, kwargs = self._bind(adapter, detach=True)
        return adapter.to_torch(self.op.operator_variant(first, *args, **kwargs))

    def inplace(self, adapter):
        _, first, args, kwargs = self._bind(adapter, detach=True)
        result = self._variant(adapter, self.op.inplace_variant, first)(*args, **kwargs)
        if result is not first:
            raise Mismatch("in-place variant returns another object")
        return adapter.to_torch(first)

    def inplace_grad(self, adapter):
        convert, first, args, kwargs = self._bind(adapter)
        first = first * 1
        self._variant(adapter, self.op.inplace_variant, first)(*args, **kwargs)
        backward(adapter, first)
        return gradients(adapter, convert.leaves)

    def out(self, adapter):
        convert, first, args, kwargs = self._bind(adapter, detach=True)
        _, *call = self._bind(REFERENCE, detach=True)
        wanted = REFERENCE.to_torch(self._function(REFERENCE)(call[0], *call[1], **call[2]))
        single = isinstance(wanted, torch.Tensor)
        stale = [torch.full_like(tensor, STALE) for tensor in ([wanted] if single else wanted)]
        buffers = convert(stale[0] if single else tuple(stale))
        result = self._function(adapter)(first, *args, **kwargs, out=buffers)
        if single and result is not buffers:
            raise Mismatch("out= variant returns another object")
        return self._read(adapter, buffers)

    def _bind(self, adapter, detach=False):
        convert = Conversion(adapter, detach)
        sample = self.sample
        return convert, convert(sample.input), convert(list(sample.args)), convert(sample.kwargs)

    def _function(self, adapter):
        if self.path is None and is_helper(self.op.op):
            return adapter.retarget(self.op.op)
        path = self.path or self.op.name
        try:
            function = adapter.lookup(path)
            if callable(function):
                return function
        except Missing:
            if "." in path:
                raise
        return adapter.lookup(f"Tensor.{path}")

    @staticmethod
    def _variant(adapter, variant, first):
        """Return PyTorch's method or in-place ``variant`` as bound to the tensor ``first``."""
        if not is_helper(variant):
            return getattr(first, variant.__name__)
        rebound = adapter.retarget(variant)
        return lambda *args, **kwargs: rebound(first, *args, **kwargs)

    def _read(self, adapter, outputs):
        outputs = adapter.to_torch(outputs)
        if self.op.name in GAUGE:
            outputs = self.sample.output_process_fn_grad(outputs)
        return _by_eigenvalue(outputs) if self.op.name in UNORDERED else outputs


def _by_eigenvalue(outputs):
    """Sort eigenvalues, and the eigenvectors with them if there are any."""
    values, *vectors = outputs if isinstance(outputs, tuple) else (outputs,)
    order = values.imag.argsort(-1)
    rounded = (values.real * 1e3).round().gather(-1, order)
    order = order.gather(-1, rounded.argsort(dim=-1, stable=True))
    return [values.gather(-1, order)] + [
        v.gather(-1, order.unsqueeze(-2).expand(v.shape)) for v in vectors
    ]


def _is_ordered(op, sample):
    """Tell whether the result of a sample has a defined order."""
    unsorted = op.name == "topk" and False in sample.args[3:]
    return sample.kwargs.get("sorted", True) and not unsorted
