"""Run one call on both libraries and compare what comes back: values, dtypes, shapes, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import flashlight

TOLERANCE = {
    "float64": 1e-10, "float32": 1e-5, "complex64": 1e-5, "float16": 1e-2, "bfloat16": 2e-2,
}  # fmt: skip
ERRORS = (RuntimeError, TypeError, ValueError, IndexError, AssertionError)


def plain(value: Any) -> Any:
    """A result with NumPy arrays and dtype names in place of tensors."""
    if isinstance(value, (torch.Tensor, flashlight.Tensor)):
        kind = str(value.dtype).rpartition(".")[2]
        value = value.detach().resolve_conj().resolve_neg()
        return kind, (value.float() if kind == "bfloat16" else value).numpy()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def assert_same(ours: Any, theirs: Any, tolerance: float | None = None) -> None:
    """Compare two results; the tolerance is the dtype's if none is given."""
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            assert_same(a, b, tolerance)
    elif isinstance(theirs, tuple):
        (kind, a), (wanted, b) = ours, theirs
        assert kind == wanted
        assert a.shape == b.shape
        within = TOLERANCE.get(kind, 0) if tolerance is None else tolerance
        np.testing.assert_allclose(a, b, within, within)
    else:
        assert ours == theirs


def check(call: Any, tolerance: float | None = None) -> None:
    """Assert that `call`, a function of a library, gives the same with both."""
    assert_same(plain(call(flashlight)), plain(call(torch)), tolerance)


def check_error(call: Any, text: bool = True) -> None:
    """Assert that `call` raises the same class with both, and the same text unless told."""
    found = []
    for library in (flashlight, torch):
        with pytest.raises(ERRORS) as caught:
            call(library)
        found.append((caught.type, str(caught.value)))
    (ours, our_text), (theirs, their_text) = found
    assert ours is theirs, f"{ours.__name__}: {our_text}; PyTorch: {theirs.__name__}: {their_text}"
    if text:
        assert our_text == their_text


def gradients(library: Any, outputs: Any, *inputs: Any) -> list:
    """The gradients of a weighted sum of `outputs`."""
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    loss = 0
    for output in outputs:
        weights = 1.5 + np.cos(np.arange(output.numel())).reshape(tuple(output.shape))
        term = (output * library.tensor(weights, dtype=output.dtype)).sum()
        loss = loss + (term.real if term.dtype.is_complex else term)
    return list(library.autograd.grad(loss, inputs, allow_unused=True))
