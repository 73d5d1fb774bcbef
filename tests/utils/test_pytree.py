"""Nested containers against PyTorch's `_pytree`."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest
import torch.utils._pytree as theirs

from flashlight.utils import _pytree as ours

Pair = namedtuple("Pair", "x y")

TREES = {
    "a leaf": 3,
    "nothing": None,
    "list": [1, [2, 3], []],
    "tuple": (1, (2,)),
    "dictionary": {"b": 1, "a": {"c": 2}},
    "ordered": OrderedDict(z=5, a=(1, 2)),
    "default": defaultdict(int, {"q": 6}),
    "deque": deque([7, 8], maxlen=3),
    "named": Pair(4, [5]),
    "all": {"a": [1, (2, Pair(3, None))], "b": OrderedDict(z=deque([5]))},
}


@pytest.mark.parametrize("name", TREES)
def test_flattening_there_and_back(name):
    tree = TREES[name]
    leaves, spec = ours.tree_flatten(tree)
    their_leaves, their_spec = theirs.tree_flatten(tree)
    assert leaves == their_leaves
    assert repr(spec) == repr(their_spec)
    assert (spec.num_nodes, spec.num_leaves) == (their_spec.num_nodes, their_spec.num_leaves)
    again = ours.tree_unflatten(leaves, spec)
    assert again == tree
    assert type(again) is type(tree)
    assert ours.tree_leaves(tree) == theirs.tree_leaves(tree)


@pytest.mark.parametrize("name", TREES)
def test_paths(name):
    paths = [
        [(module.keystr(path), leaf) for path, leaf in module.tree_leaves_with_path(TREES[name])]
        for module in (theirs, ours)
    ]
    assert paths[0] == paths[1]


@pytest.mark.parametrize("name", [name for name in TREES if name not in ("named", "all")])
def test_text_of_structures(name):
    spec, their_spec = (module.tree_structure(TREES[name]) for module in (ours, theirs))
    text = theirs.treespec_dumps(their_spec)
    assert ours.treespec_dumps(spec) == text
    assert ours.treespec_loads(text) == spec


def test_maps():
    assert ours.tree_map(lambda x, y: x + y, [1, {"a": 2}], [10, {"a": 20}]) == [11, {"a": 22}]
    assert ours.tree_map_only(int, str, [1, "a", 2.0]) == ["1", "a", 2.0]
    assert ours.tree_any(lambda x: x > 1, (1, [2]))
    assert not ours.tree_all(lambda x: x > 1, (1, [2]))
    assert ours.tree_all_only(int, lambda x: x > 0, (1, "a"))
    assert ours.tree_map_with_path(lambda path, x: ours.keystr(path), {"a": [1]}) == {
        "a": ["['a'][0]"]
    }
    seen = []
    ours.tree_map_(seen.append, (1, [2]))
    assert seen == [1, 2]
    assert ours.tree_map(lambda x: x, None, is_leaf=lambda x: x is None) is None


def test_structures_that_do_not_fit():
    for module in (theirs, ours):
        with pytest.raises(ValueError, match=r"leaves|arity|Mismatch|mismatch|length"):
            module.tree_map(lambda x, y: x, [1, 2], [1, 2, 3])
        with pytest.raises(ValueError):
            module.tree_unflatten([1], module.tree_structure([1, 2]))


def test_own_containers():
    class Box:
        def __init__(self, content):
            self.content = content

    ours.register_pytree_node(
        Box, lambda box: ([box.content], None), lambda content, _: Box(*content)
    )
    (leaf,), spec = ours.tree_flatten(Box(3))
    assert leaf == 3
    assert ours.tree_unflatten([4], spec).content == 4
    with pytest.raises(ValueError, match="already registered"):
        ours.register_pytree_node(Box, None, None)


def test_data_classes():
    @dataclasses.dataclass
    class Point:
        x: int
        y: int

    ours.register_dataclass(Point)
    assert ours.tree_map(lambda v: v * 2, Point(1, 2)) == Point(2, 4)
