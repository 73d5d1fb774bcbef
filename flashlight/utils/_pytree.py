"""Nested containers as trees: taken apart into leaves and a structure, and put together again.

Nodes are tuples, lists, dicts, named tuples, OrderedDicts, defaultdicts and deques, and classes
that are registered. Everything else, None included, is a leaf.
"""

from __future__ import annotations

import dataclasses
import threading
import types
import warnings
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from flashlight._ops import return_types
from flashlight.utils._pytree_keys import (
    GetAttrKey,
    KeyPath,
    MappingKey,
    SequenceKey,
    key_get,
    keystr,
)

__all__ = [
    "PyTree", "Context", "FlattenFn", "UnflattenFn", "DumpableContext", "ToDumpableContextFn",
    "FromDumpableContextFn", "PyTreeSpec", "TreeSpec", "LeafSpec", "keystr", "key_get",
    "register_pytree_node", "tree_is_leaf", "tree_flatten", "tree_flatten_with_path",
    "tree_unflatten", "tree_iter", "tree_leaves", "tree_leaves_with_path", "tree_structure",
    "tree_map", "tree_map_with_path", "tree_map_", "tree_map_only", "tree_map_only_", "tree_all",
    "tree_any", "tree_all_only", "tree_any_only", "treespec_dumps", "treespec_loads",
    "treespec_pprint", "is_namedtuple", "is_namedtuple_class", "is_namedtuple_instance",
    "is_structseq", "is_structseq_class", "is_structseq_instance",
]  # fmt: skip

PyTree = Any
Context = Any
DumpableContext = Any
FlattenFn = Callable[[PyTree], tuple[list, Context]]
UnflattenFn = Callable[[Iterable, Context], PyTree]
ToDumpableContextFn = Callable[[Context], DumpableContext]
FromDumpableContextFn = Callable[[DumpableContext], Context]
FlattenWithKeysFn = Callable[[PyTree], tuple[list, Any]]
IsLeaf = Callable[[PyTree], bool] | None

_LOCK = threading.RLock()


# ----- kinds of nodes -----


class NodeDef(NamedTuple):
    """How a class is taken apart and put together."""

    type: type
    flatten_fn: FlattenFn
    unflatten_fn: UnflattenFn
    flatten_with_keys_fn: FlattenWithKeysFn | None


class SerializeNodeDef(NamedTuple):
    """How a class is named, and its context written, in a serialized structure."""

    typ: type
    serialized_type_name: str | None
    to_dumpable_context: ToDumpableContextFn | None
    from_dumpable_context: FromDumpableContextFn | None


SUPPORTED_NODES: dict[Any, NodeDef] = {}
SUPPORTED_SERIALIZED_TYPES: dict[Any, SerializeNodeDef] = {}
SERIALIZED_TYPE_TO_PYTHON_TYPE: dict[str, Any] = {}
CONSTANT_NODES: set[type] = set()


def register_pytree_node(
    cls: type,
    flatten_fn: FlattenFn,
    unflatten_fn: UnflattenFn,
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: ToDumpableContextFn | None = None,
    from_dumpable_context: FromDumpableContextFn | None = None,
    flatten_with_keys_fn: FlattenWithKeysFn | None = None,
) -> None:
    """Make instances of `cls` nodes. Raises ValueError if they are already."""
    with _LOCK:
        if cls in SUPPORTED_NODES:
            raise ValueError(f"{cls} is already registered as pytree node.")
        _private_register_pytree_node(
            cls,
            flatten_fn,
            unflatten_fn,
            serialized_type_name=serialized_type_name,
            to_dumpable_context=to_dumpable_context,
            from_dumpable_context=from_dumpable_context,
            flatten_with_keys_fn=flatten_with_keys_fn,
        )


