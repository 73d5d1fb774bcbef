"""Where flashlight differs from PyTorch: one record each, for the docs and for the tests.

`tools/write_docs.py` writes docs/deviations.md from these records. A test may only expect to fail
where a record's `rows` name it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """One difference: what a program sees, why it is there, and what to do about it.

    `rows` are patterns (fnmatch) of the parity rows which the difference excuses.
    """

    name: str
    why: str
    differs: str
    instead: str
    rows: tuple[str, ...] = ()


DEVIATIONS = (
    Deviation(
        name="float64 runs on the CPU",
        why="Metal has no 64-bit floating point, and MLX computes it on its CPU stream only",
        differs="an operation on float64 runs on the CPU whatever the tensor's device, in full "
        "double precision; `device` still reads the device that was asked for",
        instead="use float32 where the accelerator's speed matters",
    ),
    Deviation(
        name="No complex128, complex32, float8 or quantized tensors",
        why="MLX has no arrays of these types",
        differs="the dtype objects exist, and so do rules about them (`promote_types`); making a "
        "tensor of one raises",
        instead="use complex64, or keep real and imaginary parts as two float64 tensors",
        rows=(
            *("ops.*.cdouble[[]*", "ops.*.chalf[[]*", "ops.error.complex[[]*"),
            *("ops.error.nn_functional_conv?d[[]*",),
            *(f"ops.*.{name}[[]float64]" for name in (
                "complex", "polar", "view_as_complex", "stft", "linalg_eig", "linalg_eigvals",
                "fft_fft", "fft_fft2", "fft_fftn", "fft_ifft", "fft_ifft2", "fft_ifftn",
                "fft_rfft", "fft_rfft2", "fft_rfftn", "fft_ihfft", "fft_ihfft2", "fft_ihfftn",
            )),
            # Beside float64, and so in PyTorch in complex128.
            *("ops.*.block_diag[[]complex64]", "ops.*.float_power[[]complex64]"),
            *("ops.*.nn_functional_l1_loss[[]complex64]",),
        ),
    ),
    Deviation(
        name="The gradient of as_strided_scatter is that of the function",
        why="PyTorch 2.13 gives `input` the gradient of the elements that were replaced, and zero "
        "for those that were kept; it is the other way around",
        differs="the gradient for `input` is zero where `src` took over, and passes elsewhere",
        instead="nothing to do",
        rows=("ops.grad*.as_strided_scatter[[]*",),
    ),
    Deviation(
        name="renorm of complex tensors with p=inf has a gradient",
        why="PyTorch 2.13 multiplies infinity with zero there and gets NaN",
        differs="the gradient is that of the function",
        instead="nothing to do",
        rows=("ops.*grad*.renorm[[]complex64]",),
    ),
    Deviation(
        name="Equal elements in sort and topk",
        why="which of them PyTorch takes follows from its C++ library and is not specified",
        differs="`topk`, `kthvalue` and `mode` on the CPU take those that PyTorch takes on Linux, "
        "in up to 256 rows that have equal elements, and so does `sort` of up to 8192 integers; "
        "otherwise the order of equal elements is kept, as with `stable=True`",
        instead="pass `stable=True` to `sort` and `argsort` where the order matters",
    ),
    Deviation(
        name="fft.ihfft2 and ihfftn write into out=",
        why="PyTorch 2.13 leaves `out=` as it was when there is one dimension to transform along",
        differs="`out=` holds the result",
        instead="nothing to do",
        rows=("ops.out.fft_ihfft2[[]*", "ops.out.fft_ihfftn[[]*"),
    ),
    Deviation(
        name="More sums of half types add up in float32",
        why="several of PyTorch's CPU kernels add in float16 or bfloat16, one element after the "
        "other: overlapping windows and padding in gradients, transposed convolutions, rows that "
        "are looked up often, losses; there a sum of ones ends at 2048 or 256",
        differs="such sums are rounded once, so that they are closer to the exact ones than "
        "PyTorch's, and not equal to them",
        instead="compare with a result in float32, or with a tolerance of a few units in the last "
        "place of the largest term",
        rows=(
            *(f"ops.*.nn_functional_{name}[[]*float16]" for name in (
                "conv?d", "conv_transpose?d", "pad_re*", "pad_circular", "*avg_pool?d",
                "interpolate_area", "embedding*", "bilinear", "nll_loss",
                "scaled_dot_product_attention", "linear_cross_entropy_chunked*",
            )),
            *(f"ops.*.{name}[[]*float16]" for name in (
                "native_group_norm", "native_layer_norm", "sparse_mm_reduce",
                "gradient", "combinations", "index_reduce_prod",
            )),
        ),
    ),
    Deviation(
        name="Every element of a half-precision tensor is rounded alike",
        why="PyTorch's vector kernels compute in float32 and its scalar ones, which take the rest "
        "of a tensor that does not fill a vector, round after each step",
        differs="gradients of rsqrt, asin, acos, asinh and i0e equal those of the vector kernels "
        "in all places",
        instead="nothing to do",
        rows=tuple(f"ops.*grad*.{name}[[]*float16]" for name in (
            "rsqrt", "asin", "acos", "asinh", "special_i0e")),
    ),
    Deviation(
        name="matrix_exp of half types has values",
        why="PyTorch 2.13 gives NaN for float16 and bfloat16 on the CPU",
        differs="the exponential is computed in float32 and rounded",
        instead="nothing to do",
        rows=("ops.*.matrix_exp[[]*float16]",),
    ),
    Deviation(
        name="Tensors of several devices can be mixed",
        why="memory is unified: every device reads every tensor",
        differs="an operation on tensors of different devices runs on the first one's instead of "
        "raising; `to(device)` costs nothing; `.numpy()` and `.tolist()` work from every device",
        instead="nothing to do: programs that move their tensors as PyTorch wants it run unchanged",
    ),
    Deviation(
        name="Evaluation is lazy",
        why="MLX builds a graph and computes when a value is read",
        differs="an error that only the data can show (a singular matrix found on an accelerator, "
        "say) may be raised where the value is read; timing a line needs a synchronisation",
        instead="read a value, or call `torch.mps.synchronize()` / `torch.cuda.synchronize()`",
    ),
    Deviation(
        name="data_ptr is good for reading, until the next write",
        why="MLX's arrays move when they are written",
        differs="addresses compare as PyTorch's (equal means the same element of the same storage, "
        "also after writes) and C code may read there, but the memory is left behind by the next "
        "write to the tensor, and must not be written to",
        instead="use `.numpy()`, DLPack or the buffer protocol to share memory",
    ),
    Deviation(
        name="Random numbers on accelerators are not PyTorch's",
        why="CUDA's and Metal's generators depend on launch geometry; ours counts",
        differs="draws on an accelerator (`device=`, dropout on its tensors) have their own seed "
        "and numbers; draws without a device and all initial weights are PyTorch CPU's, to the bit "
        "for integers, uniforms and permutations, within 2 ulp for normals",
        instead="draw on the CPU and move the result, which costs nothing",
    ),
    Deviation(
        name="The CPU's random numbers are those of PyTorch on x86",
        why="PyTorch's own numbers depend on the processor: its AVX2 kernels fuse multiply-adds",
        differs="every processor gets the numbers of AVX2. In float64, logarithms follow the local "
        "C library, as in PyTorch; Dirichlet vectors of five or more categories may differ in the "
        "last bit, and ties of `multinomial` without replacement (half types) in their order",
        instead="compare with PyTorch on x86, or with a tolerance",
    ),
    Deviation(
        name="Compiled functions have random numbers of their own",
        why="a generator on the host would be read once, while tracing",
        differs="inside mx.compile draws take keys from `mx.random.state`, which `manual_seed` "
        "seeds; `generator=` raises there. Compiled without that state as inputs= and outputs=, a "
        "function repeats its numbers. Poisson, binomial and gamma numbers are rejected a fixed "
        "number of times (they fail below once in 10^8)",
        instead="draw outside and pass the numbers in where PyTorch's are needed",
    ),
    Deviation(
        name="Views of several outputs after a write through a detached alias",
        why="such a write leaves no trace in the recorded graph, and looking for it would cost "
        "every operation",
        differs="using an output of split, chunk or unbind after its base was written through "
        "`detach()` computes the gradient of the values that were there; PyTorch raises",
        instead="write through the base itself, which raises as in PyTorch",
    ),
    Deviation(
        name="Strides of matrices from linalg, and of transforms",
        why="LAPACK fills columns first and PyTorch hands its results out as they are",
        differs="results of torch.linalg and torch.fft are row-major here, where PyTorch's often "
        "are column-major or keep a transposed input's order; their values are the same",
        instead="call `.contiguous()` before depending on strides, as `view` does",
    ),
    Deviation(
        name="No checks of data inside a trace",
        why="in mx.compile and mx.vmap there is no data to look at",
        differs="an index out of range, or an integer division by zero, is not noticed there; an "
        "operation whose result's shape depends on data raises",
        instead="run the function once without compiling it",
    ),
    Deviation(
        name="flex_attention goes by the blocks of its mask, and has gradients everywhere",
        why="PyTorch's own two ways differ: compiled, it computes the listed blocks only; "
        "uncompiled, it computes all scores and asks mask_mod alone. And it has no backward on CPU",
        differs="compiled or not, blocks that a BlockMask does not list are not computed, and "
        "mask_mod is not asked about full ones; gradients, also second ones, `max_scores` and "
        "varlen_attn work on every device; `kernel_options` change nothing",
        instead="nothing to do: masks of create_block_mask give the same both ways",
    ),
    Deviation(
        name="The modules are called flashlight",
        why="`import torch` gives flashlight's own module objects",
        differs="`torch.__name__` and the `__module__` of classes read `flashlight...`; pickles "
        "made by pickle.dump name them so. torch.save writes PyTorch's names, and torch.load "
        "reads both",
        instead="exchange files with torch.save and torch.load, or with safetensors",
    ),
    Deviation(
        name="TorchScript is switched off",
        why="it compiles to PyTorch's own interpreter",
        differs="torch.jit is what PyTorch's is with PYTORCH_JIT=0: `script` and `trace` return "
        "the function or module that they are given; what handles compiled programs (`load`, "
        "`save`, `freeze`) is missing",
        instead="use torch.compile for speed, and a state_dict to save a model",
    ),
    Deviation(
        name="torch.distributed is that of a PyTorch built without it",
        why="processes do not exchange tensors yet",
        differs="`torch.distributed.is_available()` returns False, and little else is there; "
        "torch.xpu and torch.mtia answer as in a PyTorch built without them, too",
        instead="train in one process",
    ),
    Deviation(
        name="Programs started by subprocess are on their own",
        why="only multiprocessing's children are known to belong to the program",
        differs="a Python program that is started by subprocess, os.exec or a shell imports the "
        "real PyTorch, if there is one",
        instead="start it as `python -m flashlight program.py`",
    ),
    Deviation(
        name="set_num_threads concerns BLAS",
        why="MLX's CPU kernels run in one thread for each stream",
        differs="`torch.set_num_threads` sets the threads of matrix products and decompositions; "
        "elementwise work and reductions use one. `torch.set_num_interop_threads` is remembered "
        "and changes nothing",
        instead="use worker processes for data loading, and an accelerator for heavy work",
    ),
)
