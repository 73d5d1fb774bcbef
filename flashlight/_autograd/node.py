"""`Node`: one step of a recorded computation, and `Leaf`: where a gradient accumulates."""

from __future__ import annotations

import itertools
import re
import weakref
from typing import Any

from .._core.batch import in_use
from .._core.batched_storage import storage_for
from .._core.layout import Layout, overriding
from .._core.tensor import Tensor, around, new, read

sequence = itertools.count().__next__


class FREED:
    """What a node's saved values become once backward has used them."""


class Node:
    """A recorded operation: its inputs' nodes, the layouts of its outputs, what its rule needs.

    Sequence numbers grow with time, so a node's inputs always have smaller ones: walking in
    descending order visits each node after everything that used its outputs.
    """

    __slots__ = ("edges", "outputs", "saved", "sequence", "__dict__", "__weakref__")

    saved: Any

    #: hooks by output index, run on a gradient before the node; see `add_tensor_hook`
    tensor_hooks = None
    prehooks = None
    posthooks = None
    trace = None
    #: the calls of vmap inside which the node is: its gradient is that of one lane
    levels: tuple = ()

    def apply(self, grads: list) -> tuple:
        """Return the gradients of the inputs, one for each edge, from those of the outputs."""
        raise NotImplementedError

    def release(self) -> None:
        """Drop what was saved."""
        self.saved = FREED

    def check_not_freed(self) -> None:
        """Raise RuntimeError if a backward pass has dropped what was saved."""
        if self.saved is FREED:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved "
                "tensors after they have already been freed). Saved intermediate values of the "
                "graph are freed when you call .backward() or autograd.grad(). Specify "
                "retain_graph=True if you need to backward through the graph a second time or if "
                "you need to access saved tensors after calling backward."
            )

    def name(self) -> str:
        """Return the node's name."""
        return type(self).__name__

    def plain_name(self) -> str:
        """Return the operation's name, as messages say it."""
        return re.sub(r"Backward\d*$", "", self.name())

    @property
    def next_functions(self) -> tuple:
        """The (node, output index) of each input; (None, 0) for inputs that need no gradient."""
        return tuple((None, 0) if edge is None else edge for edge in self.edges)

    @property
    def metadata(self) -> dict:
        """A dictionary for the user."""
        return self.__dict__.setdefault("_metadata", {})

    def _sequence_nr(self) -> int:
        return self.sequence

    def _hook(self, kind, function):
        hooks = self.__dict__.setdefault(kind, {})
        return Handle(hooks, function)

    def register_hook(self, function):
        """Call `function(grad_inputs, grad_outputs)` after the node has run; it may return new
        ones.
        """
        return self._hook("posthooks", function)

    def register_prehook(self, function):
        """Call `function(grad_outputs)` before the node runs; it may return new ones."""
        return self._hook("prehooks", function)

    def add_tensor_hook(self, index: int, function):
        """Call `function(grad)` on the gradient of output `index` before the node runs."""
        hooks = self.__dict__.setdefault("tensor_hooks", {}).setdefault(index, {})
        return Handle(hooks, function)

    def __repr__(self):
        return f"<{self.name().rpartition(':')[2]} object at {hex(id(self))}>"


def class_named(name: str, base: type, number: int = 0, **attributes) -> type:
    """Return a class of nodes with the name PyTorch makes of an operation's: log1p's Log1P."""
    words = "".join(part[:1].upper() + part[1:] for part in name.strip("_").split("_"))
    words = re.sub(r"(?<=\d)[a-z]", lambda letter: letter.group().upper(), words)
    return type(f"{words}Backward{number}", (base,), {"__slots__": (), **attributes})


class Handle:
    """What registering a hook returns; `remove()` takes the hook off."""

    _ids = itertools.count()

    def __init__(self, hooks: dict, function):
        self.id = next(Handle._ids)
        self.hooks_dict_ref = weakref.ref(hooks) if not isinstance(hooks, dict) else (lambda: hooks)
        hooks[self.id] = function

    def remove(self) -> None:
        """Take the hook off; harmless the second time."""
        self.hooks_dict_ref().pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