def _private_register_pytree_node(
    cls: Any,
    flatten_fn: FlattenFn,
    unflatten_fn: UnflattenFn,
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: ToDumpableContextFn | None = None,
    from_dumpable_context: FromDumpableContextFn | None = None,
    flatten_with_keys_fn: FlattenWithKeysFn | None = None,
) -> None:
    with _LOCK:
        if cls in SUPPORTED_NODES:
            warnings.warn(
                f"{cls} is already registered as pytree node. Overwriting the previous "
                "registration.",
                stacklevel=3,
            )
        if (to_dumpable_context is None) != (from_dumpable_context is None):
            raise ValueError(
                f"Both to_dumpable_context and from_dumpable_context for {cls} must be None or "
                "registered."
            )
        SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, flatten_with_keys_fn)
        SUPPORTED_SERIALIZED_TYPES[cls] = SerializeNodeDef(
            cls, serialized_type_name, to_dumpable_context, from_dumpable_context
        )
        if serialized_type_name is not None:
            SERIALIZED_TYPE_TO_PYTHON_TYPE[serialized_type_name] = cls


_register_pytree_node = _private_register_pytree_node


def _deregister_pytree_node(cls: type) -> None:
    """Make instances of `cls` leaves again."""
    with _LOCK:
        del SUPPORTED_NODES[cls]
        name = SUPPORTED_SERIALIZED_TYPES.pop(cls).serialized_type_name
        SERIALIZED_TYPE_TO_PYTHON_TYPE.pop(name, None)
        CONSTANT_NODES.discard(cls)


