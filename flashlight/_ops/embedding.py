"""Rows of a table looked up by index, and one-hot vectors."""

from __future__ import annotations

import mlx.core as mx

from .._core.dtype import FROM_MLX, SCALAR_TYPE_NAME, bool_, int32, int64
from .._core.evaluation import is_traced
from .._core.tensor import read, wrap
from .kinds import composite, primitive
from .pointwise import where
from .widening import widened


def _check_indices(name, index, size):
    if FROM_MLX[index.dtype] not in (int64, int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar "
            f"types: Long, Int; but got torch.{SCALAR_TYPE_NAME[FROM_MLX[index.dtype]]}Tensor "
            f"instead (while checking arguments for {name})"
        )
    if index.size and not is_traced(index):
        low, high = int(mx.min(index).item()), int(mx.max(index).item())
        if low < 0 or high >= size:
            raise IndexError("index out of range in self")


@primitive(name="embedding")
def _embedding(
    weight: mx.array, indices: mx.array, padding_idx=-1, scale_grad_by_freq=False
) -> mx.array:
    """The rows of `weight` that `indices` name, (*) -> (*, width)."""
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_indices("embedding", indices, weight.shape[0])
    return mx.take(weight, indices, axis=0)


def _embedding_rule(grad, weight_shape, indices, padding_idx, scale_grad_by_freq):
    flat = indices.reshape(-1)
    rows = grad.reshape(flat.numel(), weight_shape[1])
    if padding_idx >= 0:
        rows = rows.masked_fill((flat == padding_idx).unsqueeze(1), 0)
    if scale_grad_by_freq:
        count = grad.new_zeros(weight_shape[0]).index_add(0, flat, grad.new_ones(flat.numel()))
        rows = rows / count.index_select(0, flat).unsqueeze(1)
    return grad.new_zeros(weight_shape).index_add(0, flat, rows)


_embedding.gradients(weight=_embedding_rule)


@composite
def embedding(
    input,
    weight,
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    sparse=False,
):
    """The rows of `weight` that `input` names, (*) -> (*, width).

    `padding_idx` gets no gradient; rows longer than `max_norm` are shortened in place first.
    With `sparse` the gradient is a sparse tensor. Raises IndexError for rows that are not there.
    """
    if padding_idx is not None:
        rows = weight.shape[0]
        if padding_idx >= rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        if padding_idx < -rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx += rows if padding_idx < 0 else 0
    if max_norm is not None:
        input = input.contiguous()
        _shorten(weight, input, max_norm, norm_type)
    padding = -1 if padding_idx is None else padding_idx
    if sparse and weight.requires_grad:
        from .sparse import sparse_embedding
        return sparse_embedding(weight, input, padding, scale_grad_by_freq)
    return _embedding(weight, input, padding, scale_grad_by_freq)


def _shorten(weight, indices, max_norm, norm_type):
    """Scale the rows that are looked up down to `max_norm`, in place."""
    from .._autograd.grad_mode import no_grad
    from .reduction import vector_norm
    with no_grad():
        data = weight.detach()
        chosen = indices.reshape(-1).unique()
        if not chosen.numel():
            return
        rows = data.index_select(0, chosen)
        norms = vector_norm(rows, float(norm_type), 1, True)
        scale = where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
        data.index_copy_(0, chosen, rows * scale.to(rows.dtype))


@composite(out=False)
def embedding_renorm_(input, indices, max_norm, norm_type):
    """Scale the rows that `indices` name down to norm `max_norm`, in place."""
    _shorten(input, indices, max_norm, norm_type)
    return input


@composite
def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """The sum, mean or max of the rows named by each bag of indices; bags are rows of 2-D `input`,
    or begin at `offsets`.
    """
    if weight.dtype is int64 and input.is_floating_point():
        weight, input = input, weight
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({tuple(per_sample_weights.shape)}) is not "
            f"None, then it must have the same shape as the input ({tuple(input.shape)})"
        )
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a "
                "mini-batch of fixed "
                "length sequences. However, found offsets of type " + str(type(offsets))
            )
        bags, length = input.shape
        from .ranges import arange

        offsets = (
            arange(0, bags * length, length, device=input.device)
            if length
            else input.new_zeros(bags)
        )
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.ndim == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.ndim != 1:
            raise ValueError("offsets has to be a 1D Tensor")
    else:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}"
        )
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum or mean or max")
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ValueError(
            "max mode does not support "
            + ("scaling the gradient by the frequency" if scale_grad_by_freq else "sparse weights")
        )
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
        )
    if max_norm is not None:
        _shorten(weight, input, max_norm, norm_type)
    return _bags(
        input, weight, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights,
        include_last_offset, padding_idx,
    )  # fmt: skip


