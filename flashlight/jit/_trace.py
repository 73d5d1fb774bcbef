"""`torch.jit.trace` and its classes, switched off."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flashlight.jit._script import ScriptModule, warn_deprecated


class TracerWarning(Warning):
    """A warning about what a trace does not see."""


class TracingCheckError(Exception):
    """A trace gives other results than the function."""


class TracedModule(ScriptModule):
    """A traced module, of which there are none: for isinstance."""


class TopLevelTracedModule(TracedModule):
    """A traced module, of which there are none: for isinstance."""


def is_tracing() -> bool:
    """Return False: nothing is ever traced."""
    return False


def _script_if_tracing(fn: Callable) -> Callable:
    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    call.__original_fn = fn
    call.__script_if_tracing_wrapper = True
    return call


def trace(
    func: Any, example_inputs: Any = None, optimize: Any = None, check_trace: bool = True,
    check_inputs: Any = None, check_tolerance: float = 1e-05, strict: bool = True,
    _force_outplace: bool = False, _module_class: Any = None, _compilation_unit: Any = None,
    example_kwarg_inputs: Any = None, _store_inputs: bool = True,
) -> Any:  # fmt: skip
    """Return the function or module itself."""
    warn_deprecated("trace")
    return func


def trace_module(
    mod: Any, inputs: Any, optimize: Any = None, check_trace: bool = True,
    check_inputs: Any = None, check_tolerance: float = 1e-05, strict: bool = True,
    _force_outplace: bool = False, _module_class: Any = None, _compilation_unit: Any = None,
    example_inputs_is_kwarg: bool = False, _store_inputs: bool = True,
) -> Any:  # fmt: skip
    """Return the module itself."""
    warn_deprecated("trace_module")
    return mod
