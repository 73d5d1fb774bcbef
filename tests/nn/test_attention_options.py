"""Multi-head attention and transformers under combinations of their options, drawn at random."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import pytest

from tests.nn.both import same

pytestmark = pytest.mark.filterwarnings(
    "ignore:enable_nested_tensor:UserWarning", "ignore:The PyTorch API of nested:UserWarning",
    "ignore:Support for mismatched:UserWarning",
)  # fmt: skip
WIDTH = 8


class Given:
    """Inputs and options of one case: the same for both libraries."""

    def __init__(self, library, seed):
        self.library = library
        self.choose = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.dtype = getattr(library, self.choose.choice(["float32", "float64"]))
        self.batched = self.choose.random() < 0.8
        self.batch_first = self.choose.random() < 0.5
        self.grad = self.choose.random() < 0.6
        self.count = self.choose.choice([1, 2, 3])

    def filled(self, module):
        with self.library.no_grad():
            for param in module.parameters():
                drawn = self.numbers.normal(size=tuple(param.shape)) * 0.4
                param.copy_(self.library.from_numpy(drawn).to(self.dtype))
        return module.train(self.choose.random() < 0.5)

    def sequence(self, length, width=WIDTH):
        shape = (self.count, length, width) if self.batch_first else (length, self.count, width)
        shape = shape if self.batched else (length, width)
        drawn = self.library.from_numpy(self.numbers.normal(size=shape)).to(self.dtype)
        return drawn.requires_grad_(self.grad)

    def mask(self, kind, *shape):
        """Return a mask of a kind that leaves the first key to every query."""
        hidden = self.numbers.random(size=shape) < 0.4
        hidden[..., 0] = False
        if kind == "bool":
            return self.library.from_numpy(hidden)
        values = np.where(hidden, -np.inf, 0.0 if kind == "infinite" else 0.7)
        return None if kind is None else self.library.from_numpy(values).to(self.dtype)

    def padding(self, kind, length):
        return self.mask(kind, *((self.count, length) if self.batched else (length,)))

    def outcome(self, call, inputs, module):
        with contextlib.nullcontext() if self.grad else self.library.no_grad():
            results = call()
        results = list(results) if isinstance(results, tuple) else [results]
        if self.grad:
            loss = sum((r * r.detach().cos()).sum() for r in results if r is not None)
            wanted = [*inputs, *module.parameters()]
            results += self.library.autograd.grad(loss, wanted, allow_unused=True)
        return results


@pytest.mark.parametrize("seed", range(40))
def test_multi_head_attention(seed):
    def program(library):
        given = Given(library, seed)
        choose = given.choose.choice
        key_width, value_width = choose([None, None, 3]), choose([None, None, 5])
        heads = choose([1, 2, 4])
        module = library.nn.MultiheadAttention(
            WIDTH, heads, bias=choose([True, False]), add_bias_kv=choose([True, False]),
            add_zero_attn=choose([True, False]), kdim=key_width, vdim=value_width,
            batch_first=given.batch_first, dtype=given.dtype,
        )  # fmt: skip
        given.filled(module)
        length, keys = choose([1, 3, 5]), choose([1, 3, 5])
        inputs = [
            given.sequence(length),
            given.sequence(keys, key_width or WIDTH),
            given.sequence(keys, value_width or WIDTH),
        ]
        shape = choose([(), ((given.count if given.batched else 1) * heads,)])
        options = {
            "key_padding_mask": given.padding(choose([None, "bool", "float"]), keys),
            "need_weights": choose([True, False]),
            "attn_mask": given.mask(choose([None, "bool", "infinite"]), *shape, length, keys),
            "average_attn_weights": choose([True, False]),
        }
        return given.outcome(lambda: module(*inputs, **options), inputs, module)

    same(program, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("seed", range(40))
def test_transformers(seed):
    def program(library):
        given = Given(library, seed)
        choose, nn = given.choose.choice, library.nn
        options = {
            "dim_feedforward": 16, "dropout": 0.0, "dtype": given.dtype,
            "activation": choose(["relu", "gelu", nn.functional.silu]),
            "layer_norm_eps": choose([1e-5, 1e-3]), "batch_first": given.batch_first,
            "norm_first": choose([True, False]), "bias": choose([True, False]),
        }  # fmt: skip
        heads = choose([1, 2, 4])
        norm = choose([None, nn.LayerNorm(WIDTH, dtype=given.dtype)])
        encoder = nn.TransformerEncoderLayer(WIDTH, heads, **options)
        decoder = nn.TransformerDecoderLayer(WIDTH, heads, **options)
        kind = choose(["encoder layer", "decoder layer", "encoder", "decoder", "both"])
        module = given.filled({
            "encoder layer": lambda: encoder,
            "decoder layer": lambda: decoder,
            "encoder": lambda: nn.TransformerEncoder(encoder, 2, norm, choose([True, False])),
            "decoder": lambda: nn.TransformerDecoder(decoder, 2, norm),
            "both": lambda: nn.Transformer(WIDTH, heads, 2, 1, **options),
        }[kind]())  # fmt: skip
        length, other = choose([1, 3, 5]), choose([2, 4])
        source, target = inputs = given.sequence(length), given.sequence(other)
        causal = nn.Transformer.generate_square_subsequent_mask
        source_mask = choose([
            None, given.mask("infinite", length, length), causal(length, dtype=given.dtype)
        ])  # fmt: skip
        source_padding = given.padding(choose([None, "bool"]), length)
        of_target = {
            "tgt_mask": choose([None, causal(other, dtype=given.dtype)]),
            "memory_mask": given.mask(choose([None, "bool"]), other, length),
            "tgt_key_padding_mask": given.padding(choose([None, "infinite"]), other),
            "memory_key_padding_mask": given.padding(choose([None, "infinite"]), length),
        }
        calls = {
            "encoder layer": lambda: module(source, source_mask, source_padding),
            "encoder": lambda: module(source, source_mask, source_padding),
            "decoder layer": lambda: module(target, source, **of_target),
            "decoder": lambda: module(target, source, **of_target),
            "both": lambda: module(
                source, target, src_mask=source_mask, src_key_padding_mask=source_padding,
                **of_target,
            ),
        }  # fmt: skip
        return given.outcome(calls[kind], inputs, module)

    same(program, rtol=2e-3, atol=2e-4)
