"""Switches for how modules convert their parameters, as `torch.__future__`."""

from __future__ import annotations

_overwrite = False
_swap = False


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """Choose whether ``module.to(...)`` makes new parameters, in place of changing their data."""
    global _overwrite
    _overwrite = value


def get_overwrite_module_params_on_conversion() -> bool:
    """Return whether ``module.to(...)`` makes new parameters."""
    return _overwrite


def set_swap_module_params_on_conversion(value: bool) -> None:
    """Choose whether conversions and loading swap parameters by ``torch.utils.swap_tensors``."""
    global _swap
    _swap = value


def get_swap_module_params_on_conversion() -> bool:
    """Return whether conversions and loading swap parameters."""
    return _swap
