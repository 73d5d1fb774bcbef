"""Tensors over files."""

from __future__ import annotations

import os

from .._core import host_memory
from .._core.device import CPU, resolve
from .._core.dtype import check_supported, get_default_dtype
from .._core.layout import contiguous
from .._core.tensor import Tensor, make
from .conversion import strided


def from_file(
    filename, shared=None, size=0, *, dtype=None, layout=None, device=None, pin_memory=False,
    requires_grad=False,
) -> Tensor:  # fmt: skip
    """Return the first `size` elements of a file, mapped: (size,).

    With `shared` the file is created or made longer as needed, and written to. Raises RuntimeError
    for a file that is not there or too short.
    """
    if not isinstance(filename, str):
        raise TypeError("from_file(): argument 'filename' (position 1) must be str, not "
                        f"{type(filename).__name__}")
    kind = check_supported(get_default_dtype() if dtype is None else dtype)
    if layout not in (None, strided) or resolve(device or CPU) is not CPU:
        raise NotImplementedError("from_file makes strided tensors on the CPU only")
    nbytes = size * kind.itemsize
    if size < 0:
        raise RuntimeError(f"unable to mmap {nbytes} bytes from file <{filename}>")
    if shared and (not os.path.exists(filename) or os.path.getsize(filename) < nbytes):
        with open(filename, "ab") as file:
            file.truncate(nbytes)
    if not os.path.exists(filename):
        raise RuntimeError(f"unable to open file <{filename}> in read-only mode: there is none")
    memory = host_memory.map_file(filename, bool(shared))
    if memory.size < nbytes:
        raise RuntimeError(f"file <{filename}> size <{memory.size}> is smaller than the required "
                           f"mapping size <{nbytes}>")
    storage = host_memory.mapped_storage(memory[:nbytes], kind, CPU, bool(shared))
    made = make(storage, contiguous((size,), kind, CPU))
    return made.requires_grad_() if requires_grad else made


FUNCTIONS = {"from_file": from_file}
METHODS: dict = {}
INPLACE = ()
