"""Short-time Fourier transforms and their inverse."""

from __future__ import annotations

import warnings

from .._core.dtype import SCALAR_TYPE_NAME
from .._core.tensor import Tensor
from . import fft as fourier
from .complex_parts import view_as_real
from .composite import as_method, composite
from .padding import constant_pad_nd, pad
from .rearrangement import fold
from .shape import transpose, unfold

_NO_WINDOW = "A window was not provided. A rectangular window will be applied."
_ONES = "To use that one without this warning, set `window=torch.ones(n_fft)`."


@composite(out=False)
def stft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    pad_mode="reflect",
    normalized=False,
    onesided=None,
    return_complex=None,
    align_to_window=None,
):
    """The Fourier transforms of windows of a signal, (*, L) -> (*, frequencies, windows).

    Raises RuntimeError for settings that do not fit the signal or each other.
    https://docs.pytorch.org/docs/stable/generated/torch.stft.html
    """
    if center:
        if align_to_window is not None:
            raise RuntimeError("stft align_to_window should only be set when center = false")
        shape = tuple(input.shape)
        half = n_fft // 2
        padded = pad(input.reshape((1,) * (3 - len(shape)) + shape), [half, half], pad_mode)
        input = padded.reshape(padded.shape[-len(shape):] if shape else padded.shape[-1:])
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    if return_complex is None:
        is_complex = input.dtype.is_complex or window is not None and window.dtype.is_complex
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will "
                "further require that return_complex=True in a future PyTorch release."
            )
        return_complex = True
    elif not return_complex:
        warnings.warn(
            "stft with return_complex=False is deprecated. In a future pytorch release, stft will "
            "return complex tensors for all inputs, and return_complex=False will raise an error.\n"
            "Note: you can still call torch.view_as_real on the complex output to recover the old "
            "return format.", UserWarning, stacklevel=4)
    if window is None and length > 1:
        warnings.warn(f"{_NO_WINDOW} Other windows, such as torch.hann_window, leak less. {_ONES}",
                      UserWarning, stacklevel=4)

    def refuse(reason):
        return RuntimeError(
            f"stft({_described(input)}, n_fft={n_fft}, hop_length={hop}, win_length={length}, "
            f"window={_described_window(window)}, normalized={int(normalized)}, "
            f"onesided={_flag(onesided)}, return_complex={int(return_complex)}, "
            f"align_to_window={_flag(align_to_window)}) : {reason}"
        )

    if input.dtype.category < 2:
        raise refuse("expected a tensor of floating point or complex values")
    if not 1 <= input.ndim <= 2:
        raise refuse("expected a 1D or 2D tensor")
    signal = input if input.ndim == 2 else input.unsqueeze(0)
    if align_to_window and length < n_fft:
        # The first window begins at the first sample, however much longer the transform is.
        left = (n_fft - length) // 2
        signal = constant_pad_nd(signal, (left, n_fft - length - left))
    samples = signal.shape[1]
    if not 0 < n_fft <= samples:
        raise refuse(f"expected 0 < n_fft < {samples}, but got n_fft={n_fft}")
    if hop <= 0:
        raise refuse(f"expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise refuse(f"expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and tuple(window.shape) != (length,):
        raise refuse(f"expected a 1D window tensor of size equal to win_length={length}, but got "
                     f"window with size {list(window.shape)}")
    window = _centred(window, length, n_fft, input)
    frames = unfold(signal, 1, n_fft, hop)
    frames = frames if window is None else frames * window
    is_complex = frames.dtype.is_complex
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    norm = "ortho" if normalized else None
    onesided = not is_complex if onesided is None else onesided
    spectra = (fourier.rfft if onesided else fourier.fft)(frames, dim=-1, norm=norm)
    spectra = transpose(spectra, 1, 2)
    spectra = spectra if input.ndim == 2 else spectra.squeeze(0)
    return spectra if return_complex else view_as_real(spectra)


@composite(out=False)
def istft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    normalized=False,
    onesided=None,
    length=None,
    return_complex=False,
):
    """The signal whose `stft` is nearest to `input`, (*, frequencies, windows) -> (*, L).

    Raises RuntimeError for settings that do not fit `input`, and where no window reaches.
    https://docs.pytorch.org/docs/stable/generated/torch.istft.html
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    if window is None:
        warnings.warn(f"{_NO_WINDOW} Provide the window that stft was given. {_ONES}",
                      UserWarning, stacklevel=4)

    def refuse(reason, separator=" : "):
        return RuntimeError(
            f"istft({_described(input, 'CPU')}, n_fft={n_fft}, hop_length={hop}, "
            f"win_length={width}, window={_described_window(window)}, center={int(center)}, "
            f"normalized={int(normalized)}, onesided={_flag(onesided)}, length={length}, "
            f"return_complex={int(return_complex)}){separator}{reason}"
        )

    if not input.dtype.is_complex:
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from "
                           "stft with return_complex=True.")
    if input.numel() == 0:
        raise refuse("input tensor cannot be empty.")
    if not 2 <= input.ndim <= 3:
        if input.ndim < 2:
            raise IndexError(f"Dimension out of range (expected to be in range of "
                             f"[{-1 - input.ndim}, {input.ndim}], but got {-3})")
        raise refuse(f"expected a tensor with 3 or 4 dimensions, but got {input.ndim + 1}")
    spectra = input if input.ndim == 3 else input.unsqueeze(0)
    frequencies, frames = spectra.shape[1:]
    one_sided = frequencies != n_fft if onesided is None else onesided
    wanted = n_fft // 2 + 1 if one_sided else n_fft
    if frequencies != wanted:
        formula = "n_fft / 2 + 1 when onesided=True" if one_sided else "n_fft when onesided=False"
        raise refuse("expected the frequency dimension (3rd to the last) of the input tensor to "
                     f"match {formula}, but got {frequencies}")
    if not 0 < hop <= width:
        raise refuse("expected 0 < hop_length <= win_length")
    if not 0 < width <= n_fft:
        raise refuse("expected 0 < win_length <= n_fft")
    if window is not None and tuple(window.shape) != (width,):
        raise refuse("Invalid window shape. window has to be 1D and length of `win_length`")
    if return_complex and one_sided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if not return_complex and window is not None and window.dtype.is_complex:
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    window = _centred(window, width, n_fft, input)
    if window is None:
        window = input.new_ones(n_fft, dtype=input.dtype.real)

    spectra = transpose(spectra, 1, 2)
    norm = "ortho" if normalized else None
    if return_complex:
        signals = fourier.ifft(spectra, dim=-1, norm=norm)
    else:
        signals = fourier.irfft(spectra[..., : n_fft // 2 + 1], n_fft, -1, norm)
    covered = n_fft + hop * (frames - 1)
    made = _overlapped(signals * window, covered, hop)
    squares = (window * window).expand(1, frames, n_fft)
    envelope = _overlapped(squares, covered, hop)

    start = n_fft // 2 if center else 0
    end = covered if length is None and not center else \
        covered - n_fft // 2 if length is None else start + length
    made, envelope = made[:, start:end], envelope[:, start:end]
    smallest = envelope.abs().min()
    if not smallest.item() > 1e-11:
        raise refuse("window overlap add min: 1\n[ CPUBoolType{} ]", " ")
    made = made / envelope
    if length is not None and length > made.shape[1]:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded "
            "with zeros in the tail. Please check your center and hop_length settings.",
            UserWarning, stacklevel=4)
        made = constant_pad_nd(made, (0, length - made.shape[1]))
    return made if input.ndim == 3 else made.squeeze(0)


def _centred(window, width, n_fft, input):
    """Bring the window to `n_fft` points, with zeros on both sides; None is all ones."""
    if width == n_fft:
        return window
    if window is None:
        window = input.new_ones(width, dtype=input.dtype.real)
    left = (n_fft - width) // 2
    return constant_pad_nd(window, (left, n_fft - width - left))


def _overlapped(frames: Tensor, size: int, hop: int) -> Tensor:
    """Add up frames that begin `hop` samples apart, (N, frames, n) -> (N, size)."""
    n = frames.shape[2]
    return fold(transpose(frames, 1, 2), (1, size), (1, n), stride=(1, hop)).reshape((-1, size))


def _described(tensor, device=""):
    return f"{device or 'torch.'}{SCALAR_TYPE_NAME[tensor.dtype]}" \
           f"{'Type' if device else 'Tensor'}[{', '.join(map(str, tensor.shape))}]"


def _described_window(window):
    if window is None:
        return "None"
    sizes = ", ".join(map(str, window.shape))
    return f"torch.{SCALAR_TYPE_NAME[window.dtype]}Tensor{{[{sizes}]}}"


def _flag(value):
    return "None" if value is None else int(value)


FUNCTIONS = {"stft": stft, "istft": istft}
METHODS = {name: as_method(function) for name, function in FUNCTIONS.items()}
INPLACE = ()
