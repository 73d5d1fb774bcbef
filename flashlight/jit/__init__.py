"""TorchScript, switched off: what PyTorch does if PYTORCH_JIT=0 is in its environment.

Functions and modules stay the Python that they are. What is about compiled programs (`load`,
`save`, `freeze`) is missing. https://docs.pytorch.org/docs/2.13/jit.html#disable-jit-for-debugging
"""

# No `from __future__ import annotations`: it would take the name of the submodule.

from flashlight._jit_internal import (
    Final,
    _drop,
    _isinstance,
    _overload,
    _overload_method,
    export,
    ignore,
    is_scripting,
    unused,
)
from flashlight._settings import JITException as Error
from flashlight.futures import Future
from flashlight.jit import annotations as annotations
from flashlight.jit._async import fork, wait
from flashlight.jit._script import (
    Attribute,
    RecursiveScriptModule,
    ScriptFunction,
    ScriptModule,
    ScriptWarning,
    interface,
    script,
    script_method,
)
from flashlight.jit._trace import (
    TopLevelTracedModule,
    TracedModule,
    TracerWarning,
    TracingCheckError,
    _script_if_tracing,
    is_tracing,
    trace,
    trace_module,
)

__all__ = [
    "Attribute", "Error", "Final", "Future", "RecursiveScriptModule", "ScriptFunction",
    "ScriptModule", "ScriptWarning", "TopLevelTracedModule", "TracedModule", "TracerWarning",
    "TracingCheckError", "annotate", "annotations", "export", "fork", "ignore", "interface",
    "is_scripting", "is_tracing", "isinstance", "script", "script_if_tracing", "script_method",
    "trace", "trace_module", "unused", "wait",
]  # fmt: skip

_fork, _wait = fork, wait


def annotate(the_type: object, the_value: object) -> object:
    """Return the value; the type is for TorchScript's compiler."""
    return the_value


def script_if_tracing(fn):
    """Return a function that calls `fn`: nothing is ever traced."""
    return _script_if_tracing(fn)


def isinstance(obj: object, target_type: object) -> bool:
    """Tell whether `obj` is of a type such as list[int], whose elements are looked at as well.

    Raises RuntimeError for containers without the type of their elements.
    """
    return _isinstance(obj, target_type)


