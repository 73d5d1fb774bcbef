"""Autocast against PyTorch's on the CPU: types of results, the cache, custom functions."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
import torch

import flashlight
from flashlight.amp import policies

MODULES = [torch, flashlight]


def of(module, *values, dtype="float32"):
    return [module.tensor(value.tolist(), dtype=getattr(module, dtype)) for value in values]


SQUARE = np.array([[2.0, 0.5, 0.1], [0.5, 1.5, 0.2], [0.1, 0.2, 1.0]])
VECTOR = np.array([1.0, -2.0, 0.5])

#: name -> call of (module, square, vector)
CALLS = {
    "mm": lambda t, a, v: t.mm(a, a),
    "operator": lambda t, a, v: a @ a,
    "bmm": lambda t, a, v: t.bmm(a[None], a[None]),
    "addmm": lambda t, a, v: t.addmm(a, a, a),
    "mv": lambda t, a, v: t.mv(a, v),
    "matmul of a vector": lambda t, a, v: t.matmul(a, v),
    "dot": lambda t, a, v: t.dot(v, v),
    "inner": lambda t, a, v: t.inner(a, a),
    "inner of vectors": lambda t, a, v: t.inner(v, v),
    "tensordot": lambda t, a, v: t.tensordot(a, a, dims=1),
    "tensordot to a number": lambda t, a, v: t.tensordot(a, a, dims=2),
    "einsum": lambda t, a, v: t.einsum("ij,jk->ik", a, a),
    "einsum of one": lambda t, a, v: t.einsum("ij->i", a),
    "linear": lambda t, a, v: t.nn.functional.linear(a, a, v),
    "conv": lambda t, a, v: t.nn.functional.conv1d(a[None], a[:, :, None]),
    "prelu": lambda t, a, v: t.prelu(a, v),
    "attention": lambda t, a, v: t.nn.functional.scaled_dot_product_attention(
        a[None], a[None], a[None]
    ),
    "exp": lambda t, a, v: t.exp(a),
    "sum": lambda t, a, v: a.sum(),
    "softmax": lambda t, a, v: t.softmax(a, 0),
    "layer norm": lambda t, a, v: t.nn.functional.layer_norm(a, (3,), v.float()),
    "add": lambda t, a, v: a + v.float(),
    "cat": lambda t, a, v: t.cat([a, a.float()]),
    "stack": lambda t, a, v: t.stack([a, a.to(t.bfloat16)]),
    "prod": lambda t, a, v: a.prod(),
    "trace": lambda t, a, v: a.trace(),
    "cdist": lambda t, a, v: t.cdist(a, a),
    "inverse": lambda t, a, v: t.linalg.inv(a),
    "pinverse": lambda t, a, v: t.pinverse(a),
    "eigenvalues": lambda t, a, v: t.linalg.eigvalsh(a),
    "cholesky": lambda t, a, v: t.linalg.cholesky(a),
    "svd": lambda t, a, v: t.svd(a),
    "lstsq": lambda t, a, v: t.linalg.lstsq(a, a)[:1],
    "multi_dot": lambda t, a, v: t.linalg.multi_dot([a, a, v]),
    "matrix_exp": lambda t, a, v: t.matrix_exp(a),
    "fft": lambda t, a, v: t.fft.irfft(a),
    "l1_loss": lambda t, a, v: t.nn.functional.l1_loss(a, a),
    "cross_entropy": lambda t, a, v: t.nn.functional.cross_entropy(a, t.tensor([0, 1, 2])),
    "bce": lambda t, a, v: t.nn.functional.binary_cross_entropy(t.sigmoid(a), t.sigmoid(a)),
    "reflect": lambda t, a, v: t.nn.functional.pad(a[None], (1, 1), mode="reflect"),
    "circular": lambda t, a, v: t.nn.functional.pad(a[None], (1, 1), mode="circular"),
    "interpolate": lambda t, a, v: t.nn.functional.interpolate(a[None], scale_factor=2),
    "max_pool3d": lambda t, a, v: t.nn.functional.max_pool3d(a[None, None, None], (1, 2, 2)),
    "cosine_similarity": lambda t, a, v: t.cosine_similarity(a, a),
}  # fmt: skip


def types_of(result):
    if isinstance(result, (list, tuple)):
        return [types_of(item) for item in result]
    return str(result.dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_types_of_results(name, dtype):
    types = []
    for module in MODULES:
        inputs = of(module, SQUARE, VECTOR, dtype=dtype)
        with module.autocast("cpu", dtype=module.bfloat16):
            try:
                types.append(types_of(CALLS[name](module, *inputs)))
            except (RuntimeError, NotImplementedError) as error:
                types.append(type(error))
    assert types[0] == types[1]


def test_what_is_lowered_was_rounded():
    results = []
    for module in MODULES:
        square, vector = of(module, SQUARE / 3, VECTOR / 3)
        with module.autocast("cpu", dtype=module.bfloat16):
            results.append(module.nn.functional.linear(square, square, vector).float().tolist())
    np.testing.assert_allclose(results[1], results[0], rtol=2**-7)
    assert results[1] != (SQUARE / 3 @ SQUARE.T / 3 + VECTOR / 3).astype("f").tolist()


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_networks(kind):
    types = []
    for module in MODULES:
        network, cell = getattr(module.nn, kind)(3, 4), getattr(module.nn, f"{kind}Cell")(3, 4)
        with module.autocast("cpu", dtype=module.bfloat16):
            types.append(
                [types_of(network(module.zeros(2, 2, 3))), types_of(cell(module.zeros(2, 3)))]
            )
    assert types[0] == types[1]


def test_nested_contexts_and_a_decorator():
    seen = []
    for module in MODULES:

        @module.autocast("cpu", dtype=module.bfloat16)
        def double(x):
            return x @ x

        (square,) = of(module, SQUARE)
        log = [types_of(double(square))]
        with module.autocast("cpu", dtype=module.bfloat16):
            with module.autocast("cpu", enabled=False):
                log += [types_of(square @ square), module.is_autocast_enabled("cpu")]
            with module.autocast("cpu", dtype=module.float16):
                log += [types_of(square @ square), str(module.get_autocast_dtype("cpu"))]
            log.append(types_of(square @ square))
        log += [types_of(square @ square), module.is_autocast_enabled("cpu")]
        seen.append(log)
    assert seen[0] == seen[1]


def test_threads_have_their_own():
    seen = []
    (square,) = of(flashlight, SQUARE)

    def work():
        seen.append((flashlight.is_autocast_enabled("cpu"), (square @ square).dtype))

    with flashlight.autocast("cpu", dtype=flashlight.bfloat16):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [(False, flashlight.float32)]


def test_gradients_have_the_types_of_their_parameters():
    grads = []
    for module in MODULES:
        square, vector = of(module, SQUARE, VECTOR)
        square.requires_grad_(), vector.requires_grad_()
        with module.autocast("cpu", dtype=module.bfloat16):
            hidden = module.nn.functional.linear(square, square, vector)
            loss = module.nn.functional.mse_loss(hidden, square.detach())
        loss.backward()
        grads.append((square.grad, vector.grad))
    for ours, theirs in zip(grads[1], grads[0], strict=True):
        assert str(ours.dtype) == str(theirs.dtype) == "torch.float32"
        np.testing.assert_allclose(ours.tolist(), theirs.tolist(), rtol=3e-2, atol=2e-2)


def test_a_weight_is_cast_once(monkeypatch):
    casts = []
    to = flashlight.Tensor.to
    weight = flashlight.ones(2, 2, requires_grad=True)
    monkeypatch.setattr(
        flashlight.Tensor, "to", lambda x, *a, **k: casts.append(x is weight) or to(x, *a, **k)
    )
    x = flashlight.ones(2, 2)
    with flashlight.autocast("cpu", dtype=flashlight.bfloat16):
        for _ in range(3):
            x @ weight
        assert sum(casts) == 1
        with flashlight.no_grad():
            weight.mul_(2)
        assert (x @ weight).tolist() == [[4, 4], [4, 4]]  # not the cast of the weight before
    casts.clear()
    with flashlight.autocast("cpu", dtype=flashlight.bfloat16, cache_enabled=False):
        for _ in range(3):
            x @ weight
    assert sum(casts) == 3


def test_a_weight_cast_without_gradients_is_not_used_with_them():
    weight = flashlight.ones(2, 2, requires_grad=True)
    with flashlight.autocast("cpu", dtype=flashlight.bfloat16):
        with flashlight.no_grad():
            flashlight.ones(2, 2) @ weight
        (flashlight.ones(2, 2) @ weight).sum().backward()
    assert weight.grad.tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize("cast_inputs", [None, "float32"])
def test_custom_functions(cast_inputs):
    seen = []
    for module in MODULES:
        log = []
        options = {} if cast_inputs is None else {"cast_inputs": getattr(module, cast_inputs)}

        class Product(module.autograd.Function):
            @staticmethod
            @module.amp.custom_fwd(device_type="cpu", **options)
            def forward(ctx, a, b, log=log, module=module):
                ctx.save_for_backward(a, b)
                result = a @ b
                log.append((types_of([a, b, result]), module.is_autocast_enabled("cpu")))
                return result

            @staticmethod
            @module.amp.custom_bwd(device_type="cpu")
            def backward(ctx, grad, log=log, module=module):
                a, b = ctx.saved_tensors
                log.append((types_of([grad, a @ b]), module.is_autocast_enabled("cpu")))
                return grad @ b.t(), a.t() @ grad, None, None

        (square,) = of(module, SQUARE)
        square.requires_grad_()
        with module.autocast("cpu", dtype=module.bfloat16):
            result = Product.apply(square, square.bfloat16() if cast_inputs else square)
        result.sum().backward()
        log.append(types_of([result, square.grad]))
        seen.append(log)
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.autocast("zzz"),
        lambda t: t.autocast(3),
        lambda t: t.autocast("cpu")(3),
        lambda t: t.get_autocast_dtype("zzz"),
        lambda t: t.amp.custom_fwd(device_type=3),
    ],
)
def test_errors_have_the_same_class(call):
    raised = []
    for module in MODULES:
        with pytest.raises(Exception) as caught:
            call(module)
        raised.append(caught.type)
    assert raised[0] is raised[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.autocast("cpu", dtype=t.float32),
        lambda t: t.autocast("cuda"),
        lambda t: t.cpu.amp.autocast(),
        lambda t: t.cuda.amp.autocast(enabled=False),
    ],
)
def test_warnings_have_the_same_classes(call):
    classes = []
    for module in MODULES:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(module)
        classes.append([w.category for w in caught])
    assert classes[0] == classes[1]
    assert classes[0]


def test_metal_uses_the_list_of_the_other_accelerators():
    assert policies.find(flashlight.mm, "mps", (), {}) is policies.LOWER
    assert policies.find(flashlight.exp, "mps", (), {}) is policies.FLOAT32
    assert policies.find(flashlight.exp, "cpu", (), {}) is None
    assert flashlight.get_autocast_dtype("mps") is flashlight.float16
