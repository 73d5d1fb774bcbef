"""CUDA's libraries. MLX calls them as it sees fit; most settings are kept and change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flashlight._ops import memory as _memory

__all__ = [
    "allow_fp16_bf16_reduction_math_sdp",
    "can_use_cudnn_attention",
    "can_use_efficient_attention",
    "can_use_flash_attention",
    "cuBLASModule",
    "cudnn_sdp_enabled",
    "cufft_plan_cache",
    "enable_cudnn_sdp",
    "enable_flash_sdp",
    "enable_math_sdp",
    "enable_mem_efficient_sdp",
    "flash_sdp_enabled",
    "fp16_bf16_reduction_math_sdp_allowed",
    "is_built",
    "is_flash_attention_available",
    "math_sdp_enabled",
    "matmul",
    "mem_efficient_sdp_enabled",
    "preferred_blas_library",
    "preferred_linalg_library",
    "sdp_kernel",
]


def is_built() -> bool:
    """Tell whether this build of MLX runs on CUDA."""
    return _memory.accelerator == "cuda"


class cuBLASModule:
    """How matrix products round. Float32 products are float32's; set MLX_ENABLE_TF32=1 for TF32."""

    def __init__(self) -> None:
        self.allow_tf32 = False
        self.allow_fp16_reduced_precision_reduction = True
        self.allow_bf16_reduced_precision_reduction = True
        self.allow_fp16_accumulation = False
        self.fp32_precision = "none"


matmul = cuBLASModule()


class _PlanCache:
    """The cache of FFT plans, which is MLX's own."""

    size = 0
    max_size = 0

    def clear(self) -> None:
        """Do nothing: there is nothing to drop."""

    def __getitem__(self, device: Any) -> _PlanCache:
        return self


cufft_plan_cache = _PlanCache()

_libraries = {"linalg": "default", "blas": "default"}


def _preferred(kind: str, backend: str | None, known: tuple[str, ...]) -> str:
    if backend is not None:
        if backend not in known:
            raise RuntimeError(f"Unknown input value. Choose from: {', '.join(known)}.")
        _libraries[kind] = backend
    return _libraries[kind]


def preferred_linalg_library(backend: str | None = None) -> str:
    """Take note of a preference; decompositions run on the CPU in any case."""
    return _preferred("linalg", backend, ("default", "cusolver", "magma"))


def preferred_blas_library(backend: str | None = None) -> str:
    """Take note of a preference; MLX calls cuBLASLt in any case."""
    return _preferred("blas", backend, ("default", "cublas", "cublaslt", "hipblaslt", "ck"))


_attention = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True, "reduction": False}


def enable_flash_sdp(enabled: bool) -> None:
    """Take note of a setting: MLX chooses the kernel."""
    _attention["flash"] = enabled


def flash_sdp_enabled() -> bool:
    """Return what was set."""
    return _attention["flash"]


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Take note of a setting: MLX chooses the kernel."""
    _attention["mem_efficient"] = enabled


def mem_efficient_sdp_enabled() -> bool:
    """Return what was set."""
    return _attention["mem_efficient"]


def enable_math_sdp(enabled: bool) -> None:
    """Take note of a setting: MLX chooses the kernel."""
    _attention["math"] = enabled


def math_sdp_enabled() -> bool:
    """Return what was set."""
    return _attention["math"]


def enable_cudnn_sdp(enabled: bool) -> None:
    """Take note of a setting: MLX chooses the kernel."""
    _attention["cudnn"] = enabled


def cudnn_sdp_enabled() -> bool:
    """Return what was set."""
    return _attention["cudnn"]


def allow_fp16_bf16_reduction_math_sdp(enabled: bool) -> None:
    """Take note of a setting: sums are float32's."""
    _attention["reduction"] = enabled


def fp16_bf16_reduction_math_sdp_allowed() -> bool:
    """Return what was set."""
    return _attention["reduction"]


def is_flash_attention_available() -> bool:
    """Return False: PyTorch's kernel is not there, MLX's own is used where it fits."""
    return False


def can_use_flash_attention(params: Any, debug: bool = False) -> bool:
    """Return False: PyTorch's kernel is not there."""
    return False


def can_use_efficient_attention(params: Any, debug: bool = False) -> bool:
    """Return False: PyTorch's kernel is not there."""
    return False


def can_use_cudnn_attention(params: Any, debug: bool = False) -> bool:
    """Return False: PyTorch's kernel is not there."""
    return False


@contextmanager
def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:
    """Return a context with other settings of attention; results are the same."""
    before = dict(_attention)
    _attention.update(
        flash=enable_flash,
        math=enable_math,
        mem_efficient=enable_mem_efficient,
        cudnn=enable_cudnn,
    )
    try:
        yield
    finally:
        _attention.update(before)