def register_dataclass(
    cls: type,
    *,
    field_names: list[str] | None = None,
    drop_field_names: list[str] | None = None,
    serialized_type_name: str | None = None,
) -> None:
    """Make instances of a dataclass nodes, with their fields as children.

    Fields that are None are part of the structure. Raises ValueError for field names that are
    not the dataclass's.
    """
    dropped = set(drop_field_names or [])
    if not dataclasses.is_dataclass(cls):
        if field_names is None:
            raise ValueError(
                "field_names must be specified with a list of all fields used to initialize "
                f"{cls}, as it is not a dataclass."
            )
        names = field_names
    else:
        fields = [field.name for field in dataclasses.fields(cls) if field.init]
        names = fields if field_names is None else field_names
        if field_names is not None and set(fields) - dropped != set(field_names):
            raise ValueError(
                "field_names does not include all dataclass fields.\n"
                f"Missing: {set(fields) - dropped - set(field_names)}; "
                f"unexpected: {set(field_names) - (set(fields) - dropped)}."
            )

    def flatten(obj: Any) -> tuple[list, Context]:
        given = [name for name in names if getattr(obj, name) is not None]
        absent = [name for name in names if name not in given]
        return [getattr(obj, name) for name in given], [given, absent]

    def unflatten(values: Iterable, context: Context) -> Any:
        given, absent = context
        return cls(**dict(zip(given, values, strict=True)), **dict.fromkeys(absent))

    def flatten_with_keys(obj: Any) -> tuple[list, Context]:
        values, (given, absent) = flatten(obj)
        keyed = [(GetAttrKey(name), value) for name, value in zip(given, values, strict=True)]
        return keyed, [given, absent]

    _private_register_pytree_node(
        cls,
        flatten,
        unflatten,
        serialized_type_name=serialized_type_name,
        flatten_with_keys_fn=flatten_with_keys,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class ConstantNode:
    """The context of a constant: the constant."""

    value: Any


def register_constant(cls: type) -> None:
    """Make instances of `cls` part of the structure: nodes without children.

    Raises TypeError for a class without its own ``__eq__``, or without a hash.
    """
    if cls.__eq__ is object.__eq__ or cls.__hash__ is None:
        raise TypeError(
            "register_constant(cls) expects `cls` to have a non-default `__eq__` and `__hash__` "
            "implementation."
        )
    with _LOCK:
        _private_register_pytree_node(
            cls,
            lambda value: ([], ConstantNode(value)),
            lambda _, context: context.value,
            flatten_with_keys_fn=lambda value: ([], ConstantNode(value)),
        )
        CONSTANT_NODES.add(cls)


def is_constant_class(cls: type) -> bool:
    """Tell whether instances of `cls` are part of the structure."""
    return isinstance(cls, type) and cls in CONSTANT_NODES


def is_namedtuple_class(cls: Any) -> bool:
    """Tell whether `cls` is a class of named tuples."""
    if not isinstance(cls, type) or not issubclass(cls, tuple):
        return False
    fields = getattr(cls, "_fields", None)
    return (
        isinstance(fields, tuple)
        and all(type(field) is str for field in fields)
        and callable(getattr(cls, "_make", None))
        and callable(getattr(cls, "_asdict", None))
    )


def is_namedtuple_instance(obj: object) -> bool:
    """Tell whether `obj` is a named tuple."""
    return is_namedtuple_class(type(obj))


def is_namedtuple(obj: object) -> bool:
    """Tell whether `obj` is a named tuple, or a class of them."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


def is_structseq_class(cls: Any) -> bool:
    """Tell whether `cls` is a class of C's named tuples, as ``time.struct_time``."""
    counts = ("n_fields", "n_sequence_fields", "n_unnamed_fields")
    return (
        isinstance(cls, type)
        and cls.__bases__ == (tuple,)
        and all(isinstance(getattr(cls, name, None), int) for name in counts)
        and not cls.__flags__ & (1 << 10)  # such classes cannot be subclassed
    )


def is_structseq_instance(obj: object) -> bool:
    """Tell whether `obj` is one of C's named tuples."""
    return is_structseq_class(type(obj))


def is_structseq(obj: object) -> bool:
    """Tell whether `obj` is one of C's named tuples, or a class of them."""
    return is_structseq_class(obj if isinstance(obj, type) else type(obj))


def _sequence_keys(node: Iterable) -> list:
    return [(SequenceKey(index), value) for index, value in enumerate(node)]


def _mapping_keys(node: Mapping) -> list:
    return [(MappingKey(key), value) for key, value in node.items()]


def _register_builtins() -> None:
    def register(cls, name, flatten, unflatten, with_keys):
        _private_register_pytree_node(
            cls,
            flatten,
            unflatten,
            serialized_type_name=name,
            flatten_with_keys_fn=lambda node: (with_keys(node), flatten(node)[1]),
        )

    def fields(node):
        return [(GetAttrKey(n), v) for n, v in zip(type(node)._fields, node, strict=True)]

    def merged(keys, values):
        return zip(keys, values, strict=True)

    register(tuple, "builtins.tuple", lambda t: (list(t), None), lambda v, _: tuple(v),
             _sequence_keys)  # fmt: skip
    register(list, "builtins.list", lambda t: (t, None), lambda v, _: list(v), _sequence_keys)
    register(dict, "builtins.dict", lambda d: (list(d.values()), list(d)),
             lambda v, keys: dict(merged(keys, v)), _mapping_keys)  # fmt: skip
    register(namedtuple, "collections.namedtuple", lambda t: (list(t), type(t)),
             lambda v, cls: cls(*v), fields)  # fmt: skip
    register(OrderedDict, "collections.OrderedDict", lambda d: (list(d.values()), list(d)),
             lambda v, keys: OrderedDict(merged(keys, v)), _mapping_keys)  # fmt: skip
    register(defaultdict, "collections.defaultdict",
             lambda d: (list(d.values()), [d.default_factory, list(d)]),
             lambda v, context: defaultdict(context[0], merged(context[1], v)),
             _mapping_keys)  # fmt: skip
    register(deque, "collections.deque", lambda d: (list(d), d.maxlen),
             lambda v, maxlen: deque(v, maxlen=maxlen), _sequence_keys)  # fmt: skip
    for cls in return_types.ALL.values():
        register(cls, f"torch.return_types.{cls.__name__}", lambda t: (list(t), None),
                 lambda v, _, cls=cls: cls(v), fields)  # fmt: skip


_register_builtins()
_dict_flatten, _dict_unflatten = SUPPORTED_NODES[dict][1:3]
_list_flatten, _list_unflatten = SUPPORTED_NODES[list][1:3]
_dict_flatten_with_keys = SUPPORTED_NODES[dict][3]
_list_flatten_with_keys = SUPPORTED_NODES[list][3]

STANDARD_DICT_TYPES = frozenset({dict, OrderedDict, defaultdict})
BUILTIN_TYPES = frozenset({tuple, list, dict, namedtuple, OrderedDict, defaultdict, deque})


def _register_namedtuple(cls: type, *, serialized_type_name: str) -> None:
    """Give a class of named tuples a name under which structures with it can be serialized."""
    with _LOCK:
        SUPPORTED_SERIALIZED_TYPES[cls] = SerializeNodeDef(cls, serialized_type_name, None, None)
        SERIALIZED_TYPE_TO_PYTHON_TYPE[serialized_type_name] = cls


def _get_node_type(tree: Any) -> Any:
    kind = type(tree)
    if kind not in SUPPORTED_NODES and is_namedtuple_class(kind):
        return namedtuple
    return kind


def tree_is_leaf(tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Tell whether `tree` is a leaf, by itself or by `is_leaf`."""
    if is_leaf is not None and is_leaf(tree):
        return True
    return _get_node_type(tree) not in SUPPORTED_NODES


# ----- structures -----


class TreeSpec:
    """The structure of a tree: the type of the node, its context, its children's structures."""

    __slots__ = ("_children", "_context", "num_children", "num_leaves", "num_nodes", "type")

    def __init__(self, type: Any, context: Context, children_specs: list[TreeSpec]) -> None:
        self.type = type
        self._context = context
        self._children = children_specs
        self.num_children = len(children_specs)
        self.num_nodes = 1 + sum(child.num_nodes for child in children_specs)
        self.num_leaves = sum(child.num_leaves for child in children_specs)
        if type is None:
            self.num_leaves = 1

    @property
    def context(self) -> Context:
        """What besides its children makes the node: keys, a class, a length."""
        return self._context

    def children(self) -> list[TreeSpec]:
        """Return the children's structures."""
        return list(self._children)

    children_specs = property(children)

    def child(self, index: int) -> TreeSpec:
        """Return one child's structure."""
        return self._children[index]

    def is_leaf(self) -> bool:
        """Tell whether this is the structure of a leaf."""
        return self.type is None

    def __repr__(self, indent: int = 0) -> str:
        if self.is_leaf():
            return "*"
        indent += 2
        separator = ",\n" + " " * indent
        children = separator.join(child.__repr__(indent) for child in self._children)
        return f"TreeSpec({self.type.__name__}, {self._context}, [{children}])"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return (
            str(self.type) == str(other.type)
            and self._context == other._context
            and self._children == other._children
        )

    def __hash__(self) -> int:
        context: Any = self._context
        if self.type is defaultdict:
            context = (context[0], tuple(context[1]))
        elif self.type in (dict, OrderedDict):
            context = tuple(context)
        elif isinstance(context, ConstantNode):
            context = context.value
        elif self.type is not None and self.type not in BUILTIN_TYPES:
            context = None  # of any kind, perhaps without a hash
        return hash((self.type, context, tuple(self._children)))

    def unflatten(self, leaves: Iterable) -> PyTree:
        """Return the tree with these leaves. Raises ValueError if there are too few or too many."""
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(leaves)} but the spec "
                f"refers to a pytree that holds {self.num_leaves} items ({self})."
            )
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator) -> PyTree:
        if self.is_leaf():
            return next(leaves)
        children = [child._build(leaves) for child in self._children]
        return SUPPORTED_NODES[self.type].unflatten_fn(children, self._context)

    def flatten_up_to(self, tree: PyTree) -> list[PyTree]:
        """Return what `tree` has in the places of this structure's leaves.

        Raises ValueError if `tree` does not begin with this structure.
        """
        if self.is_leaf():
            return [tree]
        subtrees: list[PyTree] = []
        for child, subtree in zip(self._children, self._children_of(tree), strict=True):
            subtrees += child.flatten_up_to(subtree)
        return subtrees

    def _children_of(self, tree: PyTree) -> list:
        kind = _get_node_type(tree)
        dicts = self.type in STANDARD_DICT_TYPES and kind in STANDARD_DICT_TYPES
        if kind != self.type and not dicts:
            raise ValueError(f"Node type mismatch; expected {self.type!r}, but got {kind!r}.")
        children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
        if len(children) != self.num_children:
            raise ValueError(
                f"Node arity mismatch; expected {self.num_children}, but got {len(children)}."
            )
        if dicts:
            keys = self._context[1] if self.type is defaultdict else self._context
            missing, extra = set(keys) - set(tree), set(tree) - set(keys)
            if missing or extra:
                raise ValueError(
                    f"Node keys mismatch; missing key(s): {missing}; extra key(s): {extra}."
                )
            return [tree[key] for key in keys]
        if kind is not deque and context != self._context:
            raise ValueError(
                f"Node context mismatch for node type {self.type!r}; expected {self._context!r}, "
                f"but got {context!r}."
            )
        return children


