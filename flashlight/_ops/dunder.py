"""Python's operators and conversions on tensors."""

from __future__ import annotations

from .._core.tensor import Tensor
from . import arithmetic as a
from . import pointwise as p
from . import splitting
from .composite import as_method
from .kinds import inplace


def _reflected(function):
    def swapped(self, other):
        return function(other, self)
    swapped.__name__ = f"__r{function.__name__}__"
    return swapped


def _commuted(operator):
    def reflected(self, other):
        if not isinstance(self, Tensor):
            raise TypeError(f"'__r{operator.__name__}__' doesn't apply to a "
                            f"'{type(self).__name__}' object")
        return operator(self, other)
    reflected.__name__ = f"__r{operator.__name__}__"
    return reflected


def _divide_by(self, other):
    """other / self, as PyTorch rounds it."""
    return self.reciprocal() * other


def _bool(self) -> bool:
    if self.numel() != 1:
        if self.numel() == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError(
            "Boolean value of Tensor with more than one value is ambiguous; use a.any() or a.all()"
        )
    return bool(self.item())


def _number(convert):
    def conversion(self):
        value = self.item()
        if isinstance(value, complex) and convert is not complex:
            if value.imag:
                raise RuntimeError(
                    f"value cannot be converted to type {convert.__name__} without overflow"
                )
            value = value.real
        return convert(value)
    return conversion


def _index(self) -> int:
    if self.dtype.category >= 2 or self.numel() != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(self.item())


def _len(self) -> int:
    if not self.ndim:
        raise TypeError("len() of a 0-d tensor")
    return self._layout.size[0]


def _iter(self):
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(splitting.unbind(self, 0))


def _contains(self, element) -> bool:
    if isinstance(element, (Tensor, int, float, complex)):
        return bool((element == self).any().item())
    raise RuntimeError(
        f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
    )


def _reversed(self):
    return self.flip(0) if self.ndim else self


def _dir(self):
    return sorted({*dir(type(self)), *self.__dict__})


OPERATORS = {
    "__pow__": p.pow_,
    "__rpow__": _reflected(p.pow_),
    "__ipow__": inplace(p.pow_),
    "__abs__": p.abs_,
    "__add__": a.add.operator,
    "__radd__": _commuted(a.add.operator),
    "__sub__": a.sub.operator,
    "__rsub__": as_method(a.rsub),
    "__mul__": a.mul.operator,
    "__rmul__": _commuted(a.mul.operator),
    "__truediv__": a.true_divide.operator,
    "__div__": a.true_divide.operator,
    "__rtruediv__": _divide_by,
    "__rdiv__": _divide_by,
    "__floordiv__": a.floor_divide.operator,
    "__rfloordiv__": _reflected(a.floor_divide),
    "__mod__": a.remainder.operator,
    "__rmod__": _reflected(a.remainder),
    "__neg__": a.neg,
    "__pos__": a.positive,
    "__eq__": a.eq.operator,
    "__ne__": a.ne.operator,
    "__lt__": a.lt.operator,
    "__le__": a.le.operator,
    "__gt__": a.gt.operator,
    "__ge__": a.ge.operator,
    "__and__": a.bitwise_and.operator,
    "__rand__": _commuted(a.bitwise_and.operator),
    "__or__": a.bitwise_or.operator,
    "__ror__": _commuted(a.bitwise_or.operator),
    "__xor__": a.bitwise_xor.operator,
    "__rxor__": _commuted(a.bitwise_xor.operator),
    "__invert__": a.bitwise_not,
    "__lshift__": a.bitwise_left_shift.operator,
    "__rlshift__": _reflected(a.bitwise_left_shift),
    "__rshift__": a.bitwise_right_shift.operator,
    "__rrshift__": _reflected(a.bitwise_right_shift),
    "__iadd__": inplace(a.add),
    "__isub__": inplace(a.sub),
    "__imul__": inplace(a.mul),
    "__itruediv__": inplace(a.true_divide),
    "__idiv__": inplace(a.true_divide),
    "__ifloordiv__": inplace(a.floor_divide),
    "__imod__": inplace(a.remainder),
    "__iand__": inplace(a.bitwise_and),
    "__ior__": inplace(a.bitwise_or),
    "__ixor__": inplace(a.bitwise_xor),
    "__ilshift__": inplace(a.bitwise_left_shift),
    "__irshift__": inplace(a.bitwise_right_shift),
    "__bool__": _bool,
    "__nonzero__": _bool,
    "__int__": _number(int),
    "__long__": _number(int),
    "__float__": _number(float),
    "__complex__": _number(complex),
    "__index__": _index,
    "__len__": _len,
    "__iter__": _iter,
    "__contains__": _contains,
    "__reversed__": _reversed,
    "__hash__": object.__hash__,
    "__dir__": _dir,
}
for _name, _function in OPERATORS.items():
    setattr(Tensor, _name, _function)

