"""Score a module that claims PyTorch's API against the PyTorch installed beside it.

PyTorch's own test databases (``op_db``, ``module_db``, ``optim_db``), which ship in its wheel, give
the inputs; PyTorch's results on them are the expectation::

    python -m tests.conformance --target flashlight --suite ops --filter softmax --list-failures

``make parity`` runs every suite and writes ``docs/parity.md``; ``test_bars.py`` holds a small part
of it above a table of bars.

A *unit* (an op with a dtype, a module in a mode, an optimizer, a name) passes a *tier* (forward,
grad, method, out, error ...) if all its checks there pass. ``present`` counts the units whose name
exists, ``complete`` those that pass everything. Shape, dtype, structure and field names must match;
values must be within rtol 1e-4 and atol 1e-5 (wider for float16 and bfloat16), or at most ten times
as far from a double precision result as PyTorch's own. ``*_strict`` tiers use the defaults of
``torch.testing.assert_close``. Where PyTorch's result depends on its random generator only shape,
dtype and support are compared. An error must be of PyTorch's class. Checks run in worker
processes: a crash or a hang fails one check, and the run goes on.

A suite plans ``Check``s, most of them from ``core.paired(tier, unit, label, probe)``: the probe
works through an ``Adapter`` for one module and returns PyTorch values. It runs on PyTorch while
planning and later on the target; a call that PyTorch refuses is listed as refused and not counted.
To add a check, write a probe and yield from ``paired`` or ``raising``.

Not covered: views that share memory, second derivatives and forward mode, hooks, data loading,
serialisation formats, ``torch.func``, other devices, speed, the values of random results and of
initial parameters.
"""

from __future__ import annotations

from .core import Options
from .runner import SUITES, run

__all__ = ["Options", "SUITES", "run"]
