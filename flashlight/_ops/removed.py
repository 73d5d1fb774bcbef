"""Names that PyTorch keeps only to say what replaced them."""

from __future__ import annotations

_REPLACED = {
    "eig": "torch.linalg.eig, whose results are complex",
    "lstsq": "torch.linalg.lstsq, which takes the matrix first",
    "matrix_rank": "torch.linalg.matrix_rank, whose `symmetric` is called `hermitian`",
    "solve": "torch.linalg.solve, which takes the matrix first and does not return its LU factors",
    "symeig": "torch.linalg.eigh, which reads the lower triangle unless told",
}


def _removed(name, replacement):
    def raise_removed(*args, **kwargs):
        raise RuntimeError(f"torch.{name} was deprecated since version 1.9 and is now removed; use "
                           f"{replacement}")
    raise_removed.__name__ = raise_removed.__qualname__ = name
    raise_removed.__doc__ = f"Raises RuntimeError: replaced by {replacement}."
    return raise_removed


FUNCTIONS = {name: _removed(name, replacement) for name, replacement in _REPLACED.items()}
METHODS = {name: function for name, function in FUNCTIONS.items() if name != "matrix_rank"}
INPLACE = ()
