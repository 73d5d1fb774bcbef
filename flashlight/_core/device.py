"""Devices, and the MLX stream behind each.

Memory is unified, so a device says only on whose stream a tensor's work runs. MLX's own
streams belong to one thread; ours are shared by all threads, so that a lazy array may be
evaluated in another thread than the one that made it.
"""

from __future__ import annotations

import os
import re
import threading

import mlx.core as mx

TYPES = ("cpu", "cuda", "mps", "meta")
OTHER_TYPES = (  # PyTorch's other backends: known names, no streams of ours
    "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia", "xla",
    "lazy", "vulkan", "mtia", "hpu", "privateuseone",
)


def _accelerator() -> str | None:
    if mx.metal.is_available():
        return "mps"
    if getattr(mx, "cuda", None) is not None and mx.cuda.is_available():
        return "cuda"
    return None


ACCELERATOR = _accelerator()
NATIVE = "cpu" if ACCELERATOR is None or mx.default_device() == mx.Device(mx.cpu) else ACCELERATOR


class device:
    """Where a tensor's work runs, as `torch.device`; also a context manager that sets the default.

    `device("cuda:0")`, `device("cuda", 0)`, `device(0)` or `device(other_device)`.
    Raises RuntimeError for a malformed string.
    """

    __slots__ = ("type", "index", "_previous")

    def __init__(self, type=None, index=None):
        if isinstance(type, device):
            type, index = type.type, type.index if index is None else index
        elif isinstance(type, int) and not isinstance(type, bool):
            type, index = ACCELERATOR or "cuda", type
        elif isinstance(type, str):
            match = re.fullmatch(r"([a-z_]+)(?::(\d+))?", type)
            if not match:
                raise RuntimeError(f"Invalid device string: '{type}'")
            if match[2] is not None:
                if index is not None:
                    raise RuntimeError("type (string) must not include an index because index was "
                                       f"passed explicitly: {type}")
                index = int(match[2])
            type = match[1]
            if type not in TYPES and type not in OTHER_TYPES:
                raise RuntimeError(
                    f"Expected one of {', '.join(TYPES + OTHER_TYPES)} device type at "
                    f"start of device string: {type}"
                )
        else:
            raise TypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        if index is not None and (not isinstance(index, int) or index < 0):
            raise RuntimeError(f"Device index must be non-negative, got {index}")
        self.type = type
        self.index = index
        self._previous = []

    def __eq__(self, other):
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))

    def __repr__(self):
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self):
        return device, (self.type,) if self.index is None else (self.type, self.index)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __enter__(self):
        self._previous.append(getattr(_default, "device", None))
        set_default_device(self)
        return self

    def __exit__(self, *exception):
        _default.device = self._previous.pop()

    def __call__(self, function):
        import functools

        @functools.wraps(function)
        def inside(*args, **kwargs):
            with device(self):
                return function(*args, **kwargs)
        return inside


CPU = device("cpu")
META = device("meta")
CANONICAL = {"cpu": CPU, "meta": META, "cuda": device("cuda", 0), "mps": device("mps", 0)}
NATIVE_DEVICE = CANONICAL[NATIVE]


class _Default(threading.local):
    device = None


_default = _Default()
_process_default: list[device | None] = [None]


def set_default_device(device) -> None:
    """Set the device of factory calls without one; None restores MLX's default device."""
    chosen = None if device is None else resolve(device)
    _default.device = chosen
    if threading.current_thread() is threading.main_thread():
        _process_default[0] = chosen


def get_default_device() -> device:
    """Return the device of factory calls that name none."""
    chosen = _default.device or _process_default[0]
    return NATIVE_DEVICE if chosen is None else chosen


def resolve(where) -> device:
    """Return the device object that tensors on `where` share.

    Raises if this build of MLX has no such device: AssertionError for CUDA and XPU, as PyTorch
    does without them, else RuntimeError.
    """
    if where is None:
        return get_default_device()
    if where.__class__ is not device:
        if where.__class__ is int and ACCELERATOR is None:
            raise RuntimeError("Cannot access accelerator device when none is available.")
        where = device(where)
    if where.type == "xpu":
        raise AssertionError("Torch not compiled with XPU enabled: MLX does not drive Intel's GPUs")
    if where.type not in CANONICAL:
        raise RuntimeError(f"flashlight has no '{where.type}' devices; use 'cpu', 'mps' or 'cuda'")
    if where.type in ("cuda", "mps") and where.type != ACCELERATOR:
        text = (f"this build of MLX has no '{where.type}' device (torch.{where.type}.is_available()"
                f" is False); use device='{ACCELERATOR or 'cpu'}'")
        if where.type == "cuda":
            raise AssertionError(f"Torch not compiled with CUDA enabled: {text}")
        raise RuntimeError(text)
    if where.type == "cuda" and where.index not in (None, 0):
        raise RuntimeError(
            f"CUDA error: invalid device ordinal {where.index}; MLX drives one GPU a process"
        )
    return CANONICAL[where.type]


class Streams:
    """The streams that all threads share, made anew in a forked child, where the old ones are dead.
    """

    def __init__(self):
        self.create()
        os.register_at_fork(after_in_child=self.create)

    def create(self):
        """Make one stream for each MLX device."""
        self.cpu = mx.new_thread_unsafe_stream(mx.cpu)
        self.native = self.cpu if NATIVE == "cpu" else mx.new_thread_unsafe_stream(mx.gpu)

    def of(self, where: device):
        """Return the stream on which work for `where` is queued."""
        return self.cpu if where.type == "cpu" else self.native


STREAMS = Streams()
