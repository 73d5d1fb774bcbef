"""Matrix products for every dtype: MLX has none for integers."""

from __future__ import annotations

import mlx.core as mx

_UNSIGNED = {mx.int8: mx.uint8, mx.int16: mx.uint16, mx.int32: mx.uint32, mx.int64: mx.uint64}
_LIMB = 16


def product(a: mx.array, b: mx.array) -> mx.array:
    """(..., n, k), (..., k, m) -> (..., n, m) of one dtype; integers wrap."""
    if mx.issubdtype(a.dtype, mx.integer):
        return _integer_product(a, b)
    return mx.matmul(a, b)


def _integer_product(a, b):
    """Exact modulo 2^bits: products of 16-bit limbs, summed in float64 (to 2^21 terms)."""
    dtype = a.dtype
    with mx.stream(mx.cpu):  # float64
        first, second = _limbs(a), _limbs(b)
        total = None
        for i, high in enumerate(first):
            for j, low in enumerate(second[:len(first) - i]):
                part = mx.matmul(high, low).astype(mx.uint64) << (_LIMB * (i + j))
                total = part if total is None else total + part
        return total.astype(dtype)


def _limbs(array):
    bits = 8 * array.itemsize
    unsigned = array.astype(_UNSIGNED.get(array.dtype, array.dtype)).astype(mx.uint64)
    return [((unsigned >> shift) & 0xFFFF).astype(mx.float64) for shift in range(0, bits, _LIMB)]
