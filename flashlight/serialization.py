"""`save` and `load`: checkpoints that PyTorch reads and writes too.

https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

import copyreg
import io
import os
import pickle
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import flashlight as torch

from ._core import host_memory
from ._serialization import foreign, legacy, restricted, zip_format
from ._serialization.allowed import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    is_default,
    safe_globals,
    user_globals,
)
from ._serialization.archive_reader import ArchiveReader
from ._serialization.atomic_file import replacing
from ._serialization.locations import (
    default_restore_location,
    location_tag,
    register_package,
    validate_cuda_device,
    validate_hpu_device,
)
from ._serialization.settings import (
    MAP_SHARED,
    LoadEndianness,
    get_crc32_options,
    get_default_load_endianness,
    get_default_mmap_options,
    set_crc32_options,
    set_default_load_endianness,
    set_default_mmap_options,
    skip_data,
)
from ._serialization.settings import load as load_settings
from ._serialization.settings import local as _serialization_tls
from ._serialization.storage_types import StorageType

__all__ = [
    "SourceChangeWarning",
    "mkdtemp",
    "register_package",
    "check_module_version_greater_or_equal",
    "validate_cuda_device",
    "validate_hpu_device",
    "location_tag",
    "default_restore_location",
    "normalize_storage_type",
    "storage_to_tensor_type",
    "save",
    "load",
    "StorageType",
    "LoadEndianness",
    "get_crc32_options",
    "set_crc32_options",
    "get_default_load_endianness",
    "set_default_load_endianness",
    "get_default_mmap_options",
    "set_default_mmap_options",
    "clear_safe_globals",
    "get_safe_globals",
    "add_safe_globals",
    "safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "skip_data",
]

#: what `map_location=` takes
MAP_LOCATION: TypeAlias = Callable[[Any, str], Any] | torch.device | str | dict[str, str] | None

DEFAULT_PROTOCOL = 2
ZIP_MAGIC = b"PK\x03\x04"
TRUE = ("1", "y", "yes", "true")


class SourceChangeWarning(Warning):
    """Kept for programs that filter it: PyTorch warns so of modules whose source has changed."""


@contextmanager
def mkdtemp() -> Iterator[str]:
    """A temporary folder for the length of a `with` block."""
    path = tempfile.mkdtemp()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def check_module_version_greater_or_equal(
    module: Any, req_version_tuple: tuple, error_if_malformed: bool = True
) -> bool:
    """Whether `module.__version__` is at least `req_version_tuple`.

    Raises RuntimeError for a version that can't be compared, or warns and says True.
    """
    try:
        parts = module.__version__.split(".")
        version = tuple(type(part)(parts[at]) for at, part in enumerate(req_version_tuple))
        return version >= req_version_tuple
    except Exception as error:
        message = (
            f"'{module.__name__}' module version string is malformed '{module.__version__}' and "
            f"cannot be compared with tuple {req_version_tuple}"
        )
        if error_if_malformed:
            raise RuntimeError(message) from error
        warnings.warn(message + ", but continuing assuming that requirement is met", stacklevel=2)
        return True


def normalize_storage_type(storage_type: type) -> type:
    """The class of that name in the package's namespace."""
    return getattr(torch, storage_type.__name__)


def storage_to_tensor_type(storage: Any) -> type:
    """The legacy tensor class, such as `FloatTensor`, of a legacy storage."""
    return getattr(torch, type(storage).__name__.replace("Storage", "Tensor"))


