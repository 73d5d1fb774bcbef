"""flex_attention: results and masks against PyTorch's own, gradients against dense attention."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import torch.nn.attention.flex_attention as theirs

import flashlight
import flashlight.nn.attention.flex_attention as ours
from flashlight.nn.attention import _tiles
from tests.nn.both import raised

BOTH = ((torch, theirs), (flashlight, ours))
LENGTH = 70



@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """The same mathematics in PyTorch, without tracing each call first."""
    monkeypatch.setattr(theirs, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)


def drawn(*shape, seed=0, dtype="float32"):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def inputs(library, heads=4, keys=LENGTH, batch=2, width=8, value_width=5):
    shapes = ((2, 4, LENGTH, width), (batch, heads, keys, width), (batch, heads, keys, value_width))
    return [library.from_numpy(drawn(*shape, seed=i)) for i, shape in enumerate(shapes)]


@pytest.fixture(params=["one tile", "many tiles"])
def tiles(request, monkeypatch):
    if request.param == "many tiles":
        monkeypatch.setattr(_tiles, "BLOCK", 8000)
        monkeypatch.setattr(_tiles, "ACCELERATOR_BLOCK", 8000)


# ----- score_mods and mask_mods, as functions of the library -----


def causal(library):
    return lambda b, h, q, kv: q >= kv


def window(library):
    return lambda b, h, q, kv: (q >= kv) & (q - kv < 20)


def with_global(library):
    return lambda b, h, q, kv: ((q - kv).abs() < 8) | (kv < 4)


def some_rows(library):
    return lambda b, h, q, kv: (q < 40) & (kv % 3 == 0)


def by_head(library):
    return lambda b, h, q, kv: (q - kv).abs() < 16 * (h + b)


def documents(library):
    ids = library.tensor([0] * 20 + [1] * 30 + [2] * 20)
    return lambda b, h, q, kv: ids[q] == ids[kv]


def apart(library):
    ids = library.tensor([0] * 20 + [1] * 30 + [2] * 20)
    return lambda b, h, q, kv: ids[q] != ids[kv]


def slopes(library, weight):
    return lambda s, b, h, q, kv: s + weight[h] * (kv - q) / 10


def table(library, weight):
    return lambda s, b, h, q, kv: s + weight[(q - kv) % 32, h]


def capped(library, cap):
    return lambda s, b, h, q, kv: cap * library.tanh(s / cap)


def bias(library, weight):
    return lambda s, b, h, q, kv: s + weight[b, h, q, kv]


def of_vectors(library, weight):
    return lambda s, b, h, q, kv: s + (weight[q] * weight[kv]).sum()


def where(library, weight):
    return lambda s, b, h, q, kv: library.where(q >= kv, s * weight, -float("inf"))


def constant(library, weight):
    return lambda s, b, h, q, kv: weight[kv % 3] * 1.0


MASKS = [causal, window, with_global, some_rows, by_head, documents, apart]
SCORES = {
    slopes: (4,), table: (32, 4), capped: (), bias: (2, 4, LENGTH, LENGTH), where: (),
    of_vectors: (LENGTH, 3), constant: (3,),
}  # fmt: skip


def blocks(library, module, mask, keys=LENGTH, size=16):
    sizes = (2, 4) if mask is by_head else (None, None)
    return module.create_block_mask(
        mask(library), *sizes, LENGTH, keys, device="cpu", BLOCK_SIZE=size
    )


def compare(program, rtol=1e-4, atol=2e-6):
    for expected, actual in zip(*[program(*each) for each in BOTH], strict=True):
        assert str(expected.dtype) == str(actual.dtype)
        assert tuple(expected.shape) == tuple(actual.shape)
        assert expected.stride() == actual.stride()
        np.testing.assert_allclose(
            actual.float().numpy(), expected.float().numpy(), rtol=rtol, atol=atol
        )


# ----- results -----


@pytest.mark.parametrize("mask", MASKS)
def test_masks(mask, tiles):
    def program(library, module):
        chosen = blocks(library, module, mask)
        result, aux = module.flex_attention(
            *inputs(library), block_mask=chosen, return_aux=module.AuxRequest(lse=True)
        )
        assert aux.max_scores is None
        return result, aux.lse

    compare(program)


@pytest.mark.parametrize("score", SCORES)
def test_scores(score, tiles):
    def program(library, module):
        score_mod = score(library, library.from_numpy(drawn(*SCORES[score], seed=9)))
        return (module.flex_attention(*inputs(library), score_mod),)

    compare(program)


@pytest.mark.parametrize("heads", [1, 2])
def test_grouped_heads_other_lengths_and_a_scale(heads):
    def program(library, module):
        chosen = blocks(library, module, with_global, keys=33, size=(8, 32))
        given = inputs(library, heads, keys=33)
        return (
            module.flex_attention(*given, None, chosen, 0.3, True),
            module.flex_attention(*given, enable_gqa=True),
        )

    compare(program)


def test_keys_of_one_sample_for_all():
    def program(library, module):
        chosen = blocks(library, module, by_head)
        return (module.flex_attention(*inputs(library, batch=1), block_mask=chosen),)

    compare(program)


@pytest.mark.parametrize(
    ("dtype", "tolerance", "order"),
    [
        ("float64", 1e-12, (0, 1, 2, 3)),
        ("float32", 1e-5, (0, 2, 1, 3)),
        ("bfloat16", 2e-2, (2, 0, 1, 3)),
        ("float16", 3e-3, (0, 1, 3, 2)),
    ],
)
def test_dtypes_and_strides(dtype, tolerance, order):
    def program(library, module):
        back = [order.index(dim) for dim in range(4)]
        given = [
            t.to(getattr(library, dtype)).permute(order).contiguous().permute(back)
            for t in inputs(library, value_width=8)
        ]
        result, aux = module.flex_attention(*given, return_aux=module.AuxRequest(lse=True))
        return result, aux.lse

    compare(program, rtol=tolerance, atol=tolerance)


def test_keys_of_lower_precision():
    def program(library, module):
        query, key, value = inputs(library)
        return (module.flex_attention(query, key.bfloat16(), value.bfloat16()),)

    compare(program, rtol=1e-3, atol=1e-3)


def test_autocast():
    def program(library, module):
        with library.autocast("cpu", dtype=library.bfloat16):
            return (module.flex_attention(*inputs(library), lambda s, b, h, q, kv: s * 2),)

    compare(program, rtol=2e-2, atol=2e-2)


def test_lse_by_its_old_name_warns_once():
    def program(library, module):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = module.flex_attention(*inputs(library), return_lse=True)
            module.flex_attention(*inputs(library), return_lse=True)
        assert [w.category for w in caught if "return_lse" in str(w.message)] == [FutureWarning]
        return result

    ours._shown.clear()
    theirs._WARNINGS_SHOWN.discard("deprecated_return_lse")
    compare(program)


def test_largest_scores():
    query, key, value = inputs(flashlight)
    _, aux = ours.flex_attention(
        query, key, value, block_mask=blocks(flashlight, ours, some_rows),
        return_aux=ours.AuxRequest(max_scores=True),
    )  # fmt: skip
    assert aux.lse is None
    seen = flashlight.arange(LENGTH) % 3 == 0
    scores = (query @ key.mT / 8**0.5).where(seen, -float("inf")).amax(-1)
    scores[:, :, 40:] = -float("inf")
    flashlight.testing.assert_close(aux.max_scores, scores)


def test_empty_sequences():
    for rows, keys in ((0, 3), (3, 0)):
        given = [flashlight.ones(1, 1, n, 4, requires_grad=True) for n in (rows, keys, keys)]
        result = ours.flex_attention(*given)
        assert result.tolist() == flashlight.zeros(1, 1, rows, 4).tolist()
        result.sum().backward()
        assert all(t.grad.eq(0).all() for t in given)


def test_blocks_that_are_not_listed_are_not_computed():
    """As in compiled PyTorch; uncompiled, PyTorch looks at mask_mod only."""
    query, key, value = inputs(flashlight)
    counts = flashlight.ones(1, 1, 5, dtype=flashlight.int32)
    indices = flashlight.zeros(1, 1, 5, 5, dtype=flashlight.int32)
    mask = ours.BlockMask.from_kv_blocks(
        counts, indices, BLOCK_SIZE=16, seq_lengths=(LENGTH, LENGTH)
    )
    first = flashlight.nn.functional.scaled_dot_product_attention(
        query, key[:, :, :16], value[:, :, :16]
    )
    flashlight.testing.assert_close(ours.flex_attention(query, key, value, block_mask=mask), first)
    # What a write puts into the mask's tensors is seen.
    mask.kv_indices[..., 0] = 1
    second = flashlight.nn.functional.scaled_dot_product_attention(
        query, key[:, :, 16:32], value[:, :, 16:32]
    )
    flashlight.testing.assert_close(ours.flex_attention(query, key, value, block_mask=mask), second)


# ----- gradients -----


def dense(query, key, value, score, mask):
    batch, heads, length, width = query.shape
    shared = heads // key.shape[1]
    key = key.repeat_interleave(shared, 1).expand(batch, -1, -1, -1)
    value = value.repeat_interleave(shared, 1).expand(batch, -1, -1, -1)
    scores = query @ key.mT / width**0.5
    sizes = (batch, heads, length, key.shape[2])
    places = [
        torch.arange(n).reshape([-1 if i == dim else 1 for i in range(4)])
        for dim, n in enumerate(sizes)
    ]
    scores = score(scores, *places) if score else scores
    if mask is not None:
        scores = torch.where(mask(*places), scores, -float("inf"))
    empty = (scores == -float("inf")).all(-1, keepdim=True)
    scores = torch.where(empty, 0.0, scores)
    sums = torch.where(empty.squeeze(-1), -float("inf"), scores.logsumexp(-1))
    return torch.where(empty, 0.0, scores.softmax(-1)) @ value, sums


def gradients(library, score, mask, shape, twice, **options):
    given = [t.double().requires_grad_() for t in inputs(library, **options)]
    score_mod, mask_mod = None, mask and mask(library)
    if score is not None:
        weight = library.from_numpy(drawn(*shape, seed=9, dtype="float64")).requires_grad_()
        given.append(weight)
        # Not a leaf: the history before it counts too.
        score_mod = score(library, weight * 1.5)
    if library is torch:
        result, sums = dense(*given[:3], score_mod, mask_mod)
    else:
        chosen = mask and blocks(library, ours, mask)
        result, aux = ours.flex_attention(
            *given[:3], score_mod, chosen, enable_gqa=True, return_aux=ours.AuxRequest(lse=True)
        )
        sums = aux.lse
    sums = library.where(library.isinf(sums), 0.0, sums)
    loss = (result * result.detach().flip(-1)).sum() + (sums * sums.detach().flip(-1)).sum()
    found = list(library.autograd.grad(loss, given, create_graph=twice))
    if twice:
        found += library.autograd.grad(sum((g * g).sum() for g in found), given)
    return [result, *found]


def compare_gradients(score, mask, twice=False, **options):
    shape = SCORES.get(score)
    expected, actual = (
        gradients(library, score, mask, shape, twice, **options) for library in (torch, flashlight)
    )
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_allclose(
            other.detach().numpy(), one.detach().numpy(), rtol=1e-7, atol=1e-9
        )


@pytest.mark.parametrize("mask", MASKS)
def test_gradients_of_masked_attention(mask, tiles):
    compare_gradients(None, mask)


@pytest.mark.parametrize("score", [s for s in SCORES if s not in (of_vectors, constant)])
def test_gradients_of_what_a_score_mod_captures(score, tiles):
    compare_gradients(score, window)


@pytest.mark.parametrize("heads", [1, 2])
def test_gradients_of_grouped_heads(heads, tiles):
    compare_gradients(table, with_global, heads=heads)


def test_gradients_of_keys_for_all_samples(tiles):
    compare_gradients(None, by_head, batch=1)


@pytest.mark.parametrize("score", [None, table, capped])
def test_second_derivatives(score):
    compare_gradients(score, window, twice=True, heads=2)


def test_a_score_mod_that_ignores_the_score():
    query, key, value = inputs(flashlight)
    weight = flashlight.randn(3, requires_grad=True)
    query.requires_grad_()
    result = ours.flex_attention(query, key, value, constant(flashlight, weight))
    grads = flashlight.autograd.grad(result.square().sum(), [query, weight])
    assert grads[0].eq(0).all()
    assert grads[1].ne(0).all()


def test_mixed_precision_has_no_gradient():
    query, key, value = inputs(flashlight)
    query.requires_grad_()
    result = ours.flex_attention(query, key.bfloat16(), value.bfloat16())
    with pytest.raises(ValueError, match="mixed query, key, and value dtype"):
        result.sum().backward()


def test_memory_does_not_grow_with_the_square_of_the_length():
    import mlx.core as mx

    heads, length = 4, 2048
    mask = ours.create_block_mask(
        lambda b, h, q, kv: (q >= kv) & (q - kv < 128), None, None, length, length, device="cpu"
    )
    given = [flashlight.randn(1, heads, length, 16, requires_grad=True) for _ in range(3)]
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    ours.flex_attention(*given, lambda s, b, h, q, kv: s * 2, mask).square().sum().backward()
    assert all(np.isfinite(t.grad.sum().item()) for t in given)
    assert mx.get_peak_memory() - before < heads * length * length * 4 / 2


# ----- compiled -----


def test_compiled():
    compiled = flashlight.compile(ours.flex_attention, fullgraph=True)
    given = [t[:, :, :24].clone().requires_grad_() for t in inputs(flashlight)]
    weight = flashlight.randn(4, requires_grad=True)
    mask = ours.create_block_mask(causal(flashlight), None, None, 24, 24, "cpu", BLOCK_SIZE=16)
    score = slopes(flashlight, weight)

    def run(function):
        result = function(*given, score, mask)
        return result, *flashlight.autograd.grad(result.square().sum(), [*given, weight])

    expected = run(ours.flex_attention)
    for _ in range(3):
        for one, other in zip(expected, run(compiled), strict=True):
            flashlight.testing.assert_close(other, one)


def test_a_mask_made_inside_of_a_compiled_function():
    def model(query, key, value, ids):
        mask = ours.create_block_mask(
            lambda b, h, q, kv: ids[q] == ids[kv], None, None, LENGTH, LENGTH, device="cpu"
        )
        return ours.flex_attention(query, key, value, block_mask=mask)

    compiled = flashlight.compile(model, fullgraph=True)
    ids = flashlight.arange(LENGTH) // 20
    for _ in range(3):
        given = inputs(flashlight)
        flashlight.testing.assert_close(compiled(*given, ids), model(*given, ids))


# ----- masks -----


def described(mask):
    tensors = [
        (str(x.dtype), x.tolist()) if hasattr(x, "tolist") else x for x in mask.as_tuple()[:-1]
    ]
    return [
        str(mask), repr(mask), tuple(mask.shape), mask.numel(), mask.sparsity(), mask.to_string(3),
        mask.to_string((5, 2), limit=1), mask.to_string(-1), mask.to_dense().tolist(), tensors,
        len(mask.as_tuple(False)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"BLOCK_SIZE": (64, 32)},
        {"separate_full_blocks": False},
        {"compute_dq_write_order": True},
        {"compute_dq_write_order": True, "dq_kv_order": False},
    ],
)
def test_block_masks(options):
    def program(library, module):
        def near(b, h, q, kv):
            return (q - kv).abs() < 60 * (h + 1)

        made = module.create_block_mask(near, 2, 3, 300, 200, device="cpu", **options)
        places = [0, -1, (0, 1), (slice(None), slice(1, 2)), (0, 0, library.tensor([1]))]
        square = module.create_block_mask(causal(library), 1, 1, 300, 300, device="cpu")
        return [
            described(mask)
            for mask in (made, made.to("cpu"), square._adjust(200, 130), *[made[p] for p in places])
        ]

    assert program(*BOTH[0]) == program(*BOTH[1])


def test_create_mask_and_combinations():
    def program(library, module):
        both = module.and_masks(causal(library), by_head(library))
        either = module.or_masks(window(library), with_global(library), module.noop_mask)

        def score(s, b, h, q, kv):
            return library.where(q > kv + h, s, -float("inf"))

        return [
            module.create_mask(f, 2, 3, 9, 7, device="cpu").tolist()
            for f in (both, either, module.and_masks(), module.or_masks(), module.noop_mask, score)
        ]

    assert program(*BOTH[0]) == program(*BOTH[1])


def test_a_slice_needs_a_mask_mod_of_its_own():
    query, key, value = inputs(flashlight)
    base = blocks(flashlight, ours, causal)
    one = base[:, :, 2]
    with pytest.raises(RuntimeError, match="sliced BlockMask"):
        ours.flex_attention(query[:, :, 32:48], key, value, block_mask=one)
    one.mask_mod = lambda b, h, q, kv: base.mask_mod(b, h, q + 32, kv)
    one.seq_lengths = (16, LENGTH)
    part = ours.flex_attention(query[:, :, 32:48], key, value, block_mask=one)
    whole = ours.flex_attention(query, key, value, block_mask=base)
    flashlight.testing.assert_close(part, whole[:, :, 32:48])


def test_errors():
    def program(library, module):
        flex, mask = module.flex_attention, module.create_block_mask
        query, key, value = inputs(library)
        made = mask(causal(library), None, None, LENGTH, LENGTH, device="cpu", BLOCK_SIZE=16)
        counts = library.ones(1, 1, 2, dtype=library.int32)
        aux = module.AuxRequest(lse=True)
        calls = [
            lambda: flex(query[0], key[0], value[0]),
            lambda: flex(query[0, 0, 0], key, value),
            lambda: flex(query[..., :4], key, value),
            lambda: flex(query, key[:, :2], value[:, :2]),
            lambda: flex(query, key[:, :3], value[:, :3], enable_gqa=True),
            lambda: flex(query, key[:1], value[:1]),
            lambda: flex(query[:1], key, value, block_mask=made[:1]),
            lambda: flex(query, key[:1], value[:1], block_mask=made[:1]),
            lambda: flex(query[:, :, :60], key, value, block_mask=made),
            lambda: flex(query, key[:, :, :60], value[:, :, :60], block_mask=made),
            lambda: flex(query.repeat(1, 1, 2, 1), key, value, block_mask=made),
            lambda: flex(query, key, value, block_mask=made[0]),
            lambda: flex(query, key, value, return_lse=True, return_aux=aux),
            lambda: flex(query, key, value, kernel_options={"BACKEND": "MLX"}),
            lambda: flex(query, key, value, kernel_options={
                "BACKEND": "AUTO", "FORCE_USE_FLEX_ATTENTION": True}),
            lambda: flex(query, key, value, kernel_options={"OUTPUT_MAX": True}),
            lambda: mask(lambda s, b, h, q, kv: s, 1, 1, 4, 4),
            lambda: mask(lambda b: b, 1, 1, 4, 4),
            lambda: mask(causal(library), 1, 1, 4, 4, dq_kv_order=None),
            lambda: module.and_masks(causal(library), 3),
            lambda: module.or_masks(3),
            lambda: module.BlockMask.from_kv_blocks(counts, library.ones(2)),
            lambda: module.BlockMask.from_kv_blocks(counts, library.ones(1, 1, 2, 2), counts),
            lambda: made[0].mask_mod(0, 0, 0, 0),
        ]  # fmt: skip
        return [raised(call)[0] for call in calls]

    assert program(*BOTH[0]) == program(*BOTH[1])
    assert "nothing" not in program(*BOTH[1])
