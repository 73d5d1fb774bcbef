"""Calls that nobody should make: arguments of every operation, broken on purpose.

A call starts from a sample of PyTorch's operator database, or from made-up arguments for what is
not in there, and has some of its arguments replaced. Whatever happens, the process must live, the
call must end, and an error must be of a class that PyTorch users know.

    python -m tests.ops.hostile --calls 20000 --seed 0     what is wrong, call by call
    python -m tests.ops.hostile --seed 0 --only 1234       one call, with its traceback
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import itertools
import random
import resource
import select
import subprocess
import sys
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

import flashlight

from . import watched_mlx

#: What an error may be. Anything else is asked of PyTorch too.
KNOWN = (RuntimeError, TypeError, ValueError, IndexError)
#: Seconds without a sign of life after which a worker counts as hung.
PATIENCE = 60
#: Bytes that a worker believes to be free, and the address space that it gets.
FREE, SPACE = 1 << 30, 8 << 30
#: Names that change settings, start threads, or have effects outside the process.
EXCLUDED = {
    "manual_seed", "seed", "initial_seed", "set_rng_state", "get_rng_state", "from_file",
    "share_memory_", "resize_", "register_hook", "wait", "fork",
}  # fmt: skip
FALLBACK = (torch.int64,)
DTYPES = ("float32", "float64", "float16", "bfloat16", "complex64", "int64", "int32", "int16",
          "int8", "uint8", "bool")  # fmt: skip
SHAPES = ((), (0,), (1,), (3,), (5,), (2, 3), (3, 3), (0, 3), (3, 0), (2, 3, 4), (1, 2, 4, 4),
          (2, 2, 3, 3, 3), (1,) * 12)  # fmt: skip
GIANTS = ((1 << 40,), (1 << 31, 1 << 31), (1 << 24, 1 << 24), (3, 1 << 33))
NUMBERS = (0, 1, -1, 2, 3, -2, 7, 100, -100, 10**6, 1 << 31, -(1 << 31), 10**12, (1 << 63) - 1,
           -(1 << 63), 1 << 64, 0.0, 0.5, -1.5, 1e308, float("nan"), float("inf"),
           float("-inf"), 1j, True, False, None, "no such thing", [], (), (-1,), (2, 2), (1 << 40,),
           [None], {}, object, b"x")  # fmt: skip
FILLS = (float("nan"), float("inf"), -1, 10**9, -(10**9), 0, 1e38, 255)


@dataclass
class Made:
    """A tensor that can be built in either library: an array, or a number spread over a shape."""

    values: np.ndarray
    dtype: str
    shape: tuple | None = None
    steps: tuple = ()
    requires_grad: bool = False

    def build(self, library):
        """Return the tensor."""
        made = library.tensor(self.values).to(getattr(library, self.dtype))
        if self.shape is not None:
            made = made.expand(self.shape)
        for name, *args in self.steps:
            made = getattr(made, name)(*args)
        return made.requires_grad_() if self.requires_grad else made

    def __repr__(self):
        shape = tuple(self.values.shape) if self.shape is None else self.shape
        text = f"{self.dtype}{list(shape)}"
        text += "".join(f".{name}{tuple(args)}" for name, *args in self.steps)
        if self.values.size and self.values.size < 8:
            text += f"={self.values.tolist()}"
        return text + ("*" if self.requires_grad else "")


@dataclass
class Name:
    """An attribute of the library, such as a dtype."""

    name: str

    def build(self, library):
        """Return the attribute."""
        return getattr(library, self.name)

    def __repr__(self):
        return self.name


@dataclass
class Call:
    """A function or method by its dotted name, and arguments for it."""

    path: str
    args: list = field(default_factory=list)
    kwargs: dict = field(default_factory=dict)

    def run(self, library):
        """Call, look at every value that comes back, and go back through the history."""
        function = library
        for part in self.path.split("."):
            function = getattr(function, part)
        args, kwargs = build(self.args, library), build(self.kwargs, library)
        result = function(*args, **kwargs)
        look(result, library)
        for value in (*args, *kwargs.values()):
            look(value, library)
        return result

    def __repr__(self):
        words = [repr(value) for value in self.args]
        words += [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{self.path}({', '.join(words)})"


def build(value, library):
    """Return `value` with tensors and names of the library in it."""
    if isinstance(value, (Made, Name)):
        return value.build(library)
    if isinstance(value, (list, tuple)):
        return type(value)([build(item, library) for item in value])
    if isinstance(value, dict):
        return {key: build(item, library) for key, item in value.items()}
    return value


def look(value, library):
    """Read all tensors in a result, and walk back from those with a history."""
    if isinstance(value, library.Tensor):
        if value.numel() > 1 << 22 or value.is_meta:
            return
        if value.requires_grad and not value.is_leaf and value.dtype.is_floating_point:
            value.sum().backward(retain_graph=True)
        value.detach().tolist()
    elif isinstance(value, (list, tuple)):
        for item in itertools.islice(value, 16):
            look(item, library)


# ----- where calls come from -----


class Source:
    """All names, and samples for those that the operator database has."""

    def __init__(self):
        self.operators = {}
        for op in op_db:
            if not op.name.startswith(("_", "torch.")) and "sparse" not in op.name:
                self.operators.setdefault(self._path(op.name), []).append(op)
        self.operators.pop("", None)
        self.samples: dict = {}
        self.names = sorted({*self.operators, *public_names()})

    @staticmethod
    def _path(name):
        for path in (name, f"Tensor.{name}"):
            value = flashlight
            for part in path.split("."):
                value = getattr(value, part, None)
            if callable(value) and path.rpartition(".")[2] not in EXCLUDED:
                return path
        return ""

    def call(self, chance: random.Random) -> Call:
        """Return a call with up to four of its arguments broken."""
        path = chance.choice(self.names)
        call = self._sample(path, chance) or made_up(path, chance)
        for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 4))):
            damage(call, chance)
        if path.startswith("Tensor.") and not (call.args and isinstance(call.args[0], Made)):
            call.args[:1] = [any_tensor(chance)]  # methods have a tensor that they belong to
        return call

    def _sample(self, path, chance):
        if path not in self.samples:
            self.samples[path] = []
            short = path.removeprefix("Tensor.")
            for op in self.operators.get(path, self.operators.get(short, ())):
                torch.manual_seed(0)
                np.random.seed(0)
                random.seed(0)
                kinds = op.supported_dtypes("cpu")
                kind = min(kinds or FALLBACK, key=lambda kind: (kind is not torch.float32, str(kind)))
                with contextlib.suppress(Exception):
                    for sample in itertools.islice(op.sample_inputs("cpu", kind, set_seed=False), 8):
                        call = Call(path, [sample.input, *sample.args], dict(sample.kwargs))
                        if portable(call.args) and portable(call.kwargs):
                            self.samples[path].append(call)
        if not self.samples[path]:
            return None
        chosen = chance.choice(self.samples[path])
        return Call(path, [plain(v) for v in chosen.args],
                    {key: plain(v) for key, v in chosen.kwargs.items()})


def public_names() -> list:
    """Return the dotted names of all operations, functional layers and methods."""
    from flashlight import _ops

    spaces = {"": _ops.FUNCTIONS, "Tensor.": vars(flashlight.Tensor),
              "nn.functional.": vars(flashlight.nn.functional)}
    for space in ("linalg", "fft", "special", "signal.windows"):
        module = flashlight
        for part in space.split("."):
            module = getattr(module, part)
        spaces[f"{space}."] = {name: getattr(module, name) for name in dir(module)}
    names = []
    for prefix, table in spaces.items():
        for name in table:
            path = prefix + name
            if name in EXCLUDED or name.startswith("_") and not name.startswith("__"):
                continue
            if name.startswith("__") and name not in ("__getitem__", "__setitem__", "__mod__",
                                                      "__lshift__", "__floordiv__", "__pow__"):
                continue
            value, theirs = flashlight, torch
            for part in path.split("."):
                value, theirs = getattr(value, part, None), getattr(theirs, part, None)
            if callable(value) and callable(theirs) and not isinstance(value, type):
                names.append(path)
    return names


def portable(value) -> bool:
    """Tell whether arguments can be built in both libraries from what we know of them."""
    if isinstance(value, torch.Tensor):
        return value.layout is torch.strided and value.dtype is not torch.complex128
    if isinstance(value, (list, tuple)):
        return all(map(portable, value))
    if isinstance(value, dict):
        return all(map(portable, value.values()))
    return value is None or isinstance(
        value, (bool, int, float, complex, str, slice, torch.dtype, torch.layout,
                torch.memory_format, torch.device, type(...)))


def plain(value):
    """Return arguments of a sample without PyTorch's objects."""
    if isinstance(value, torch.Tensor):
        value = value.detach().resolve_conj().resolve_neg()
        kind = str(value.dtype).rpartition(".")[2]
        host = value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
        return Made(host.contiguous().numpy().copy(), kind)
    if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
        return Name(str(value).rpartition(".")[2])
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, (list, tuple)):
        return type(value)([plain(v) for v in value]) if type(value) in (list, tuple) else \
            tuple([plain(v) for v in value])
    return value


