"""What few programs meet: old pickles, deprecated hooks, products in groups, groups of one."""

from __future__ import annotations

import pytest
import torch

import flashlight
from tests.nn.both import raised, same, warned


def test_pickles_of_old_recurrent_layers():
    def program(torch):
        torch.manual_seed(0)
        module = torch.nn.LSTM(2, 3, 2, bidirectional=True)
        state = module.__getstate__()
        old = torch.nn.LSTM.__new__(torch.nn.LSTM)
        for name in ("proj_size", "_flat_weights_names", "_flat_weights"):
            del state[name]
        state["_all_weights"] = [[1]]
        old.__setstate__(state)
        x = torch.ones(3, 1, 2)
        older = torch.nn.Conv1d(2, 3, 1)
        state = older.__getstate__()
        for name in ("padding_mode", "_forward_hooks_with_kwargs", "_non_persistent_buffers_set"):
            del state[name]
        older.__setstate__(state)
        return (
            old._all_weights,
            [torch.equal(a, b) for a, b in zip(old(x), module(x)) if isinstance(a, torch.Tensor)],
            older.padding_mode,
            list(older.state_dict()),
        )

    same(program)


@pytest.mark.parametrize("kind", ["nested", "several", "inputs", "chain", "fine"])
def test_what_last_operation_hooks_miss(kind):
    def program(torch):
        class Model(torch.nn.Module):
            def forward(self, x, *rest):
                if kind == "nested":
                    return {"a": x.tanh()}
                if kind == "several":
                    return x.tanh(), x.sin()
                if kind == "chain":
                    return x.tanh().exp()
                return x.tanh()

        model, seen = Model(), []
        model.register_backward_hook(lambda m, gi, go: seen.append((gi, go)))
        x = torch.ones(2, requires_grad=True) * 3
        args = (x, "text") if kind == "inputs" else (x,)
        results = []
        texts = warned(lambda: results.append(model(*args)))
        output = results[0]
        while not isinstance(output, torch.Tensor):
            output = output["a"] if isinstance(output, dict) else output[0]
        output.sum().backward()
        # The kinds of warnings, and what they say is missing.
        return [(name, "grad_input" in text, "grad_output" in text) for name, text in texts], seen

    same(program)


def test_outputs_that_no_backward_hook_can_see():
    def program(torch):
        class Model(torch.nn.Module):
            def forward(self, x):
                return [x * 2]

        model = Model()
        model.register_full_backward_hook(lambda m, gi, go: None)
        x = torch.ones(2, requires_grad=True)
        return warned(lambda: raised(lambda: model(x)))[0]

    same(program)


def test_states_of_old_spectral_norms():
    def program(torch):
        torch.manual_seed(0)
        model = torch.nn.utils.spectral_norm(torch.nn.Linear(3, 2))
        state = model.state_dict()
        del state["weight_v"], state._metadata
        state["weight"] = model.weight.detach()
        outcome = raised(lambda: model.load_state_dict(state))
        return outcome, model.eval()(torch.ones(1, 3)), raised(lambda: model.load_state_dict({}))

    same(program, rtol=1e-3, atol=1e-4)


def test_dropouts_keep_whole_channels():
    def program(torch):
        torch.manual_seed(0)
        nn, F = torch.nn, torch.nn.functional
        results = []
        for kind, shape in (
            (nn.Dropout, (4, 5)),
            (nn.Dropout1d, (3, 4, 5)),
            (nn.Dropout2d, (2, 3, 4, 5)),
            (nn.Dropout3d, (2, 3, 2, 2, 2)),
            (nn.AlphaDropout, (4, 5)),
            (nn.FeatureAlphaDropout, (3, 4, 5)),
        ):
            layer = kind(0.4)
            results += [layer(torch.ones(shape)), layer.eval()(torch.ones(shape)), str(layer)]
        return results, nn.RReLU()(-torch.ones(5)), F.dropout(torch.ones(3), 1.0)

    same(program)


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_hardly_used_conversions():
    def program(torch):
        model = torch.nn.Linear(2, 2)
        model(torch.ones(1, 2)).sum().backward()
        model.apply(lambda m: None)
        model.cpu().share_memory()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            weight = model.weight
            model.double()
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(False)
        grads = model.weight.grad
        (model(torch.ones(1, 2, dtype=torch.float64)) * 2).sum().backward(create_graph=True)
        model.zero_grad(set_to_none=False)
        swapped = torch.nn.Linear(2, 2)
        swapped(torch.ones(1, 2)).sum().backward()
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            before = swapped.weight, swapped.weight.grad
            swapped.double()
        finally:
            torch.__future__.set_swap_module_params_on_conversion(False)
        after = swapped.weight, swapped.weight.grad
        return (
            weight is model.weight,
            grads,
            model.weight.grad,
            [a is b for a, b in zip(before, after)],
            after,
            str(torch.nn.Linear(2, 2).bfloat16().weight.dtype),
            raised(lambda: torch.nn.Module().get_extra_state())[0],
            raised(lambda: torch.nn.Module().set_extra_state(1))[0],
        )

    same(program)


