"""What a tensor remembers: `grad`, hooks, and how views and in-place writes share a history.

A view knows its base. When one tensor of such a family is written by a recorded operation,
the base's history becomes "the old one with this part replaced", and every other view's is
out of date: its `_node` is set to `STALE`, and made anew from the base when next asked for.
"""

from __future__ import annotations

import weakref

from .._core.batch import in_use
from .._core.evaluation import local
from .._core.tensor import Tensor
from .lanes import join_levels
from .node import AccumulateGrad, Handle, Node, sequence


class Meta:
    """The rarely used part of a tensor: gradient, hooks, and its place among views."""

    __slots__ = (
        "grad", "base", "fresh", "prune_at", "accumulated_hooks", "retains", "creation", "name",
        "untracked", "leaf",
    )  # fmt: skip

    def __init__(self):
        self.grad = None
        self.base = None  # the tensor that this one is a view of
        self.fresh = None  # weak references to the views whose node is up to date
        self.prune_at = 64
        self.accumulated_hooks = None
        self.retains = None  # the handle of the hook that keeps the gradient
        self.creation = None  # "multi" or "no_grad": views that recorded writes must not go through
        self.name = None
        self.untracked = False  # made by `.data`: writes do not count as versions
        self.leaf = None


class _Stale(Node):
    __slots__ = ()


STALE = _Stale()


def meta_of(tensor: Tensor) -> Meta:
    """Return the tensor's `Meta`, made on first use."""
    meta = tensor._meta
    if meta is None:
        meta = tensor._meta = Meta()
    return meta


def edge_of(tensor: Tensor):
    """Return (node, output index), or None if the tensor needs no gradient."""
    node = tensor._node
    if node is None:
        return None
    if node is STALE:
        node = renew(tensor)
    return node, tensor._index


def renew(tensor: Tensor) -> Node:
    """Give a view whose base was written a node that reads the base."""
    base = tensor._meta.base
    if tensor._meta.creation == "function":
        raise RuntimeError(
            "Output of a custom Function is a view and its base or another view of its base has "
            f"been modified inplace. {_OF_FUNCTION}"
        )
    if tensor._meta.creation == "multi":
        raise RuntimeError(
            "Output of a function that returns multiple views is a view and its base or another "
            "view of its base has been modified inplace. Such functions do not allow the output "
            "views to be modified inplace. You should replace the inplace operation by an "
            "out-of-place one."
        )
    tensor._node = VIEW_NODE[0](base, tensor)
    tensor._index = 0
    remember_view(base, tensor)
    return tensor._node


VIEW_NODE: list = []  # set by `_ops.kinds`: makes the node of an `as_strided` view


def remember_view(base: Tensor, view: Tensor) -> None:
    """Note that `view`'s node is derived from `base`'s as it is now."""
    meta = meta_of(base)
    if meta.fresh is None:
        meta.fresh = []
    meta.fresh.append(weakref.ref(view))
    if len(meta.fresh) > meta.prune_at:
        meta.fresh = [ref for ref in meta.fresh if ref() is not None]
        meta.prune_at = max(64, 2 * len(meta.fresh))


def mark_views_stale(base: Tensor, but: Tensor | None = None) -> None:
    """Make every up-to-date view of `base` ask for its node again."""
    meta = base._meta
    if meta is None or not meta.fresh:
        return
    for ref in meta.fresh:
        view = ref()
        if view is not None and view is not but:
            view._node = STALE
    meta.fresh = []


def make_leaf(tensor: Tensor) -> None:
    """Let `tensor` collect a gradient."""
    meta = meta_of(tensor)
    leaf = meta.leaf
    if leaf is None or leaf.storage is not tensor._storage or leaf.layout is not tensor._layout:
        leaf = meta.leaf = None
    meta.leaf = None
    if leaf is None:
        leaf = AccumulateGrad(tensor, meta)
    tensor._node = leaf
    tensor._index = 0


def check_inplace(tensor: Tensor, history: bool = False) -> None:
    """Raise RuntimeError if a recorded operation must not write into `tensor`.

    `history` tells whether another input of the operation needs a gradient.
    """
    node = tensor._node
    meta = tensor._meta
    base = None if meta is None else meta.base
    if base is not None:
        if meta.creation is not None and (history or node is not None or base._node is not None):
            _refuse_write(tensor, meta)
        if node is not None and (base._node is None or type(base._node) is AccumulateGrad):
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an "
                               "in-place operation.")
    if type(node) is AccumulateGrad:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )


