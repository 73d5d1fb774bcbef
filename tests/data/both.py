"""The same data in PyTorch and in flashlight, for comparison."""

from __future__ import annotations

import torch
import torch.utils.data

import flashlight
import flashlight.utils.data

MODULES = [torch, flashlight]


class Numbers:
    """A data set that needs neither library."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return index


def plain(value):
    """Return `value` with tensors as lists, whichever library they are of."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def in_both(run):
    """Return what `run(module)` gives with each library, seeded alike."""
    results = []
    for module in MODULES:
        module.manual_seed(5)
        results.append(plain(run(module)))
    return results


def raised_in_both(run):
    """Return the exceptions, or None, of `run(module)` in each library."""
    raised = []
    for module in MODULES:
        try:
            run(module)
            raised.append(None)
        except Exception as error:
            raised.append(error)
    return raised