PyTreeSpec = TreeSpec


class LeafSpec(TreeSpec):
    """The structure of a leaf."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, None, [])


_LEAF_SPEC = LeafSpec()


def treespec_leaf() -> LeafSpec:
    """Return the structure of a leaf."""
    return _LEAF_SPEC


def treespec_tuple(iterable: Iterable[TreeSpec] = (), /) -> TreeSpec:
    """Return the structure of a tuple of trees of these structures."""
    children = list(iterable)
    if not all(isinstance(child, TreeSpec) for child in children):
        raise ValueError(f"Expected a tuple of TreeSpec values, got: {children!r}.")
    return TreeSpec(tuple, None, children)


def treespec_dict(mapping: Any = (), /, **kwargs: TreeSpec) -> TreeSpec:
    """Return the structure of a dict of trees of these structures."""
    children = dict(mapping, **kwargs)
    if not all(isinstance(child, TreeSpec) for child in children.values()):
        raise ValueError(f"Expected a dictionary of TreeSpec values, got: {children!r}.")
    return TreeSpec(dict, list(children), list(children.values()))


# ----- trees -----


def tree_flatten(tree: PyTree, is_leaf: IsLeaf = None) -> tuple[list, TreeSpec]:
    """Return the leaves of a tree and its structure."""
    leaves: list = []

    def visit(node: PyTree) -> TreeSpec:
        if tree_is_leaf(node, is_leaf):
            leaves.append(node)
            return _LEAF_SPEC
        kind = _get_node_type(node)
        children, context = SUPPORTED_NODES[kind].flatten_fn(node)
        return TreeSpec(kind, context, [visit(child) for child in children])

    spec = visit(tree)
    return leaves, spec


def tree_unflatten(leaves: Iterable, treespec: TreeSpec) -> PyTree:
    """Return the tree of a structure with these leaves. Raises TypeError for no structure."""
    if not isinstance(treespec, TreeSpec):
        if not isinstance(leaves, TreeSpec):
            raise TypeError(
                "Expected `treespec` to be an instance of PyTreeSpec but got item of type "
                f"{type(treespec)}."
            )
        leaves, treespec = treespec, leaves
    return treespec.unflatten(leaves)


def tree_iter(tree: PyTree, is_leaf: IsLeaf = None) -> Iterator[Any]:
    """Iterate over the leaves of a tree."""
    if tree_is_leaf(tree, is_leaf):
        yield tree
        return
    for child in SUPPORTED_NODES[_get_node_type(tree)].flatten_fn(tree)[0]:
        yield from tree_iter(child, is_leaf)


def tree_leaves(tree: PyTree, is_leaf: IsLeaf = None) -> list:
    """Return the leaves of a tree."""
    return list(tree_iter(tree, is_leaf))


def tree_structure(tree: PyTree, is_leaf: IsLeaf = None) -> TreeSpec:
    """Return the structure of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable, tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None) -> PyTree:
    """Return the tree with `func` applied to each leaf, and to what `rests` have in its place."""
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves, *(spec.flatten_up_to(rest) for rest in rests)]
    return spec.unflatten(map(func, *columns))


