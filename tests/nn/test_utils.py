"""Clipping, vectors of parameters, fusion, stateless calls, several devices that are one."""

from __future__ import annotations

import pytest
import torch

import flashlight
from tests.nn.both import raised, same, warned


def trained(torch):
    torch.manual_seed(6)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    model(torch.linspace(-2, 5, 6).reshape(2, 3)).square().sum().backward()
    return model


@pytest.mark.parametrize("norm_type", [1, 2.0, float("inf")])
def test_clipping_norms(norm_type):
    def program(torch):
        utils = torch.nn.utils
        model = trained(torch)
        total = utils.clip_grad_norm_(model.parameters(), 0.7, norm_type)
        again = utils.get_total_norm([p.grad for p in model.parameters()], norm_type)
        utils.clip_grads_with_norm_(model[0].weight, 0.1, again)
        return total, again, [p.grad for p in model.parameters()]

    same(program)


def test_clipping_values_and_errors():
    def program(torch):
        utils = torch.nn.utils
        model = trained(torch)
        utils.clip_grad_value_(model.parameters(), 0.5)
        grads = [p.grad for p in model.parameters()]
        model[0].bias.grad[0] = float("nan")
        return (
            grads,
            utils.clip_grad_norm_([], 1.0),
            warned(lambda: utils.clip_grad_norm_((p for p in []), 1.0)),
            warned(lambda: utils.clip_grad_norm(model.parameters(), 1.0)),
            raised(lambda: utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)),
        )

    same(program)


def test_parameters_as_vector():
    def program(torch):
        utils = torch.nn.utils
        model = trained(torch)
        vector = utils.parameters_to_vector(model.parameters())
        utils.vector_to_parameters(torch.arange(float(vector.numel())), model.parameters())
        return (
            vector,
            [p.detach() for p in model.parameters()],
            raised(lambda: utils.vector_to_parameters([1.0], model.parameters())),
        )

    same(program)


def test_fusion():
    def program(torch):
        nn, utils = torch.nn, torch.nn.utils
        results = []
        for make, size in ((nn.Conv1d, (2, 3, 5)), (nn.ConvTranspose1d, (2, 3, 5))):
            torch.manual_seed(1)
            layer, norm = make(3, 4, 2), nn.BatchNorm1d(4)
            norm(torch.randn(6, 4, 3))
            layer.eval()
            norm.eval()
            x = torch.randn(size)
            fused = utils.fuse_conv_bn_eval(layer, norm, transpose=make is nn.ConvTranspose1d)
            results += [fused(x), norm(layer(x))]
        linear = nn.Linear(3, 4, bias=False).eval()
        fused = utils.fuse_linear_bn_eval(linear, norm)
        results += [fused.weight, fused.bias, fused.bias.requires_grad]
        return (
            results,
            raised(lambda: utils.fuse_conv_bn_eval(nn.Conv1d(3, 4, 2), norm)),
            raised(lambda: utils.fuse_linear_bn_eval(nn.Linear(3, 5).eval(), norm)),
        )

    same(program)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.stateless:FutureWarning")
