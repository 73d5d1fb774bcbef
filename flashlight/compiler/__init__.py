"""Compiling programs, and asking whether one is compiled; as `torch.compiler`.

https://docs.pytorch.org/docs/2.13/torch.compiler.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flashlight._core.evaluation import local

from . import _settings
from . import config as config
from ._discovery import Untraceable
from ._wrapper import OptimizedModule, compile, reset

__all__ = [
    "compile",
    "config",
    "assume_constant_result",
    "reset",
    "allow_in_graph",
    "substitute_in_graph",
    "list_backends",
    "disable",
    "set_default_backend",
    "get_default_backend",
    "set_stance",
    "cudagraph_mark_step_begin",
    "wrap_numpy",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "save_cache_artifacts",
    "load_cache_artifacts",
    "nested_compile_region",
]


def is_compiling() -> bool:
    """Tell whether a function is being traced by `torch.compile`."""
    return bool(local.__dict__.get("tracing"))


def is_dynamo_compiling() -> bool:
    """Tell whether a function is being traced by `torch.compile`."""
    return is_compiling()


def is_exporting() -> bool:
    """Return False: there is no export."""
    return False


def disable(fn: Callable | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Return `fn` such that functions which call it are not compiled: they run as they are.

    Without `fn`, a decorator.
    """
    if fn is None:
        return functools.partial(disable, recursive=recursive, reason=reason)
    name = getattr(fn, "__qualname__", repr(fn))

    @functools.wraps(fn)
    def call(*args, **kwargs):
        if is_compiling():
            why = "" if reason is None else f" ({reason})"
            raise Untraceable(f"it calls {name}, which torch.compiler.disable keeps out{why}")
        return fn(*args, **kwargs)

    call._torchdynamo_disable = True
    return call


def allow_in_graph(fn: Any) -> Any:
    """Return `fn`: whatever calls tensors' operations goes into the graph."""
    if isinstance(fn, (list, tuple)):
        return [allow_in_graph(each) for each in fn]
    if not callable(fn):
        raise AssertionError("allow_in_graph expects a callable")
    return fn


def nested_compile_region(fn: Callable | None = None, *, options: Any = None,
                          max_reuse_entries: int = 8, reuse_hash_fn: Any = None) -> Any:
    """Return `fn`: it becomes part of the graph of whoever calls it."""
    return fn if fn is not None else (lambda inner: inner)


def assume_constant_result(fn: Callable) -> Callable:
    """Return `fn`: it is called while tracing, and its result is part of the graph."""
    return fn


def substitute_in_graph(
    original_fn: Callable, *, can_constant_fold_through: bool = False,
    skip_signature_check: bool = False,
) -> Callable:  # fmt: skip
    """Return a decorator that changes nothing: tracing runs the original function itself."""
    if not callable(original_fn):
        raise TypeError("substitute_in_graph expects a function")
    return lambda traceable: traceable


def list_backends(exclude_tags: tuple = ("debug", "experimental")) -> list[str]:
    """Return the names that `torch.compile(backend=...)` takes for MLX's compiler."""
    names = ["inductor", "mlx"]
    return names if exclude_tags and "debug" in exclude_tags else [*_settings.EAGER_BACKENDS, *names]


def set_default_backend(backend: str | Callable | None) -> None:
    """Set the backend of calls without one; None restores the default. Raises RuntimeError."""
    chosen = "inductor" if backend is None else backend
    if chosen not in _settings.BACKENDS:
        raise RuntimeError(f"Invalid backend: {backend!r}, see `torch.compiler.list_backends()` for "
                           "available backends.")
    _settings.default_backend[0] = chosen


def get_default_backend() -> str:
    """Return the backend of calls without one."""
    return _settings.default_backend[0]


class set_stance:
    """Set what compiled functions do: at once, in a `with`, or during a function it decorates.

    `"default"`, `"force_eager"` (run as they are), `"eager_on_recompile"`, `"fail_on_recompile"`,
    and the two that run the first call as it is, as is always done here. Raises RuntimeError for
    other stances.
    """

    def __init__(self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False,
                 force_backend: str | Callable | None = None):
        if stance not in _settings.Stance.NAMES:
            raise RuntimeError(f"invalid torch.compile stance {stance!r}")
        if skip_guard_eval_unsafe:
            raise RuntimeError("torch.compiler.set_stance: comparing the state before each call "
                               "can't be left out here; compile a function that reaches less")
        if force_backend is not None and force_backend not in _settings.BACKENDS:
            raise RuntimeError(f"Invalid backend: {force_backend!r}")
        self._name = "force_eager" if force_backend in _settings.EAGER_BACKENDS else stance
        self._previous = _settings.stance.name
        _settings.stance.name = self._name

    def __enter__(self) -> None:
        _settings.stance.name = self._name

    def __exit__(self, *exception: Any) -> None:
        _settings.stance.name = self._previous

    def __call__(self, function: Callable) -> Callable:
        """Decorate `function`; outside of it nothing changes."""
        _settings.stance.name = self._previous

        @functools.wraps(function)
        def inside(*args, **kwargs):
            previous, _settings.stance.name = _settings.stance.name, self._name
            try:
                return function(*args, **kwargs)
            finally:
                _settings.stance.name = previous

        return inside


def cudagraph_mark_step_begin() -> None:
    """Do nothing: MLX records no CUDA graphs that a step could reuse the memory of."""


def save_cache_artifacts() -> None:
    """Return None, which says that there is nothing to save: MLX keeps its kernels on disk itself."""


def load_cache_artifacts(serialized_artifacts: bytes) -> None:
    """Return None, which says that nothing was loaded: MLX keeps its kernels on disk itself."""


def wrap_numpy(fn: Callable) -> Callable:
    """Return a function of tensors that calls `fn` with NumPy arrays and returns tensors."""
    import numpy

    from flashlight import Tensor, from_numpy
    from flashlight.utils._pytree import tree_map

    @functools.wraps(fn)
    def call(*args, **kwargs):
        args, kwargs = tree_map(
            lambda v: v.detach().numpy() if isinstance(v, Tensor) else v, (args, kwargs)
        )
        return tree_map(
            lambda v: from_numpy(numpy.asarray(v)) if isinstance(v, (numpy.ndarray, numpy.generic))
            else v,
            fn(*args, **kwargs),
        )

    return call
