"""Complex tensors as pairs of real numbers, their parts and conjugates."""

from __future__ import annotations

import mlx.core as mx

from .._autograd.history import edge_of
from .._autograd.node import Node, sequence
from .._core.dtype import complex64, float32
from .._core.evaluation import local
from .._core.tensor import Tensor, make
from .kinds import _join_family, composite, primitive
from .shape import select, transpose


class _PairNode(Node):
    """The node of a view of complex numbers as pairs, or the reverse."""

    __slots__ = ()


class ViewAsRealBackward0(_PairNode):
    """The node of `view_as_real`."""

    __slots__ = ()

    def apply(self, grads):
        """Return the gradient as complex numbers."""
        return (view_as_complex(grads[0].contiguous()),)

    def release(self):
        """Nothing is saved."""


class ViewAsComplexBackward0(_PairNode):
    """The node of `view_as_complex`."""

    __slots__ = ()

    def apply(self, grads):
        """Return the gradient as pairs."""
        return (view_as_real(grads[0].resolve_conj()),)

    def release(self):
        """Nothing is saved."""


def _pair_view(input, target, node_class):
    made = make(input._storage, target)
    edge = edge_of(input)
    if edge is not None and local.grad_enabled:
        node = node_class()
        node.edges, node.outputs, node.saved, node.sequence = (edge,), (target,), None, sequence()
        made._node = node
    _join_family(input, made, input._node)
    return made


@composite
def view_as_real(input):
    """Return complex numbers as pairs (real, imaginary) in a last dimension, sharing storage."""
    own = input._layout
    if not own.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    target = own.with_dtype(float32).view(
        [*own.size, 2], [*[2 * step for step in own.stride], 1], 2 * own.offset)
    return _pair_view(input, target, ViewAsRealBackward0)


@composite
def view_as_complex(input):
    """Return pairs in the last dimension as complex numbers, sharing storage."""
    own = input._layout
    if own.dtype is not float32:
        from .._core.dtype import TO_COMPLEX, check_supported
        if own.dtype in TO_COMPLEX and not own.dtype.is_complex:
            check_supported(TO_COMPLEX[own.dtype])
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {own.dtype.name}"
        )
    if not own.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if own.size[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if own.stride[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(step % 2 for step in own.stride[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if own.offset % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    target = own.with_dtype(complex64).view(
        own.size[:-1], [step // 2 for step in own.stride[:-1]], own.offset // 2
    )
    return _pair_view(input, target, ViewAsComplexBackward0)


@composite
def real(input):
    """Return the real part, as a view; a real tensor itself."""
    return select(view_as_real(input), -1, 0) if input.dtype.is_complex else input


@composite
def imag(input):
    """Return the imaginary part, as a view. Raises RuntimeError for real tensors."""
    if not input.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return select(view_as_real(input), -1, 1)


@primitive(name="_conj", node="Conj", elementwise=True)
def _conj(input: mx.array) -> mx.array:
    """Return the complex conjugate."""
    return mx.conj(input)


_conj.gradients(input=lambda grad: conj(grad))


@composite
def conj(input):
    """Return the complex conjugate; a real tensor itself."""
    return _conj(input) if input.dtype.is_complex else input


@composite
def conj_physical(input):
    """Return the complex conjugate."""
    return _conj(input) if input.dtype.is_complex else input


@composite
def resolve_conj(input):
    """Return `input`: conjugation is never left pending here."""
    return input


@composite
def resolve_neg(input):
    """Return `input`: negation is never left pending here."""
    return input


def _adjoint(self):
    if self.ndim == 1:
        raise RuntimeError("tensor.H is only supported on matrices (2-D tensors). Got 1-D tensor.")
    return conj(transpose(self, -2, -1)) if self.ndim else conj(self)


@composite
def adjoint(input):
    """Return matrices transposed and conjugated."""
    if input.ndim < 2:
        raise RuntimeError(
            f"tensor.adjoint() is only supported on matrices or batches of matrices. Got "
            f"{input.ndim}-D tensor."
        )
    return conj(transpose(input, -2, -1))


def _set_real(self, value):
    real(self).copy_(value)


def _set_imag(self, value):
    imag(self).copy_(value)


PROPERTIES = {
    "H": property(_adjoint, doc="A matrix transposed and conjugated."),
    "mH": property(lambda self: adjoint(self), doc="Matrices transposed and conjugated."),
    "real": property(lambda self: real(self), _set_real, doc="The real part."),
    "imag": property(lambda self: imag(self), _set_imag, doc="The imaginary part."),
}
for _name, _property in PROPERTIES.items():
    setattr(Tensor, _name, _property)

METHODS = {
    f.__name__: f for f in (conj, conj_physical, resolve_conj, resolve_neg, adjoint)
}
FUNCTIONS = METHODS | {f.__name__: f for f in (view_as_real, view_as_complex, real, imag)}
INPLACE = ("conj_physical",)