def test_functional_call():
    def program(torch):
        call = torch.nn.utils.stateless.functional_call
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
        model.register_module("tied", model[0])
        before = model[0].weight
        given = {"0.weight": torch.ones(2, 2, requires_grad=True), "1.running_mean": torch.zeros(2)}
        x = torch.tensor([[1.0, 2.0], [3.0, 5.0]])

        class Double(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.a = torch.nn.Linear(2, 2)
                self.b = self.a

            def forward(self, x):
                return self.b(x)

        tied = {"a.weight": torch.zeros(2, 2), "a.bias": torch.ones(2)}
        clash = {**tied, "b.weight": torch.ones(2, 2)}
        output = call(torch.nn.Sequential(model[0], model[1]), given, x)
        output.square().sum().backward()
        return (
            output,
            given["0.weight"].grad,
            given["1.running_mean"],
            model[0].weight is before,
            call(Double(), tied, (x,)),
            raised(lambda: call(Double(), clash, x)),
            raised(lambda: call(Double(), {"c": torch.ones(1)}, x, strict=True)),
            warned(lambda: call(Double(), tied, x)),
        )

    same(program)


def test_skip_init():
    def program(torch):
        utils = torch.nn.utils
        state = torch.get_rng_state()
        model = utils.skip_init(torch.nn.Linear, 3, 2)
        return (
            str(model.weight.device),
            bool((torch.get_rng_state() == state).all()),
            raised(lambda: utils.skip_init(torch.nn.ReLU)),
            raised(lambda: utils.skip_init(dict))[0],
        )

    same(program)


def test_memory_format_of_weights():
    def program(torch):
        utils = torch.nn.utils
        model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 2), torch.nn.Conv3d(2, 3, 2))
        utils.convert_conv2d_weight_memory_format(model, torch.channels_last)
        utils.convert_conv3d_weight_memory_format(model, torch.channels_last_3d)
        return [layer.weight.stride() for layer in model]

    same(program)


def test_gradients_of_convolutions():
    def program(torch):
        grad = torch.nn.grad
        x, w = torch.randn(2, 4, 7), torch.randn(6, 2, 3)
        out = torch.randn(2, 6, 4)
        options = {"stride": 2, "padding": 1, "groups": 2}
        return (
            grad.conv1d_input(x.shape, w, out, **options),
            grad.conv1d_weight(x, w.shape, out, **options),
        )

    same(program)


def test_data_parallel_is_the_module():
    def program(torch):
        model = torch.nn.DataParallel(torch.nn.Linear(2, 2))
        return list(model.state_dict()), model(torch.ones(1, 2)), type(model.module).__name__

    same(program)


def test_splitting_over_devices():
    parallel = flashlight.nn.parallel
    model = flashlight.nn.Linear(2, 2)
    x = flashlight.arange(8.0).reshape(4, 2)
    replicas = parallel.replicate(model, [0, 0])
    inputs = parallel.scatter((x, {"k": [x]}, 3), [0, 0])
    assert [tuple(part[0].shape) for part in inputs] == [(2, 2), (2, 2)]
    assert inputs[1][2] == 3
    outputs = parallel.parallel_apply(replicas, [part[:1] for part in inputs])
    result = parallel.gather(outputs, 0)
    assert flashlight.equal(result, model(x))
    result.sum().backward()
    assert model.weight.grad is not None
    assert not list(replicas[0].parameters())
    with pytest.raises(AssertionError, match="not equal to the number of inputs"):
        parallel.parallel_apply(replicas, [x])


def test_distributed_data_parallel_needs_a_group():
    with pytest.raises(ValueError, match="process group has not been initialized"):
        flashlight.nn.parallel.DistributedDataParallel(flashlight.nn.Linear(1, 1))


def test_attention_backends():
    def program(torch):
        attention = torch.nn.attention
        backend = attention.SDPBackend
        with attention.sdpa_kernel(backend.MATH):
            inner = attention._cur_sdpa_kernel_backends()
        return (
            [str(each) for each in inner],
            len(attention._cur_sdpa_kernel_backends()),
            repr(backend.FLASH_ATTENTION),
            raised(lambda: attention.sdpa_kernel("math").__enter__()),
        )

    same(program)


def test_causal_biases():
    def program(torch):
        bias = torch.nn.attention.bias
        q, k = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 5, 4)
        attend = torch.nn.functional.scaled_dot_product_attention
        masks = bias.causal_upper_left(3, 5), bias.causal_lower_right(3, 5)
        return [attend(q, k, k, mask) for mask in masks], [str(mask) for mask in masks]

    same(program)


def test_the_reference_is_not_flashlight():
    assert torch.nn.Module is not flashlight.nn.Module