def save(
    obj: object,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Save `obj` to a path or a binary file; real PyTorch can load it.

    A path is replaced only once the new file is complete. Raises AttributeError for an `f` that
    is neither, RuntimeError for a missing folder or data that is seen as two dtypes.
    """
    _check_dill_version(pickle_module)
    if not _is_path(f) and not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
        )
    if not _use_new_zipfile_serialization and _serialization_tls.skip_data:
        raise RuntimeError("Cannot use skip_data=True with _use_new_zipfile_serialization=False")

    def write(stream: Any, root: str) -> None:
        if _use_new_zipfile_serialization:
            zip_format.save(
                obj, stream, root, pickle_module, pickle_protocol, not _disable_byteorder_record
            )
        else:
            legacy.save(obj, stream, pickle_module, pickle_protocol)

    if not _is_path(f):
        if not callable(f.write):
            raise TypeError(f"the attribute 'write' of {type(f)} is not callable")
        write(f, "archive")
        if hasattr(f, "flush"):
            f.flush()
        return
    path = os.fspath(f)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    with replacing(path) as stream:
        write(stream, _root_of(path))


def _root_of(path: str) -> str:
    # PyTorch names the archive's folder after the file, up to the last dot.
    name = os.path.basename(path)
    root = name.rpartition(".")[0] if "." in name else name
    return root if root and root.isascii() else "archive"


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load what `torch.save` or `flashlight.save` wrote to a path or a seekable binary file.

    `weights_only` (the default) runs nothing that the file names. `map_location` (device, dict
    or function of storage and tag) says where data goes. With `mmap`, data is read when first
    used. Paths ending in .safetensors and .gguf give their dict of tensors.
    Raises pickle.UnpicklingError for a damaged, foreign or disallowed file.
    """
    weights_only, pickle_module = _choose_unpickler(weights_only, pickle_module)
    if pickle_load_args and weights_only:
        warnings.warn("pickle_load_args only works if `weights_only=False`.", stacklevel=2)
    if mmap is None:
        mmap = load_settings.mmap
    _check_dill_version(pickle_module)
    arguments = {"encoding": "utf-8", **pickle_load_args}

    if not _is_path(f):
        _check_seekable(f)
        if mmap and _is_zip(f):
            raise ValueError("f must be a file path in order to use the mmap argument")
        return _load_stream(f, map_location, pickle_module, None, arguments)
    path = os.fspath(f)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if path.endswith(foreign.SUFFIXES):
        return foreign.load(path, map_location)
    with open(path, "rb") as stream:
        mapped = None
        if mmap:
            if not _is_zip(stream):
                raise RuntimeError(
                    "mmap can only be used with files saved with "
                    f"`torch.save({path}, _use_new_zipfile_serialization=True)`, please torch.save "
                    "your checkpoint with this option in order to use mmap."
                )
            shared = MAP_SHARED is not None and get_default_mmap_options() == MAP_SHARED
            mapped = (host_memory.map_file(path, shared), shared)
        return _load_stream(stream, map_location, pickle_module, mapped, arguments)


def _load_stream(
    stream: Any, map_location: Any, pickle_module: Any, mapped: Any, arguments: dict[str, Any]
) -> Any:
    try:
        if not _is_zip(stream):
            return legacy.load(stream, map_location, pickle_module, arguments)
        reader = ArchiveReader(stream)
        if "constants.pkl" in reader:
            raise RuntimeError(
                "the file is a TorchScript archive, which is a program: flashlight does not run "
                "those. Load it with torch.jit.load in PyTorch and save its state_dict()"
            )
        return zip_format.load(reader, map_location, pickle_module, mapped, arguments)
    except pickle.UnpicklingError as error:
        if pickle_module is not None or _FORBIDDEN.search(str(error)) is None:
            raise
        raise pickle.UnpicklingError(f"{_WEIGHTS_ONLY_FAILED}\n\n{error}") from None


_FORBIDDEN = re.compile(
    r"not an allowed global|is blocked|unrecognized function|allowlisted|Unsupported operand"
)
_WEIGHTS_ONLY_FAILED = (
    "Weights only load failed: the file asks for more than tensors and plain containers. If you "
    "trust where it comes from, allow the classes and functions it needs as the message below "
    "says, or load it with `weights_only=False`, which lets it run arbitrary code."
)


def _choose_unpickler(weights_only: bool | None, pickle_module: Any) -> tuple[bool, Any]:
    """Whether to restrict the load, and the module to unpickle with (None if restricted)."""
    forced_on, forced_off = (
        os.getenv(f"TORCH_FORCE_{name}WEIGHTS_ONLY_LOAD", "0").lower() in TRUE
        for name in ("", "NO_")
    )
    if forced_on and forced_off:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` "
            "should be set, but both were set."
        )
    unset = weights_only is None
    if unset:
        weights_only = pickle_module is None
    if forced_on:
        weights_only = True
    elif forced_off and unset:
        warnings.warn(
            "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is set and `weights_only` was not passed to "
            "`torch.load`, so weights_only=False is used",
            UserWarning,
            stacklevel=3,
        )
        weights_only = False
    if weights_only:
        if pickle_module is not None:
            raise RuntimeError(
                "Can not safely load weights when explicit pickle_module is specified"
            )
        return True, None
    return False, pickle if pickle_module is None else pickle_module


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """Full names in a checkpoint that a `weights_only` load does not allow; nothing is run.

    Raises ValueError for a file that is no archive of `save`.
    """
    if _is_path(f):
        with open(f, "rb") as stream:
            return get_unsafe_globals_in_checkpoint(stream)
    if not _is_zip(f):
        raise ValueError("Expected input to be a checkpoint returned by torch.save")
    reader = ArchiveReader(f)
    if "constants.pkl" in reader:
        raise ValueError(
            "Expected input to be a checkpoint returned by torch.save but got a torchscript "
            "checkpoint"
        )
    found = restricted.scan_globals(io.BytesIO(reader.read("data.pkl")))
    full_names = dict.fromkeys(restricted.modern_name(*pair) for pair in found)
    allowed = user_globals()
    return [name for name in full_names if not is_default(name) and name not in allowed]


def _is_path(f: Any) -> bool:
    return isinstance(f, (str, bytes, os.PathLike))


def _is_zip(stream: Any) -> bool:
    start = stream.tell()
    magic = stream.read(len(ZIP_MAGIC))
    stream.seek(start)
    return magic == ZIP_MAGIC


def _check_seekable(f: Any) -> None:
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the "
            "data into a buffer like io.BytesIO and try to load from it instead."
        ) from None


def _check_dill_version(pickle_module: Any) -> None:
    if pickle_module is not None and pickle_module.__name__ == "dill":
        required = (0, 3, 1)
        if not check_module_version_greater_or_equal(pickle_module, required, False):
            raise ValueError(
                f"'torch' supports dill >= 0.3.1, but you have dill {pickle_module.__version__}. "
                "Please upgrade dill or switch to 'pickle'"
            )


def _get_layout(name: str) -> Any:
    """The memory layout that `repr` names so."""
    for value in vars(torch).values():
        if isinstance(value, torch.layout) and repr(value) == name:
            return value
    raise pickle.UnpicklingError(f"there is no layout {name!r:.50}")


copyreg.pickle(torch.layout, lambda layout: (_get_layout, (repr(layout),)))
