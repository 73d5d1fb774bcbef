"""Nested containers: registrations, structures, keys and errors beside PyTorch's."""

from __future__ import annotations

import dataclasses
import enum
import time
from collections import OrderedDict, namedtuple

import pytest
import torch
import torch.utils._pytree

import flashlight
import flashlight.utils._pytree
from tests.autograd.agree import check, own_words, programs_of

Pair = namedtuple("Pair", "x y")


class Color(enum.Enum):
    RED = 1


def _pytree(library):
    return library.utils._pytree


class Box:
    def __init__(self, content):
        self.content = content

    def __eq__(self, other):
        return type(other) is type(self) and self.content == other.content

    def __hash__(self):
        return hash(self.content)


def _boxed(library, **options):
    """Return the module, and a class of boxes registered there; PyTorch forgets none of them."""

    class Fresh(Box):
        pass

    p = _pytree(library)
    p.register_pytree_node(
        Fresh,
        lambda box: ([box.content], options.get("label", "label")),
        lambda content, label: Fresh(*content),
        **{name: value for name, value in options.items() if name != "label"},
    )
    return p, Fresh


def _without(p, cls):
    p._deregister_pytree_node(cls)


def deregistered(l):
    p, Box = _boxed(l)
    found = [p.tree_leaves(Box(3))]
    _without(p, Box)
    return [*found, len(p.tree_leaves(Box(3))), p.tree_leaves(Box(3))[0] == Box(3)]


def registered_twice(l):
    p, Box = _boxed(l)
    try:
        p._private_register_pytree_node(Box, lambda box: ([], None), lambda content, label: Box(0))
        return p.tree_leaves(Box(3))
    finally:
        _without(p, Box)


def half_a_context(l):
    p = _pytree(l)
    return p.register_pytree_node(Box, None, None, to_dumpable_context=str)


def contexts_in_text(l):
    p, Box = _boxed(
        l, serialized_type_name="tests.Box", to_dumpable_context=lambda label: [label],
        from_dumpable_context=lambda label: label[0],
    )  # fmt: skip
    try:
        text = p.treespec_dumps(p.tree_structure([Box(3)]))
        return [text, p.treespec_loads(text) == p.tree_structure([Box(4)])]
    finally:
        _without(p, Box)


@own_words
def no_name_for_text(l):
    p, Box = _boxed(l)
    try:
        return p.treespec_dumps(p.tree_structure([Box(3)]))
    finally:
        _without(p, Box)


@own_words
def no_context_for_text(l):
    p, Box = _boxed(l, label=object(), serialized_type_name="tests.Boxed")
    try:
        return p.treespec_dumps(p.tree_structure([Box(3)]))
    finally:
        _without(p, Box)


def enumerations_in_text(l):
    p, Box = _boxed(
        l, serialized_type_name="tests.EnumBox", to_dumpable_context=lambda label: Color.RED,
        from_dumpable_context=lambda label: label,
    )  # fmt: skip
    try:
        p.treespec_dumps(p.tree_structure([Box(3)]))
        return "dumped"
    finally:
        _without(p, Box)


@own_words
def an_unknown_protocol(l):
    p = _pytree(l)
    return p.treespec_dumps(p.tree_structure([1]), 99)


@own_words
def not_a_structure(l):
    return _pytree(l).treespec_dumps([1])


def named_tuples_in_text(l):
    p = _pytree(l)
    p._register_namedtuple(Pair, serialized_type_name="tests.Pair")
    text = p.treespec_dumps(p.tree_structure(Pair(1, [2])))
    return [text, p.treespec_loads(text) == p.tree_structure(Pair(3, [4]))]


def _points(library, **options):
    @dataclasses.dataclass
    class Point:
        x: int
        y: int = 7

    _pytree(library).register_dataclass(Point, **options)
    return Point


def data_classes(l):
    Point, p = _points(l), _pytree(l)
    paths = [(p.keystr(path), leaf) for path, leaf in p.tree_leaves_with_path([Point(1, 2)])]
    made = p.tree_map(lambda v: v + 1, Point(1, 2))
    return [paths, made.x, made.y]


def fields_left_out(l):
    Point, p = _points(l, drop_field_names=["y"]), _pytree(l)
    made = p.tree_map(lambda v: v + 1, Point(1, 2))
    return [p.tree_leaves(Point(1, 2)), made.x, made.y]


def fields_by_name(l):
    Point, p = _points(l, field_names=["x", "y"]), _pytree(l)
    return p.tree_leaves(Point(1, 2))


@own_words
def fields_that_are_missing(l):
    return _points(l, field_names=["x"], drop_field_names=["z"])


@own_words
def no_data_class(l):
    return _pytree(l).register_dataclass(Box)


def constants(l):
    p = _pytree(l)

    class Box(globals()["Box"]):
        pass

    p.register_constant(Box)
    try:
        found = [p.is_constant_class(Box), p.is_constant_class(int), p.tree_leaves([Box(1), 2])]
        same = p.tree_structure([Box(1)]) == p.tree_structure([Box(1)])
        return [*found, same, p.tree_structure([Box(1)]) == p.tree_structure([Box(2)])]
    finally:
        _without(p, Box)


@own_words
def constants_without_equality(l):
    class Bare:
        pass

    return _pytree(l).register_constant(Bare)


