"""Which operations autocast runs in which precision, by device.

https://docs.pytorch.org/docs/2.13/amp.html#autocast-op-reference
"""

from __future__ import annotations

LOWER = "lower precision"
FLOAT32 = "float32"
FLOAT32_RESULT = "float32 by its dtype argument, unless one is given"
WIDEST = "the widest type among the inputs"
BANNED = "banned"

_CONVOLUTIONS = """
    conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution
    _convolution
"""
_RECURRENT = "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"
_LOSSES = """
    cosine_embedding_loss ctc_loss hinge_embedding_loss huber_loss kl_div l1_loss
    margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss nll_loss nll_loss2d
    poisson_nll_loss smooth_l1_loss soft_margin_loss triplet_margin_loss
    triplet_margin_with_distance_loss binary_cross_entropy_with_logits cross_entropy
    gaussian_nll_loss multilabel_soft_margin_loss
"""


def _table(**policies: str) -> dict[str, str]:
    names = {"lower": LOWER, "float32": FLOAT32, "result": FLOAT32_RESULT, "widest": WIDEST,
             "banned": BANNED}  # fmt: skip
    return {name: names[policy] for policy, text in policies.items() for name in text.split()}


CPU = _table(
    lower=f"""
        {_CONVOLUTIONS} {_RECURRENT} addbmm addmm _addmm_activation baddbmm bmm einsum linalg_vecdot
        linalg_multi_dot linear matmul mm multi_head_attention_forward prelu
        scaled_dot_product_attention _native_multi_head_attention tensordot
    """,
    float32=f"""
        {_LOSSES} adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d binary_cross_entropy cdist
        cholesky cholesky_inverse cholesky_solve fft_fft fft_fft2 fft_fftn fft_hfft fft_hfft2
        fft_hfftn fft_ifft fft_ifft2 fft_ifftn fft_ihfft fft_ihfft2 fft_ihfftn fft_irfft fft_irfft2
        fft_irfftn fft_rfft fft_rfft2 fft_rfftn fractional_max_pool2d fractional_max_pool3d
        grid_sampler grid_sample inverse linalg_cholesky linalg_cholesky_ex linalg_cond linalg_eig
        linalg_eigh linalg_eigvals linalg_eigvalsh linalg_householder_product linalg_inv
        linalg_inv_ex linalg_ldl_factor linalg_lstsq linalg_matrix_rank linalg_qr linalg_solve
        linalg_svd linalg_svdvals linalg_tensorinv linalg_tensorsolve lu_solve max_pool3d
        max_unpool1d max_unpool2d max_unpool3d nanquantile ormqr orgqr pinverse polar prod qr
        quantile reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d
        replication_pad2d replication_pad3d stft svd trace view_as_complex
    """,
    widest="cat stack index_copy concat concatenate",
)

CUDA = _table(
    lower=f"""
        {_CONVOLUTIONS} {_RECURRENT} addbmm addmm addmv addr baddbmm bmm chain_matmul einsum
        linalg_multi_dot linalg_vecdot linear matmul mm mv prelu scaled_dot_product_attention
        multi_head_attention_forward
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
)

#: PyTorch's list for Metal is CUDA's but for operations that Metal did not have.
BY_DEVICE = {"cpu": CPU, "cuda": CUDA, "mps": CUDA}
