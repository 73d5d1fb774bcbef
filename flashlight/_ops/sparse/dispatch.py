"""What operations do when they meet a sparse tensor: one table, by the operation's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._autograd.history import adopt, check_inplace, edge_of
from ..._core.dtype import SCALAR_TYPE_NAME
from ..._core.evaluation import local
from ..._core.promotion import can_cast
from ..._core.tensor import Tensor
from ..kinds import replace
from ..overrides import DISPATCHERS
from .tensor import SparseTensor, alias, unsupported

#: name of an operation -> its form for sparse tensors, called with the operation's arguments
IMPLEMENTATIONS: dict[str, Callable] = {}


def implements(*names: str) -> Callable[[Callable], Callable]:
    """Declare a function as what the operations of these names do with sparse tensors."""

    def declare(function):
        for name in names:
            IMPLEMENTATIONS[name] = function
        return function

    return declare


def dispatch(function: Callable, args: tuple, kwargs: dict) -> Any:
    """Run an operation of which an argument is sparse.

    One written in tensors runs as it is, unless the table knows better: what it is made of comes
    back here. Raises NotImplementedError for one that is unknown.
    """
    name = function.__name__
    out = kwargs.pop("out", None) if "out" in kwargs else None
    found = IMPLEMENTATIONS.get(name) or getattr(function, "__wrapped__", None)
    if found is None:
        raise unsupported(name, first_sparse(args, kwargs))
    if name[-1] == "_" != name[-2:-1] and name not in IMPLEMENTATIONS:
        return _inplace(name, found, *args, **kwargs)
    result = found(*args, **kwargs)
    return result if out is None else write_out(name, out, result)


DISPATCHERS[SparseTensor] = dispatch


def first_sparse(args: tuple, kwargs: dict) -> Tensor:
    """Return the first sparse tensor among arguments, also inside lists."""
    for value in (*args, *kwargs.values()):
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, SparseTensor):
                return item
    raise TypeError("no argument is sparse")


def _inplace(name, operation, self, *args, **kwargs):
    """Run the operation of which `name` is the in-place form, and let `self` become its result."""
    recorded = local.grad_enabled
    if recorded and self._node is not None:
        check_inplace(self)
    before = alias(self)
    before._node, before._index = self._node, self._index
    result = operation(before, *args, **kwargs)
    if not isinstance(result, SparseTensor):
        raise unsupported(name, self)
    return become(self, result, recorded)


def become(self: Tensor, result: Tensor, recorded: bool = True) -> Tensor:
    """Let `self` take over what `result` consists of, with its history if `recorded`."""
    if not isinstance(self, SparseTensor):
        return replace(self, result, recorded)
    kind = self._layout.dtype
    if not can_cast(result._layout.dtype, kind):
        raise RuntimeError(
            f"result type {SCALAR_TYPE_NAME[result.dtype]} can't be cast to the desired output "
            f"type {SCALAR_TYPE_NAME[kind]}"
        )
    if result._layout.dtype is not kind:
        result = result.to(kind)
    parts, made = self._storage, result._storage
    parts.indices, parts.values = made.indices, made.values
    parts.coalesced = made.coalesced
    parts.version += 1
    if self._layout.size != result._layout.size:
        self._layout = result._layout
    if recorded and (self._node is not None or result._node is not None):
        adopt(self, edge_of(result))
    return self


def write_out(name: str, out: Tensor, result: Tensor) -> Tensor:
    """Write `result` into `out=`. Raises RuntimeError for an `out` of another layout."""
    if local.grad_enabled and (out._node is not None or result._node is not None):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if isinstance(out, SparseTensor) != isinstance(result, SparseTensor):
        raise RuntimeError(
            f"{name}(): expected 'out' to be of layout {result.layout}, but got {out.layout}"
        )
    if isinstance(out, SparseTensor):
        if out.format is not result.format:
            result = result.to_sparse(layout=out.layout)
        return become(out, result, False)
    from ..operation import write_out as write_dense

    return write_dense(out, result)