def what_is_a_named_tuple(l):
    p, moment = _pytree(l), time.localtime(0)
    things = (Pair(1, 2), Pair, (1, 2), tuple, moment, type(moment))
    asks = (
        p.is_namedtuple, p.is_namedtuple_class, p.is_namedtuple_instance,
        p.is_structseq, p.is_structseq_class, p.is_structseq_instance,
    )  # fmt: skip
    return [[bool(ask(thing)) for thing in things] for ask in asks]


def structures_by_hand(l):
    p = _pytree(l)
    leaf = p.treespec_leaf()
    pair = p.treespec_tuple((leaf, leaf))
    named = p.treespec_dict({"a": leaf}, b=pair)
    made = p.tree_unflatten([1, 2, 3], named)
    return [
        repr(pair),
        repr(named),
        made,
        pair.child(0) == leaf,
        len(pair.children()),
        hash(pair) == hash(pair),
    ]


@own_words
def tuples_of_others(l):
    return _pytree(l).treespec_tuple([1])


@own_words
def dictionaries_of_others(l):
    return _pytree(l).treespec_dict({"a": 1})


@own_words
def unflattened_from_others(l):
    return _pytree(l).tree_unflatten([1], 3)


@own_words
def too_few_leaves(l):
    p = _pytree(l)
    return p.tree_unflatten([1], p.tree_structure([1, 2]))


def compared_with_others(l):
    p = _pytree(l)
    spec = p.tree_structure([1, 2])
    return [
        spec == 3,
        spec == p.tree_structure([1, 3]),
        spec == p.tree_structure((1, 2)),
        spec.is_leaf(),
    ]


def hashes(l):
    p = _pytree(l)
    trees = ([1], {"a": 2}, OrderedDict(a=1), Pair(1, 2), (1, {"b": [2]}))
    return [hash(p.tree_structure(tree)) == hash(p.tree_structure(tree)) for tree in trees]


@pytest.mark.parametrize("pair", [
    ([1, 2], (3, 4)), ([1, 2], [3]), ({"a": 1}, {"b": 1}), ([1, [2]], [1, 2]), (Pair(1, 2), (1, 2)),
    ({"a": 1, "b": 2}, {"b": 3, "a": 4}), ([1, 2], [[3], {"a": 4}]),
])  # fmt: skip
def test_leaves_up_to_a_structure(pair):
    def program(l):
        p = _pytree(l)
        return p.tree_structure(pair[0]).flatten_up_to(pair[1])

    check(own_words(program))


def broadcasts(l):
    p = _pytree(l)
    spec = p.tree_structure([1, [2, 3], {"a": 4}])
    trees = (7, [1, 2, 3], [1, [5, 6], 3], [1, 2], {"a": 1})
    return [p._broadcast_to_and_flatten(tree, spec) for tree in trees]


def questions_to_leaves(l):
    p, tree = _pytree(l), [1, "a", (2.5, None)]
    numbers = p.map_only(int, float)(lambda v: -v)
    return [
        p.tree_map(numbers, tree), p.tree_map_only(lambda v: v == "a", str.upper, tree),
        p.tree_any_only(int, lambda v: v > 0, tree), p.tree_all_only(float, lambda v: v > 3, tree),
        p.tree_any(lambda v: v is None, tree), p.tree_all(lambda v: v is None, tree),
        p.tree_map_only_(int, lambda v: v, tree),
    ]  # fmt: skip


@own_words
def leaves_of_no_kind(l):
    return _pytree(l).map_only(3)


def keys(l):
    p = _pytree(l)
    tree = {"a": [1, Pair(2, 3)], 4: (5,)}
    found = []
    for path, leaf in p.tree_leaves_with_path(tree):
        found.append((p.keystr(path), leaf, p.key_get(tree, path)))
    return found


@own_words
def keys_that_do_not_fit(l):
    p = _pytree(l)
    return p.tree_map_with_path(lambda path, a, b: (a, b), [1, 2], [3])


@own_words
def keys_of_a_class_without(l):
    p, Box = _boxed(l)
    try:
        return p.tree_leaves_with_path(Box(3))
    finally:
        _without(p, Box)


@pytest.mark.parametrize("program", programs_of(globals()), ids=lambda program: program.__name__)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_agrees_with_pytorch(program):
    check(program)


def test_weak_keys():
    import copy

    from flashlight.utils.weak import WeakIdKeyDictionary, WeakTensorKeyDictionary

    for library, kinds in (
        (flashlight, (WeakIdKeyDictionary, WeakTensorKeyDictionary)),
        (torch, (torch.utils.weak.WeakIdKeyDictionary, torch.utils.weak.WeakTensorKeyDictionary)),
    ):
        for kind in kinds:
            one, other = library.ones(2), library.ones(2)
            table = kind()
            table[one], table[other] = 1, 2
            assert one in table and library.ones(2) not in table and 3 not in table
            assert [key is one for key in table] == [True, False]
            made = copy.copy(table)
            del table[one]
            assert (len(table), len(made), table[other], made[one]) == (1, 2, 2, 1)
            assert "Dictionary" in repr(table)
            del other
            assert len(table) == 0
            with pytest.raises(KeyError):
                table[one]