class AccumulateGrad(Node):
    """The end of the walk: a tensor that was not computed, and whose `grad` collects."""

    __slots__ = ("meta", "storage", "layout", "tensor")

    edges_of_leaf = ()

    def __init__(self, tensor: Tensor, meta):
        self.edges = ()
        self.saved = None
        self.sequence = sequence()
        self.outputs = (tensor._layout,)
        self.meta = meta
        self.storage = tensor._storage
        self.layout = tensor._layout
        self.tensor = weakref.ref(tensor)

    def name(self) -> str:
        """Return PyTorch's name."""
        return "torch::autograd::AccumulateGrad"

    def release(self) -> None:
        """A leaf saves nothing."""

    @property
    def variable(self) -> Tensor:
        """The leaf; made anew from its storage if the program has dropped it."""
        found = self.tensor()
        if found is None:
            found = around(self.storage, self.layout)
            found._node, found._meta = self, self.meta
            self.tensor = weakref.ref(found)
        return found


def keep_apart(tensor: Tensor) -> None:
    """Keep a tensor whose node is inside vmap off the fast paths, which know of no levels."""
    node = tensor._node
    if node is not None and node.levels and tensor._storage.layout is tensor._layout:
        tensor._storage.layout = overriding(tensor._layout)


class Saved:
    """A tensor kept for backward: its value as it is now, and how to tell whether it changed since.

    Arrays are never changed, so keeping one is free; the version is compared only to raise
    where PyTorch does.
    """

    __slots__ = ("storage", "layout", "array", "version", "node", "index", "packed", "is_output")

    def __init__(self, tensor: Tensor, array=None, is_output: bool = False):
        storage = tensor._storage
        if storage.version < 0:
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Please do not use Tensors created "
                "in inference mode in computation tracked by autograd. To work around this, you "
                "can make a clone to get a normal tensor and use it in autograd, or use "
                "`torch.no_grad()` instead of `torch.inference_mode()`."
            )
        self.storage = storage
        self.layout = tensor._layout
        self.array = read(tensor) if array is None else array
        self.version = storage.version
        # An output does not keep its own node: that would be a cycle. `unpack` is told it.
        self.node = None if is_output else tensor._node
        self.index = tensor._index
        self.is_output = is_output and tensor._layout.dtype.category >= 2

    def unpack(self, owner: Node | None = None) -> Tensor:
        """Return the tensor, with its history. Raises RuntimeError if it was modified since."""
        storage, layout = self.storage, self.layout
        if storage.version != self.version:
            node = owner if self.is_output else self.node
            known = node is not None and type(node) is not AccumulateGrad
            of = f", which is output {self.index} of {node.plain_name()}," if known else ""
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: [torch.{_legacy_name(layout)} {list(layout.size)}]{of} "
                f"is at version {storage.version}; expected version {self.version} instead. Hint: "
                "enable anomaly detection to find the operation that failed to compute its "
                "gradient, with torch.autograd.set_detect_anomaly(True)."
            )
        tensor = new(Tensor)
        if storage.layout is layout and storage.array is self.array:
            tensor._storage, tensor._layout = storage, layout
        else:
            tensor._layout = layout if layout.plain else layout.compact()
            tensor._storage = storage_for(self.array, tensor._layout)
        tensor._node = owner if self.is_output else self.node
        if in_use[0]:
            keep_apart(tensor)
        tensor._index = self.index
        tensor._meta = None
        return tensor


class PackedSaved:
    """A tensor kept for backward by `saved_tensors_hooks`."""

    __slots__ = ("packed", "unhook", "node", "index", "version", "storage", "is_output")

    def __init__(self, tensor: Tensor, hooks, is_output: bool = False):
        pack, self.unhook = hooks
        self.storage = None
        self.node = None if is_output else tensor._node
        self.index = tensor._index
        self.is_output = is_output and tensor._layout.dtype.category >= 2
        self.packed = pack(around(tensor._storage, tensor._layout))

    def unpack(self, owner: Node | None = None) -> Tensor:
        """Return what the unpack hook makes of it, with its history."""
        found = self.unhook(self.packed)
        if not isinstance(found, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result "
                f"of type {type(found).__name__}"
            )
        tensor = around(found._storage, found._layout)
        tensor._node = owner if self.is_output else self.node
        if in_use[0]:
            keep_apart(tensor)
        tensor._index = self.index
        return tensor


def _legacy_name(layout: Layout) -> str:
    from .._core.dtype import SCALAR_TYPE_NAME
    return f"{SCALAR_TYPE_NAME[layout.dtype]}Tensor"
