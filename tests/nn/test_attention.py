"""Multi-head attention and transformers: masks, biases, modes, errors."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from tests.nn.both import raised, same, warned

pytestmark = pytest.mark.filterwarnings(
    "ignore:enable_nested_tensor:UserWarning", "ignore:The PyTorch API of nested:UserWarning"
)


def values(torch, *shape, seed=0):
    drawn = np.random.default_rng([seed, *shape]).normal(size=shape).astype("f")
    return torch.from_numpy(drawn).requires_grad_()


def attention(torch, **options):
    torch.manual_seed(3)
    module = torch.nn.MultiheadAttention(4, 2, **options)
    with torch.no_grad():
        for param in module.parameters():
            param.add_(values(torch, *param.shape, seed=8).detach() * 0.1)
    return module


def outcome(module, inputs, *args, **options):
    output, weights = module(*inputs, *args, **options)
    total = (output * output.detach().flip(0)).sum()
    if weights is not None:
        total = total + (weights * weights.detach().flip(-1)).sum()
    total.backward()
    return output, weights, [x.grad for x in inputs], [p.grad for p in module.parameters()]


OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "bias_kv": {"add_bias_kv": True},
    "zero attention": {"add_zero_attn": True},
    "both": {"add_bias_kv": True, "add_zero_attn": True},
    "other sizes": {"kdim": 3, "vdim": 5},
    "batch first": {"batch_first": True},
}


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("name", OPTIONS)
def test_constructions(name, need_weights):
    def program(torch):
        options = OPTIONS[name]
        module = attention(torch, **options)
        shape = (2, 3) if options.get("batch_first") else (3, 2)
        other = (2, 5) if options.get("batch_first") else (5, 2)
        inputs = [
            values(torch, *shape, 4),
            values(torch, *other, options.get("kdim", 4), seed=1),
            values(torch, *other, options.get("vdim", 4), seed=2),
        ]
        padding = torch.tensor([[False] * 5, [False, False, True, False, True]])
        mask = torch.ones(3, 5, dtype=torch.bool).triu(3)
        return (
            outcome(module, inputs, need_weights=need_weights),
            outcome(module, inputs, padding, need_weights, mask),
        )

    same(program, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("shared", ["all", "key and value"])
def test_shared_arguments(shared):
    def program(torch):
        module = attention(torch)
        x, y = values(torch, 3, 2, 4), values(torch, 3, 2, 4, seed=1)
        inputs = (x, x, x) if shared == "all" else (x, y, y)
        first = outcome(module, inputs)
        single = values(torch, 3, 4)
        second = outcome(module, (single, single, single), average_attn_weights=False)
        return first, second

    same(program, rtol=2e-4, atol=2e-5)


def test_masks():
    def program(torch):
        module = attention(torch)
        x = values(torch, 3, 2, 4)
        causal = torch.nn.Transformer.generate_square_subsequent_mask(3)
        each = values(torch, 4, 3, 3, seed=5).detach()
        pad = torch.zeros(2, 3)
        pad[1, 2] = float("-inf")
        return (
            outcome(module, (x, x, x), attn_mask=causal),
            outcome(module, (x, x, x), attn_mask=causal, is_causal=True, need_weights=False),
            outcome(module, (x, x, x), attn_mask=causal, is_causal=True),
            outcome(module, (x, x, x), attn_mask=each, need_weights=False),
            outcome(module, (x, x, x), pad, attn_mask=each),
            warned(lambda: module(x, x, x, pad, attn_mask=causal > 0)),
            module.merge_masks(causal, pad, x.transpose(0, 1).contiguous()),
            module.merge_masks(None, pad, x),
            module.merge_masks(None, None, x),
        )

    same(program, rtol=2e-4, atol=2e-5)


def test_errors():
    def program(torch):
        nn, F = torch.nn, torch.nn.functional
        module = attention(torch)
        x, single = values(torch, 3, 2, 4), values(torch, 3, 4)
        wrong = torch.ones(2, 2)
        separate = attention(torch, kdim=3, vdim=3)

        def call(**changes):
            given = {
                "embed_dim_to_check": 4,
                "num_heads": 2,
                "in_proj_weight": module.in_proj_weight,
                "in_proj_bias": module.in_proj_bias,
                "bias_k": None,
                "bias_v": None,
                "add_zero_attn": False,
                "dropout_p": 0.0,
                "out_proj_weight": module.out_proj.weight,
                "out_proj_bias": module.out_proj.bias,
            }
            return raised(lambda: F.multi_head_attention_forward(x, x, x, **(given | changes)))

        return [
            raised(lambda: nn.MultiheadAttention(0, 2)),
            raised(lambda: nn.MultiheadAttention(4, 3)),
            raised(lambda: module(x[None], x, x)),
            raised(lambda: module(x, single, single)),
            raised(lambda: module(single, x, x)),
            raised(lambda: module(x, x, x, torch.ones(3))),
            raised(lambda: module(single, single, single, torch.ones(2, 3))),
            raised(lambda: module(x, x, x, attn_mask=torch.ones(3))),
            raised(lambda: module(single, single, single, attn_mask=torch.ones(1, 3, 3))),
            raised(lambda: module(x, x, x, attn_mask=wrong)),
            raised(lambda: module(x, x, x, attn_mask=torch.ones(2, 3, 3))),
            raised(lambda: module(x, x, x, torch.ones(2, 4))),
            raised(lambda: module(x, x, x, torch.ones(3, 3))),
            raised(lambda: module(x, x, x, attn_mask=torch.ones(3, 3, dtype=torch.int64))),
            raised(lambda: module(x, x, x, is_causal=True)),
            raised(lambda: module(x[..., :2], x[..., :2], x[..., :2])),
            raised(lambda: module(x, x, x[:2])),
            raised(lambda: separate(x, x[..., :3], x[:2, :, :3])),
            raised(lambda: separate(x, x, x[..., :3])),
            call(num_heads=3),
            call(in_proj_weight=None),
            call(use_separate_proj_weight=True),
            call(bias_k=torch.ones(1, 1, 4)),
            call(bias_v=torch.ones(1, 1, 4)),
            call(static_k=torch.ones(1, 3, 2)),
            call(static_v=torch.ones(4, 3, 3)),
            call(static_k=torch.ones(4, 3, 2), bias_k=torch.ones(1), bias_v=torch.ones(1)),
            raised(lambda: F._none_or_dtype(3)),
        ]

    same(program)


def test_static_keys():
    def program(torch):
        module = attention(torch)
        x = values(torch, 3, 2, 4)
        static = {
            "static_k": values(torch, 4, 5, 2, seed=4),
            "static_v": values(torch, 4, 5, 2, seed=5),
        }
        return torch.nn.functional.multi_head_attention_forward(
            x, x, x, 4, 2, module.in_proj_weight, module.in_proj_bias, None, None, True, 0.0,
            module.out_proj.weight, module.out_proj.bias, **static,
        )  # fmt: skip

    same(program, rtol=2e-4, atol=2e-5)


def test_dropout_of_weights_is_drawn_as_pytorch_draws():
    def program(torch):
        module = attention(torch, dropout=0.5)
        x = values(torch, 3, 2, 4)
        torch.manual_seed(9)
        return module(x, x, x)

    same(program, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_transformer(norm_first, activation):
    def program(torch):
        torch.manual_seed(2)
        model = torch.nn.Transformer(
            4, 2, 2, 1, 8, dropout=0.0, activation=activation, norm_first=norm_first
        )
        src, tgt = values(torch, 5, 2, 4), values(torch, 3, 2, 4, seed=1)
        hidden = torch.tensor([[False] * 5, [False, False, True, False, True]])
        mask = model.generate_square_subsequent_mask(3)
        output = model(src, tgt, tgt_mask=mask, src_key_padding_mask=hidden)
        output.square().sum().backward()
        again = model.eval()(src[:, 0], tgt[:, 0])
        return (
            str(model),
            output,
            again,
            src.grad,
            tgt.grad,
            [p.grad for p in model.parameters()],
        )

    same(program, rtol=5e-4, atol=5e-5)


def test_encoder_in_evaluation_drops_padding():
    def program(torch):
        torch.manual_seed(4)
        layer = torch.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        model = torch.nn.TransformerEncoder(layer, 2, torch.nn.LayerNorm(4)).eval()
        x = values(torch, 2, 5, 4)
        at_end = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
        inside = torch.tensor([[False] * 5, [False, True, False, False, True]])
        results = [model(x, src_key_padding_mask=at_end)]
        with torch.no_grad():
            results += [
                model(x, src_key_padding_mask=at_end),
                model(x, src_key_padding_mask=at_end.float()),
                model(x, src_key_padding_mask=inside),
                model(x, torch.zeros(5, 5, dtype=torch.bool), at_end),
                model(x),
            ]
        return results

    same(program, rtol=5e-4, atol=5e-5)


def test_reasons_against_nested_tensors():
    def program(torch):
        nn = torch.nn
        layer = nn.TransformerEncoderLayer

        def made(*args, **options):
            return warned(lambda: nn.TransformerEncoder(layer(*args, **options), 1))

        return [
            made(4, 2),
            made(4, 2, norm_first=True),
            made(4, 2, batch_first=True, bias=False),
            made(4, 2, batch_first=True, activation=torch.tanh),
            made(3, 3, batch_first=True),
            made(4, 2, batch_first=True),
            warned(lambda: nn.TransformerEncoder(nn.Linear(1, 1), 1)),
        ]

    same(program)


def test_causal_masks_are_recognised():
    def program(torch):
        torch.manual_seed(1)
        layer = torch.nn.TransformerDecoderLayer(4, 2, 8, 0.0)
        model = torch.nn.TransformerDecoder(layer, 1)
        x, memory = values(torch, 3, 2, 4), values(torch, 5, 2, 4)
        mask = torch.nn.Transformer.generate_square_subsequent_mask(3)
        detect = torch.nn.modules.transformer._detect_is_causal_mask
        return (
            model(x, memory, tgt_mask=mask),
            detect(mask),
            detect(mask * 0),
            detect(mask, size=2),
            detect(None),
            detect(None, True),
        )

    same(program, rtol=5e-4, atol=5e-5)


def test_transformer_errors_and_copies():
    def program(torch):
        nn = torch.nn
        model = nn.Transformer(4, 2, 1, 1, 8)
        layer = nn.TransformerEncoderLayer(4, 2, 8)
        state = layer.__getstate__()
        del state["activation"]
        old = nn.TransformerEncoderLayer.__new__(nn.TransformerEncoderLayer)
        old.__setstate__(copy.copy(state))
        x = torch.ones(3, 2, 4)
        return (
            raised(lambda: model(x, torch.ones(3, 1, 4))),
            raised(lambda: model(x, torch.ones(3, 2, 5))),
            raised(lambda: nn.TransformerEncoderLayer(4, 2, activation="sine")),
            old.activation is torch.nn.functional.relu,
            nn.Transformer(
                4, 2, custom_encoder=nn.Identity(), custom_decoder=nn.Identity()
            ).d_model,
        )

    same(program)
