"""Names with an underscore, and in inner modules, that packages reach for: as PyTorch's."""

from __future__ import annotations

import importlib
import re

import pytest
import torch as reference
import torch.utils._foreach_utils
import torch.utils._python_dispatch  # both libraries load their inner modules when asked

import flashlight as torch
import flashlight.utils._contextlib
import flashlight.utils._foreach_utils
import flashlight.utils._python_dispatch

EXPRESSIONS = """
torch._C._nn._parse_to("cpu")
torch._C._nn._parse_to(torch.float32)
torch._C._nn._parse_to("cpu", torch.float64, True)
torch._C._nn._parse_to(torch.ones(1))
torch._C._nn._parse_to(dtype=torch.half, memory_format=torch.channels_last)
torch._C._nn._parse_to("cpu", copy=True)
torch._C._log_api_usage_once("x")
torch._C._get_tracing_state()
torch._C._get_accelerator()
torch._C._are_functorch_transforms_active()
torch.vmap(lambda x: x + float(torch._C._are_functorch_transforms_active()))(torch.ones(2))
torch.vmap(lambda x: x + float(torch._C._functorch.is_batchedtensor(x)))(torch.ones(2))
torch._C._functorch.is_batchedtensor(torch.ones(1))
torch._C._is_torch_function_mode_enabled()
torch._C._get_cudnn_enabled()
torch._C._get_privateuse1_backend_name()
torch._C._get_default_device()
torch._C._is_alias_of(torch.ones(1), torch.ones(1))
isinstance(torch.ones(1), torch._C._TensorBase)
issubclass(type(torch.nn.Parameter), torch._C._TensorMeta)
issubclass(torch._C._LinAlgError, RuntimeError)
hasattr(torch._C, "_no_such_name")
torch._shape_as_tensor(torch.ones(2, 3))
torch._softmax_backward_data(torch.eye(2), torch.full((2, 2), 0.5), -1, torch.float32)
torch._log_softmax_backward_data(torch.eye(2), torch.zeros(2, 2), -1, torch.float32)
torch._convert_indices_from_coo_to_csr(torch.tensor([0, 0, 2]), 4)
torch._convert_indices_from_coo_to_csr(torch.tensor([0, 0, 2]), 3, out_int32=True)
torch._convert_indices_from_csr_to_coo(torch.tensor([0, 2, 2, 3]), torch.tensor([0, 1, 1]))
torch._convert_indices_from_csr_to_coo(torch.tensor([0, 2]), torch.tensor([0, 1]), transpose=True)
torch.dsmm(torch.eye(2).to_sparse(), torch.ones(2, 2))
torch.legacy_contiguous_format
torch.torch is torch
torch.autograd.ProfilerActivity.CPU.name
torch._utils._flatten_dense_tensors([torch.ones(2, 2), torch.zeros(3)])
torch._utils._unflatten_dense_tensors(torch.arange(5), [torch.ones(2, 2), torch.zeros(1)])
[torch._utils._element_size(k) for k in (torch.bool, torch.half, torch.complex64, torch.int64)]
torch._utils._element_size(3)
torch._utils._get_available_device_type()
torch._utils._get_device_module("cpu") is torch.cpu
torch._utils._get_device_module("nothing")
torch._utils._get_device_index(3)
torch._utils._get_device_index("cpu")
torch._utils._get_device_index("cpu", allow_cpu=True)
torch._utils._get_device_index("cuda:1")
torch._utils._get_device_index("cuda")
torch.utils._pytree._dict_flatten({"a": 1})
torch.utils._pytree._dict_unflatten([1], ["a"])
torch.utils._pytree._dict_flatten_with_keys({"a": 1})
torch.utils._pytree._list_flatten_with_keys([1])
torch.utils._pytree._list_unflatten([1], None)
torch.nn.ModuleList([torch.nn.ReLU()])._get_abs_string_index(-1)
torch.nn.ModuleList([torch.nn.ReLU()])._get_abs_string_index(1)
torch.nn.init._no_grad_uniform_(torch.ones(3, requires_grad=True), 0.5, 0.5)
isinstance(torch.nn.Parameter, torch.nn.parameter._ParameterMeta)
torch.utils._python_dispatch.is_traceable_wrapper_subclass(torch.ones(1))
torch.cpu._is_avx2_supported()
torch.cpu._is_avx512_supported()
torch.cuda._initialized
torch.backends.fp32_precision
torch.hub._get_torch_home()
torch.profiler.profiler._default_schedule_fn(3).name
torch._tensor_str._str_intern(torch.ones(2))
"""


@pytest.mark.parametrize("expression", EXPRESSIONS.strip().splitlines())
def test_answers(expression):
    def answer(lib):
        try:
            return re.sub(r"\s+", " ", repr(eval(expression, {"torch": lib})))
        except Exception as error:
            return type(error).__name__

    assert answer(torch) == answer(reference)


@pytest.mark.parametrize("lib", [torch, reference], ids=["flashlight", "torch"])
def test_swapping_a_tensor_of_a_module(lib):
    module = importlib.import_module(f"{lib.__name__}.nn.utils._named_member_accessor")
    linear, weight = lib.nn.Linear(1, 1), lib.zeros(1, 1)
    before = linear.weight
    assert module.swap_tensor(linear, "weight", weight) is before and linear.weight is weight
    for error, arguments in (
        (TypeError, (3, "weight", None)), (TypeError, (linear, "weight", 3)),
        (KeyError, (linear, "a.b", None)), (KeyError, (linear, "", None)),
        (AttributeError, (linear, "nope", weight)), (TypeError, (linear, "training", weight)),
    ):  # fmt: skip
        with pytest.raises(error):
            module.swap_tensor(*arguments)


def test_groups_of_tensors():
    def groups(lib):
        lists = [[lib.ones(1), lib.ones(2).double(), lib.ones(3)], [None] * 3, []]
        found = lib.utils._foreach_utils._group_tensors_by_device_and_dtype(lists, True)
        assert found.keys() == lib.optim.Optimizer._group_tensors_by_device_and_dtype(lists).keys()
        return sorted((str(key), str(value)) for key, value in found.items())

    assert groups(torch) == groups(reference)


@pytest.mark.parametrize("lib", [torch, reference], ids=["flashlight", "torch"])
def test_contexts_that_decorate(lib):
    seen = []

    class Context(lib.utils._contextlib._DecoratorContextManager):
        def __enter__(self):
            seen.append("in")

        def __exit__(self, *error):
            seen.append("out")

    @Context()
    def add(a, b):
        seen.append("add")
        return a + b

    @Context()
    def count():
        try:
            seen.append((yield 1))
        except KeyError:
            seen.append("caught")
        yield 2
        return 3

    assert add(1, b=2) == 3 and seen == ["in", "add", "out"]
    seen.clear()
    running = count()
    assert next(running) == 1 and seen == ["in", "out"]
    assert running.send("sent") == 2 and seen[2:] == ["in", "sent", "out"]
    with pytest.raises(StopIteration, match="3"):
        next(running)
    running = count()
    next(running)
    assert running.throw(KeyError) == 2 and seen[-2:] == ["caught", "out"]
    running.close()
    with pytest.raises(RuntimeError, match="Cannot decorate classes"):
        lib.utils._contextlib.context_decorator(lambda: Context(), type)
    with pytest.warns(FutureWarning, match="Decorating classes"):
        Context()(type)
