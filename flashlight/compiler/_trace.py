"""One compiled version of a function: traced once over the arrays of all tensors it may touch.

While a function is traced, every storage it can reach holds a placeholder, so that its own code,
aliases, views and writes included, runs as it is. Afterwards everything is put back. What the
trace found (which storages were written, which gradients set, where results live) is a `Plan`,
followed after each call with the arrays that come out.
"""

from __future__ import annotations

import gc
import threading
from typing import Any

import mlx.core as mx

import flashlight as torch
from flashlight import Tensor
from flashlight._autograd.history import meta_of
from flashlight._autograd.node import AccumulateGrad, Node, sequence
from flashlight._core import storage as storages
from flashlight._core.device import NATIVE
from flashlight._core.evaluation import local, track
from flashlight._core.keys import TRACE_KEYS
from flashlight._core.storage import HostStorage, Storage
from flashlight._core.tensor import make, read, wrap
from flashlight.utils._pytree import tree_flatten, tree_unflatten

from ._discovery import Untraceable
from ._residuals import Backward, Recorder, Residuals, is_spent, spent_node


class Border(Node):
    """Stands for the history that an argument has: gradients stop here while tracing."""

    __slots__ = ()

    def apply(self, grads: list) -> tuple:
        """Raise Untraceable: only the caller's graph knows what comes before."""
        raise Untraceable("it calls backward() through the history of an argument")

    def release(self) -> None:
        """Nothing is saved."""


class Journal:
    """The arrays that writes of this thread replaced."""

    def __init__(self):
        self.thread = threading.get_ident()
        self.before: dict[int, tuple] = {}

    def note(self, storage: Storage) -> None:
        """Remember what a storage holds before it is written for the first time."""
        if threading.get_ident() == self.thread:
            self.before.setdefault(id(storage), (storage, storage.array, storage.version))

    def undo(self) -> None:
        """Put all of it back."""
        for storage, array, version in self.before.values():
            storage.array, storage.version = array, version
        self.before.clear()


class Call:
    """The tensors of one call: those among the arguments and those of the state."""

    def __init__(self, tensors: list[Tensor], groups: list[dict], lifts_rates: bool):
        self.tensors: list[Tensor] = []
        self.storages: list[Storage] = []
        known: dict[int, int] = {}
        places: dict[int, int] = {}
        described = []
        queue = list(tensors)
        while queue:
            tensor = queue.pop(0)
            if id(tensor) in known:
                continue
            known[id(tensor)] = len(self.tensors)
            self.tensors.append(tensor)
            described.append(self._describe(tensor, places))
            grad = None if tensor._meta is None else tensor._meta.grad
            if grad is not None:
                queue.append(grad)
            base = None if tensor._meta is None else tensor._meta.base
            if base is not None:
                queue.append(base)
        self.positions = known
        self.groups = [g for g in groups if lifts_rates and type(g.get("lr")) is float]
        self.key = (
            tuple(described),
            tuple([
                -1 if t._meta is None or t._meta.grad is None else known[id(t._meta.grad)]
                for t in self.tensors
            ]),
            tuple([id(g) for g in self.groups]),
        )  # fmt: skip

    def _describe(self, tensor: Tensor, places: dict[int, int]) -> tuple:
        storage, node = tensor._storage, tensor._node
        if storage.layout is not tensor._layout and type(storage) is not Storage:
            if not isinstance(storage, HostStorage):
                raise Untraceable(f"it uses a {type(storage).__name__}")
            kind: Any = "host"
        else:
            kind = storage.layout
        if tensor._layout.device.type == "meta":
            raise Untraceable("it uses meta tensors")
        place = places.get(id(storage))
        if place is None:
            place = places[id(storage)] = len(self.storages)
            self.storages.append(storage)
        elif kind == "host":
            raise Untraceable("two tensors share memory with one NumPy array")
        history = 0 if node is None else 1 if type(node) is AccumulateGrad else 2
        return place, tensor._layout, kind, type(tensor), history

    def inputs(self) -> list[mx.array]:
        """Return the arrays that the compiled function takes."""
        arrays = [s.array if type(s) is Storage else None for s in self.storages]
        for tensor, (place, *_rest) in zip(self.tensors, self.key[0]):
            if arrays[place] is None:
                arrays[place] = read(tensor)
        kind = mx.float64 if NATIVE == "cpu" else mx.float32
        return arrays + [mx.array(g["lr"], kind) for g in self.groups]


