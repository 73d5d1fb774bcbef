"""torch.jit as PyTorch's is with PYTORCH_JIT=0; it is read in a process of its own there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Optional, Union

import pytest
import torch as reference

import flashlight as torch

ANSWERS = """
import json, sys, warnings
from typing import *
warnings.simplefilter("ignore")
import {library} as torch

def f(x):
    return x

class M(torch.nn.Module):
    def forward(self, x):
        return x

class S(torch.jit.ScriptModule):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 3)

    @torch.jit.script_method
    def forward(self, x):
        return self.linear(x)

def error(call):
    try:
        return repr(call())
    except Exception as found:
        return type(found).__name__

m = M()
print(json.dumps([
    torch.jit.script(f) is f, torch.jit.script(m) is m, torch.jit.script(M) is M,
    torch.jit.trace(f, (1,)) is f, torch.jit.trace_module(m, {{"forward": 1}}) is m,
    torch.jit.script_if_tracing(f)(3), torch.jit.is_scripting(), torch.jit.is_tracing(),
    torch.jit.ignore(f) is f, f._torchscript_modifier,
    torch.jit.ignore(drop=True)(f) is f, f._torchscript_modifier,
    torch.jit.ignore()(f) is f, f._torchscript_modifier,
    torch.jit.unused(f) is f, f._torchscript_modifier,
    torch.jit.export(f) is f, f._torchscript_modifier,
    isinstance(torch.jit.unused(property(f)), property),
    error(lambda: torch.jit.ignore(3)), torch.jit.annotate(int, "a"),
    torch.jit.Attribute(3, int), error(lambda: torch.jit.interface(3)), repr(torch.jit.Final),
    list(S()(torch.ones(1, 2)).shape), isinstance(S(), torch.jit.ScriptModule), repr(S()),
    isinstance(m, torch.jit.ScriptModule), isinstance(f, torch.jit.ScriptFunction),
    error(torch.jit.ScriptFunction), issubclass(torch.jit.Error, RuntimeError),
    torch.jit.Error is torch.JITException, issubclass(torch.jit.TracerWarning, Warning),
    issubclass(torch.jit.TopLevelTracedModule, torch.jit.TracedModule),
    torch.jit.wait(torch.jit.fork(f, 2)), error(lambda: torch.jit.fork(lambda: 1 / 0)),
    error(lambda: torch.jit.wait(3)), error(lambda: torch.jit.fork(3)),
    repr(torch.jit.annotations.BroadcastingList2[int]),
]))
"""


def answers(library):
    program = ANSWERS.format(library=library)
    run = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTORCH_JIT": "0"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(run.stdout.splitlines()[-1])


def test_every_answer_is_that_of_a_pytorch_with_jit_switched_off():
    assert answers("flashlight") == answers("torch")


@pytest.mark.parametrize(("value", "kind"), [
    ([1], list[int]), ([1.0], list[int]), ([], list[int]), ({"a": 1}, dict[str, int]),
    ({"a": "b"}, dict[str, int]), ((1, "a"), tuple[int, str]), ((1,), tuple[int, int]),
    (None, Optional[int]), (3, Optional[int]), ("a", Optional[int]),  # noqa: UP045
    (3, Union[int, str]), (3, int), (True, int), (3, (int, str)), (3, int | None),  # noqa: UP007
    ({1: [2]}, dict[int, list[int]]), ([[1], ["a"]], list[list[int]]), (3, list[int]),
    ([1], list), ((1,), tuple), ({}, dict),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*torch.jit.isinstance:UserWarning")
def test_isinstance_looks_at_elements(value, kind):
    def ask(lib):
        try:
            return lib.jit.isinstance(value, kind)
        except RuntimeError as error:
            return str(error)

    assert ask(torch) == ask(reference)


def test_scripting_is_deprecated_as_in_pytorch():
    for lib in (torch, reference):
        with pytest.warns(DeprecationWarning, match="torch.jit.script` is deprecated"):
            lib.jit.script(len if lib is torch else lib.nn.ReLU())


def test_what_handles_compiled_programs_is_missing():
    for name in ("load", "save", "freeze", "CompilationUnit"):
        assert not hasattr(torch.jit, name)
        with pytest.raises(AttributeError, match="save the state_dict"):
            getattr(torch.jit, name)
