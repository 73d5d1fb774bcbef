"""Devices and services that are not there answer as in a PyTorch built without them."""

from __future__ import annotations

import importlib
import inspect

import pytest
import torch as reference

import flashlight as torch

CALLS = {
    "xpu": {
        "can_device_access_peer": (0, 1), "device": (0,), "device_of": ("tensor",),
        "get_stream_from_external": (0,), "manual_seed": (1,), "manual_seed_all": (1,),
        "set_device": (0,), "set_per_process_memory_fraction": (0.5,), "set_rng_state": ("tensor",),
        "set_rng_state_all": ([],), "set_stream": (None,), "stream": (None,),
        "StreamContext": (None,),
    },
    "mtia": {"manual_seed": (1,), "manual_seed_all": (1,)},
}  # fmt: skip


def answer(lib, module, name, arguments):
    """What a call returns, or the class of what it raises; contexts are entered."""
    arguments = [lib.ones(1) if each == "tensor" else each for each in arguments]
    try:
        made = getattr(getattr(lib, module), name)(*arguments)
        return repr(made.__enter__()) if hasattr(made, "__enter__") else repr(made)
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("module", "name"),
    [(m, name) for m in ("xpu", "mtia") for name in getattr(torch, m).__all__],
)
def test_answers_without_the_device(module, name):
    ours, theirs = (getattr(getattr(lib, module), name) for lib in (torch, reference))
    if not callable(ours):
        assert ours == theirs
        return
    arguments = CALLS[module].get(name, ())
    assert answer(torch, module, name, arguments) == answer(reference, module, name, arguments)
    if not inspect.isclass(ours):
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(theirs).parameters
        )


def test_distributed_says_that_it_is_not_there():
    assert torch.distributed.is_available() is False
    assert not hasattr(torch.distributed, "is_initialized")
    with pytest.raises(AttributeError, match=r"is_available\(\) returns False"):
        torch.distributed.init_process_group("gloo")
    with pytest.raises(ModuleNotFoundError, match="train in one process"):
        importlib.import_module("flashlight.distributed.fsdp")
    for name in torch.distributed.__all__:
        ours, theirs = getattr(torch.distributed, name), getattr(reference.distributed, name)
        if isinstance(theirs, type) and issubclass(theirs, Exception):
            assert [c.__name__ for c in ours.__mro__] == [c.__name__ for c in theirs.__mro__]
