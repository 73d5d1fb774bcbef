"""How many threads the CPU's work may use: `torch.set_num_threads` and its kin.

MLX runs each stream's kernels in one thread; only BLAS and LAPACK use more.
"""

from __future__ import annotations

from . import blas

_interop = 1


def _positive(function: str, count: object) -> int:
    if not isinstance(count, int) or isinstance(count, bool):
        raise RuntimeError(f"{function} expects an int, but got {type(count).__name__}")
    if count < 1:
        raise RuntimeError(f"{function} expects a positive integer")
    return count


def set_num_threads(int: int) -> None:
    """Set the threads of matrix products and decompositions on the CPU.

    Raises RuntimeError unless the number is a positive int.
    """
    blas.set_num_threads(_positive("set_num_threads", int))


def get_num_threads() -> int:
    """Return the threads of matrix products and decompositions on the CPU."""
    return blas.get_num_threads()


def set_num_interop_threads(int: int) -> None:
    """Note the number that `get_num_interop_threads` returns; MLX's streams have one thread each.

    Raises RuntimeError unless the number is a positive int.
    """
    global _interop
    _interop = _positive("set_num_interop_threads", int)


def get_num_interop_threads() -> int:
    """Return the number last set, at first 1."""
    return _interop