def tree_map_(func: Callable, tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None) -> PyTree:
    """Apply `func` to each leaf, for what it does; return the tree."""
    leaves, spec = tree_flatten(tree, is_leaf)
    for values in zip(leaves, *(spec.flatten_up_to(rest) for rest in rests), strict=True):
        func(*values)
    return tree


def map_only(type_or_types_or_pred: Any, /) -> Callable[[Callable], Callable]:
    """Return a decorator: the function is applied to values of some types, others pass through.

    In place of types a predicate may be given. Raises TypeError for neither.
    """
    if isinstance(type_or_types_or_pred, (type, tuple, types.UnionType)):
        applies: Callable = lambda value: isinstance(value, type_or_types_or_pred)
    elif callable(type_or_types_or_pred):
        applies = type_or_types_or_pred
    else:
        raise TypeError("Argument must be a type, a tuple of types, or a callable.")
    return lambda func: lambda value: func(value) if applies(value) else value


def tree_map_only(
    type_or_types_or_pred: Any, /, func: Callable, tree: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """Return the tree with `func` applied to the leaves of some types."""
    return tree_map(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_map_only_(
    type_or_types_or_pred: Any, /, func: Callable, tree: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """Apply `func` to the leaves of some types, for what it does; return the tree."""
    return tree_map_(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Tell whether `pred` holds for all leaves."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Tell whether `pred` holds for any leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(
    type_or_types: Any, /, pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None
) -> bool:
    """Tell whether `pred` holds for all leaves of some types."""
    leaves = tree_iter(tree, is_leaf)
    return all(pred(leaf) for leaf in leaves if isinstance(leaf, type_or_types))


def tree_any_only(
    type_or_types: Any, /, pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None
) -> bool:
    """Tell whether `pred` holds for any leaf of some types."""
    leaves = tree_iter(tree, is_leaf)
    return any(pred(leaf) for leaf in leaves if isinstance(leaf, type_or_types))


def _broadcast_to_and_flatten(
    tree: PyTree, treespec: TreeSpec, is_leaf: IsLeaf = None
) -> list | None:
    """Return a value for each leaf of `treespec`, of which `tree` is a beginning; None if not."""
    values: list = []
    full = treespec.unflatten([0] * treespec.num_leaves)

    def repeat(value: Any, subtree: PyTree) -> None:
        values.extend([value] * len(tree_leaves(subtree, is_leaf)))

    try:
        tree_map_(repeat, tree, full, is_leaf=is_leaf)
    except ValueError:
        return None
    return values


# ----- with paths -----


def _leaves_with_path(path: KeyPath, tree: PyTree, is_leaf: IsLeaf) -> Iterator[tuple]:
    if tree_is_leaf(tree, is_leaf):
        yield path, tree
        return
    kind = _get_node_type(tree)
    with_keys = SUPPORTED_NODES[kind].flatten_with_keys_fn
    if with_keys is None:
        raise ValueError(
            f"Did not find a flatten_with_keys_fn for type: {kind}. Please pass a "
            "flatten_with_keys_fn argument to register_pytree_node."
        )
    for key, child in with_keys(tree)[0]:
        yield from _leaves_with_path((*path, key), child, is_leaf)


def tree_leaves_with_path(tree: PyTree, is_leaf: IsLeaf = None) -> list[tuple[KeyPath, Any]]:
    """Return pairs of path and leaf. Raises ValueError for a class registered without keys."""
    return list(_leaves_with_path((), tree, is_leaf))


def tree_flatten_with_path(
    tree: PyTree, is_leaf: IsLeaf = None
) -> tuple[list[tuple[KeyPath, Any]], TreeSpec]:
    """Return pairs of path and leaf, and the structure."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(
    func: Callable, tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """Return the tree with func(path, leaf, …) in the place of each leaf."""
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    columns = [*zip(*pairs), *(spec.flatten_up_to(rest) for rest in rests)]
    return spec.unflatten(func(*values) for values in zip(*columns, strict=True))


from flashlight.utils._pytree_serialization import (  # noqa: E402  it needs the tables above
    treespec_dumps,
    treespec_loads,
    treespec_pprint,
)
