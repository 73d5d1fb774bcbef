"""CUDA graphs, which MLX makes by itself from what it evaluates: programs cannot record any.

`torch.compile` is what saves the time that they are for.
"""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = [
    "CUDAGraph", "graph", "graph_pool_handle", "is_current_stream_capturing",
    "make_graphed_callables",
]  # fmt: skip


def _unavailable(name: str) -> RuntimeError:
    return RuntimeError(
        f"torch.cuda.{name}: MLX makes CUDA graphs by itself and lets no program record one; use "
        "torch.compile"
    )


class CUDAGraph:
    """A recorded graph, of which there are none: making one raises RuntimeError."""

    def __new__(cls, keep_graph: bool = False) -> NoReturn:
        raise _unavailable("CUDAGraph")


class graph:
    """A context that records a graph: making one raises RuntimeError."""

    def __init__(
        self, cuda_graph: CUDAGraph, pool: Any = None, stream: Any = None,
        capture_error_mode: str = "global", enable_annotations: bool = False,
        check_input_liveness: bool = False,
    ) -> None:  # fmt: skip
        raise _unavailable("graph")


def graph_pool_handle() -> NoReturn:
    """Raise RuntimeError: there are no graphs to share memory."""
    raise _unavailable("graph_pool_handle")


def make_graphed_callables(
    callables: Any, sample_args: Any, num_warmup_iters: int = 3, allow_unused_input: bool = False,
    pool: Any = None,
) -> NoReturn:  # fmt: skip
    """Raise RuntimeError: no graph can be recorded."""
    raise _unavailable("make_graphed_callables")


def is_current_stream_capturing() -> bool:
    """Return False: no graph is being recorded."""
    return False