_OF_FUNCTION = (
    "This view was created inside a custom Function (or because an input was returned as-is) and "
    "the autograd logic to handle view+inplace would override the custom backward associated with "
    "the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix "
    "this by cloning the output of the custom Function."
)


def _refuse_write(view, meta):
    if meta.creation == "no_grad" or view._node is None:
        what = ("A view was created in no_grad mode and is being modified inplace with grad mode "
                "enabled.")
    else:
        node, index = edge_of(view)
        what = f"Output {index} of {node.plain_name()} is a view and is being modified inplace."
    if meta.creation == "function":
        raise RuntimeError(f"{what} {_OF_FUNCTION}")
    if meta.creation == "multi":
        raise RuntimeError(
            f"{what} This view is the output of a function that returns multiple views. Such "
            "functions do not allow the output views to be modified inplace. You should replace "
            "the inplace operation by an out-of-place one."
        )
    raise RuntimeError(
        f"{what} Given that this use case is ambiguous and error-prone, it is forbidden. You can "
        "clarify your code by moving both the view and the inplace either both inside the no_grad "
        "block (if you don't want the inplace to be tracked) or both outside (if you want the "
        "inplace to be tracked)."
    )


class CopySlices(Node):
    """A base after one of its views was written: old gradient outside the view, new one inside."""

    __slots__ = ("geometry",)

    def name(self) -> str:
        """Return PyTorch's name."""
        return "torch::autograd::CopySlices"

    def apply(self, grads: list) -> tuple:
        """Return the gradients of the base's old value and of what was written."""
        grad = grads[0]
        base, view = self.geometry
        inside = grad._view_read(base, view) if self.edges[1] is not None else None
        outside = grad._view_clear(base, view) if self.edges[0] is not None else None
        return outside, inside

    def release(self) -> None:
        """Nothing is saved."""


def adopt(tensor: Tensor, result_edge) -> None:
    """Give `tensor`, just written in place, the history of what was written."""
    meta = tensor._meta
    base = None if meta is None else meta.base
    if base is None:
        if result_edge is None:
            tensor._node, tensor._index = None, 0
        else:
            tensor._node, tensor._index = result_edge
        if meta is not None:
            mark_views_stale(tensor)
            if meta.retains is not None and tensor._node is not None:
                _retain(tensor)
        return
    base_edge = edge_of(base)
    if base_edge is None and result_edge is None:
        return
    node = CopySlices()
    node.edges = (base_edge, result_edge)
    node.outputs = (base._layout,)
    node.saved = None
    node.sequence = sequence()
    node.geometry = (base._layout, tensor._layout)
    if in_use[0]:
        join_levels(node, (base, tensor), (base,))
    base._node, base._index = node, 0
    mark_views_stale(base)
    tensor._node = STALE
    if meta.retains is not None:
        renew(tensor)
        _retain(tensor)


# ----- the properties and methods of Tensor that concern history -----


def _get_requires_grad(self) -> bool:
    """Whether operations on this tensor are recorded."""
    if self._node is not None:
        return True
    meta = self._meta
    return (meta is not None and meta.creation == "no_grad" and meta.base is not None
            and meta.base._node is not None)


def _set_requires_grad(self, value) -> None:
    if value:
        if local.levels:
            raise RuntimeError(
                "You are attempting to call Tensor.requires_grad_() inside of a function that "
                "vmap maps. Use torch.func.grad or torch.func.vjp there, or set requires_grad "
                "before"
            )
        if self._layout.dtype.category < 2:
            raise RuntimeError(
                "only Tensors of floating point and complex dtype can require gradients"
            )
        if self._storage.version < 0 and not local.inference:
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not "
                "allowed."
            )
        if self._node is None:
            make_leaf(self)
    elif self._node is not None:
        if type(self._node) is not AccumulateGrad:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to "
                "use a computed variable in a subgraph that doesn't require differentiation "
                "use var_no_grad = var.detach()."
            )
        self._meta.leaf = self._node
        self._node = None


def requires_grad_(self, requires_grad: bool = True):
    """Set `requires_grad` and return this tensor. Raises RuntimeError for other than leaves."""
    if requires_grad and self._layout.dtype.category < 2:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    _set_requires_grad(self, requires_grad)
    return self


