"""Which operations autocast runs in which precision, by device.

https://docs.pytorch.org/docs/2.13/amp.html#autocast-op-reference
"""

from __future__ import annotations

import functools
from collections.abc import Callable

LOWER = "lower precision"
FLOAT32 = "float32"
FLOAT32_RESULT = "float32 by its dtype argument, unless one is given"
WIDEST = "the widest type among the inputs"
BANNED = "banned"
#: What is one kernel in PyTorch, and several operations with policies of their own here.
UNTOUCHED = "as it is, and everything inside of it"
#: A recurrent network whose state PyTorch's CPU code keeps in the type that it came in.
LOWER_STATE = "lower precision, with the result in the type of the state"

_CONVOLUTIONS = """
    conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution
    _convolution
"""
_LOSSES = """
    cosine_embedding_loss ctc_loss hinge_embedding_loss huber_loss kl_div l1_loss
    margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss nll_loss nll_loss2d
    poisson_nll_loss smooth_l1_loss soft_margin_loss triplet_margin_loss
    binary_cross_entropy_with_logits cross_entropy
"""


def _table(**policies: str) -> dict[str, str]:
    names = {
        "lower": LOWER,
        "float32": FLOAT32,
        "result": FLOAT32_RESULT,
        "widest": WIDEST,
        "banned": BANNED,
        "untouched": UNTOUCHED,
        "lower_state": LOWER_STATE,
    }
    return {name: names[policy] for policy, text in policies.items() for name in text.split()}


CPU = _table(
    lower=f"""
        {_CONVOLUTIONS} lstm rnn_tanh rnn_relu addbmm addmm _addmm_activation baddbmm bmm
        linalg_vecdot linalg_multi_dot linear matmul mm prelu scaled_dot_product_attention
        _native_multi_head_attention
    """,
    lower_state="gru gru_cell lstm_cell",
    float32=f"""
        {_LOSSES} adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d binary_cross_entropy cdist
        cholesky cholesky_inverse cholesky_solve fft_fft fft_fft2 fft_fftn fft_hfft fft_hfft2
        fft_hfftn fft_ifft fft_ifft2 fft_ifftn fft_ihfft fft_ihfft2 fft_ihfftn fft_irfft fft_irfft2
        fft_irfftn fft_rfft fft_rfft2 fft_rfftn fractional_max_pool2d fractional_max_pool3d geqrf
        grid_sampler grid_sample inverse linalg_cholesky linalg_cholesky_ex linalg_cond linalg_eig
        linalg_eigh linalg_eigvals linalg_eigvalsh linalg_householder_product linalg_inv
        linalg_inv_ex linalg_ldl_factor linalg_lstsq linalg_matrix_rank linalg_qr linalg_solve
        linalg_svd linalg_svdvals linalg_tensorinv linalg_tensorsolve _lu_with_info lu_solve
        max_pool3d max_unpool1d max_unpool2d max_unpool3d nanquantile ormqr orgqr pinverse polar
        prod qr quantile reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d
        replication_pad2d replication_pad3d stft svd trace triangular_solve view_as_complex
    """,
    widest="cat stack index_copy concat concatenate",
    untouched="dot vdot mv linalg_matrix_exp linalg_cross",
)

CUDA = _table(
    lower=f"""
        {_CONVOLUTIONS} lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell
        addbmm addmm addmv addr baddbmm bmm chain_matmul linalg_multi_dot linalg_vecdot linear
        matmul mm mv prelu scaled_dot_product_attention
    """,
    float32=f"""
        {_LOSSES} __pow__ __rpow__ acos arccos asin arcsin cdist cosh cosine_similarity dist erfinv
        exp expm1 frobenius_norm group_norm layer_norm log log10 log1p log2 logsumexp norm
        nuclear_norm pdist pow reciprocal renorm rms_norm rsqrt sinh softplus tan
        upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d
        upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d interpolate
    """,
    result="""
        cumprod cumsum log_softmax prod softmax softmin sum linalg_vector_norm linalg_matrix_norm
    """,
    widest="""
        addcdiv addcmul atan2 arctan2 bilinear cat concat concatenate cross dot grid_sampler
        grid_sample index_put scatter_add stack tensordot vdot
    """,
    banned="binary_cross_entropy",
    untouched="linalg_matrix_exp linalg_cross",
)

#: PyTorch's list for Metal is CUDA's but for operations that Metal did not have.
BY_DEVICE = {"cpu": CPU, "cuda": CUDA, "mps": CUDA}

_LINALG = "flashlight._ops.linalg"


@functools.cache
def _names(function: Callable) -> tuple[str, ...]:
    """Return PyTorch's names of an operation: that of linalg.inv is "linalg_inv"."""
    name = function.__name__
    if not function.__module__.startswith(_LINALG):
        return (name,)
    if name == "torch_lu":
        return ("_lu_with_info",)
    bare = name.removeprefix("torch_")
    return (f"linalg_{bare}", bare)


def find(function: Callable, device_type: str, args: tuple, kwargs: dict) -> str | None:
    """Return the policy of a call, None for what autocast leaves alone."""
    names = _names(function)
    if names[0] == "pad" and device_type == "cpu":
        mode = kwargs.get("mode", args[2] if len(args) > 2 else "constant")
        return FLOAT32 if mode in ("reflect", "replicate") else None
    if names[0] == "max_pool3d" and kwargs.get("return_indices"):
        return None
    table = BY_DEVICE.get(device_type, {})
    return next((table[name] for name in names if name in table), None)
