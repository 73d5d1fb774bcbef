"""Polynomials with constant coefficients, evaluated with few operations."""

from __future__ import annotations

import mlx.core as mx


class Polynomial:
    """c0 + c1·x + c2·x² + ..., by Horner's rule, elementwise.

    The coefficients are kept as arrays, one set per dtype: an operation with an array is issued
    a third faster than one with a Python number.
    """

    def __init__(self, *coefficients: float):
        self.coefficients = coefficients
        self._arrays: dict[mx.Dtype, list[mx.array]] = {}

    def __call__(self, x: mx.array) -> mx.array:
        highest, *rest = self._arrays.get(x.dtype) or self._prepare(x.dtype)
        total = highest
        for coefficient in rest:
            total = total * x + coefficient
        return total

    def _prepare(self, dtype: mx.Dtype) -> list[mx.array]:
        arrays = [mx.array(c, dtype=dtype) for c in reversed(self.coefficients)]
        self._arrays[dtype] = arrays
        return arrays


class Rational:
    """The quotient of two polynomials, each given by its coefficients from the constant up."""

    def __init__(self, numerator: tuple[float, ...], denominator: tuple[float, ...]):
        self.numerator = Polynomial(*numerator)
        self.denominator = Polynomial(*denominator)

    def __call__(self, x: mx.array) -> mx.array:
        return self.numerator(x) / self.denominator(x)
