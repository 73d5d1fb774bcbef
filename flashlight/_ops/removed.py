"""Names that PyTorch keeps only to say what replaced them."""

from __future__ import annotations

import inspect


def _removed(name, replacement, parameters):
    def raise_removed(*args, **kwargs):
        raise RuntimeError(f"torch.{name} was deprecated since version 1.9 and is now removed; use "
                           f"{replacement}")
    raise_removed.__name__ = raise_removed.__qualname__ = name
    raise_removed.__doc__ = f"Raises RuntimeError: replaced by {replacement}."
    raise_removed.__signature__ = inspect.signature(parameters)
    return raise_removed


_EIG = "torch.linalg.eig, whose results are complex"
_EIGH = "torch.linalg.eigh, which reads the lower triangle unless told"
_LSTSQ = "torch.linalg.lstsq, which takes the matrix first"
_RANK = "torch.linalg.matrix_rank, whose `symmetric` is called `hermitian`"
_SOLVE = "torch.linalg.solve, which takes the matrix first and does not return its LU factors"

FUNCTIONS = {
    "eig": _removed("eig", _EIG, lambda self, eigenvectors=False, *, e=None, v=None: ...),
    "lstsq": _removed("lstsq", _LSTSQ, lambda input, A, *, out=None: ...),
    "matrix_rank": _removed(
        "matrix_rank", _RANK, lambda input, tol=None, symmetric=False, *, out=None: ...
    ),
    "solve": _removed("solve", _SOLVE, lambda input, A, *, out=None: ...),
    "symeig": _removed(
        "symeig", _EIGH, lambda input, eigenvectors=False, upper=True, *, out=None: ...
    ),
}
METHODS = {
    "eig": _removed("Tensor.eig", _EIG, lambda self, eigenvectors=False: ...),
    "lstsq": _removed("Tensor.lstsq", _LSTSQ, lambda self, other: ...),
    "solve": _removed("Tensor.solve", _SOLVE, lambda self, other: ...),
    "symeig": _removed("Tensor.symeig", _EIGH, lambda self, eigenvectors=False: ...),
}
INPLACE = ()