def test_swapping_tensors():
    def program(torch):
        one, two = torch.ones(2, requires_grad=True), torch.nn.Parameter(torch.zeros(3))
        two.note = "kept"
        torch.utils.swap_tensors(one, two)
        (one * 2).sum().backward()
        return one, two, one.grad, two.grad, one.note, type(one).__name__, type(two).__name__

    same(program)


@pytest.mark.parametrize("dims", [(3, 3), (2, 3), (3, 2), (2, 2)])
def test_products_in_groups(dims):
    x, y = flashlight.randn(2, 8, 16), flashlight.randn(2, 16, 8)
    a = x if dims[0] == 3 else flashlight.randn(8, 16)
    b = y if dims[1] == 3 else flashlight.randn(16, 8)
    ends = flashlight.tensor([3, 8 if dims != (2, 2) else 16], dtype=flashlight.int32)
    mm = flashlight.nn.functional.grouped_mm
    result = mm(a, b) if dims == (3, 3) else mm(a, b, offs=ends)
    if dims == (3, 3):
        expected = flashlight.stack([a[i] @ b[i] for i in range(2)])
    elif dims == (2, 3):
        expected = flashlight.cat([a[:3] @ b[0], a[3:] @ b[1]])
    elif dims == (3, 2):
        expected = flashlight.cat([a[0] @ b[:, :3], a[1] @ b[:, 3:]], 1)
    else:
        expected = flashlight.stack([a[:, :3] @ b[:3], a[:, 3:] @ b[3:]])
    assert flashlight.allclose(result, expected, atol=1e-5)
    with pytest.raises(RuntimeError, match="bias"):
        mm(a, b, offs=ends, bias=ends)
    with pytest.raises(RuntimeError, match="offs"):
        mm(a, b, offs=ends) if dims == (3, 3) else mm(a, b)
    with pytest.raises(RuntimeError, match="2- or 3-d"):
        mm(ends, b)


def test_float8_products_are_refused():
    F = flashlight.nn.functional
    x, kind = flashlight.ones(2, 2), F.ScalingType.TensorWise
    for function in (F.scaled_mm, F.scaled_grouped_mm):
        with pytest.raises(NotImplementedError, match="float8"):
            function(x, x, x, kind, x, kind)


def test_gradients_of_convolutions_in_all_dimensions():
    def program(torch):
        grad, results = torch.nn.grad, []
        for n in (1, 2, 3):
            torch.manual_seed(n)
            x, w = torch.randn(2, 3, *(4,) * n), torch.randn(5, 3, *(2,) * n)
            out = torch.randn(2, 5, *(3,) * n)
            results.append(getattr(grad, f"conv{n}d_input")(x.shape, w, out))
            results.append(getattr(grad, f"conv{n}d_weight")(x, w.shape, out))
        return results

    same(program, rtol=1e-4, atol=1e-5)


def test_functional_modules_of_quantised_models():
    def program(torch):
        results = []
        for kind in (torch.nn.quantized.FloatFunctional, torch.nn.quantized.FXFloatFunctional):
            f = kind()
            x = torch.arange(4.0).reshape(2, 2)
            results += [
                f.add(x, x), f.add_scalar(x, 2), f.mul(x, x), f.mul_scalar(x, 3), f.cat([x, x], 1),
                f.add_relu(x, -2 * x), f.matmul(x, x), str(f), raised(lambda: f(x)),  # noqa: B023
            ]  # fmt: skip
        return results

    same(program)


