"""The names of nodes that depend on arguments: PyTorch numbers overloads, or calls others."""

from __future__ import annotations

from . import arithmetic, matmul, pointwise, reduction


def _over_dimensions(name):
    """The whole tensor's is 0, that over dimensions 1."""
    return lambda node: f"{name}Backward{0 if node.saved['dim'] is None else 1}"


def _tensors(node) -> tuple:
    """How many tensors each parameter that may be one was given."""
    return tuple(count for _, count, _ in node.plan.steps)


def _power(node):
    base, exponent = _tensors(node)
    return f"PowBackward{exponent if base else 2}"


def _by_second(name):
    """A number's is 0, a tensor's 1."""
    return lambda node: f"{name}Backward{_tensors(node)[1]}"


def _linear(node):
    with_bias = _tensors(node)[2]
    if node.outputs[0].ndim == 2:
        return "AddmmBackward0" if with_bias else "MmBackward0"
    return "ViewBackward0" if with_bias else "UnsafeViewBackward0"


def _matmul(node):
    return ("Dot", "Mv", "Mm", "UnsafeView")[min(node.outputs[0].ndim, 3)] + "Backward0"


NAMES = {
    reduction._sum: _over_dimensions("Sum"),
    reduction._mean: _over_dimensions("Mean"),
    pointwise._pow: _power,
    pointwise.square: lambda node: "PowBackward0",
    arithmetic.sub: lambda node: "SubBackward0" if _tensors(node)[0] else "RsubBackward1",
    arithmetic.clamp: lambda node: f"ClampBackward{0 if any(_tensors(node)[1:]) else 1}",
    arithmetic.remainder: _by_second("Remainder"),
    arithmetic.fmod: _by_second("Fmod"),
    matmul.linear: _linear,
    matmul.matmul: _matmul,
}

for function, naming in NAMES.items():
    function.operation.naming = naming