class Inside:
    """While the function runs on placeholders: puts them in, and everything back at the end."""

    def __init__(self, call: Call, arrays: list, key: mx.array):
        self.call, self.arrays, self.random_key = call, arrays, key
        self.residuals = Residuals()
        self.recorder = Recorder()
        self.journal = Journal()

    def __enter__(self) -> Inside:
        call = self.call
        self.before = [(t._storage, t._layout, t._node, t._index, t._meta and t._meta.grad)
                       for t in call.tensors]
        self.held = [(s, s.array, s.version) for s in call.storages]
        self.rates = [g["lr"] for g in call.groups]
        self.outer = local.pending, storages.journal[0], TRACE_KEYS.replay(self.random_key)
        local.pending = self.recorder
        storages.journal[0] = self.journal
        local.tracing = local.__dict__.get("tracing", 0) + 1
        self.inner_storages = []
        for storage, array in zip(call.storages, self.arrays):
            if type(storage) is Storage:
                storage.array = array
                self.inner_storages.append(storage)
            else:
                self.inner_storages.append(None)
        self.borders = {}
        for position, (tensor, described) in enumerate(zip(call.tensors, call.key[0])):
            place = described[0]
            if self.inner_storages[place] is None:
                compact = tensor._layout.compact()
                tensor._layout = compact
                tensor._storage = self.inner_storages[place] = Storage(self.arrays[place], compact)
            if described[4] == 2:
                border = Border()
                border.edges, border.saved, border.outputs = (), None, (tensor._layout,)
                border.sequence = sequence()
                tensor._node, tensor._index = border, 0
                self.borders[position] = border
        self.starts = [(t._storage, t._layout, t._node) for t in call.tensors]
        rates = self.arrays[len(call.storages):]
        for group, rate in zip(call.groups, rates):
            group["lr"] = wrap(rate, torch.device("cpu"))
        self.hooks = torch.autograd.graph.saved_tensors_hooks(
            self.residuals.pack, self.residuals.unpack
        )
        self.hooks.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.hooks.__exit__(*exception)
        for group, rate in zip(self.call.groups, self.rates):
            group["lr"] = rate
        self.journal.undo()
        for storage, array, version in self.held:
            storage.array, storage.version = array, version
        for tensor, (storage, layout, node, index, grad) in zip(self.call.tensors, self.before):
            tensor._storage, tensor._layout = storage, layout
            tensor._node, tensor._index = node, index
            if tensor._meta is not None:
                tensor._meta.grad = grad
        local.tracing -= 1
        local.pending, storages.journal[0], outer_key = self.outer
        self.following = TRACE_KEYS.replay(outer_key)

    @property
    def draws(self) -> bool:
        """Whether a random number was drawn; known at the end."""
        return self.following is not self.random_key