def test_other_implementations_of_attention():
    attention = flashlight.nn.attention
    removed = []

    class Handle:
        def remove(self):
            removed.append(True)

    attention.register_flash_attention_impl("mine", register_fn=Handle)
    assert attention.list_flash_attention_impls() == ["mine"]
    attention.activate_flash_attention_impl("mine")
    assert attention.current_flash_attention_impl() == "mine"
    attention.restore_flash_attention_impl()
    assert removed and attention.current_flash_attention_impl() is None
    with pytest.raises(ValueError, match="Unknown flash attention impl 'other'"):
        attention.activate_flash_attention_impl("other")


def test_biases_in_attention_refuse_misuse():
    def program(torch):
        bias = torch.nn.attention.bias
        q = torch.ones(1, 1, 3, 2)
        attend = torch.nn.functional.scaled_dot_product_attention
        return (
            raised(lambda: attend(q, q, q, bias.causal_upper_left(3, 3), is_causal=True)),
            raised(lambda: bias.causal_upper_left(3)),
            raised(lambda: bias.causal_lower_right(3)),
            warned(lambda: bias.causal_lower_right(3, 2)),
        )

    same(program)


class OneProcess:
    """A process group of one, as torch.distributed describes it."""

    size = 1

    @staticmethod
    def is_available():
        return True

    @staticmethod
    def is_initialized():
        return True

    @classmethod
    def get_world_size(cls, group=None):
        return cls.size


def test_distributed_data_parallel_alone(monkeypatch):
    monkeypatch.setattr(flashlight, "distributed", OneProcess, raising=False)
    nn = flashlight.nn
    model = nn.parallel.DistributedDataParallel(nn.Linear(2, 2), device_ids=[0])
    x = flashlight.ones(1, 2)
    with model.no_sync(), model.join():
        assert flashlight.equal(model(x), model.module(x))
        assert not model.require_backward_grad_sync
    assert list(model.state_dict()) == ["module.weight", "module.bias"]
    assert not model.will_sync_module_buffers()
    assert model.to_kwargs((x,), {}, [0]) == (((x,),), ({},))
    assert model.gather([x, x], 0).shape == (2, 2)
    with pytest.raises(RuntimeError, match="does not communicate"):
        model.register_comm_hook(None, None)
    with pytest.raises(RuntimeError, match="not needed when a module doesn't have any"):
        nn.parallel.DistributedDataParallel(nn.ReLU())
    monkeypatch.setattr(OneProcess, "size", 4)
    with pytest.raises(RuntimeError, match="group of one process, not of 4"):
        nn.parallel.DistributedDataParallel(nn.Linear(2, 2))
    monkeypatch.setattr(OneProcess, "size", 1)
    with pytest.warns(FutureWarning, match="DistributedDataParallelCPU"):
        nn.parallel.DistributedDataParallelCPU(nn.Linear(2, 2))


def test_parts_of_data_parallel():
    nn = flashlight.nn
    model = nn.DataParallel(nn.Linear(2, 2))
    x = flashlight.arange(8.0).reshape(4, 2)
    inputs, kwargs = model.scatter((x,), {"k": 1}, [0, 0])
    replicas = model.replicate(model.module, [0, 0])
    assert len(kwargs) == 2 and kwargs[1] == {"k": 1}
    result = model.gather(model.parallel_apply(replicas, inputs, [{}, {}]), 0)
    assert flashlight.equal(result, nn.parallel.data_parallel(model.module, x))
    gathered = nn.parallel.gather([{"a": x[0, 0], "b": None}] * 2, 0)
    assert gathered["a"].shape == (2,) and gathered["b"] is None
    with pytest.raises(ValueError, match="same number of keys"):
        nn.parallel.gather([{"a": x}, {}], 0)
    packed = nn.utils.rnn.PackedSequence_(x, x, None, None)
    parts = nn.parallel.scatter(packed, [0, 0])
    assert type(parts[0]) is nn.utils.rnn.PackedSequence_ and parts[1].data.shape == (2, 2)
    assert nn.parallel.gather(parts, 0).data.shape == (4, 2)
    detached = nn.parallel.replicate(nn.BatchNorm1d(2), [0], detach=True)[0]
    assert not detached.weight.requires_grad and detached.running_var is not None
    get_a_var = nn.parallel.parallel_apply.__globals__["get_a_var"]
    assert get_a_var([3, {"a": (x,)}]) is x and get_a_var(3) is None


def test_the_reference_is_another_library():
    assert torch.nn.Module is not flashlight.nn.Module