def made_up(path, chance) -> Call:
    """Return a call with arguments that mean nothing to the function."""
    count = chance.choice((1, 1, 2, 2, 3, 4, 5))
    args: list = [any_tensor(chance)]
    args += [any_tensor(chance) if chance.random() < 0.4 else chance.choice(NUMBERS)
             for _ in range(count - 1)]
    return Call(path, args)


def any_tensor(chance) -> Made:
    """Return a small tensor of some dtype, or a huge one that occupies no memory."""
    dtype = chance.choice(DTYPES)
    if chance.random() < 0.05:
        return Made(np.zeros(()), dtype, chance.choice(GIANTS))
    shape = chance.choice(SHAPES)
    values = np.array([chance.randint(-3, 3) for _ in range(int(np.prod(shape)))], np.float32)
    if chance.random() < 0.2:
        values = np.full(values.shape, chance.choice(FILLS), np.float64)
    return Made(values.reshape(shape), dtype, requires_grad=dtype in DTYPES[:4]
                and chance.random() < 0.3)


# ----- what is done to them -----


def damage(call: Call, chance) -> None:
    """Change, drop or add one argument."""
    keys = [*range(len(call.args)), *call.kwargs]
    what = chance.random()
    if what < 0.03 and call.args:
        call.args.pop()
    elif what < 0.05:
        call.kwargs[chance.choice(("dim", "keepdim", "dtype", "axis", "bogus", "input"))] = \
            chance.choice(NUMBERS)
    elif what < 0.09:
        call.kwargs["out"] = any_tensor(chance)
    elif what < 0.11:
        call.args.append(any_tensor(chance) if chance.random() < 0.5 else chance.choice(NUMBERS))
    elif keys:
        key = chance.choice(keys)
        holder: Any = call.args if isinstance(key, int) else call.kwargs
        holder[key] = broken(holder[key], chance)