class Plan:
    """What to do with the arrays that come out of the compiled function."""

    def __init__(self, inside: Inside, result: Any):
        self.inside: Inside | None = inside
        self.outs: list[mx.array] = []
        self._places: dict[int, int] = {}  # id of a storage -> position in outs
        self._storages: list[Storage] = []
        call = inside.call
        self._known = {id(s): k for k, s in enumerate(inside.inner_storages)}
        self._check_unchanged(inside)
        flat, self.spec = tree_flatten(result)
        self.writes = [
            (place, self._out(storage))
            for place, storage in enumerate(inside.inner_storages)
            if storage.array is not inside.arrays[place]
        ]
        self.grads = self._gradients(inside)
        self.results = [self._result(value, call) for value in flat]
        live = [
            (value, position) for position, value in enumerate(flat)
            if isinstance(value, Tensor) and self.results[position][0] != "given"
            and value._node is not None and value._layout.dtype.category >= 2
        ]  # fmt: skip
        spent = {position for value, position in live if is_spent(value._node)}
        self.spent = frozenset(spent)
        self.backward = None
        live = [(value, position) for value, position in live if position not in spent]
        if live:
            self.backward = Backward(inside, live)
            self.first_residual = len(self.outs)
            self.outs += self.backward.residual_arrays()

    def _check_unchanged(self, inside: Inside) -> None:
        """Raise Untraceable if a tensor from outside is no longer what it was, but for its values."""
        for tensor, (storage, layout, node) in zip(inside.call.tensors, inside.starts):
            if tensor._storage is not storage or tensor._layout is not layout:
                raise Untraceable("it gives a tensor from outside another storage or shape")
            if tensor._node is not node:
                raise Untraceable("it changes the history of a tensor from outside")
        for tensor, described in zip(inside.call.tensors, inside.call.key[0]):
            place = described[0]
            if described[2] == "host" and tensor._storage.array is not inside.arrays[place]:
                raise Untraceable("it writes to memory shared with NumPy")

    def _out(self, storage: Storage) -> int:
        found = self._places.get(id(storage))
        if found is None:
            found = self._places[id(storage)] = len(self.outs)
            self.outs.append(storage.array)
            self._storages.append(storage)
        return found

    def _where(self, tensor: Tensor) -> tuple:
        """Return how to make the tensor anew: over a storage from outside, or over a new one."""
        storage = tensor._storage
        if type(storage) is not Storage:
            raise Untraceable(f"it returns a tensor with a {type(storage).__name__}")
        known = self._known.get(id(storage))
        if known is not None:
            return "alias", known, tensor._layout, type(tensor)
        return "new", self._out(storage), storage.layout, tensor._layout, type(tensor)

    def _gradients(self, inside: Inside) -> list:
        changes = []
        for position, (tensor, before) in enumerate(zip(inside.call.tensors, inside.before)):
            grad = None if tensor._meta is None else tensor._meta.grad
            if grad is before[4]:
                continue
            if grad is None:
                changes.append((position, None))
                continue
            own = inside.call.positions.get(id(grad))
            changes.append((position, ("given", own) if own is not None else self._where(grad)))
        return changes

    def _result(self, value: Any, call: Call) -> tuple:
        if not isinstance(value, Tensor):
            if isinstance(value, mx.array):
                raise Untraceable("it returns an MLX array; return a tensor")
            return "value", value
        own = call.positions.get(id(value))
        return ("given", own) if own is not None else self._where(value)

    def check_kept(self) -> None:
        """Raise Untraceable if a tensor made inside lives on anywhere but in the results.

        To be called when the traced graph is gone.
        """
        inside = self.inside
        assert inside is not None
        accounted = {id(s) for s in (*self._storages, *inside.inner_storages)}
        if self._survivors(inside, accounted):
            gc.collect()
            if self._survivors(inside, accounted):
                raise Untraceable(
                    "it keeps a tensor that it made, or writes to one that it does not show; return "
                    "such tensors, or pass them as arguments"
                )

    def _survivors(self, inside: Inside, accounted: set) -> list:
        alive = [ref() for ref in inside.recorder.made.values()]
        return [s for s in alive if s is not None and id(s) not in accounted]

    def finish(self) -> None:
        """Drop what only tracing needed."""
        self.outs = []
        self._storages = []
        self.inside = None

    # ----- after each call -----

    def follow(self, call: Call, outs: list[mx.array]) -> Any:
        """Write what the function wrote, set the gradients it set, and return its results."""
        for place, position in self.writes:
            storage = call.storages[place]
            storage.array = outs[position]
            storage.version += 1
            track(storage)
        made: dict[int, Storage] = {}
        for position, how in self.grads:
            tensor = call.tensors[position]
            meta_of(tensor).grad = None if how is None else self._make(how, call, outs, made)
        results = []
        for position, how in enumerate(self.results):
            value = how[1] if how[0] == "value" else self._make(how, call, outs, made)
            if position in self.spent:
                value._node = spent_node(value._layout)
            results.append(value)
        if self.backward is not None:
            self.backward.attach(call, results, outs[self.first_residual:])
        return tree_unflatten(results, self.spec)

    def _make(self, how: tuple, call: Call, outs: list, made: dict[int, Storage]) -> Tensor:
        if how[0] == "given":
            return call.tensors[how[1]]
        if how[0] == "alias":
            _, place, layout, kind = how
            tensor = make(call.storages[place], layout)
        else:
            _, position, own, layout, kind = how
            storage = made.get(position)
            if storage is None:
                storage = made[position] = Storage(outs[position], own)
                track(storage)
            tensor = make(storage, layout)
        if kind is not Tensor:
            tensor.__class__ = kind
        return tensor