def _get_grad(self):
    """The accumulated gradient, or None."""
    meta = self._meta
    if meta is None or meta.grad is None:
        if self._node is not None and type(self._node) is not AccumulateGrad and not (
                meta is not None and meta.retains is not None):
            import warnings
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. "
                "Its .grad attribute won't be populated during autograd.backward(). If you "
                "indeed want the .grad field to be populated for a non-leaf Tensor, use "
                ".retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by "
                "mistake, make sure you access the leaf Tensor instead.",
                UserWarning,
                stacklevel=3,
            )
        return None
    return meta.grad


def _set_grad(self, grad) -> None:
    if grad is None:
        if self._meta is not None:
            self._meta.grad = None
        return
    if not isinstance(grad, Tensor):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type "
                        f"{type(grad).__name__}")
    if grad is self:
        raise RuntimeError("can't assign Variable as its own grad")
    if grad.dtype is not self.dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{grad.dtype}' to a tensor with "
            f"dtype '{self.dtype}'. Please ensure that the gradient and the tensor have "
            "the same dtype"
        )
    if grad.shape != self.shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(grad.shape)}' to a tensor of "
            f"size '{list(self.shape)}'. Please ensure that the gradient and the tensor "
            "are the same size"
        )
    meta_of(self).grad = grad


def _del_grad(self) -> None:
    _set_grad(self, None)


def _get_grad_fn(self):
    """The node that made this tensor; None for leaves."""
    node = self._node
    if node is STALE:
        node = renew(self)
    return None if type(node) is AccumulateGrad else node


def _get_is_leaf(self) -> bool:
    """Whether this tensor was not computed by a recorded operation."""
    return self._node is None or type(self._node) is AccumulateGrad


def register_hook(self, hook):
    """Call `hook(grad)` whenever the gradient of this tensor is computed; it may return another.

    Returns a handle with `remove()`. Raises RuntimeError if no gradient is required.
    """
    if self._node is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    node, index = edge_of(self)
    return node.add_tensor_hook(index, hook)


def register_post_accumulate_grad_hook(self, hook):
    """Call `hook(tensor)` after its `grad` was added to. Raises RuntimeError for other than leaves.
    """
    if self._node is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if type(self._node) is not AccumulateGrad:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    meta = meta_of(self)
    if meta.accumulated_hooks is None:
        meta.accumulated_hooks = {}
    return Handle(meta.accumulated_hooks, hook)


def retain_grad(self) -> None:
    """Let `grad` be kept for a tensor that is not a leaf. Raises RuntimeError if none is required.
    """
    if self._node is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    meta = meta_of(self)
    if type(self._node) is not AccumulateGrad and meta.retains is None:
        _retain(self)


def _retain(tensor):
    node, index = edge_of(tensor)
    meta = meta_of(tensor)
    if meta.retains is not None:  # a later write made a new node: that one's gradient it is
        meta.retains.remove()
    meta_ref = weakref.ref(tensor)

    def keep(grad):
        found = meta_ref()
        if found is not None:
            meta = found._meta
            meta.grad = grad._private() if meta.grad is None else meta.grad + grad
    meta.retains = node.add_tensor_hook(index, keep)


def _get_base(self):
    return None if self._meta is None else self._meta.base


def _is_view(self) -> bool:
    return self._meta is not None and self._meta.base is not None


def attach() -> None:
    """Give `Tensor` the members above."""
    Tensor.requires_grad = property(_get_requires_grad, _set_requires_grad)
    Tensor.grad = property(_get_grad, _set_grad, _del_grad)
    Tensor._grad = Tensor.grad
    Tensor.grad_fn = property(_get_grad_fn, doc=_get_grad_fn.__doc__)
    Tensor._grad_fn = Tensor.grad_fn
    Tensor.is_leaf = property(_get_is_leaf, doc=_get_is_leaf.__doc__)
    Tensor.retains_grad = property(lambda self: self._meta is not None
                                   and self._meta.retains is not None
                                   and type(self._node) is not AccumulateGrad,
                                   doc="Whether `retain_grad` was called.")
    Tensor._base = property(_get_base)
    Tensor.output_nr = property(lambda self: self._index, doc="Which output of `grad_fn` this is.")
    Tensor._is_view = _is_view
    for function in (
        requires_grad_,
        register_hook,
        register_post_accumulate_grad_hook,
        retain_grad,
    ):
        setattr(Tensor, function.__name__, function)


