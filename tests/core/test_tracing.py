"""Whole steps inside MLX's own transformations."""

from __future__ import annotations

import mlx.core as mx
import numpy
import pytest

import flashlight
from flashlight.compat.interop import from_mlx, to_mlx


def train_step(weight, velocity, inputs, target):
    """Forward with writes through views, backward, SGD with momentum; arrays in and out."""
    weight = from_mlx(weight).requires_grad_()
    hidden = from_mlx(inputs) @ weight
    hidden[:, :2].mul_(0.5)
    hidden.view(-1)[::3] += 1
    loss = (hidden.relu() - from_mlx(target)).pow(2).mean()
    loss.backward()
    with flashlight.no_grad():
        momentum = from_mlx(velocity)
        momentum.mul_(0.9).add_(weight.grad)
        weight.sub_(momentum, alpha=0.1)
    return to_mlx(weight), to_mlx(momentum), to_mlx(loss)


def arrays(*shapes):
    random = numpy.random.RandomState(0)
    return [mx.array(random.randn(*shape).astype(numpy.float32)) for shape in shapes]


def test_a_compiled_step_equals_the_eager_one():
    weight, velocity, inputs, target = arrays((5, 4), (5, 4), (6, 5), (6, 4))
    eager, compiled = (weight, velocity), (weight, velocity)
    step = mx.compile(train_step)
    for _ in range(3):
        *eager, loss = train_step(*eager, inputs, target)
        *compiled, compiled_loss = step(*compiled, inputs, target)
        numpy.testing.assert_allclose(compiled_loss, loss, rtol=1e-6)
    for a, b in zip(eager, compiled):
        numpy.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_vmap_through_operations_equals_a_loop():
    matrices, vectors = arrays((3, 4, 5), (3, 5))

    def work(matrix, vector):
        made = from_mlx(matrix)
        row = made.t()[1:3]
        row.add_(1)
        return to_mlx((made @ from_mlx(vector)).softmax(0) * made.sum())

    expected = [work(matrices[i], vectors[i]) for i in range(3)]
    numpy.testing.assert_allclose(
        mx.vmap(work)(matrices, vectors), mx.stack(expected), rtol=1e-5, atol=1e-6
    )


def test_reading_a_value_inside_a_trace_says_what_to_do():
    def work(x):
        return to_mlx(from_mlx(x) * from_mlx(x).sum().item())

    with pytest.raises(RuntimeError, match="inside mx"):
        mx.compile(work)(mx.ones((3,)))


def test_a_trace_leaves_nothing_behind():
    mx.compile(lambda x: to_mlx(from_mlx(x) + 1))(mx.ones((3,)))
    total = flashlight.ones(3)
    for _ in range(500):
        total = total + 1
    assert total.tolist() == [501.0] * 3
