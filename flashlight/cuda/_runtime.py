"""The CUDA runtime that MLX has loaded, as a library of C functions."""

from __future__ import annotations

import ctypes
from functools import cache

from flashlight.cuda._utils import check


class cudaStatus:
    """What functions of the CUDA runtime return."""

    SUCCESS: int = 0
    ERROR_NOT_READY: int = 34


@cache
def _library() -> ctypes.CDLL:
    names = _loaded() or [f"libcudart.so.{version}" for version in (13, 12)]
    for name in names:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.cudaGetErrorString.restype = ctypes.c_char_p
        return library
    raise AssertionError("libcudart functions unavailable: no libcudart.so was found")


def _loaded() -> list[str]:
    """The paths of the runtimes that this process has in memory (Linux)."""
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split(maxsplit=5)[-1].strip() for line in maps if "/libcudart" in line}
    except OSError:
        return []
    return sorted(paths)


def cudart() -> ctypes.CDLL:
    """Return the runtime, whose functions return error codes. Raises AssertionError without CUDA."""
    check()
    return _library()


class CudaError(RuntimeError):
    """An error code of the CUDA runtime, with the text that it has for it."""

    def __init__(self, code: int) -> None:
        text = cudart().cudaGetErrorString(int(code)).decode()
        super().__init__(f"{text} ({code})")


def check_error(res: int) -> None:
    """Raise CudaError unless a function of the CUDA runtime has succeeded."""
    if res != cudaStatus.SUCCESS:
        raise CudaError(res)
