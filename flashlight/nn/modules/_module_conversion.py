"""Converting the tensors of modules: dtype, device, gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import flashlight as torch
from flashlight import Tensor, __future__
from flashlight.nn.parameter import Parameter

from .._arguments import _parse_to

_COMPLEX_WARNING = (
    "Complex modules are a new feature under active development whose design may change, "
    "and some modules might not work as expected when using complex tensors as parameters or "
    "buffers."
)


class _ConversionMethods:
    """The part of Module that replaces the data of parameters and buffers."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True):
        """Replace every parameter's data, its gradient's, and every buffer by `fn` of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        swap = __future__.get_swap_module_params_on_conversion()
        overwrite = __future__.get_overwrite_module_params_on_conversion()
        for name, param in self._parameters.items():
            if param is None:
                continue
            with torch.no_grad():
                applied = fn(param)
            if swap:
                self._swap_parameter(name, param, applied, fn)
            elif not overwrite and param.is_meta == applied.is_meta:
                gradient = param.grad
                param.data = applied
                _convert_gradient(param, gradient, fn)
            else:
                # Data cannot leave or reach the meta device in place: another object is due.
                replaced = Parameter(applied, param.requires_grad)
                self._parameters[name] = replaced
                _convert_gradient(replaced, param.grad, fn)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def _swap_parameter(self, name: str, param: Tensor, applied: Tensor, fn: Callable) -> None:
        gradient, param.grad = param.grad, None
        try:
            torch.utils.swap_tensors(param, Parameter(applied, param.requires_grad))
        except Exception as error:
            param.grad = gradient
            raise RuntimeError(f"_apply(): Couldn't swap {self._get_name()}.{name}") from error
        if gradient is not None:
            with torch.no_grad():
                converted = fn(gradient).requires_grad_(gradient.requires_grad)
            torch.utils.swap_tensors(gradient, converted)
            param.grad = gradient

    def to(self, *args, **kwargs):
        """Move and cast parameters and buffers in place: ``to(device)``, ``to(dtype)``, ….

        Only floating point tensors are cast. Raises TypeError for other target dtypes.
        """
        device, dtype, non_blocking, memory_format = _parse_to(*args, **kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise TypeError(
                    "nn.Module.to only accepts floating point or complex dtypes, but got "
                    f"desired dtype={dtype}"
                )
            if dtype.is_complex:
                warnings.warn(_COMPLEX_WARNING, stacklevel=2)

        def convert(tensor: Tensor) -> Tensor:
            inexact = tensor.is_floating_point() or tensor.is_complex()
            options = {}
            if memory_format is not None and tensor.dim() in (4, 5):
                options["memory_format"] = memory_format
            if tensor.is_meta and device is not None and device.type != "meta":
                raise NotImplementedError(
                    "Cannot copy out of meta tensor; no data! Please use "
                    "torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving "
                    "module from meta to a different device."
                )
            return tensor.to(device, dtype if inexact else None, non_blocking, **options)

        return self._apply(convert)

    def to_empty(self, *, device, recurse: bool = True):
        """Move parameters and buffers to `device` without their values."""
        return self._apply(lambda t: torch.empty_like(t, device=device), recurse=recurse)

    def type(self, dst_type):
        """Cast all parameters and buffers, whatever their kind."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self):
        """Cast floating point parameters and buffers to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self):
        """Cast floating point parameters and buffers to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self):
        """Cast floating point parameters and buffers to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self):
        """Cast floating point parameters and buffers to bfloat16."""
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def cpu(self):
        """Move parameters and buffers to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device=None):
        """Move parameters and buffers to a CUDA device."""
        return self._apply(lambda t: t.cuda(device))

    def share_memory(self):
        """Move parameters and buffers to memory that processes share."""
        return self._apply(lambda t: t.share_memory_())

    def requires_grad_(self, requires_grad: bool = True):
        """Set whether autograd records operations on the parameters."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of the parameters, or zero them in place."""
        if getattr(self, "_is_replica", False):
            warnings.warn(
                "Calling .zero_grad() from a module created with nn.DataParallel() has no "
                "effect. The parameters are copied (in a differentiable manner) from the "
                "original module. This means they are not leaf nodes in autograd and so don't "
                "accumulate gradients. If you need gradients in your forward method, consider "
                "using autograd.grad instead.",
                stacklevel=2,
            )
        for param in self.parameters():
            if param.grad is None:
                continue
            if set_to_none:
                param.grad = None
                continue
            if param.grad.grad_fn is not None:
                param.grad.detach_()
            else:
                param.grad.requires_grad_(False)
            param.grad.zero_()


def _convert_gradient(param: Tensor, gradient: Tensor | None, fn: Callable) -> None:
    """Give `param`, whose data `fn` has replaced, its converted gradient."""
    if gradient is None:
        return
    with torch.no_grad():
        converted = fn(gradient)
    if param.grad is gradient and gradient.is_meta == converted.is_meta:
        gradient.data = converted
    else:
        param.grad = converted.requires_grad_(gradient.requires_grad)
