"""Windows of M points, symmetric or, with `sym=False`, one period of a window of M + 1 points.

All have a maximum of 1, reached if the window is symmetric and M is odd. They raise ValueError for
a negative M, for other dtypes than float32 and float64, and for other layouts than strided.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import flashlight as torch

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _options(name: str, M: int, dtype, layout, device, requires_grad: bool) -> dict:
    """Keywords for factories, or ValueError."""
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not torch.strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    return {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}


def _half_width(M: int, sym: bool) -> float:
    """Distance from the first point to the centre."""
    return (M - 1 if sym or M <= 1 else M) / 2.0


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """exp(-|n - center| / tau). Raises ValueError if `tau` <= 0, or for a symmetric `center`."""
    options = _options("exponential", M, dtype, layout, device, requires_grad)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    if center is None:
        center = _half_width(M, sym)
    n = torch.linspace(-center / tau, (M - 1 - center) / tau, M, **options)
    return torch.exp(-n.abs())


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """exp(-n^2 / (2 std^2)) for n from the centre. Raises ValueError if `std` <= 0."""
    options = _options("gaussian", M, dtype, layout, device, requires_grad)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    start, scale = -_half_width(M, sym), std * math.sqrt(2)
    n = torch.linspace(start / scale, (start + M - 1) / scale, M, **options)
    return torch.exp(-(n**2))


def cosine(
    M: int,
    *,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """sin(pi (n + 1/2) / M)."""
    options = _options("cosine", M, dtype, layout, device, requires_grad)
    if M == 0:
        return torch.empty((0,), **options)
    step = math.pi / (M if sym or M == 1 else M + 1)
    return torch.sin(torch.linspace(0.5 * step, (M - 0.5) * step, M, **options))


def bartlett(
    M: int,
    *,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """A triangle that starts and ends at 0."""
    options = _options("bartlett", M, dtype, layout, device, requires_grad)
    if M < 2:
        return torch.ones((M,), **options)
    end = -1 + (M - 1) * 2 / (M - 1 if sym else M)
    return 1 - torch.linspace(-1, end, M, **options).abs()


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """I0(sqrt(beta^2 - x^2)) / I0(beta) for x from -beta to beta. ValueError if `beta` < 0."""
    options = _options("kaiser", M, dtype, layout, device, requires_grad)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    if M < 2:
        return torch.ones((M,), **options)
    # In the window's dtype, so that rounding cannot make the root's argument negative.
    limit = torch.tensor(beta, dtype=options["dtype"], device=device)
    step = 2.0 * limit / (M - 1 if sym else M)
    end = torch.minimum(limit, (M - 1) * step - limit)
    x = torch.linspace(-limit.item(), end.item(), M, **options)
    return torch.i0(torch.sqrt(limit * limit - x**2)) / torch.i0(limit)


def general_cosine(
    M,
    *,
    a: Iterable,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """The sum of (-1)^i a_i cos(2 pi i n / (M - 1)) over i.

    Raises TypeError if `a` cannot be iterated over, ValueError if it is empty.
    """
    options = _options("general_cosine", M, dtype, layout, device, requires_grad)
    if M < 2:
        return torch.ones((M,), **options)
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    angle = torch.linspace(0, (M - 1) * 2 * math.pi / (M - 1 if sym else M), M, **options)
    alternating = torch.tensor(
        [-one if i % 2 else one for i, one in enumerate(a)],
        dtype=options["dtype"],
        device=device,
        requires_grad=requires_grad,
    )
    multiple = torch.arange(len(alternating), dtype=options["dtype"], device=device)
    return (alternating.unsqueeze(-1) * torch.cos(multiple.unsqueeze(-1) * angle)).sum(0)


def general_hamming(
    M,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """alpha - (1 - alpha) cos(2 pi n / (M - 1))."""
    return general_cosine(
        M,
        a=[alpha, 1.0 - alpha],
        sym=sym,
        dtype=dtype,
        layout=layout,
        device=device,
        requires_grad=requires_grad,
    )


def hamming(
    M: int,
    *,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """A raised cosine that starts and ends at 0.08."""
    return general_hamming(
        M, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def hann(
    M: int,
    *,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """A raised cosine that starts and ends at 0."""
    return general_hamming(
        M,
        alpha=0.5,
        sym=sym,
        dtype=dtype,
        layout=layout,
        device=device,
        requires_grad=requires_grad,
    )


def blackman(
    M: int,
    *,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """Three cosine terms that start and end at 0."""
    return general_cosine(
        M,
        a=[0.42, 0.5, 0.08],
        sym=sym,
        dtype=dtype,
        layout=layout,
        device=device,
        requires_grad=requires_grad,
    )


def nuttall(
    M: int,
    *,
    sym: bool = True,
    dtype: torch.dtype | None = None,
    layout: torch.layout = torch.strided,
    device: torch.device | None = None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """Four cosine terms of the least possible largest sidelobe (Nuttall, 1981)."""
    return general_cosine(
        M,
        a=[0.3635819, 0.4891775, 0.1365995, 0.0106411],
        sym=sym,
        dtype=dtype,
        layout=layout,
        device=device,
        requires_grad=requires_grad,
    )
