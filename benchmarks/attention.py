"""What one forward and backward of attention takes: memory and time by sequence length.

Each row runs in a process of its own: a quarter, half and all of `--length` tokens, so that growth
shows. "peak" is MLX's, above the inputs. `--check` exits with 1 if a row of the full length needs
more than `--limit` MiB, or more than 2.5 times as much as the row of half the length.

    python benchmarks/attention.py [--length 4096] [--heads 8] [--width 64] [--check]
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

WINDOW = 256


def variants(torch: Any, length: int, heads: int) -> dict[str, Callable[..., Any]]:
    """Name, and what makes the function of query, key and value."""
    from flashlight.nn.attention.flex_attention import create_block_mask, flex_attention

    attention = torch.nn.functional.scaled_dot_product_attention
    slopes = torch.exp2(-torch.arange(1, heads + 1) / 2).requires_grad_()

    def window(b: Any, h: Any, q: Any, kv: Any) -> Any:
        return (q >= kv) & (q - kv < WINDOW)

    def causal(b: Any, h: Any, q: Any, kv: Any) -> Any:
        return q >= kv

    def alibi(score: Any, b: Any, h: Any, q: Any, kv: Any) -> Any:
        return score - slopes[h] * (q - kv)

    def flex(mask: Callable, score: Callable | None = None) -> Callable:
        blocks = create_block_mask(mask, None, None, length, length, device="cpu")
        return lambda q, k, v: flex_attention(q, k, v, score, blocks)

    return {
        "sdpa": lambda: attention,
        "sdpa, causal": lambda: functools.partial(attention, is_causal=True),
        "sdpa, dropout": lambda: functools.partial(attention, dropout_p=0.1),
        "flex, causal": lambda: flex(causal),
        "flex, causal, ALiBi": lambda: flex(causal, alibi),
        f"flex, window {WINDOW}": lambda: flex(window),
    }


def measure(name: str, length: int, heads: int, width: int) -> dict[str, float]:
    """Run one variant forward and backward."""
    import mlx.core as mx

    import flashlight as torch

    torch.manual_seed(0)
    tensors = [torch.randn(1, heads, length, width, requires_grad=True) for _ in range(3)]
    call = variants(torch, length, heads)[name]()
    for tensor in tensors:
        tensor.detach().sum().item()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    start = time.perf_counter()
    result = call(*tensors)
    result.detach().sum().item()
    forward = time.perf_counter() - start
    result.square().sum().backward()
    for tensor in tensors:
        tensor.grad.sum().item()
    return {
        "peak": (mx.get_peak_memory() - before) / 2**20,
        "forward": forward,
        "both": time.perf_counter() - start,
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--limit", type=float, default=2048, help="MiB")
    parser.add_argument("--only", default="", help="variants whose name contains this")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        row = measure(options.measure, options.length, options.heads, options.width)
        print(json.dumps(row))
        return 0

    import flashlight as torch

    failed = []
    print(f"{'':24}{'tokens':>8}{'peak MiB':>10}{'forward s':>11}{'in all s':>10}")
    for name in variants(torch, 16, options.heads):
        if options.only not in name:
            continue
        last = 0.0
        for length in (options.length // 4, options.length // 2, options.length):
            command = [
                sys.executable, __file__, "--measure", name, "--length", str(length),
                "--heads", str(options.heads), "--width", str(options.width),
            ]  # fmt: skip
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            row = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{name:24}{length:8}{row['peak']:10.0f}{row['forward']:11.2f}{row['both']:10.2f}",
                flush=True,
            )
            if length == options.length and (
                row["peak"] > options.limit or row["peak"] > 2.5 * max(last, 64)
            ):
                failed.append(name)
            last = row["peak"]
    if options.check and failed:
        print("too much memory:", ", ".join(failed))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
