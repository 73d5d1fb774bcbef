"""Functions of each element that leave zeros zero: they run on the values."""

from __future__ import annotations

from ..._core.tensor import Tensor
from .dispatch import implements
from .gradients import assemble, coalesced, values_of
from .history import record
from .tensor import COO, SparseTensor, alias, unsupported, with_values

KEEP_ZERO = (
    "abs", "asin", "asinh", "atan", "atanh", "ceil", "deg2rad", "erf", "erfinv",
    "expm1", "floor", "frac", "isinf", "isnan", "isneginf", "isposinf", "log1p", "nan_to_num",
    "rad2deg", "relu", "round", "sgn", "sign", "signbit", "sin", "sinh", "sqrt", "tan", "tanh",
    "trunc",
)  # fmt: skip


def _on_values(name):
    operation = getattr(Tensor, name)

    def run(input, *args, **kwargs):
        source = coalesced(input) if input.format is COO else input
        return assemble(source, operation(values_of(source), *args, **kwargs))

    run.__name__ = run.__qualname__ = name
    run.__doc__ = operation.__doc__
    return run


for _name in KEEP_ZERO:
    implements(_name)(_on_values(_name))


@implements("neg")
def neg(input: SparseTensor) -> SparseTensor:
    """Return the negatives."""
    made = with_values(input, -input._storage.values)
    return record("Neg", made, (input,), lambda needs, grad: -grad)


@implements("positive", "resolve_conj", "resolve_neg")
def unchanged(input: SparseTensor) -> SparseTensor:
    """Return the tensor itself."""
    return input


@implements("conj_physical")
def conj_physical(input: SparseTensor) -> SparseTensor:
    """Return the complex conjugates; a real tensor itself."""
    if not input.is_complex():
        return input
    made = with_values(input, input._storage.values.conj_physical())
    return record("ConjPhysical", made, (input,), lambda needs, grad: conj(grad))


@implements("angle")
def angle(input: SparseTensor) -> SparseTensor:
    """Return the angles of a compressed tensor's elements."""
    if input.format is COO:
        raise unsupported("angle", input)
    return assemble(input, values_of(input).angle())


@implements("conj")
def conj(input: SparseTensor) -> SparseTensor:
    """Return the complex conjugates; a real tensor itself."""
    return input.conj_physical() if input.is_complex() else input


@implements("pow")
def power(input, exponent):
    """Return the elements to the power of a number above zero.

    Raises RuntimeError for other powers, which would not keep zeros.
    """
    if not isinstance(input, SparseTensor) or isinstance(exponent, SparseTensor):
        raise NotImplementedError("pow(): exponents can't be sparse; call to_dense() first")
    value = exponent.item() if isinstance(exponent, Tensor) and not exponent.ndim else exponent
    if isinstance(value, Tensor):
        raise NotImplementedError("pow(): a sparse base needs a number as its exponent")
    if value == 0:
        raise RuntimeError(
            "pow: a sparse tensor to the power of zero would be dense; call to_dense() first"
        )
    source = coalesced(input) if input.format is COO else input
    return assemble(source, values_of(source).pow(exponent))


@implements("square")
def square(input: SparseTensor) -> SparseTensor:
    """Return the squares."""
    return power(input, 2)


@implements("threshold_backward")
def threshold_backward(grad_output, self, threshold):
    """Return the gradient where `self` is above the threshold."""
    kept = coalesced(self) if self.format is COO else self
    above = with_values(kept, (kept._storage.values > threshold).to(grad_output.dtype))
    return grad_output * above


# ----- copies and dtypes -----


@implements("clone")
def clone(input: SparseTensor, *, memory_format=None) -> SparseTensor:
    """Return a copy with the same history."""
    made = with_values(input, input._storage.values._private())
    return record("Clone", made, (input,), lambda needs, grad: grad)


@implements("detach")
def detach(input: SparseTensor) -> SparseTensor:
    """Return a tensor of the same parts without history."""
    return alias(input)


@implements("_to_copy")
def cast(input: SparseTensor, dtype) -> SparseTensor:
    """Return the elements as another dtype."""
    made = with_values(input, input._storage.values.to(dtype))
    own = input.dtype
    return record("ToCopy", made, (input,), lambda needs, grad: grad.to(own))
