"""Results lie in memory as PyTorch's: operands in another order hand it on."""

from __future__ import annotations

import pytest
import torch

import flashlight

SHAPES = {
    "transposed": lambda m: m.arange(12.0).reshape(3, 4).t(),
    "permuted": lambda m: m.arange(24.0).reshape(2, 3, 4).permute(1, 2, 0),
    "channels last": lambda m: m.arange(120.0).reshape(2, 3, 4, 5).contiguous(
        memory_format=m.channels_last),
    "channels last 3d": lambda m: m.arange(120.0).reshape(1, 2, 3, 4, 5).contiguous(
        memory_format=m.channels_last_3d),
    "with gaps": lambda m: m.arange(48.0).reshape(4, 12)[:, ::2].t(),
    "expanded": lambda m: m.arange(4.0).reshape(4, 1).expand(4, 3),
    "a column": lambda m: m.arange(5.0).reshape(5, 1),
}  # fmt: skip
OPERATIONS = {
    "exp": lambda m, x: m.exp(x),
    "a number": lambda m, x: 2 - x,
    "itself": lambda m, x: x * x,
    "a plain one first": lambda m, x: m.ones(x.shape) + x,
    "a plain one second": lambda m, x: x + m.ones(x.shape),
    "a row": lambda m, x: x + m.ones(x.shape[-1]),
    "a comparison": lambda m, x: x > 3,
    "where": lambda m, x: m.where(x > 3, x, -x),
    "clamp": lambda m, x: x.clamp(1, 5),
    "lerp": lambda m, x: m.lerp(x, x + 1, 0.5),
    "addcmul": lambda m, x: m.addcmul(x, x, m.ones(x.shape)),
    "gelu": lambda m, x: m.nn.functional.gelu(x),
    "dropout": lambda m, x: m.nn.functional.dropout(x, 0.5),
    "flip": lambda m, x: x.flip(0),
    "sort": lambda m, x: x.sort(-1).values,
    "double": lambda m, x: x.double() + x,
    "zeros_like": lambda m, x: m.zeros_like(x) + 1,
    "in place": lambda m, x: x.clone().mul_(2),
    "twice": lambda m, x: m.relu(m.relu(x)),
    "cat": lambda m, x: m.cat([x, x], 1),
    "complex": lambda m, x: m.complex(x, x),
}
IMAGES = {
    "conv2d": lambda m, x: m.nn.functional.conv2d(x, m.ones(2, 3, 2, 2)),
    "max_pool2d": lambda m, x: m.nn.functional.max_pool2d(x, 2),
    "avg_pool2d": lambda m, x: m.nn.functional.avg_pool2d(x, 2),
    "adaptive": lambda m, x: m.nn.functional.adaptive_avg_pool2d(x, 2),
    "batch_norm": lambda m, x: m.nn.BatchNorm2d(3)(x),
    "interpolate": lambda m, x: m.nn.functional.interpolate(x, scale_factor=2),
    "pad": lambda m, x: m.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect"),
}


def strides(tensor):
    """The strides that matter: those of dimensions longer than 1."""
    return [step for n, step in zip(tensor.shape, tensor.stride()) if n != 1]


def assert_alike(ours, theirs):
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert strides(ours) == strides(theirs)
    torch.testing.assert_close(torch.tensor(ours.tolist(), dtype=theirs.dtype), theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_elementwise_results(shape):
    for name, operation in OPERATIONS.items():
        flashlight.manual_seed(3), torch.manual_seed(3)
        theirs = operation(torch, SHAPES[shape](torch))
        ours = operation(flashlight, SHAPES[shape](flashlight))
        assert strides(ours) == strides(theirs), name
        assert_alike(ours, theirs)


@pytest.mark.parametrize("name", IMAGES)
def test_channels_last_images(name):
    make = SHAPES["channels last"]
    assert_alike(IMAGES[name](flashlight, make(flashlight)), IMAGES[name](torch, make(torch)))


def test_a_network_stays_channels_last():
    layers = lambda m: m.nn.Sequential(
        m.nn.Conv2d(3, 4, 3), m.nn.BatchNorm2d(4), m.nn.ReLU(), m.nn.MaxPool2d(2)
    ).to(memory_format=m.channels_last)
    network = layers(flashlight)
    result = network(flashlight.ones(2, 3, 8, 8))
    assert result.is_contiguous(memory_format=flashlight.channels_last)
    result.sum().backward()
    assert network[0].weight.grad.is_contiguous(memory_format=flashlight.channels_last)


def test_views_of_such_results_alias():
    """Memory order, not index order, is what views and writes go by."""
    results = []
    for m in (flashlight, torch):
        base = m.arange(12.0).reshape(3, 4).t() + 0  # strides (1, 4)
        flat = base.t().view(-1)
        flat[5] = 100
        base[:, 1] += 1000
        base.as_strided((2, 2), (1, 6), 3).mul_(-1)
        bits = base.view(m.int32)
        bits[0, 0] = 7
        twin = base.clone()
        base.add_(twin)
        results.append((
            base.tolist(), flat.tolist(), base.stride(), twin.stride(), base.untyped_storage().nbytes(),
            base.numpy().ravel(order="K").tolist(), base.storage_offset(), bits.stride(),
        ))  # fmt: skip
    assert results[0] == results[1]
    with pytest.raises(RuntimeError, match="view"):
        (flashlight.ones(3, 4).t() + 0).view(-1)


def test_resizing_and_saving_go_by_memory(tmp_path):
    made = [m.arange(6.0).reshape(2, 3).t() * 1 for m in (flashlight, torch)]
    flashlight.save(made[0], tmp_path / "ours.pt")
    loaded = torch.load(tmp_path / "ours.pt")
    assert loaded.stride() == made[1].stride()
    assert loaded.tolist() == made[1].tolist()
    assert [x.resize_(6).tolist() for x in made] == [[0, 1, 2, 3, 4, 5]] * 2


def test_gradients_through_them():
    grads = []
    for m in (flashlight, torch):
        leaf = m.arange(6.0).reshape(2, 3).requires_grad_()
        middle = leaf.t() * 2
        kept = middle.exp() + 1
        kept[0] *= 3
        (kept.t().reshape(-1) * m.arange(6.0)).sum().backward()
        grads.append(leaf.grad)
    torch.testing.assert_close(torch.tensor(grads[0].tolist()), grads[1])
    assert grads[0].stride() == grads[1].stride()


def test_lanes_of_vmap():
    def function(x):
        y = x.t() * 2
        y[0] += 1
        return y.reshape(-1), y

    inputs = flashlight.arange(12.0).reshape(2, 2, 3)
    flat, whole = flashlight.vmap(function)(inputs)
    for lane in range(2):
        expected = function(inputs[lane].clone())
        assert flat[lane].tolist() == expected[0].tolist()
        assert whole[lane].tolist() == expected[1].tolist()
