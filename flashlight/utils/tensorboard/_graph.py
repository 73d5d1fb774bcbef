"""The graph of a model: its operations in one run, under the names of its modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.versions_pb2 import VersionDef

import flashlight as torch
from flashlight._ops import interception
from flashlight.utils._pytree import tree_leaves


class _Recorder:
    """Writes down each operation with the nodes that its inputs come from."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.nodes: list[NodeDef] = []
        self.made_by: dict[int, str] = {}
        self.kept: list[torch.Tensor] = []  # so that no id is used twice
        self.scopes = [type(model).__name__]
        self.names: set[str] = set()
        self.depth = 0

    def add(self, name: str, operation: str, inputs: list[str], value: Any) -> None:
        """Add a node for a tensor, or for a call's result."""
        unique, number = name, 1
        while unique in self.names:
            number += 1
            unique = f"{name}_{number}"
        self.names.add(unique)
        tensors = [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]
        node = NodeDef(name=unique, op=operation, input=inputs)
        if tensors:
            dims = [TensorShapeProto.Dim(size=size) for size in tensors[0].shape]
            shapes = AttrValue.ListValue(shape=[TensorShapeProto(dim=dims)])
            node.attr["_output_shapes"].CopyFrom(AttrValue(list=shapes))
        self.nodes.append(node)
        for tensor in tensors:
            self.made_by[id(tensor)] = unique
            self.kept.append(tensor)

    def see(self, function: Callable, proceed: Callable, args: tuple, kwargs: dict) -> Any:
        """Run an operation and write it down, unless it is part of another one."""
        self.depth += 1
        try:
            result = proceed(args, kwargs)
        finally:
            self.depth -= 1
        if self.depth == 0:
            leaves = tree_leaves((args, kwargs))
            sources = [self.made_by[id(leaf)] for leaf in leaves if id(leaf) in self.made_by]
            name = "/".join([*self.scopes, function.__name__])
            self.add(name, f"aten::{function.__name__}", sources, result)
        return result


def graph(model: torch.nn.Module, args: Any = None, verbose: bool = False) -> GraphDef:
    """Run a model on `args`, and return the operations that ran as a graph.

    Raises RuntimeError if the model does.
    """
    recorder = _Recorder(model)
    for name, tensor in model.named_parameters():
        path = f"{type(model).__name__}/{name.replace('.', '/')}"
        recorder.add(path, "Parameter", [], tensor)
    inputs = args if isinstance(args, (tuple, list)) else (args,)
    for index, leaf in enumerate(tree_leaves(inputs)):
        if isinstance(leaf, torch.Tensor):
            recorder.add(f"input/{index}", "IO Node", [], leaf)
    scopes = {module: name for name, module in model.named_modules() if name}

    def enter(module: torch.nn.Module, inputs: Any) -> None:
        if module in scopes:
            recorder.scopes.append(f"{type(module).__name__}[{scopes[module].split('.')[-1]}]")

    def leave(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if module in scopes:
            recorder.scopes.pop()

    handles = [
        handle
        for module in scopes
        for handle in (
            module.register_forward_pre_hook(enter),
            module.register_forward_hook(leave),
        )
    ]
    interception.want(recorder.see)
    try:
        with torch.no_grad():
            result = model(*inputs)
    finally:
        interception.release(recorder.see)
        for handle in handles:
            handle.remove()
    for index, leaf in enumerate(tree_leaves(result)):
        if isinstance(leaf, torch.Tensor):
            source = recorder.made_by.get(id(leaf))
            recorder.add(f"output/{index}", "IO Node", [source] if source else [], leaf)
    if verbose:
        print("\n".join(f"{node.name} = {node.op}({list(node.input)})" for node in recorder.nodes))
    return GraphDef(node=recorder.nodes, versions=VersionDef(producer=22))
