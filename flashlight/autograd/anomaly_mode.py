"""Anomaly mode: failing gradients name the forward line, as `torch.autograd.anomaly_mode`."""

from __future__ import annotations

import traceback
import warnings

from .._autograd.grad_mode import observers, refresh
from .._autograd.node import Node

_checks_nan = [True]


def _trace(node: Node) -> None:
    node.trace = traceback.format_stack()[:-3]
    node.check_nan = _checks_nan[0]


observers.trace = staticmethod(_trace)


class set_detect_anomaly:
    """Switch anomaly mode on or off: at once when called, until the end of the block in a `with`.
    """

    def __init__(self, mode: bool, check_nan: bool = True):
        self._previous = bool(observers.anomaly), _checks_nan[0]
        _set(mode, check_nan)

    def __enter__(self):
        return None

    def __exit__(self, *exception):
        _set(*self._previous)


class detect_anomaly:
    """Inside, backward names the forward line of a function that fails or returns NaN."""

    def __init__(self, check_nan: bool = True):
        self._check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self):
        self._previous = bool(observers.anomaly), _checks_nan[0]
        _set(True, self._check_nan)

    def __exit__(self, *exception):
        _set(*self._previous)


def _set(mode, check_nan):
    observers.anomaly = int(mode)
    _checks_nan[0] = check_nan
    refresh()


def is_anomaly_enabled() -> bool:
    """Tell whether anomaly mode is on."""
    return bool(observers.anomaly)


def is_anomaly_check_nan_enabled() -> bool:
    """Tell whether anomaly mode looks for NaN."""
    return _checks_nan[0]
