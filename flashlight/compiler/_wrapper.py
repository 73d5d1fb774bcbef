"""`torch.compile`: a function traced into one MLX graph for each kind of arguments it meets."""

from __future__ import annotations

import functools
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import mlx.core as mx

import flashlight as torch
from flashlight import Tensor, nn
from flashlight._core.evaluation import local
from flashlight._core.generator import default_generator
from flashlight.utils._pytree import tree_flatten

from . import _settings, config
from ._discovery import State, Untraceable, restore, token
from ._trace import Call, Inside, Plan

_EAGER = object()
_compiled: weakref.WeakSet = weakref.WeakSet()


class Version:
    """What a function was compiled to for one kind of arguments and state."""

    def __init__(self, function: Callable, call: Call, state: State, args: tuple, kwargs: dict):
        self.plan: Any = None
        self.draws = True
        self._context = (function, call, state, args, kwargs)
        self._run = mx.compile(self._traced)
        outs = self._run([*call.inputs(), next_key()])
        plan = self.plan
        self._context = None
        if plan.backward is not None:
            plan.backward.trace(outs[plan.first_residual:])
        plan.check_kept()
        plan.finish()
        self.first: Any = plan.follow(call, outs)

    def _traced(self, arrays: list) -> list:
        if self._context is None:
            raise RuntimeError("a compiled function was asked to trace again")
        function, call, state, args, kwargs = self._context
        before, backup = state.snapshot(), state.backup()
        inside = Inside(call, arrays[:-1], arrays[-1])
        try:
            with inside:
                result = function(*args, **kwargs)
                plan = Plan(inside, result)
            if state.snapshot() != before:
                raise Untraceable("it changes Python objects (attributes, lists, counters) that "
                                  "live longer than the call")
        except BaseException:
            restore(backup)
            raise
        self.draws = inside.draws
        self.plan = plan
        return plan.outs

    def __call__(self, call: Call) -> Any:
        """Run on the tensors of a call."""
        key = next_key() if self.draws else _no_key
        return self.plan.follow(call, self._run([*call.inputs(), key]))


def next_key() -> mx.array:
    """Return a key for MLX's random bits, drawn from the CPU's generator."""
    return mx.array(default_generator._stream.words32(2))


_no_key = mx.zeros((2,), mx.uint32)


class CompiledFunction:
    """A function that is traced and compiled where it can be, and runs as it is where it can't."""

    def __init__(self, function: Callable, fullgraph: bool, limit: int | None):
        self.function = function
        self.fullgraph = fullgraph
        self.limit = limit
        self.lock = threading.RLock()
        self.reset()
        _compiled.add(self)

    def reset(self) -> None:
        """Forget all compiled versions."""
        self.versions: dict = {}
        self.states: dict = {}
        self.warmed = False
        self.told: set = set()

    def __call__(self, args: tuple, kwargs: dict) -> Any:
        """Return what the function does."""
        if local.__dict__.get("tracing") or local.levels or local.__dict__.get("transforms") or \
                _settings.stance.name == "force_eager":
            return self.function(*args, **kwargs)
        with self.lock:
            return self._call(args, kwargs)

    def _call(self, args, kwargs):
        if not self.warmed:
            # Parameters, momentum and the like may be made by the first call; and checks of the
            # data, which a trace skips, are made at least once.
            self.warmed = True
            return self.function(*args, **kwargs)
        try:
            state, key, call = self._prepare(args, kwargs, lifts_rates=True)
        except Untraceable as reason:
            return self._fall_back(str(reason), args, kwargs)
        version = self.versions.get(key)
        if version is None and (*key, "rates") in self.versions:
            state, key, call = self._prepare(args, kwargs, lifts_rates=False)
            version = self.versions.get(key)
        if version is None:
            return self._compile(key, call, state, args, kwargs)
        if version is _EAGER:
            return self.function(*args, **kwargs)
        return version(call)

    def _prepare(self, args, kwargs, lifts_rates):
        leaves, spec = tree_flatten((args, kwargs))
        objects = [v for v in leaves if not isinstance(v, Tensor)]
        state, snapshot = self._state(objects, lifts_rates)
        tensors = [v for v in leaves if isinstance(v, Tensor)]
        call = Call([*tensors, *state.tensors], state.groups, lifts_rates)
        key = (
            spec,
            tuple([
                ("tensor", call.positions[id(v)]) if isinstance(v, Tensor) else token(v)
                for v in leaves
            ]),
            call.key,
            snapshot,
            _modes(),
        )  # fmt: skip
        return state, key, call

    def _state(self, objects: list, lifts_rates: bool) -> tuple[State, tuple]:
        """Return what the function reaches, looked for again when something was replaced."""
        roots = (lifts_rates, *[id(v) for v in objects if not isinstance(token(v), tuple)])
        known = self.states.get(roots)
        if known is not None:
            state, before = known
            snapshot = state.snapshot(state.rates() if lifts_rates else ())
            if snapshot == before:
                return state, before
        state = State([self.function, *objects])
        if len(self.states) > 64:
            self.states.clear()
        snapshot = state.snapshot(state.rates() if lifts_rates else ())
        self.states[roots] = state, snapshot
        return state, snapshot

    def _compile(self, key, call, state, args, kwargs):
        limit = config.recompile_limit if self.limit is None else self.limit
        if sum(v is not _EAGER for v in self.versions.values()) >= limit:
            if config.fail_on_recompile_limit_hit:
                raise RuntimeError(
                    f"recompile_limit reached ({limit}) with fail_on_recompile_limit_hit=True"
                )
            return self._fall_back(
                f"it was compiled {limit} times already, for other shapes, numbers or settings; "
                "make what changes a tensor, or raise recompile_limit", args, kwargs,
            )  # fmt: skip
        if _settings.stance.name in ("eager_on_recompile", "fail_on_recompile") and self.versions:
            if _settings.stance.name == "fail_on_recompile":
                raise RuntimeError(
                    "Detected recompile when torch.compile stance is 'fail_on_recompile'"
                )
            return self.function(*args, **kwargs)
        try:
            version = Version(self.function, call, state, args, kwargs)
        except Exception as error:
            if call.groups:
                # A learning rate that is a tensor may be what the function does not take.
                self.versions[(*key, "rates")] = _EAGER
                state, key, call = self._prepare(args, kwargs, lifts_rates=False)
                if key in self.versions:
                    return self._call(args, kwargs)
                return self._compile(key, call, state, args, kwargs)
            self.versions[key] = _EAGER
            return self._fall_back(_reason(error, self.function), args, kwargs)
        self.versions[key] = version
        result, version.first = version.first, None
        return result

    def _fall_back(self, reason, args, kwargs):
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        if self.fullgraph:
            raise RuntimeError(f"torch.compile(fullgraph=True) cannot compile {name}: {reason}")
        if reason not in self.told:
            self.told.add(reason)
            warnings.warn(
                f"torch.compile: {name} runs uncompiled: {reason}", stacklevel=_levels_outside()
            )
        return self.function(*args, **kwargs)


