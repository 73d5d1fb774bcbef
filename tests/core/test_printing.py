"""Number formats, summaries and suffixes against PyTorch's own printer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flashlight._core import printing

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool)
COMPLEX = (torch.complex64,)


@pytest.fixture(autouse=True)
def default_options():
    yield
    torch.set_printoptions(profile="default")
    printing.set_printoptions(profile="default")


def text_of(tensor: torch.Tensor, history=()) -> str:
    """Our text for PyTorch's tensor."""
    values = tensor.detach()
    values = (values.float() if tensor.dtype == torch.bfloat16 else values).numpy()
    implied = (torch.get_default_dtype(), torch.complex64, torch.int64, torch.bool)
    return printing.tensor_text(
        tuple(tensor.shape),
        lambda: values,
        dtype=None if tensor.dtype in implied else str(tensor.dtype),
        dtype_if_empty=None if tensor.dtype == torch.get_default_dtype() else str(tensor.dtype),
        history=history,
    )


def make(shape, dtype, kind, seed):
    generator = np.random.default_rng(seed)
    if dtype == torch.bool:
        return torch.from_numpy(np.asarray(generator.random(shape) > 0.5))
    if dtype in INTEGERS:
        info = torch.iinfo(dtype)
        spread = {"small": 10, "wide": 2**62, "whole": 1000}.get(kind, 100)
        low, high = max(info.min, -spread), min(info.max, spread)
        whole = np.asarray(generator.integers(low, high, shape, endpoint=True))
        return torch.from_numpy(whole).to(dtype)

    def real():
        values = generator.standard_normal(shape)
        if kind == "small":
            values = values * 1e-5
        elif kind == "wide":
            values = values * 10.0 ** generator.integers(-8, 9, shape)
        elif kind == "whole":
            values = np.round(values * 100)
        elif kind == "special":
            special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -2.5])
            values = special[generator.integers(0, len(special), shape)]
        elif kind == "zero":
            values = values * 0
        return torch.from_numpy(np.asarray(values))

    if dtype.is_complex:
        return torch.complex(real().float(), real().float())
    return real().to(dtype)


SHAPES = st.one_of(
    st.lists(st.integers(0, 5), max_size=4).map(tuple),
    st.sampled_from([(30,), (4, 9), (12, 2, 7), (1001,), (40, 40), (2, 3, 300), (9, 1, 9, 20)]),
)


@settings(max_examples=300, deadline=None)
@given(
    shape=SHAPES,
    dtype=st.sampled_from(FLOATS + INTEGERS + COMPLEX),
    kind=st.sampled_from(["normal", "small", "wide", "whole", "special", "zero"]),
    seed=st.integers(0, 2**16),
    options=st.fixed_dictionaries(
        {},
        optional={
            "profile": st.sampled_from(["default", "short"]),
            "precision": st.integers(0, 8),
            "threshold": st.sampled_from([0, 5, 50, float("inf")]),
            "edgeitems": st.integers(0, 4),
            "linewidth": st.sampled_from([1, 20, 80, 200]),
            "sci_mode": st.sampled_from([True, False, None]),
        },
    ),
)
def test_text_is_pytorchs(shape, dtype, kind, seed, options):
    if options.get("threshold") == float("inf") and np.prod(shape) > 1000:
        options["threshold"] = 1000
    tensor = make(shape, dtype, kind, seed)
    for module in (torch, printing):
        module.set_printoptions(profile="default")
        module.set_printoptions(**options)
    assert text_of(tensor) == repr(tensor)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_default_dtype_is_not_named(dtype):
    torch.set_default_dtype(dtype)
    try:
        for other in (torch.float32, torch.float64, torch.int64, torch.bool):
            for shape in ((2,), (0,), (0, 3)):
                tensor = torch.ones(shape, dtype=other)
                assert text_of(tensor) == repr(tensor)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("shape", [(), (2,), (11,), (3, 30)])
def test_history_breaks_lines_as_pytorch_does(shape):
    leaf = torch.full(shape, 1 / 3, requires_grad=True)
    assert text_of(leaf, ["requires_grad=True"]) == repr(leaf)
    assert text_of(leaf, ["grad_fn=<MulBackward0>"]) == repr(leaf * 1)


def test_float_extremes():
    values = [
        [1e-45, 1.0],
        [3.4e38, -3.4e38],
        [float("nan"), 1.5],
        [float("inf"), 1e9],
        [0.0, 100000.0],
        [99999999.0, 1.0],
        [1e-4, 0.1],
        [9.9e-5, 0.01],
    ]
    for dtype in (torch.float32, torch.float64):
        for row in values + [[5e-324, 1.7e308]]:
            tensor = torch.tensor(row, dtype=dtype)
            assert text_of(tensor) == repr(tensor)


def test_full_profile_shows_everything():
    for module in (torch, printing):
        module.set_printoptions(profile="full")
    tensor = torch.arange(1500.0).reshape(3, 500)
    assert text_of(tensor) == repr(tensor)
    assert "..." not in text_of(tensor)


def test_context_manager_restores_options():
    before = printing.get_printoptions()
    with pytest.raises(KeyError), printing.printoptions(precision=2, sci_mode=True):
        assert printing.get_printoptions()["precision"] == 2
        raise KeyError
    assert printing.get_printoptions() == before
    assert before == torch._tensor_str.get_printoptions()


def test_sci_mode_is_reset_by_a_call_that_does_not_name_it():
    printing.set_printoptions(sci_mode=True)
    printing.set_printoptions(precision=3)
    assert printing.get_printoptions()["sci_mode"] is None


def test_a_summary_decodes_only_what_it_shows():
    seen = []

    def decode(bits):
        seen.append(bits.size)
        return (bits.astype(np.uint32) << 16).view(np.float32)

    tensor = torch.linspace(-3, 3, 10**6).bfloat16().reshape(1000, 1000)
    bits = tensor.view(torch.uint16).numpy()
    text = printing.tensor_text(
        (1000, 1000),
        lambda: bits,
        dtype="torch.bfloat16",
        decode=decode,
    )
    assert text == repr(tensor)
    assert seen == [36]


def test_without_values():
    tensor = torch.empty(2, 3, device="meta", dtype=torch.float64)
    text = printing.tensor_text(
        (2, 3), None, device="meta", dtype="torch.float64", dtype_if_empty="torch.float64"
    )
    assert text == repr(tensor)
