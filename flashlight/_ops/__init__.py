"""Every operation, by family; importing this gives `Tensor` its methods.

A family module ends with three tables: `FUNCTIONS` (names of `torch.*`), `METHODS` (names of
`Tensor`) and `INPLACE` (names whose operation gets a `name_` form).
"""

from __future__ import annotations

import importlib

from .._core.tensor import Tensor
from . import through
from .explained import guarded
from .interception import watched
from .kinds import inplace

FAMILIES = (
    "creation", "ranges", "conversion", "dlpack", "arithmetic", "shape", "splitting", "complex_parts",
    "indexing", "legacy", "masking", "pointwise", "closeness", "reduction", "sorting", "cumulative",
    "joining", "scatter", "view_writes", "matmul", "linalg", "fft", "special", "random", "dropout",
    "activation", "convolution", "pooling", "adaptive_pooling", "normalization", "batch_normalization",
    "attention", "loss", "embedding", "vision", "recurrent", "windows", "segment", "padding",
    "rearrangement", "distance", "ctc", "einsum", "statistics", "histograms", "integer",
    "spectral_transforms", "copies", "questions", "element_functions", "removed", "inplace_functions",
    "sparse", "foreach", "files", "internals",
)  # fmt: skip
FUNCTIONS: dict = {}


#: Families whose functions may have no tensor among their arguments: only modes see their calls.
FACTORIES = ("creation", "ranges", "random")


def _attach(family) -> None:
    watched_family = family.__name__.rpartition(".")[2] in FACTORIES
    for name, function in family.FUNCTIONS.items():
        if not getattr(function, "is_watched", False):
            function = guarded(function)
        FUNCTIONS[name] = watched(function) if watched_family else function
    for name, function in family.METHODS.items():
        setattr(Tensor, name, function)
    for name in family.INPLACE:
        operation = family.METHODS.get(name) or family.FUNCTIONS[name]
        setattr(Tensor, f"{name}_", inplace(operation, f"{name}_"))


for _name in FAMILIES:
    _attach(importlib.import_module(f"{__name__}.{_name}"))

from . import dunder, node_names