def _levels_outside() -> int:
    """Return the stacklevel of the program's own line."""
    library = torch.__file__.rpartition("/")[0]
    frame, level = sys._getframe(1), 1
    while frame is not None and (
        frame.f_code.co_filename.startswith(library) or frame.f_code.co_filename == functools.__file__
    ):
        frame, level = frame.f_back, level + 1
    return level


def _modes() -> tuple:
    """Return the settings that change what operations do."""
    return (
        local.grad_enabled,
        local.inference,
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"),
        torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda"),
        torch.is_autocast_enabled("mps") and torch.get_autocast_dtype("mps"),
    )


def _reason(error: Exception, function: Callable) -> str:
    """Say why tracing failed, and at which line of the program."""
    text = str(error) or type(error).__name__
    library = torch.__file__.rpartition("/")[0]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(library):
            return f"{text} ({frame.filename}:{frame.lineno})"
    return text


# ----- modules -----


class OptimizedModule(nn.Module):
    """A module whose call is compiled; everything else is the module's own."""

    _orig_mod: nn.Module

    def __init__(self, mod: nn.Module, compiled: Callable):
        super().__init__()
        self._orig_mod = mod
        self.__dict__["_compiled"] = compiled
        self.training = mod.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the compiled module."""
        return self._compiled(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_orig_mod", "training") or "_orig_mod" not in self.__dict__.get("_modules", {}):
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def train(self, mode: bool = True) -> OptimizedModule:
        """Set the mode of the module too."""
        self._orig_mod.train(mode)
        self.training = mode
        return self

    def __reduce__(self):
        return compile, (self._orig_mod,)


def compile(
    model: Callable | None = None, *, fullgraph: bool = False, dynamic: bool | None = None,
    backend: str | Callable | None = None, mode: str | None = None,
    options: dict[str, str | int | bool | Callable] | None = None, name: str | None = None,
    disable: bool = False, recompile_limit: int | None = None, isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:  # fmt: skip
    """Return a function or module that runs as one MLX graph, compiled for each kind of arguments.

    The first call runs as it is. The next one is traced: tensors among the arguments and all that
    the function reaches (parameters, buffers, gradients, optimizer state) are the graph's inputs,
    and what it writes its outputs. Where that is not possible (a value is read, a list grows, a
    shape depends on data) the function runs uncompiled, with one warning, or raises RuntimeError
    with `fullgraph`. `dynamic` and `options` change nothing: there is one graph for each shape.
    Raises RuntimeError for unknown modes and backends. See docs/how_it_works.md.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode not in (None, *_settings.MODES):
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_settings.MODES)}")
    chosen = _settings.default_backend[0] if backend is None else backend
    if not isinstance(chosen, str):
        raise RuntimeError(
            "torch.compile: a backend of your own would get an FX graph, and there is none; MLX "
            "compiles what the function does"
        )
    if chosen not in _settings.BACKENDS:
        raise RuntimeError(
            f"Invalid backend: {chosen!r}, see `torch.compiler.list_backends()` for available "
            "backends."
        )
    if model is None:
        return functools.partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
            options=options, name=name, disable=disable, recompile_limit=recompile_limit,
        )  # fmt: skip
    if not callable(model):
        raise RuntimeError(f"torch.compile takes a function or a module, not {type(model).__name__}")
    runs_as_it_is = disable or chosen in _settings.EAGER_BACKENDS
    if isinstance(model, nn.Module) and not isinstance(model, OptimizedModule):
        call = model._call_impl if runs_as_it_is else _function(
            model._call_impl, fullgraph, recompile_limit, type(model).__name__
        )
        return OptimizedModule(model, call)
    if runs_as_it_is or isinstance(model, OptimizedModule):
        return model
    return _function(model, fullgraph, recompile_limit, None)


def _function(function, fullgraph, limit, name):
    compiled = CompiledFunction(function, fullgraph, limit)

    @functools.wraps(function)
    def call(*args, **kwargs):
        return compiled(args, kwargs)

    if name is not None:
        call.__name__ = name
    call._torchdynamo_orig_callable = function
    call._compiled = compiled
    return call


def reset() -> None:
    """Forget all that was compiled."""
    for compiled in _compiled:
        compiled.reset()
