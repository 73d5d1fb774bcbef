"""Reading and replacing the tensors of a module by their dotted names."""

from __future__ import annotations

from collections.abc import Iterable

from flashlight import Tensor
from flashlight.nn.modules.module import Module

_MISSING = object()


def swap_tensor(module, name: str, tensor, allow_missing: bool = False):
    """Put `tensor` at the attribute `name` of a module and return what was there.

    Raises TypeError for other objects, KeyError for a name with dots or none, AttributeError if
    there is no such tensor.
    """
    if not isinstance(module, Module):
        raise TypeError(f"{module} is not an instance of torch.nn.Module")
    if tensor is not None and tensor is not _MISSING and not isinstance(tensor, Tensor):
        raise TypeError(f"{tensor} is not an instance of torch.Tensor")
    if not name or "." in name:
        raise KeyError("tensor name can't be empty or contain \".\"")
    return NamedMemberAccessor(module).swap_tensor(name, tensor, allow_missing)


class NamedMemberAccessor:
    """Gets, sets and swaps tensors below `module`; submodules once found are remembered.

    Tensors are put in place of parameters as they are: they need not be Parameters.
    """

    def __init__(self, module) -> None:
        self.module = module
        self.memo: dict[str, object] = {"": module}

    def get_submodule(self, name: str):
        """Return the module at the dotted path `name`."""
        if name not in self.memo:
            self.memo[name] = self.module.get_submodule(name)
        return self.memo[name]

    def get_tensor(self, name: str) -> Tensor | None:
        """Return the parameter, buffer or tensor attribute at the dotted path `name`."""
        path, _, last = name.rpartition(".")
        tensor = getattr(self.get_submodule(path), last)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"{tensor} is not an instance of torch.Tensor")
        return tensor

    def set_tensor(self, name: str, value: Tensor | None) -> None:
        """Put `value` at the dotted path `name`."""
        self.swap_tensor(name, value, allow_missing=True)

    def swap_tensor(self, name: str, value, allow_missing: bool = False):
        """Put `value` at the dotted path `name` and return what was there."""
        path, _, last = name.rpartition(".")
        module = self.get_submodule(path)
        for registry in (module._parameters, module._buffers):
            if last in registry:
                previous = registry[last]
                if value is _MISSING:
                    del registry[last]
                else:
                    registry[last] = value
                return previous
        if not allow_missing and not hasattr(module, last):
            raise AttributeError(f"{module._get_name()} has no attribute `{last}`")
        previous = getattr(module, last, _MISSING)
        if previous is not _MISSING and not isinstance(previous, (Tensor, type(None))):
            raise TypeError(f"attribute `{last}`: {previous} is not an instance of torch.Tensor")
        if value is not _MISSING:
            setattr(module, last, value)
        elif previous is not _MISSING:
            delattr(module, last)
        return previous

    def swap_tensors_dict(
        self, named_tensors: dict[str, Tensor], allow_missing: bool = False
    ) -> tuple[dict[str, Tensor], list[str]]:
        """Put all tensors in place; return those that were there and the names that were not.

        If one fails, those before it are put back.
        """
        previous: dict[str, Tensor] = {}
        missing = []
        try:
            for name, tensor in named_tensors.items():
                found = self.swap_tensor(name, tensor, allow_missing=True)
                if found is _MISSING:
                    missing.append(name)
                previous[name] = found
            if missing and not allow_missing:
                raise RuntimeError(f"Missing key(s): {', '.join(map(repr, missing))}.")
        except Exception:
            for name, tensor in previous.items():
                self.swap_tensor(name, tensor, allow_missing=True)
            raise
        return previous, missing

    def check_keys(self, keys: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return the names of the module that `keys` lacks, and those it does not know."""
        keys = set(keys)
        known = {name for name, _ in self.named_tensors(remove_duplicate=False)}
        return sorted(known - keys), sorted(keys - known)

    def named_tensors(self, remove_duplicate: bool = True):
        """Yield names and tensors of parameters and buffers."""
        yield from self.module.named_parameters(remove_duplicate=remove_duplicate)
        yield from self.module.named_buffers(remove_duplicate=remove_duplicate)