def broken(value, chance):
    """Return something else in place of an argument."""
    if chance.random() < 0.06:
        return any_tensor(chance)
    if isinstance(value, Made):
        return broken_tensor(value, chance)
    if isinstance(value, (list, tuple)) and value and chance.random() < 0.85:
        items = list(value)
        at = chance.randrange(len(items))
        how = chance.randrange(4)
        if how == 0:
            items.pop(at)
        elif how == 1:
            items.append(items[at])
        else:
            items[at] = broken(items[at], chance)
        return type(value)(items)
    if isinstance(value, Name) and chance.random() < 0.7:
        return Name(chance.choice(DTYPES))
    return chance.choice(NUMBERS)


def broken_tensor(value: Made, chance) -> Any:
    """Return a tensor of another rank, size, dtype, content or layout."""
    array = value.values
    how = chance.randrange(12)
    if how == 0:
        return Made(array[None] if chance.random() < 0.5 else array.reshape(-1), value.dtype)
    if how == 1:
        return Made(array.reshape(-1)[:1].reshape(()) if array.size else array, value.dtype)
    if how == 2 and array.ndim:
        at = chance.randrange(array.ndim)
        return Made(np.take(array, [], axis=at), value.dtype)
    if how == 3 and array.ndim and array.size:
        at = chance.randrange(array.ndim)
        return Made(np.repeat(array, 2, axis=at), value.dtype)
    if how == 4 and array.ndim and array.size:
        at = chance.randrange(array.ndim)
        return Made(np.take(array, range(array.shape[at] - 1), axis=at), value.dtype)
    if how == 5:
        return Made(array, chance.choice(DTYPES))
    if how in (6, 7) and array.size:
        array = array.astype(np.float64 if array.dtype.kind in "fb" else
                             complex if array.dtype.kind == "c" else np.int64)
        fills = [f for f in FILLS if array.dtype.kind != "i" or abs(f) < 1e10]
        array.reshape(-1)[chance.randrange(array.size)] = chance.choice(fills)
        return Made(array, value.dtype)
    if how == 8 and array.ndim > 1:
        return Made(array, value.dtype, steps=(("transpose", 0, -1),))
    if how == 9:
        return Made(np.zeros(()), value.dtype, chance.choice(GIANTS))
    if how == 10 and value.dtype in DTYPES[:4]:
        return Made(array, value.dtype, requires_grad=True)
    return chance.choice(NUMBERS) if chance.random() < 0.5 else [value]