def _bags(
    input, weight, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights,
    include_last_offset, padding_idx,
):
    if include_last_offset:
        if offsets.numel() == 0:
            raise RuntimeError("include_last_offset: number of offsets should be at least 1")
        ends = offsets
        offsets = offsets[:-1]
    if padding_idx is not None:
        padding_idx += weight.shape[0] if padding_idx < 0 else 0
    if offsets.numel() and not is_traced(read(offsets)):
        if int(offsets[0].item()) != 0:
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start "
                f"from position 0. However, got {int(offsets[0].item())}"
            )
        if int(offsets[-1].item()) > input.numel():
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length({input.numel()}) but got "
                f"offsets[-1] of {int(offsets[-1].item())}"
            )
    bags = offsets.numel()
    positions = wrap(mx.arange(input.numel()), input.device)
    bag = (positions.unsqueeze(1) >= offsets.unsqueeze(0)).sum(1) - 1 if bags else positions * 0
    if include_last_offset:
        inside = positions < ends[-1]
    rows = embedding(input, weight, padding_idx, None, 2.0, scale_grad_by_freq, sparse)
    kept = input.new_ones(input.shape, dtype=bool_) if padding_idx is None else input != padding_idx
    if include_last_offset:
        kept = kept & inside
    if per_sample_weights is not None:
        if per_sample_weights.dtype is not weight.dtype:
            raise RuntimeError(f"expected scalar type {SCALAR_TYPE_NAME[weight.dtype]} but found "
                               f"{SCALAR_TYPE_NAME[per_sample_weights.dtype]}")
        rows = widened(rows) * per_sample_weights.unsqueeze(1)
    out = weight.new_zeros(bags, weight.shape[1])
    if not bags or not input.numel():
        return out if not weight.requires_grad else out + weight.sum() * 0
    if mode == "max":
        spread = bag.unsqueeze(1).expand(rows.shape)
        low = float("-inf")
        made = (
            out.detach()
            .fill_(low)
            .scatter_reduce(
                0, spread, rows.masked_fill(kept.logical_not().unsqueeze(1), low), "amax"
            )
        )
        return made.masked_fill(made == low, 0)
    rows = where(kept.unsqueeze(1), rows, 0.0).to(rows.dtype)
    total = widened(out).index_add(0, bag, widened(rows))
    if mode == "mean":
        count = total.new_zeros(bags).index_add(0, bag, kept.to(total.dtype)).clamp(min=1)
        total = total / count.unsqueeze(1)
    return total.to(weight.dtype)


@composite
def one_hot(tensor, num_classes=-1):
    """Vectors with a one at the position that each element names, (*) -> (*, num_classes), int64.
    """
    if tensor.dtype is not int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return tensor.new_zeros((*tensor.shape, num_classes))
    if not is_traced(read(tensor)):
        low, high = int(tensor.min().item()), int(tensor.max().item())
        if low < 0:
            raise RuntimeError("Class values must be non-negative.")
        if num_classes == -1:
            num_classes = high + 1
        elif num_classes < 1:
            raise RuntimeError("num_classes should be positive")
        elif high >= num_classes:
            raise RuntimeError("Class values must be smaller than num_classes.")
    elif num_classes == -1:
        raise RuntimeError("one_hot(): num_classes must be given inside a trace")
    classes = wrap(mx.arange(num_classes), tensor.device)
    return (tensor.unsqueeze(-1) == classes).to(int64)


functional = {f.__name__: f for f in (embedding, embedding_bag, one_hot)}


def _torch_embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """The rows of `weight` that `indices` name (the argument order of `torch.embedding`)."""
    return embedding(
        indices,
        weight,
        None if padding_idx < 0 else padding_idx,
        None,
        2.0,
        scale_grad_by_freq,
        sparse,
    )


FUNCTIONS = {"embedding": _torch_embedding, "embedding_renorm_": embedding_renorm_}
METHODS = {}
INPLACE = ()
