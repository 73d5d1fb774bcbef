"""What it costs to issue an operation: flashlight against PyTorch, and against bare MLX.

Operands are 16x16 float32 and evaluated, one thread, each side in its own process; the sides take
turns and the best time of each counts. "Issued" rows leave results unread, which for PyTorch
includes computing them; "evaluated" rows read every result. The limits are those that the project
holds itself to; `--check` exits with 1 where one is broken.

    python benchmarks/dispatch.py [--rounds 5] [--check]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

SIDES = ("torch", "flashlight", "mlx")
# The most that flashlight may take, in times of PyTorch.
LIMITS = {"add": 1.5, "add, with grad": 1.5, "chain of 100 with backward": 2.0}

Row = tuple[str, Callable[[], object], int]


def tensor_rows(torch: Any) -> Iterator[Row]:
    """Name, one action and how many operations it issues, for PyTorch's API."""
    values = [[(row - column) / 16 for column in range(16)] for row in range(16)]
    a, b, wide = torch.tensor(values), torch.tensor(values), torch.tensor(values)
    leaf = torch.tensor(values, requires_grad=True)
    view = torch.linspace(-1, 1, 256).view(16, 16)

    def chain() -> None:
        value = leaf
        for _ in range(50):
            value = value * 0.99 + b
        value.sum().backward()
        leaf.grad = None

    yield "add", lambda: a + b, 1
    yield "add, with grad", lambda: leaf + b, 1
    yield "add a view", lambda: view + b, 1
    yield "add a number", lambda: a + 1.5, 1
    yield "mul in place", lambda: a.mul_(1.0), 1
    yield "exp", lambda: torch.exp(a), 1
    yield "sum of a dimension", lambda: a.sum(1), 1
    yield "matmul", lambda: a @ b, 1
    yield "transpose", lambda: a.t(), 1
    yield "index by a slice", lambda: a[2:9], 1
    yield "write through a slice", lambda: wide[2:9].add_(0.0), 2
    yield "chain of 100 with backward", chain, 1
    yield "add, evaluated", lambda: (a + b).tolist(), 1
    yield "matmul, evaluated", lambda: (a @ b).tolist(), 1


def mlx_rows() -> Iterator[Row]:
    """The same with bare MLX, where there is such a thing."""
    import mlx.core as mx

    mx.set_default_device(mx.cpu)
    a, b = mx.random.normal((16, 16)), mx.random.normal((16, 16))
    mx.eval(a, b)
    yield "add", lambda: a + b, 1
    yield "add a number", lambda: a + 1.5, 1
    yield "exp", lambda: mx.exp(a), 1
    yield "sum of a dimension", lambda: a.sum(1), 1
    yield "matmul", lambda: a @ b, 1
    yield "transpose", lambda: a.T, 1
    yield "index by a slice", lambda: a[2:9], 1
    yield "add, evaluated", lambda: (a + b).tolist(), 1
    yield "matmul, evaluated", lambda: (a @ b).tolist(), 1


def measure(side: str, repeats: int = 9, target: float = 0.01) -> dict[str, float]:
    """Microseconds an operation: the best of some runs of about `target` seconds each."""
    if side == "mlx":
        rows = mlx_rows()
    else:
        import importlib

        torch = importlib.import_module(side)
        torch.set_num_threads(1)
        rows = tensor_rows(torch)
    times = {}
    for name, action, operations in rows:
        start = time.perf_counter()
        for _ in range(3):
            action()
        count = max(3, int(target / ((time.perf_counter() - start) / 3)))
        best = float("inf")
        for _ in range(repeats):
            start = time.perf_counter()
            for _ in range(count):
                action()
            best = min(best, time.perf_counter() - start)
        times[name] = best / count / operations * 1e6
    return times


def measure_in_turns(rounds: int) -> dict[str, dict[str, float]]:
    """The best time of each row and side, each round starting a process for every side."""
    best: dict[str, dict[str, float]] = {side: {} for side in SIDES}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for _ in range(rounds):
        for side in SIDES:
            output = subprocess.run(
                [sys.executable, __file__, "--side", side],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            for name, value in json.loads(output).items():
                best[side][name] = min(value, best[side].get(name, float("inf")))
    return best


def report(best: dict[str, dict[str, float]]) -> bool:
    """Print the table; whether every limit is kept."""
    kept = True
    print(f"{'microseconds':28} {'torch':>8} {'ours':>8} {'mlx':>8} {'ratio':>8} {'limit':>6}")
    for name, theirs in best["torch"].items():
        ours, bare = best["flashlight"][name], best["mlx"].get(name)
        limit = LIMITS.get(name)
        kept &= limit is None or ours <= limit * theirs
        print(
            f"{name:28} {theirs:8.2f} {ours:8.2f} {'' if bare is None else f'{bare:.2f}':>8}"
            f" {ours / theirs:8.2f} {'' if limit is None else limit:>6}"
        )
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is broken")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure(arguments.side)))
        return 0
    return int(not report(measure_in_turns(arguments.rounds)) and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