# ----- running them -----


def call_of(source: Source, seed: int, index: int) -> Call:
    """Return call number `index`."""
    return source.call(random.Random(f"{seed} {index}"))


def verdict(call: Call) -> tuple[str, str]:
    """Run a call; return "fine", or what is wrong with what it did or how it failed."""
    watched_mlx.noted.clear()
    found = _failure(call)
    if watched_mlx.noted:
        return "memory", "; ".join(sorted(set(watched_mlx.noted)))
    return found


def _failure(call):
    try:
        call.run(flashlight)
    except Exception as error:
        if from_here(error):
            return "fine", ""
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if is_foreign(error):
            return "message", text
        if not isinstance(error, KNOWN) and theirs(call) != type(error).__name__:
            return "class", text
    return "fine", ""


def from_here(error) -> bool:
    """Tell whether the error is about building the arguments."""
    trace = traceback.extract_tb(error.__traceback__)
    return any(frame.name == "build" for frame in trace)


def is_foreign(error) -> bool:
    """Tell whether a message is MLX's, nanobind's or NumPy's own."""
    text = str(error)
    return (text.startswith("[") and "] " in text[:40] and not text.startswith("[enforce")
            or "mlx" in text or "nanobind" in text or "(): incompatible function" in text
            or "numpy." in text or text.startswith("std::"))


def theirs(call: Call) -> str:
    """Return the name of the class that PyTorch raises for the call."""
    try:
        call.run(torch)
    except Exception as error:
        return type(error).__name__
    return ""


def work(seed: int, start: int, stop: int) -> None:
    """Run calls one after another; say which one before, and what was wrong after."""
    from flashlight._core import evaluation

    faulthandler.enable()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    evaluation.available_memory = lambda: FREE
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    watched_mlx.watch()
    source = Source()
    for index in range(start, stop):
        call = call_of(source, seed, index)
        print(f"call {index} {call!r}"[:2000].replace("\n", " "), flush=True)
        kind, text = verdict(call)
        if kind != "fine":
            print(f"wrong {kind} {text}", flush=True)
    print("end", flush=True)


def hostile_calls(calls: int, seed: int = 0, start: int = 0):
    """Run calls in worker processes; yield (index, call, kind, text) for each that went wrong."""
    stop = start + calls
    while start < stop:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.ops.hostile", "--worker", str(start), str(stop),
             "--seed", str(seed)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        assert worker.stdout and worker.stderr
        call = ""
        try:
            while True:
                waiting = not select.select([worker.stdout], [], [], PATIENCE * (1 if call else 4))[0]
                if waiting:
                    yield start, call, "hang", f"no answer in {PATIENCE} s"
                    start += 1
                    break
                line = worker.stdout.readline()
                word, _, rest = line.rstrip("\n").partition(" ")
                if word == "call":
                    number, _, call = rest.partition(" ")
                    start = int(number)
                elif word == "wrong":
                    kind, _, text = rest.partition(" ")
                    yield start, call, kind, text
                elif word == "end":
                    return
                elif not line:
                    lines = worker.stderr.read().strip().splitlines()
                    worker.wait()
                    told = " | ".join(lines[:1] + [t.strip() for t in lines if "flashlight" in t][:4])
                    yield start, call, "crash", f"exit {worker.returncode}: {told}"
                    if not call:
                        raise RuntimeError("the worker does not start:\n" + "\n".join(lines))
                    start += 1
                    break
        finally:
            worker.kill()
            worker.communicate()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--worker", type=int, nargs=2)
    options = parser.parse_args()
    if options.worker:
        work(options.seed, *options.worker)
    elif options.only is not None:
        watched_mlx.watch()
        call = call_of(Source(), options.seed, options.only)
        print(call)
        for library in (torch, flashlight):
            try:
                print(library.__name__, call.run(library))
            except Exception:
                traceback.print_exc()
        print(*watched_mlx.noted, sep="\n")
    else:
        found: Counter = Counter()
        for index, call, kind, text in hostile_calls(options.calls, options.seed, options.start):
            found[kind] += 1
            print(f"{index} {kind}: {text}\n    {call[:400]}", flush=True)
        print(f"{options.calls} calls: " + (", ".join(
            f"{count} {kind}" for kind, count in found.items()) or "nothing wrong"))
        sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
